"""Device settings: what can be set beside readings, and live state with settings."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from asyncpg import Record
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.access.audit import record
from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import LONG_S, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.devices.reach import require_within
from fleetmeter.errors import OutOfReachError
from fleetmeter.readings.ids import SITE_PATTERN
from fleetmeter.readings.kinds import KINDS, METER, VEHICLE, DeviceKind
from fleetmeter.readings.stored import state_fields
from fleetmeter.readings.wire import STATES, Struct, struct

_MODULE = "fleetmeter.devices"
"""Module of the structs in OpenAPI's names."""


class Setting(NamedTuple):
    """A setting: a field on the wire, a column of devices."""

    name: str
    type: Any
    column: str
    scale: int | None = None
    """Stored units per unit on the wire; None when it is stored as it is."""

    only: DeviceKind | None = None
    """The only kind that has it, or None for all."""


SETTINGS = (
    Setting(
        "label",
        Annotated[str, Meta(min_length=1, max_length=200, description="Name for people.")],
        "label",
    ),
    Setting(
        "site",
        Annotated[
            str,
            Meta(
                pattern=SITE_PATTERN,
                min_length=1,
                max_length=64,
                description="Site it belongs to: 1–64 of A–Z a–z 0–9 . _ : - except . and ..",
                examples=["BER-1"],
            ),
        ],
        "site",
    ),
    Setting(
        "reporting_interval_s",
        Annotated[int, Meta(ge=1, le=86400, description="Expected reporting interval, seconds.")],
        "reporting_interval_s",
    ),
    Setting(
        "reports",
        Annotated[
            Literal["always", "while_charging"],
            Meta(
                description="When it reports; `always` by default. For a device that reports only "
                "while it charges, silence between charges is not a fault."
            ),
        ],
        "reports",
    ),
    Setting(
        "time_zone",
        Annotated[
            str,
            Meta(
                max_length=64,
                description="IANA time zone of its daily series.",
                examples=["Europe/Berlin"],
            ),
        ],
        "time_zone",
    ),
    Setting(
        "battery_capacity_kwh",
        Annotated[float, Meta(ge=0.001, le=10_000, description="kWh", examples=[77])],
        "battery_capacity_wh",
        1000,
        VEHICLE,
    ),
    Setting(
        "rated_power_kw",
        Annotated[float, Meta(ge=0.001, le=100_000, description="kW", examples=[22])],
        "rated_power_w",
        1000,
        METER,
    ),
    Setting(
        "role",
        Annotated[
            Literal["charger", "site", "solar", "storage", "other"],
            Meta(
                description="What the meter measures; a charger by default. Only the energy of "
                "chargers is shared out to vehicles and counted for fleets and sites."
            ),
        ],
        "role",
        None,
        METER,
    ),
    Setting(
        "stamp_by_arrival",
        Annotated[
            bool,
            Meta(
                description="Whether to stamp a reading with its arrival time when its own is "
                "impossible (too old, or over five minutes ahead), instead of rejecting it."
            ),
        ],
        "stamp_by_arrival",
    ),
    Setting(
        "register",
        Annotated[
            Literal["lifetime", "session"],
            Meta(
                description="Kind of its registers: totals that only grow (`lifetime`, the "
                "default), or counters that restart with each session (`session`: after a "
                "decrease, the new value counts from 0)."
            ),
        ],
        "register",
    ),
    Setting(
        "register_rollover_kwh",
        Annotated[
            float,
            Meta(
                ge=0.001,
                le=1_000_000_000,
                description="Value at which its registers roll over to zero, kWh.",
                examples=[99999.9],
            ),
        ],
        "register_rollover_mwh",
        1_000_000,
    ),
)

_OF: dict[str, tuple[Setting, ...]] = {
    kind.name: tuple(each for each in SETTINGS if each.only in (None, kind)) for kind in KINDS
}

SETTINGS_OF: dict[str, Struct] = {
    kind.name: struct(
        f"{kind.name.title()}Settings",
        f"Settings of a {kind.name}; null where nothing is set.",
        [(each.name, each.type | None, None) for each in _OF[kind.name]],
        module=_MODULE,
    )
    for kind in KINDS
}
"""VehicleSettings and its like, by the name of the kind."""

CHANGES: dict[str, Struct] = {
    kind.name: struct(
        f"{kind.name.title()}Change",
        f"Settings to change for a {kind.name}; absent fields stay, null unsets.",
        [(each.name, each.type | UnsetType | None, UNSET) for each in _OF[kind.name]],
        module=_MODULE,
        forbid_unknown_fields=True,
    )
    for kind in KINDS
}
"""VehicleChange and its like, by the name of the kind."""

_HABITS: tuple[tuple[str, Any], ...] = (
    (
        "observed_interval_s",
        Annotated[
            int,
            Meta(
                description="Reporting interval of its newest readings, seconds; only where it "
                "differs from what is expected, and only for a single device."
            ),
        ],
    ),
    (
        "observed_reports",
        Annotated[
            Literal["while_charging"],
            Meta(
                description="Present when it seems to report only while it charges and `reports` "
                "is not set; only for a single device."
            ),
        ],
    ),
)

STATES_WITH_SETTINGS: dict[str, Struct] = {
    kind.name: struct(
        f"{kind.name.title()}WithSettings",
        f"A {kind.name}'s newest reading, and its settings, if there are any.",
        [
            ("settings", SETTINGS_OF[kind.name] | UnsetType, UNSET),
            *((name, of | UnsetType, UNSET) for name, of in _HABITS),
        ],
        module=_MODULE,
        base=STATES[kind.name],
    )
    for kind in KINDS
}
"""VehicleWithSettings and its like, by the name of the kind."""


def device_settings(kind: DeviceKind, row: Record) -> msgspec.Struct:
    """Return the settings in a row that has the columns of devices."""
    return SETTINGS_OF[kind.name](
        **{each.name: _unscaled(row[each.column], each.scale) for each in _OF[kind.name]}
    )


def device_state(kind: DeviceKind, row: Record, **habits: Any) -> msgspec.Struct:
    """Return the live state in a row of it with the columns of devices, and what was observed."""
    settings = device_settings(kind, row)
    return STATES_WITH_SETTINGS[kind.name](
        **state_fields(kind, row),
        settings=UNSET if settings == SETTINGS_OF[kind.name]() else settings,
        **habits,
    )


def contradicts(observed_s: int | None, expected_s: int) -> bool:
    """Return whether a device reports far more or far less often than expected."""
    return observed_s is not None and not 1 / _ABOUT < observed_s / expected_s < _ABOUT


_ABOUT = 1.5
"""Intervals that differ by a smaller factor count as equal."""


async def set_device(
    database: Database,
    kind: DeviceKind,
    device_id: str,
    changes: Mapping[str, Any],
    reach: Reach,
) -> msgspec.Struct:
    """Change settings of a device, which may never have reported; return all of them.

    Returns once stored readings have been derived again where needed. Raises UnknownDeviceError
    for a device outside the reach, OutOfReachError for a site that would take it there, and
    DatabaseUnavailableError.
    """
    columns = {
        each.column: _scaled(changes[each.name], each.scale)
        for each in _OF[kind.name]
        if each.name in changes
    }
    async with database.transaction() as connection:
        await require_within(connection, kind.name, device_id, reach)
        if "site" in changes and not reach.includes(device_id, changes["site"]):
            raise OutOfReachError(
                f"the site must stay one of {', '.join(reach.sites)}, which are within your reach"
            )
        stored = await queries.device_settings(connection, kind=kind.name, device_id=device_id)
        row = await queries.set_device(
            connection,
            kind=kind.name,
            device_id=device_id,
            settings=msgspec.json.encode(columns).decode(),
        )
        was, now = dict(stored or dict.fromkeys(columns)), dict(row)
        if changed := {name: now[name] for name in columns if now[name] != was[name]}:
            before = {name: was[name] for name in changed}
            await record(
                connection, "set", f"{kind.name} {device_id}", before=before, after=changed
            )
    if row["derive_since"] is not None:
        await _derive_intervals(database, row["device"])
    return device_settings(kind, row)


async def _derive_intervals(database: Database, device: int) -> None:
    async def derive() -> None:
        async with database.session() as connection:
            await connection.execute(queries.derive_intervals.sql, device, timeout=LONG_S)

    async with database.long_work:
        await retried(derive)


def _unscaled(value: Any, scale: int | None) -> Any:
    return value if scale is None or value is None else value / scale


def _scaled(value: Any, scale: int | None) -> Any:
    return value if scale is None or value is None else round(value * scale)
