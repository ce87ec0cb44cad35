"""Keys on the command line, and what a service needs before it listens to other machines."""

from pathlib import Path

import httpx
import pytest

from tests.conftest import Db, eventually, running_service
from tests.support.keys import headers
from tests.support.processes import fleetmeter

pytestmark = pytest.mark.either

ADMIN, INGEST = f"fm_abcdef0123_{'a' * 48}", f"fm_fedcba3210_{'b' * 48}"
METRICS = f"fm_aabbccdd00_{'c' * 48}"


def settings(url: str, **more: str) -> dict[str, str]:
    """The settings of a service on a database that is as it would make it."""
    return {"FLEETMETER_DATABASE_URL": url, "FLEETMETER_MIGRATE": "false"} | more


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - that is the question
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one", "workers"])
def test_without_a_key_the_service_does_not_listen_to_other_machines(
    database_url: str, tmp_path: Path, host: str, options: tuple[str, ...]
) -> None:
    environ = settings(database_url, FLEETMETER_HOST=host, FLEETMETER_PORT="0")
    failed = fleetmeter(tmp_path, "serve", *options, **environ)
    assert failed.returncode == 1
    (line,) = [line for line in failed.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith(f"Error: FLEETMETER_HOST is {host}, ")
    assert "fleetmeter key create admin --scope" in line


def test_with_the_keys_of_its_settings_it_listens_everywhere_and_needs_them(
    migrated_database_url: str, tmp_path: Path
) -> None:
    db = Db(migrated_database_url)
    (tmp_path / "ingest").write_text(f"{INGEST}\n")
    environ = settings(
        migrated_database_url,
        FLEETMETER_HOST="0.0.0.0",  # noqa: S104
        FLEETMETER_ADMIN_KEY=ADMIN,
        FLEETMETER_INGEST_KEY_FILE=str(tmp_path / "ingest"),
        FLEETMETER_METRICS_KEY=METRICS,
    )
    for _ in range(2):  # to start again changes nothing
        with (
            running_service(tmp_path, environ) as service,
            httpx.Client(base_url=service.base_url, timeout=30) as client,
        ):
            assert client.get("/v1/meters").status_code == 401
            assert client.get("/v1/meters", headers=headers(ADMIN)).status_code == 200
            refused = client.get("/v1/meters", headers=headers(INGEST))
            assert refused.status_code == 403
            assert client.post("/v1/ingest", json=[], headers=headers(INGEST)).status_code == 200
            assert client.get("/metrics", headers=headers(METRICS)).status_code == 200
            assert client.post("/v1/ingest", json=[], headers=headers(METRICS)).status_code == 403
        keys = db.fetch("select name, cardinality(scopes) as n from access_keys order by name")
        assert [tuple(key) for key in keys] == [("admin", 5), ("ingest", 1), ("metrics", 1)]
    # a key that was revoked stays so, and without any the service locks, not opens
    revoked = fleetmeter(tmp_path, "key", "revoke", "ingest", **settings(migrated_database_url))
    assert revoked.returncode == 0, revoked.stderr
    with (
        running_service(tmp_path, environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        assert client.post("/v1/ingest", json=[], headers=headers(INGEST)).status_code == 401
        assert client.delete("/v1/keys/abcdef0123", headers=headers(ADMIN)).status_code == 204
        assert client.get("/v1/meters", headers=headers(ADMIN)).status_code == 401
        assert client.get("/v1/meters").status_code == 401
    with (
        running_service(tmp_path, settings(migrated_database_url)) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        assert client.get("/v1/meters").status_code == 401  # on loopback, too


@pytest.mark.parametrize("key", ["secret", "fm_abc_short"])
def test_a_key_in_the_settings_that_is_none_is_one_clear_line(
    database_url: str, tmp_path: Path, key: str
) -> None:
    environ = settings(database_url, FLEETMETER_ADMIN_KEY=key, FLEETMETER_PORT="0")
    failed = fleetmeter(tmp_path, "serve", **environ)
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: FLEETMETER_ADMIN_KEY: not a key")
    assert key not in failed.stderr
    environ = settings(database_url, FLEETMETER_ADMIN_KEY_FILE="nowhere", FLEETMETER_PORT="0")
    assert "FLEETMETER_ADMIN_KEY_FILE" in fleetmeter(tmp_path, "serve", **environ).stderr


def test_keys_are_made_listed_rotated_and_revoked_on_the_command_line(
    migrated_database_url: str, tmp_path: Path
) -> None:
    environ = settings(migrated_database_url)

    def run(*arguments: str) -> str:
        done = fleetmeter(tmp_path, "key", *arguments, **environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with (
        running_service(tmp_path, environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):

        def reads(key: str) -> bool:
            return client.get("/v1/meters", headers=headers(key)).status_code == 200

        assert client.get("/v1/meters").status_code == 200
        assert run("list") == "no keys\n"
        first = run("create", "depot", "--scope", "read", "--device", "M*").split()[-1]
        eventually(lambda: client.get("/v1/meters").status_code == 401)
        assert reads(first)
        second = run("rotate", "depot").split()[-1]
        eventually(lambda: reads(second) and not reads(first))
        listed = run("list")
        assert "depot" in listed
        assert "read; devices M*" in listed
        assert second.rpartition("_")[2] not in listed
        run("revoke", "depot")
        eventually(lambda: not reads(second))
        assert run("list") == "no keys\n"
        assert "revoked" in run("list", "--all")
    failed = fleetmeter(tmp_path, "key", "revoke", "depot", **environ)
    assert failed.returncode == 1
    assert failed.stderr == "Error: no key has the id or the name depot, or it is revoked\n"


def test_the_simulator_sends_a_key(migrated_database_url: str, tmp_path: Path) -> None:
    environ = settings(migrated_database_url, FLEETMETER_ADMIN_KEY=ADMIN)
    fleet = ("--vehicles", "2", "--backfill", "1h", "--duration", "0")
    with running_service(tmp_path, environ) as service:
        command = ("simulate", "--url", service.base_url, *fleet)
        refused = fleetmeter(tmp_path, *command)
        assert refused.returncode == 1
        assert "a valid access key or token is needed" in refused.stderr
        for key, given in ((("--key", ADMIN), {}), ((), {"FLEETMETER_KEY": ADMIN})):
            done = fleetmeter(tmp_path, *command, *key, **given)
            assert done.returncode == 0, done.stderr
    assert Db(migrated_database_url).value("select count(*) > 0 from readings")
