"""docker/make-env.sh: passwords and keys of one's own, made once."""

import re
import stat
import subprocess
from pathlib import Path

from fleetmeter.access.key_text import parse_key
from tests.support.docker_files import DOCKER, variables


def make_env(file: Path) -> str:
    """Run the script; what it printed."""
    return subprocess.run(
        [DOCKER / "make-env.sh", file], capture_output=True, text=True, check=True
    ).stdout


def assignments(file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_it_makes_every_variable_that_the_compose_file_must_be_given(tmp_path: Path) -> None:
    said = make_env(tmp_path / ".env")
    _, required = variables()
    assert assignments(tmp_path / ".env").keys() == required
    assert len(said.splitlines()) == 1


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    make_env(tmp_path / ".env")
    assert mode(tmp_path / ".env") == 0o600


def test_passwords_and_keys_are_long_safe_in_a_url_and_never_the_same(tmp_path: Path) -> None:
    make_env(tmp_path / "one.env")
    make_env(tmp_path / "two.env")
    one, two = assignments(tmp_path / "one.env"), assignments(tmp_path / "two.env")
    assert len({*one.values(), *two.values()}) == 2 * len(one)
    for name, value in [*one.items(), *two.items()]:
        if name.endswith("_KEY"):
            assert parse_key(value) is not None
        else:
            assert re.fullmatch(r"[0-9a-f]{48}", value)


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    make_env(tmp_path / ".env")
    before = (tmp_path / ".env").read_bytes()
    assert make_env(tmp_path / ".env").startswith("kept ")
    assert (tmp_path / ".env").read_bytes() == before


def test_a_file_with_other_settings_gets_only_the_passwords_that_it_lacks(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("FLEETMETER_PORT=3005\nPOSTGRES_PASSWORD=my-own", encoding="utf-8")
    make_env(file)
    found = assignments(file)
    assert file.read_text(encoding="utf-8").startswith(
        "FLEETMETER_PORT=3005\nPOSTGRES_PASSWORD=my-own\n"
    )
    assert found.keys() == {"FLEETMETER_PORT"} | variables()[1]
    assert mode(file) == 0o600
