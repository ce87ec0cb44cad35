"""What a service needs before it listens: keys from its settings, or an address of this machine."""

from ipaddress import ip_address
from typing import TYPE_CHECKING

import structlog

from fleetmeter.access.key_text import KeyText, parse_key
from fleetmeter.access.keys import KeyConflictError, add
from fleetmeter.access.principal import SCOPES, Scope
from fleetmeter.database.pool import Connection, connected
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError, NotMigratedError, SettingsError
from fleetmeter.settings import PREFIX, Settings

if TYPE_CHECKING:
    from fleetmeter.access.code_flow import CodeFlow
    from fleetmeter.access.people import People

_GIVEN: dict[str, tuple[Scope, ...]] = {
    "admin": SCOPES,
    "ingest": ("ingest",),
    "metrics": ("metrics",),
}
"""Scopes of the keys that settings give, by name: FLEETMETER_ADMIN_KEY and so on."""

_log = structlog.get_logger()


class NoKeyError(FleetMeterError):
    """Without a key, the service does not listen to other machines."""


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def may_be_open(settings: Settings) -> bool:
    """Return whether the service may answer anybody as long as there is no key.

    That is so where nobody but this machine can reach it; not behind a proxy, and not where people
    have to sign in.
    """
    return is_loopback(settings.host) and not settings.proxies and settings.oidc_issuer is None


def people_of(settings: Settings) -> "People | None":
    """Return who verifies the tokens of people, if the settings name an issuer.

    Raises SettingsError.
    """
    if settings.oidc_issuer is None and settings.oidc_audience is None:
        if settings.oidc_client_id is not None:
            raise SettingsError("FLEETMETER_OIDC_CLIENT_ID: set FLEETMETER_OIDC_ISSUER, too")
        return None
    # its cryptography takes half a second and 9 MB, which others need not spend
    from fleetmeter.access.people import People

    return People(settings)


def code_flow_of(people: "People | None", settings: Settings) -> "CodeFlow | None":
    """Return how people sign in with a browser, if the settings name a client of the issuer.

    Raises SettingsError.
    """
    if people is None or settings.oidc_client_id is None:
        return None
    from fleetmeter.access.code_flow import CodeFlow

    return CodeFlow(people, settings)


async def prepare_keys(url: str, settings: Settings) -> bool:
    """Add the keys of the settings, once each; return whether requests need a key or a token.

    Raises SettingsError for a setting that cannot be used, and NoKeyError when other machines could
    reach a service without keys.
    """
    people = people_of(settings)
    code_flow_of(people, settings)  # it must be usable
    has_people = people is not None
    given = {name: key for name in _GIVEN if (key := _given(name, settings)) is not None}
    try:
        async with connected(url) as connection:
            for name, key in given.items():
                async with connection.transaction():
                    await _add(connection, name, key)
            living = await queries.count_living_keys(connection)
    except NotMigratedError:
        if given or not may_be_open(settings):
            raise
        return False  # it answers 503 until it is migrated
    if not living and not has_people and not may_be_open(settings):
        where = (
            "FLEETMETER_PROXIES is set"
            if is_loopback(settings.host)
            else f"FLEETMETER_HOST is {settings.host}"
        )
        raise NoKeyError(
            f"{where}, where other machines could use the service "
            "without a key; make one with: fleetmeter key create admin --scope ingest "
            "--scope read --scope operate --scope admin"
        )
    return living > 0 or has_people


async def _add(connection: Connection, name: str, given: KeyText) -> None:
    setting = f"{PREFIX}{name.upper()}_KEY"
    stored = await queries.key(connection, id=given.id)
    if stored is not None:
        if stored["revoked_at"] is not None or stored["secret_hash"] != given.secret_hash:
            _log.warning("a key of the settings was revoked or rotated", setting=setting)
        return
    for free in (name, f"{name}-{given.id}"):  # another .env has another key of that name
        try:
            async with connection.transaction():
                await add(
                    connection,
                    given.id,
                    given.secret_hash,
                    name=free,
                    scopes=_GIVEN[name],
                    created_by=setting,
                )
        except KeyConflictError as error:
            conflict = error
        else:
            _log.info("added the key of a setting", setting=setting, name=free)
            return
    raise conflict


def _given(name: str, settings: Settings) -> KeyText | None:
    """Return the key of a setting. Raises SettingsError."""
    setting = f"{PREFIX}{name.upper()}_KEY"
    text: str | None = getattr(settings, f"{name}_key")
    if text is None:
        return None
    if (key := parse_key(text.strip())) is None:
        raise SettingsError(f"{setting}: not a key; write fm_<id>_<at least 30 letters and digits>")
    return key
