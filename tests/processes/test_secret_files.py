"""A service as it is deployed: secrets in files, several processes, a proxy in front."""

from pathlib import Path

import httpx
import pytest

from tests.conftest import Db, running_service
from tests.support.keys import headers

pytestmark = pytest.mark.either

ADMIN = f"fm_abcdef0123_{'a' * 48}"


def test_it_serves_from_files_and_records_who_was_behind_the_proxy(
    migrated_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "url").write_text(f"{migrated_database_url}\n", encoding="utf-8")
    (tmp_path / "key").write_text(ADMIN, encoding="utf-8")
    environ = {
        "FLEETMETER_DATABASE_URL_FILE": str(tmp_path / "url"),
        "FLEETMETER_ADMIN_KEY_FILE": str(tmp_path / "key"),
        "FLEETMETER_MIGRATE": "false",
        "FLEETMETER_PROXIES": "127.0.0.0/8",
    }
    with (
        running_service(tmp_path, environ, options=("--workers", "2")) as service,
        httpx.Client(base_url=service.base_url, headers=headers(ADMIN), timeout=30) as client,
    ):
        changed = client.patch(
            "/v1/meters/M1", json={"label": "Gate"}, headers={"X-Forwarded-For": "::1, 203.0.113.9"}
        )
        assert changed.status_code == 200
    logged = Db(migrated_database_url).value("select address from audit_log where action = 'set'")
    assert logged == "203.0.113.9"
