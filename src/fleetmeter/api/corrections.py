"""POST /v1/corrections: replaces the values of a stored reading, and keeps what it had."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.status_codes import HTTP_404_NOT_FOUND, HTTP_409_CONFLICT
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.api.parameters import check_printable, check_time, refuse_unknown_parameters
from fleetmeter.database.pool import Database, retried
from fleetmeter.devices.corrections import (
    Corrected,
    TooManyVersionsError,
    UnknownReadingError,
    correct,
)
from fleetmeter.problems import invalid_parameter, problem
from fleetmeter.readings.kinds import KINDS, METER, SESSION
from fleetmeter.readings.model import DeviceId, SessionId, Timestamp
from fleetmeter.readings.stored import attribute, reading_fields
from fleetmeter.readings.telemetry import NUMBERS
from fleetmeter.readings.validate import Invalid
from fleetmeter.readings.wire import READINGS, Struct, struct

Who = Annotated[str, Meta(min_length=1, max_length=200, examples=["anna@example.com"])]
Reason = Annotated[
    str, Meta(min_length=1, max_length=1000, examples=["the meter's factor was set wrong"])
]
_MeterId = Annotated[
    DeviceId | None,
    Meta(
        description="Without vehicleId, whose reading it is. With it, the meter that the "
        "vehicle charged from; null: the assigned one."
    ),
]
_IDS = {attribute(kind.id_field): _MeterId if kind is METER else DeviceId for kind in KINDS}

_CORRECTION = struct(
    "Correction",
    "Which reading, its new values (what is absent stays as it is), by whom and why.",
    [
        *((name, type_ | UnsetType, UNSET) for name, type_ in _IDS.items()),
        ("timestamp", Timestamp),
        *((attribute(field), float | UnsetType, UNSET) for field in NUMBERS),
        (attribute(SESSION.field), SessionId | UnsetType, UNSET),
        ("who", Who),
        ("reason", Reason),
    ],
    module=__name__,
    forbid_unknown_fields=True,
)

CORRECTED: dict[str, Struct] = {
    kind.name: struct(
        f"Corrected{kind.name.title()}",
        f"What a correction did, and a {kind.name}'s reading as it stands now.",
        [
            (
                "version",
                Annotated[
                    int,
                    Meta(description="Of this reading; 1 is what the device sent.", examples=[2]),
                ],
            ),
            (
                "changed",
                Annotated[
                    bool,
                    Meta(
                        description="False when it had these values already: nothing was replaced."
                    ),
                ],
            ),
            ("reading", READINGS[kind.name]),
        ],
        module=__name__,
    )
    for kind in KINDS
}
"""CorrectedVehicle and so on, by the name of the kind."""

if TYPE_CHECKING:
    Correction: TypeAlias = Any
    AnyCorrected: TypeAlias = msgspec.Struct
else:
    Correction = _CORRECTION
    AnyCorrected = reduce(or_, CORRECTED.values())


@post(
    "/",
    status_code=200,
    summary="Replace the values of a stored reading",
    operation_id="V1CorrectionsCorrect",
)
async def correct_reading(
    database: NamedDependency[Database], data: JSONBody[Correction]
) -> AnyCorrected:
    """What it had stays as a version; live state and rollups follow. Sending it again is safe."""
    check_printable("$.who", data.who)
    check_printable("$.reason", data.reason)
    time = check_time("$.timestamp", data.timestamp)
    ids = {kind: getattr(data, attribute(kind.id_field)) for kind in KINDS}
    kind = next((kind for kind in KINDS if isinstance(ids[kind], str)), None)
    if kind is None:
        raise invalid_parameter("$", f"has neither {' nor '.join(k.id_field for k in KINDS)}")
    sent = {
        name: value
        for name in (*_IDS, *map(attribute, (*NUMBERS, SESSION.field)))
        if (value := getattr(data, name)) is not UNSET
    }

    async def run() -> Corrected:
        async with database.transaction() as connection:
            return await correct(connection, kind, ids[kind], time, sent, data.who, data.reason)

    try:
        done = await retried(run)
    except Invalid as invalid:
        raise invalid_parameter(invalid.path or "$", invalid.detail) from None
    except UnknownReadingError as error:
        raise problem(HTTP_404_NOT_FOUND, str(error), kind="unknown-reading") from None
    except TooManyVersionsError as error:
        raise problem(HTTP_409_CONFLICT, str(error), kind="too-many-versions") from None
    return CORRECTED[kind.name](
        version=done.version,
        changed=done.changed,
        reading=READINGS[kind.name](**reading_fields(kind, done.reading)),
    )


corrections = Router(
    "/v1/corrections",
    tags=["Corrections"],
    before_request=refuse_unknown_parameters,
    route_handlers=[correct_reading],
)
