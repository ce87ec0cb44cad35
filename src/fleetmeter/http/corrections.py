"""POST /v1/corrections: replaces values of stored readings or voids them, and keeps versions."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, RequestBody, Schema
from litestar.params import JSONBody
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_207_MULTI_STATUS,
    HTTP_404_NOT_FOUND,
    HTTP_409_CONFLICT,
    HTTP_422_UNPROCESSABLE_ENTITY,
)
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.access.actor import signed
from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.devices.correction_batch import correct_each
from fleetmeter.devices.corrections import (
    Correction,
    CorrectionError,
    UnknownReadingError,
    correct,
)
from fleetmeter.errors import BatchTooLargeError
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.operations import (
    OUT_OF_REACH,
    component,
    described,
    problem_response,
    response,
)
from fleetmeter.http.shared.parameters import (
    Who,
    check_printable,
    check_time,
    refuse_unknown_parameters,
)
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.readings.kinds import KINDS, METER, SESSION
from fleetmeter.readings.model import DeviceId, Rejection, SessionId, Timestamp
from fleetmeter.readings.stored import attribute, reading_fields
from fleetmeter.readings.telemetry import NUMBERS
from fleetmeter.readings.validate import Invalid
from fleetmeter.readings.wire import READINGS, Struct, struct

Reason = Annotated[
    str, Meta(min_length=1, max_length=1000, examples=["the meter's factor was set wrong"])
]
_MeterId = Annotated[
    DeviceId | None,
    Meta(
        description="Without vehicleId, the meter whose reading it is. With it, the meter that the "
        "vehicle charged from; null for the assigned one."
    ),
]
_IntervalStart = Annotated[
    Timestamp | None,
    Meta(description="When the interval of its energy began; null as if it had never been sent."),
]
_Void = Annotated[
    bool,
    Meta(
        description="True voids the reading: it no longer counts, and its values stay as a "
        "version. False restores it."
    ),
]
_IDS = {attribute(kind.id_field): _MeterId if kind is METER else DeviceId for kind in KINDS}

_CORRECTION = struct(
    "Correction",
    "Which reading to correct, its new values (absent fields stay as they are), who and why.",
    [
        *((name, type_ | UnsetType, UNSET) for name, type_ in _IDS.items()),
        ("timestamp", Timestamp),
        *((attribute(field), float | UnsetType, UNSET) for field in NUMBERS),
        (attribute(SESSION.field), SessionId | UnsetType, UNSET),
        ("interval_start", _IntervalStart | UnsetType, UNSET),
        ("void", _Void | UnsetType, UNSET),
        ("who", Who | None, None),
        ("reason", Reason),
    ],
    module=__name__,
    forbid_unknown_fields=True,
)

CORRECTED: dict[str, Struct] = {
    kind.name: struct(
        f"Corrected{kind.name.title()}",
        f"The result of a correction, and the {kind.name}'s reading as it stands now.",
        [
            (
                "version",
                Annotated[
                    int,
                    Meta(
                        description="Version now in force; 1 is what the device sent.", examples=[2]
                    ),
                ],
            ),
            (
                "changed",
                Annotated[
                    bool,
                    Meta(
                        description="False when it already had these values: nothing was replaced."
                    ),
                ],
            ),
            (
                "reading",
                Annotated[READINGS[kind.name] | None, Meta(description="Null when it is voided.")],
            ),
        ],
        module=__name__,
    )
    for kind in KINDS
}
"""CorrectedVehicle and its like, by the name of the kind."""


MOST_CORRECTIONS = 1000
"""Maximum number of corrections in one request."""


class CorrectedItem(msgspec.Struct, rename="camel", omit_defaults=True):
    """The result of one correction in an array."""

    index: Annotated[int, Meta(description="Position in the array, from 0.")]
    version: Annotated[int, Meta(description="Version now in force; 1 is what the device sent.")]
    changed: Annotated[
        bool, Meta(description="False when it already had these values: nothing was replaced.")
    ]


class CorrectedMany(msgspec.Struct, rename="camel"):
    """The result of each correction in an array."""

    corrected: list[CorrectedItem]
    rejected: list[Rejection]


if TYPE_CHECKING:
    AnyCorrection: TypeAlias = Any
    AnyOutcome: TypeAlias = Any
else:
    AnyCorrection = _CORRECTION | list[dict[str, Any]]
    AnyOutcome = reduce(or_, CORRECTED.values()) | CorrectedMany


_ONE = component("Correction")
_BODY = RequestBody(
    required=True,
    description=f"One correction, or an array of up to {MOST_CORRECTIONS:,}, each with its own "
    "outcome.",
    content={
        "application/json": OpenAPIMediaType(
            schema=Schema(one_of=[_ONE, Schema(type=OpenAPIType.ARRAY, items=_ONE)])
        )
    },
)
"""Each item of an array is decoded by itself, which a signature cannot show."""

_RESPONSES = {
    "207": response(
        "Some corrections of the array were rejected.",
        {"application/json": component("CorrectedMany")},
    ),
    "403": OUT_OF_REACH,
    "404": problem_response("The reading is not known."),
    "409": problem_response("The reading is voided, or has reached the limit of corrections."),
    "413": problem_response("The body or the batch is too large; nothing was stored."),
    "422": problem_response(
        "All corrections of the array were rejected; a problem document that also has `rejected`."
    ),
}


@post(
    "/",
    status_code=200,
    summary="Correct or void stored readings",
    operation_id="V1CorrectionsCorrect",
    operation_class=described(_RESPONSES, _BODY),
)
async def correct_readings(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    data: JSONBody[AnyCorrection],
) -> Response[AnyOutcome]:
    """Replaced values are kept as versions; live state and rollups follow. Repeating it is safe.

    Each correction in an array has its own outcome: 200 when all were made, 207 when some were
    rejected, 422 when all were.
    """
    if isinstance(data, list):
        return await _correct_many(database, data, reach)
    wanted = _wanted(data)
    try:
        done = await correct(database, wanted, reach)
    except Invalid as invalid:
        raise invalid_parameter(invalid.path or "$", invalid.detail) from None
    except CorrectionError as error:
        unknown = isinstance(error, UnknownReadingError)
        raise problem(
            HTTP_404_NOT_FOUND if unknown else HTTP_409_CONFLICT,
            str(error),
            kind=error.code.replace("_", "-"),
        ) from None
    kind, stored = wanted.kind, done.reading
    reading = None if stored is None else READINGS[kind.name](**reading_fields(kind, stored))
    return Response(
        CORRECTED[kind.name](version=done.version, changed=done.changed, reading=reading)
    )


async def _correct_many(
    database: Database, items: Sequence[dict[str, Any]], reach: Reach
) -> Response[CorrectedMany]:
    """Answer for each correction of an array."""
    if len(items) > MOST_CORRECTIONS:
        raise BatchTooLargeError(
            f"more than {MOST_CORRECTIONS} corrections; send them in smaller arrays"
        )
    wanted = dict(enumerate(map(_item, items)))
    batch = await correct_each(database, wanted, reach, database.timeout_s)
    answer = CorrectedMany(
        [CorrectedItem(n, done.version, done.changed) for n, done in batch.corrected.items()],
        batch.rejected,
    )
    if answer.rejected and not answer.corrected:
        raise problem(
            HTTP_422_UNPROCESSABLE_ENTITY,
            f"all {len(items)} corrections were rejected",
            kind="all-rejected",
            corrected=[],
            rejected=answer.rejected,
        )
    return Response(answer, status_code=HTTP_207_MULTI_STATUS if answer.rejected else HTTP_200_OK)


def _item(item: dict[str, Any]) -> Correction | Invalid:
    """Decode one correction of an array; return what is wrong with one that cannot be."""
    try:
        return _wanted(msgspec.convert(item, _CORRECTION))
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `")
        return Invalid("invalid_parameter", detail, path.rstrip("`") or "$")
    except ProblemDetailsException as error:
        fault = dict(error.extra or {})["errors"][0]
        return Invalid("invalid_parameter", fault["detail"], fault["path"])


def _wanted(data: Any) -> Correction:
    """Return a correction for the devices area. Raises 400."""
    check_printable("$.who", data.who)
    check_printable("$.reason", data.reason)
    time = check_time("$.timestamp", data.timestamp)
    if data.interval_start not in (UNSET, None):
        check_time("$.intervalStart", data.interval_start)
    ids = {kind: getattr(data, attribute(kind.id_field)) for kind in KINDS}
    kind = next((kind for kind in KINDS if isinstance(ids[kind], str)), None)
    if kind is None:
        raise invalid_parameter("$", f"has neither {' nor '.join(k.id_field for k in KINDS)}")
    own = attribute(kind.id_field)
    values = {
        name: value
        for name in (*_IDS, *map(attribute, (*NUMBERS, SESSION.field)), "interval_start")
        if name != own and (value := getattr(data, name)) is not UNSET
    }
    void = None if data.void is UNSET else data.void
    return Correction(kind, ids[kind], time, values, signed(data.who), data.reason, void)


corrections = Router(
    "/v1/corrections",
    tags=["Corrections"],
    opt={SCOPE: "operate"},
    before_request=refuse_unknown_parameters,
    route_handlers=[correct_readings],
)
