"""Settings come from the environment, and a wrong one says so in one line."""

from pathlib import Path

import pytest

from fleetmeter.errors import SettingsError
from fleetmeter.settings import Settings, load_settings


def test_the_defaults_need_nothing() -> None:
    assert load_settings({}) == Settings()
    assert load_settings({}).host == "127.0.0.1"


def test_settings_are_read_and_converted() -> None:
    settings = load_settings(
        {
            "FLEETMETER_DATABASE_URL": "postgresql://me@db/fleet",
            "FLEETMETER_DATA_DIR": "/var/lib/fleetmeter",
            "FLEETMETER_PORT": "3100",
            "FLEETMETER_MIGRATE": "false",
            "FLEETMETER_DATABASE_TIMEOUT_S": "2.5",
            "PATH": "/bin",
        }
    )
    assert settings.database_url == "postgresql://me@db/fleet"
    assert settings.data_dir == Path("/var/lib/fleetmeter")
    assert settings.port == 3100
    assert settings.migrate is False
    assert settings.database_timeout_s == 2.5


def test_an_empty_value_counts_as_not_set() -> None:
    assert load_settings({"FLEETMETER_DATABASE_URL": "", "FLEETMETER_PORT": ""}) == Settings()


def test_the_test_suites_own_variables_are_not_settings() -> None:
    assert load_settings({"FLEETMETER_TEST_TIMESCALEDB_URL": "postgresql://x"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLEETMETER_PORT", "http"),
        ("FLEETMETER_PORT", "65536"),
        ("FLEETMETER_DATABASE_URL", "mysql://x"),
        ("FLEETMETER_RETENTION_DAYS", "0"),
        ("FLEETMETER_LOG_LEVEL", "loud"),
        ("FLEETMETER_PROT", "3000"),
        ("FLEETMETER_PROT_FILE", "/dev/null"),
        ("FLEETMETER_PROXIES", "*"),
        ("FLEETMETER_PROXIES", "10.0.0.1, caddy"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings({name: value})
    assert "\n" not in str(caught.value)


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    for content in ("postgresql://me@db/fleet", "postgresql://me@db/fleet\n"):
        file.write_text(content, encoding="utf-8")
        settings = load_settings({"FLEETMETER_DATABASE_URL_FILE": str(file)})
        assert settings.database_url == "postgresql://me@db/fleet"
    file.write_text("3100\r\n", encoding="utf-8")
    assert load_settings({"FLEETMETER_PORT_FILE": str(file)}).port == 3100


def test_only_one_newline_at_the_end_of_a_file_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "folder"
    file.write_text(" a b\n\n", encoding="utf-8")
    assert load_settings({"FLEETMETER_DATA_DIR_FILE": str(file)}).data_dir == Path(" a b\n")


def test_an_empty_file_counts_as_not_set(tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.write_text("\n", encoding="utf-8")
    assert load_settings({"FLEETMETER_DATABASE_URL_FILE": str(file)}) == Settings()


def test_a_value_and_a_file_for_the_same_setting_contradict(tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.write_text("3100", encoding="utf-8")
    with pytest.raises(SettingsError, match="FLEETMETER_PORT and FLEETMETER_PORT_FILE"):
        load_settings({"FLEETMETER_PORT": "3100", "FLEETMETER_PORT_FILE": str(file)})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"x" * (64 * 1024 + 1), "more than 65536 bytes"),
        (b"\xff\xfe", "not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=problem) as caught:
        load_settings({"FLEETMETER_DATABASE_URL_FILE": str(file)})
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(SettingsError, match="more than 65536 bytes"):
        load_settings({"FLEETMETER_DATABASE_URL_FILE": "/dev/zero"})


def test_a_wrong_value_in_a_file_does_not_appear_in_the_message(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("mysql://me:secret@db", encoding="utf-8")
    with pytest.raises(SettingsError, match="FLEETMETER_DATABASE_URL: ") as caught:
        load_settings({"FLEETMETER_DATABASE_URL_FILE": str(file)})
    assert "secret" not in str(caught.value)
