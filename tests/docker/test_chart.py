"""The Helm chart: what it renders is valid, without rights, and what its values promise."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT4

from fleetmeter import __version__
from fleetmeter.settings import load_settings
from tests.support.deploy_tools import kubernetes_schema, program
from tests.support.docker_files import DOCKER, load_yaml

CHART = DOCKER / "helm" / "fleetmeter"

EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example.org/fleetmeter", "pullSecrets": ["registry"]},
    "replicas": 3,
    "workers": 2,
    "settings": {"FLEETMETER_RETENTION_DAYS": "800", "FLEETMETER_LOG_LEVEL": "warning"},
    "proxies": ["10.0.0.0/8", "fd00::1"],
    "ingress": {"enabled": True, "className": "nginx", "annotations": {"a.example.org/b": "1"}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "enabled": True,
        "from": [{"podSelector": {"matchLabels": {"app": "ingress"}}}],
    },
    "podAnnotations": {"example.org/owner": "fleet"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "fleet", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
}


def helm(
    *args: str | Path, values: dict[str, Any] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run helm with the values on standard input."""
    return subprocess.run(
        [program("helm"), *args, "--values", "-"],
        input=json.dumps(values or {}),
        env=os.environ | {"HELM_CACHE_HOME": "/nonexistent", "KUBECONFIG": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )


def rendered(values: dict[str, Any] | None = None, release: str = "fleetmeter") -> dict[str, Any]:
    """Return the manifests that the chart renders, by kind."""
    made = helm("template", release, CHART, "--namespace", "fleet", values=values)
    assert made.returncode == 0, made.stderr
    documents = [document for document in yaml.safe_load_all(made.stdout) if document]
    kinds = {document["kind"]: document for document in documents}
    assert len(kinds) == len(documents)
    return kinds


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    return rendered()


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    return rendered(EVERYTHING)


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default", "everything"])
def test_helm_lint_has_nothing_to_say(values: dict[str, Any]) -> None:
    check = helm("lint", "--strict", CHART, values=values)
    assert check.returncode == 0, check.stdout + check.stderr
    assert "[WARNING]" not in check.stdout


@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_what_it_renders_follows_kubernetes_own_schemas(
    version: str, default: dict[str, Any], everything: dict[str, Any]
) -> None:
    for manifests in (default, everything):
        for manifest in manifests.values():
            if manifest["kind"] != "ServiceMonitor":  # of the Prometheus operator
                validate(manifest, version)


def test_by_default_it_renders_what_a_service_needs_and_no_more(
    default: dict[str, Any], everything: dict[str, Any]
) -> None:
    needed = {"Deployment", "Service", "PodDisruptionBudget", "Job"}
    assert default.keys() == needed
    assert everything.keys() == needed | {"Ingress", "ServiceMonitor", "NetworkPolicy"}


def test_it_runs_the_version_that_it_is_of() -> None:
    assert load_yaml(CHART / "Chart.yaml")["appVersion"] == __version__


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_a_pod_has_no_rights(kind: str, everything: dict[str, Any]) -> None:
    pod = everything[kind]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,  # the image's
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= container["resources"].keys()


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_the_address_of_a_service_does_not_arrive_as_a_setting(
    kind: str, default: dict[str, Any]
) -> None:
    """Kubernetes sets FLEETMETER_PORT=tcp://… for a Service of that name."""
    assert default[kind]["spec"]["template"]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_secrets_are_files_and_every_other_variable_a_valid_setting(
    kind: str, everything: dict[str, Any], tmp_path: Path
) -> None:
    pod = everything[kind]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    files = {name: path for name, path in environment.items() if name.endswith("_FILE")}
    (secret,) = (volume["secret"] for volume in pod["volumes"] if volume["name"] == "secret")
    mounted = {f"/run/secrets/fleetmeter/{each['path']}" for each in secret["items"]}
    assert set(files.values()) == mounted
    assert "FLEETMETER_DATABASE_URL_FILE" in files
    assert {
        "name": "secret",
        "mountPath": "/run/secrets/fleetmeter",
        "readOnly": True,
    } in container["volumeMounts"]
    settings = load_settings(
        {name: value for name, value in environment.items() if name not in files}
    )
    assert settings.retention_days == 800
    assert settings.migrate is (kind == "Job")


def test_only_the_hook_migrates_and_before_anything_else(default: dict[str, Any]) -> None:
    annotations = default["Job"]["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    (container,) = default["Job"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["fleetmeter", "migrate"]
    # What a hook needs must be there before the chart: it renders no Secret of its own.
    assert "Secret" not in default


def test_it_is_ready_only_while_readings_can_be_stored(default: dict[str, Any]) -> None:
    (container,) = default["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["startupProbe"]["httpGet"]["path"] == "/health/live"


def test_replicas_are_kept_while_nodes_are_drained_and_versions_change(
    default: dict[str, Any],
) -> None:
    deployment = default["Deployment"]["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert default["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert "PodDisruptionBudget" not in rendered({"replicas": 1})


def test_services_and_budgets_select_the_pods_of_the_service_alone(
    everything: dict[str, Any],
) -> None:
    labels = everything["Deployment"]["spec"]["template"]["metadata"]["labels"]
    others = everything["Job"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        everything["Service"]["spec"]["selector"],
        everything["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        everything["Deployment"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
        assert not selector.items() <= others.items()
    monitored = everything["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    assert monitored.items() <= everything["Service"]["metadata"]["labels"].items()
    limited = everything["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    assert limited.items() <= others.items()


def test_a_release_of_any_name_keeps_its_objects_apart() -> None:
    names = {each["metadata"]["name"] for each in rendered(release="north").values()}
    assert names == {"north-fleetmeter", "north-fleetmeter-migrate"}


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 3},
        {"replicas": "two"},
        {"secret": {"name": ""}},
        {"settings": {"FLEETMETER_DATABASE_URL": "postgresql://me:secret@db/fleet"}},
        {"settings": {"FLEETMETER_ADMIN_KEY": "fm_x_y"}},
        {"settings": {"FLEETMETER_OIDC_CLIENT_SECRET": "secret"}},
        {"settings": {"FLEETMETER_PORT": "3001"}},
        {"settings": {"FLEETMETER_RETENTION_DAYS": 400}},
        {"proxies": ["*"]},
        {"service": {"port": 0}},
    ],
    ids=str,
)
def test_values_that_cannot_be_meant_are_refused(values: dict[str, Any]) -> None:
    made = helm("template", "fleetmeter", CHART, values=values)
    assert made.returncode != 0
    assert "schema" in made.stderr


def validate(manifest: dict[str, Any], version: str) -> None:
    """Raise ValidationError where a manifest breaks the schema of a version of Kubernetes."""
    group, _, group_version = manifest["apiVersion"].rpartition("/")
    name = "-".join(filter(None, [manifest["kind"].lower(), group.split(".")[0], group_version]))

    def retrieve(uri: str) -> Any:
        return DRAFT4.create_resource(kubernetes_schema(version, Path(uri).stem))

    registry: Registry[Any] = Registry(retrieve=retrieve)  # type: ignore[call-arg]
    schema = kubernetes_schema(version, name)
    jsonschema.Draft4Validator(schema, registry=registry).validate(manifest)
