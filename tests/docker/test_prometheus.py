"""Prometheus in the compose stack: alerts that fire when they should, each in the runbook."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.docker_files import COMPOSE, DASHBOARDS, DATASOURCES, DOCKER, load_yaml, services
from tests.support.repository import page

PROMETHEUS = DOCKER / "prometheus"
INGEST_HEALTH = DASHBOARDS / "ingest-health.json"
_LISTED = re.compile(r"^\| `(fleetmeter_\w+)` \| (\w+) ", re.MULTILINE)


def alerts() -> dict[str, dict[str, Any]]:
    """The alert rules by name."""
    (group,) = load_yaml(PROMETHEUS / "alerts.yml")["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def cases_of_alerts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load_yaml(PROMETHEUS / "alerts_test.yml")["tests"]
    return found


def queries_of_ingest_health() -> list[str]:
    """The PromQL of the dashboard, with a range instead of Grafana's variable."""
    panels = json.loads(INGEST_HEALTH.read_text(encoding="utf-8"))["panels"]
    return [
        target["expr"].replace("$__rate_interval", "1m")
        for panel in panels
        for target in panel.get("targets", [])
    ]


def documented_series() -> set[str]:
    """The names of series that docs/metrics.md promises; a histogram has three."""
    return {
        name + suffix
        for name, kind in _LISTED.findall(page("metrics.md"))
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }


def promtool(*args: str | Path) -> None:
    """Run Prometheus' checker; fails with what it says."""
    if (found := shutil.which("promtool")) is None:
        pytest.skip("there is no promtool (Debian: prometheus): alerts WERE NOT TESTED")
    done = subprocess.run(
        [found, *args], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_configuration() -> None:
    promtool("check", "config", "--syntax-only", "prometheus.yml")  # without the key


def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yml")


@pytest.mark.parametrize("name", alerts())
def test_every_alert_has_a_moment_when_it_fires_and_one_when_it_does_not(name: str) -> None:
    cases = [
        case
        for each in cases_of_alerts()
        if each["name"].split()[0] == name
        for case in each["promql_expr_test"]
    ]
    fires = [f'alertname="{name}"' in str(case["exp_samples"]) for case in cases]
    assert True in fires
    assert False in fires


@pytest.mark.parametrize("name", alerts())
def test_every_alert_says_what_is_wrong_and_where_the_runbook_says_what_to_do(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["for"]
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    _, found, section = page("runbook.md").partition(f"\n## {name}\n\n")
    assert found
    assert section.startswith(f"**{rule['labels']['severity']}.** ")
    assert "\n- " in section.partition("\n## ")[0]


def test_the_runbook_is_about_the_alerts_there_are() -> None:
    assert re.findall(r"^## (\w+)$", page("runbook.md"), re.MULTILINE) == [*alerts()]


def test_alerts_and_panels_ask_for_documented_metrics_only() -> None:
    expressions = [*(rule["expr"] for rule in alerts().values()), *queries_of_ingest_health()]
    asked = set(re.findall(r"\bfleetmeter_\w+", " ".join(expressions)))
    assert asked <= documented_series()
    tested = set(re.findall(r"\bfleetmeter_\w+", (PROMETHEUS / "alerts_test.yml").read_text()))
    assert tested <= documented_series()


def test_promtool_parses_every_query_of_ingest_health(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": expr}
        for number, expr in enumerate(queries_of_ingest_health())
    ]
    assert len(rules) > 20
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "ingest health", "rules": rules}]}))
    promtool("check", "rules", file)


def test_grafana_and_prometheus_meet_where_compose_starts_them() -> None:
    (source,) = load_yaml(DATASOURCES / "prometheus.yaml")["datasources"]
    assert (source["uid"], source["url"]) == ("prometheus", "http://prometheus:9090")
    config = load_yaml(PROMETHEUS / "prometheus.yml")
    jobs = {each["job_name"]: each for each in config["scrape_configs"]}
    assert jobs["fleetmeter"]["static_configs"] == [{"targets": ["fleetmeter:3000"]}]
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    key_file = Path(jobs["fleetmeter"]["authorization"]["credentials_file"])
    assert [key_file.name] == services()["prometheus"]["secrets"]
    key = load_yaml(COMPOSE)["secrets"][key_file.name]["environment"]
    assert key in services()["fleetmeter"]["environment"]
    options = dict(flag.split("=", 1) for flag in services()["prometheus"]["command"])
    mounts = dict(volume.split(":")[:2] for volume in services()["prometheus"]["volumes"])
    assert mounts["./prometheus"] == str(Path(options["--config.file"]).parent)
    assert mounts["prometheus"] == options["--storage.tsdb.path"]
