"""The image of the service: pinned, without root, built from nothing but what it needs."""

import re
import tomllib

from tests.support.docker_files import DOCKER, DOCKERFILE, instructions, tool
from tests.support.repository import ROOT


def test_hadolint_has_nothing_to_say() -> None:
    check = tool("hadolint", "--no-color", DOCKERFILE)
    assert check.returncode == 0, check.stdout + check.stderr


def test_both_stages_start_from_one_full_version_that_the_label_names() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", bases[0])
    (labels,) = (rest for word, rest in instructions() if word == "LABEL")
    assert f'org.opencontainers.image.base.name="docker.io/library/{bases[0]}"' in labels


def test_it_runs_a_python_that_the_package_says_it_supports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = next(rest for word, rest in instructions() if word == "FROM")
    minor = re.match(r"python:(\d+\.\d+)", base)
    assert minor is not None
    assert f"Programming Language :: Python :: {minor[1]}" in project["classifiers"]


def test_it_runs_as_a_fixed_user_that_is_not_root() -> None:
    (user,) = (rest for word, rest in instructions() if word == "USER")
    assert user == "10001:10001"
    words = [word for word, _ in instructions()]
    assert words.index("USER") > max(i for i, word in enumerate(words) if word == "RUN")


def test_it_serves_listens_on_every_interface_and_stops_on_a_signal() -> None:
    found = dict(instructions())
    assert found["CMD"] == '["fleetmeter", "serve"]'
    assert found["STOPSIGNAL"] == "SIGTERM"
    assert "FLEETMETER_HOST=0.0.0.0" in found["ENV"]
    assert found["EXPOSE"] == "3000"


def test_its_health_check_needs_python_alone() -> None:
    (check,) = (rest for word, rest in instructions() if word == "HEALTHCHECK")
    assert 'CMD ["python", "-I", "-c", ' in check
    assert "http://127.0.0.1:3000/health/live" in check


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    rules = [
        line
        for line in (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    seen = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source for word, rest in instructions() if word == "COPY" for source in rest.split()[:-1]
    }
    assert rules[0] == "*"
    assert seen == copied
    assert all((ROOT / source).exists() for source in copied)
