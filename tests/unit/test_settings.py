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
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings({name: value})
    assert "\n" not in str(caught.value)
