"""What is installed is locked in requirements/: all that pyproject.toml asks for, with hashes."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUN: list[str] = PROJECT["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
ASKED = {
    "build": [*PROJECT["build-system"]["requires"], *PROJECT["dependency-groups"]["build"]],
    "run": RUN,
    "image": [*RUN, *EXTRAS["parquet"]],
    "dev": [*RUN, *EXTRAS["dev"]],
}


def lines(name: str) -> list[str]:
    """What a file locks, a requirement with its hashes a line."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    text = re.sub(r" *#.*", "", text).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


def locked(name: str) -> dict[str, set[str]]:
    """The versions of each package; there are several where they depend on Python's."""
    found: dict[str, set[str]] = {}
    for line in lines(name):
        requirement = Requirement(line.partition("--hash")[0])
        (version,) = requirement.specifier
        assert version.operator == "==", line
        found.setdefault(canonicalize_name(requirement.name), set()).add(version.version)
    return found


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_for_is_locked(name: str) -> None:
    versions = locked(name)
    for text in ASKED[name]:
        requirement = Requirement(text)
        found = versions.get(canonicalize_name(requirement.name), set())
        assert found, f"{requirement.name} is not locked: run make lock"
        assert all(map(requirement.specifier.contains, found)), f"{text}: run make lock"


@pytest.mark.parametrize("name", ASKED)
def test_all_has_hashes_and_nothing_says_where_it_comes_from(name: str) -> None:
    assert all("--hash=sha256:" in line for line in lines(name))
    assert "://" not in "".join(lines(name))


@pytest.mark.parametrize("name", ["build", "run", "image"])
def test_the_tests_run_with_what_users_run(name: str) -> None:
    shared = locked(name).keys() & locked("dev").keys()
    assert {each: locked(name)[each] for each in shared} == {
        each: locked("dev")[each] for each in shared
    }
