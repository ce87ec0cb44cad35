"""The workflow and the templates are what GitHub takes, and test what the project supports."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.docker_files import DOCKER, load_yaml, services, tool
from tests.support.repository import ROOT

GITHUB = ROOT / ".github"
WORKFLOW = GITHUB / "workflows" / "check.yml"


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("vendor.github-workflows", WORKFLOW),
        ("vendor.github-issue-forms", GITHUB / "ISSUE_TEMPLATE" / "bug.yml"),
        ("vendor.github-issue-forms", GITHUB / "ISSUE_TEMPLATE" / "feature.yml"),
        ("vendor.github-issue-config", GITHUB / "ISSUE_TEMPLATE" / "config.yml"),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_github_takes_the_file(schema: str, path: Path) -> None:
    check = tool("check-jsonschema", "--builtin-schema", schema, path)
    assert check.returncode == 0, check.stdout + check.stderr


def test_every_yaml_file_is_clean() -> None:
    check = tool("yamllint", "--strict", "--config-file", DOCKER / ".yamllint", GITHUB)
    assert check.returncode == 0, check.stdout + check.stderr


def jobs() -> dict[str, Any]:
    """The workflow's jobs by name."""
    found: dict[str, Any] = load_yaml(WORKFLOW)["jobs"]
    return found


def test_each_supported_python_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    tested = jobs()["python"]["strategy"]["matrix"]["python"]
    assert set(supported) <= set(tested)
    assert project["requires-python"] == f">={tested[0]}"


def test_the_timescaledb_of_the_docker_stack_is_tested() -> None:
    image = services()["database"]["image"]
    assert jobs()["python"]["services"]["timescaledb"]["image"] == image
    images = [each["timescaledb"] for each in jobs()["postgresql"]["strategy"]["matrix"]["include"]]
    assert image.partition(":")[2] in images


def test_the_workflow_runs_targets_that_there_are() -> None:
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    runs = re.findall(r"run: make (\S+)", WORKFLOW.read_text())
    assert runs
    assert set(runs) <= set(targets)


def test_the_script_that_sets_servers_up_can_be_run() -> None:
    assert os.access(GITHUB / "set-up-server", os.X_OK)
