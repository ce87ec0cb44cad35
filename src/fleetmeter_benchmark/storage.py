"""Reads the size of history from `fleetmeter storage`."""

import msgspec

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.processes import Version

_READINGS = ("vehicle_readings", "meter_readings", "readings")
"""Names of history in one version or another."""


class Stored(msgspec.Struct, rename="camel"):
    """Holds the size of a table, as far as every version reports it."""

    relation: str
    bytes: int
    chunks: int | None = None
    columnstore_chunks: int | None = None
    columnstore_rows: int | None = None
    columnstore_bytes: int | None = None


class _Storage(msgspec.Struct):
    relations: list[Stored]


async def history_of(version: Version, url: str) -> Stored:
    """Return the size of all readings together. Raises FleetMeterError."""
    said = await version.run(url, "storage", "--json")
    relations = msgspec.json.decode(said, type=_Storage).relations
    history = [each for each in relations if each.relation in _READINGS]
    if not history:
        names = ", ".join(each.relation for each in relations)
        raise FleetMeterError(f"{version.name}: none of these are readings: {names}")
    return Stored(
        "readings",
        *(
            sum(getattr(each, name) or 0 for each in history)
            for name in Stored.__struct_fields__[1:]
        ),
    )
