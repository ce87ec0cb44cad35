"""GET /v1/inputs: what other programs sent, and no rule of the mapping took."""

import os

import msgspec
from litestar import Router, get
from litestar.datastructures import State

from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.parameters import takes
from fleetmeter.inputs.untaken import UntakenCount, UntakenCounter


class Inputs(msgspec.Struct):
    """What was not taken since the process started, the most frequent first."""

    process: int
    """Id of the process that answers; with several, each has counts of its own."""

    untaken: list[UntakenCount]


@get("/", summary="What no rule of the mapping took", operation_id="V1InputsShow")
async def show_inputs(state: State) -> Inputs:
    """Counts of messages, and fields of messages, of the process that answers."""
    counter: UntakenCounter = state.untaken
    return Inputs(os.getpid(), counter.counts())


inputs = Router(
    "/v1/inputs",
    tags=["Inputs"],
    opt={SCOPE: "admin"},
    before_request=takes(),
    route_handlers=[show_inputs],
)
