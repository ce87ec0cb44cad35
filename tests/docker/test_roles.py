"""docker/roles.sql: the roles that the service and Grafana sign in with."""

import hashlib
import hmac
from base64 import b64decode, b64encode

import pytest

from tests.support.docker_files import DATASOURCE, ROLES, load_yaml, services
from tests.support.repository import ROOT
from tests.support.roles import psql

_GRANTS = ROOT / "sql" / "routines" / "90_grants.sql"

_HIDDEN = (
    "{access_keys,access_key_changes,audit_log,browser_sessions,"
    "tokens,transaction_records,transactions,webhooks}"
)
"""Webhooks: the secrets that sign, and addresses that may be secrets themselves."""

_OUT_OF_THE_WAY = """
do $$
declare
    l_role text;
begin
    for l_role in
        select rolname
        from pg_roles
        where rolname in ('fleetmeter_service', 'fleetmeter_reader')
    loop
        execute format('alter role %I rename to %I', l_role, l_role || '_before');
    end loop;
end;
$$
"""


def psql_undone(url: str, *commands: str, times: int = 1, **environ: str) -> list[str]:
    """Make the roles as the stack does, grant, run the commands, undo it all; what they printed."""
    script = ["--command=begin", f"--command={_OUT_OF_THE_WAY}"]
    script += [f"--file={ROLES}"] * times + [f"--file={_GRANTS}"]
    script += [f"--command={command}" for command in commands]
    return psql(url, *script, "--command=rollback", **environ)


def scram_stored_key(password: str, salt: bytes, iterations: int) -> str:
    """RFC 5802, section 3: H(HMAC(Hi(password, salt, iterations), "Client Key"))."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return b64encode(hashlib.sha256(client_key).digest()).decode()


def test_the_reader_signs_in_reads_everything_and_writes_nothing(database_url: str) -> None:
    rows = psql_undone(
        database_url,
        "select rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolconfig "
        "from pg_roles where rolname = 'fleetmeter_reader'",
        "select distinct has_table_privilege('fleetmeter_reader', c.oid, 'select'), "
        "has_table_privilege('fleetmeter_reader', c.oid, 'insert, update, delete, truncate') "
        "from pg_class as c "
        "where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') "
        f"and c.relname <> all('{_HIDDEN}')",
        "select bool_or(has_any_column_privilege('fleetmeter_reader', t, 'select')) "
        f"from unnest('{_HIDDEN}'::text[]) as t",
    )
    assert rows == [
        "t|f|f|f|{default_transaction_read_only=on,statement_timeout=30s,"
        "idle_in_transaction_session_timeout=30s}",
        "t|f",
        "f",
    ]


@pytest.mark.parametrize(
    ("role", "variable"),
    [
        ("fleetmeter_service", "POSTGRES_SERVICE_PASSWORD"),
        ("fleetmeter_reader", "GRAFANA_READER_PASSWORD"),
    ],
)
def test_any_password_arrives_as_it_is(database_url: str, role: str, variable: str) -> None:
    awkward = "it's; \"quoted\" \\ $1 :'x' %s"
    (stored,) = psql_undone(
        database_url,
        f"select rolpassword from pg_authid where rolname = '{role}'",
        times=2,  # as with every start
        **{variable: awkward},
    )
    scheme, parameters, keys = stored.split("$")
    iterations, salt = parameters.split(":")
    assert scheme == "SCRAM-SHA-256"
    assert keys.split(":")[0] == scram_stored_key(awkward, b64decode(salt), int(iterations))


def test_grafana_signs_in_as_that_role_with_the_same_password() -> None:
    (source,) = load_yaml(DATASOURCE)["datasources"]
    assert source["user"] == "fleetmeter_reader"
    assert source["secureJsonData"] == {"password": "$__env{GRAFANA_READER_PASSWORD}"}
    for name in ("roles", "grafana"):
        assert "GRAFANA_READER_PASSWORD" in services()[name]["environment"]


def test_grafana_opens_fewer_connections_than_the_role_may_have(database_url: str) -> None:
    (limit,) = psql_undone(
        database_url,
        "select rolconnlimit from pg_roles where rolname = 'fleetmeter_reader'",
    )
    (source,) = load_yaml(DATASOURCE)["datasources"]
    assert source["jsonData"]["maxOpenConns"] < int(limit)
