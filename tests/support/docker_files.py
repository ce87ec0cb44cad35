"""The files of docker/, as the tests read them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.repository import ROOT

DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"
DOCKERFILE = DOCKER / "Dockerfile"
ROLES = DOCKER / "roles.sql"
DASHBOARDS = DOCKER / "grafana" / "dashboards"
DASHBOARD = DASHBOARDS / "fleet-today.json"
DATASOURCES = DOCKER / "grafana" / "provisioning" / "datasources"
DATASOURCE = DATASOURCES / "fleetmeter.yaml"
PROVIDER = DOCKER / "grafana" / "provisioning" / "dashboards" / "fleetmeter.yaml"

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<operator>[-?])(?P<operand>[^}]*))?\}")


def load_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def services() -> dict[str, Any]:
    """The services of the compose file by name."""
    found: dict[str, Any] = load_yaml(COMPOSE)["services"]
    return found


def variables() -> tuple[dict[str, str], set[str]]:
    """What the compose file takes from .env: the defaults by name, and what has none."""
    defaults: dict[str, str] = {}
    required: set[str] = set()
    for match in _VARIABLE.finditer(COMPOSE.read_text(encoding="utf-8")):
        if match["operator"] == "-":
            defaults[match["name"]] = match["operand"]
        else:
            required.add(match["name"])
    return defaults, required


def resolved(text: str) -> str:
    """A text of the compose file with the defaults of its variables."""
    return _VARIABLE.sub(lambda match: str(match["operand"]), text)


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined, comments left out."""
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())
    ]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def tool(name: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a checker that is installed beside this Python."""
    return subprocess.run(
        [Path(sys.executable).parent / name, *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
