"""The libraries of the page are what its lock file says, and come with their licences."""

import json
from hashlib import sha256
from typing import Any

import pytest

from fleetmeter.http.shared.web_files import FOLDER

VENDOR = FOLDER / "vendor"
LOCK: dict[str, Any] = json.loads((VENDOR / "lock.json").read_text(encoding="utf-8"))


def test_every_vendored_file_is_locked() -> None:
    locked = {name for package in LOCK.values() for name in package["files"]}
    assert {path.name for path in VENDOR.iterdir()} == {"lock.json", *locked}


@pytest.mark.parametrize("name", LOCK)
def test_vendored_files_have_their_hashes(name: str) -> None:
    for file, source in LOCK[name]["files"].items():
        found = sha256((VENDOR / file).read_bytes()).hexdigest()
        assert found == source["sha256"], f"{file} was changed by hand: run make vendor"


@pytest.mark.parametrize("name", LOCK)
def test_every_library_comes_with_its_licence(name: str) -> None:
    text = (VENDOR / f"{name}.LICENSE").read_text(encoding="utf-8")
    assert "Permission is hereby granted" in text or "Apache License" in text
