"""History in answers, with the versions that corrections replaced, by whom, when and why."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import GenericAlias
from typing import Annotated, Any, Literal

from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.devices.history import Stored
from fleetmeter.http.shared.parameters import Page, page
from fleetmeter.readings.kinds import KINDS, DeviceKind
from fleetmeter.readings.wire import READINGS, Struct, struct

Versions = Annotated[
    Literal["all"] | None,
    QueryParameter(
        required=False,
        description="`all` adds to each reading the versions that corrections replaced, and "
        "includes voided readings; a page may then be shorter than `limit`.",
    ),
]

_TRACE = (
    ("version", Annotated[int, Meta(description="1 is what the device sent.")]),
    ("replaced_at", Annotated[datetime, Meta(description="When the correction replaced it.")]),
    ("replaced_by", Annotated[str, Meta(description="Who corrected it.")]),
    ("reason", Annotated[str, Meta(description="Why it was corrected.")]),
)

_Voided = Annotated[
    bool, Meta(description="A correction voided it; its last version has its values.")
]

VERSIONS: dict[str, Struct] = {
    kind.name: struct(
        f"{kind.name.title()}Version",
        f"A {kind.name}'s reading as it was before a correction.",
        _TRACE,
        module=__name__,
        base=READINGS[kind.name],
    )
    for kind in KINDS
}
"""VehicleVersion and its like, by the name of the kind."""

STORED: dict[str, Struct] = {
    kind.name: struct(
        f"Stored{kind.name.title()}Reading",
        f"A {kind.name}'s reading as it stands, with its versions if `versions=all`.",
        [
            ("voided", _Voided | UnsetType, UNSET),
            ("versions", GenericAlias(list, VERSIONS[kind.name]) | UnsetType, UNSET),
        ],
        module=__name__,
        base=READINGS[kind.name],
    )
    for kind in KINDS
}
"""StoredVehicleReading and its like, by the name of the kind."""


def readings_page(kind: DeviceKind, readings: Sequence[Stored], limit: int) -> Page[Any]:
    """Return a page of a device's history."""
    stored = STORED[kind.name]
    return _page([stored(**reading.fields) for reading in readings], limit)


def versions_page(kind: DeviceKind, readings: Sequence[Stored], limit: int) -> Page[Any]:
    """Return a page of a device's history with all versions, and voided readings."""
    stored, version = STORED[kind.name], VERSIONS[kind.name]
    items = [
        stored(
            **reading.fields,
            voided=reading.voided or UNSET,
            versions=[
                version(**each.fields, **{name: getattr(each, name) for name, _ in _TRACE})
                for each in reading.versions
            ],
        )
        for reading in readings
    ]
    return _page(items, limit)


def _page(readings: Sequence[Any], limit: int) -> Page[Any]:
    return page(readings, limit, key=lambda item: item.timestamp + timedelta(microseconds=1))
