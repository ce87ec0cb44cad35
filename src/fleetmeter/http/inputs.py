"""GET /v1/inputs: who is connected, and what was sent that no rule of the mapping took."""

import os

import msgspec
from litestar import Router, get
from litestar.datastructures import State

from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.parameters import takes
from fleetmeter.inputs.mqtt.session import Mqtt, MqttStatus
from fleetmeter.inputs.ocpp.central_system import CentralSystem, ConnectedChargePoint
from fleetmeter.inputs.untaken import UntakenCount, UntakenCounter

_MOST_CHARGE_POINTS = 1000


class Inputs(msgspec.Struct, rename="camel"):
    """What was not taken, and who is connected."""

    process: int
    """Id of the process that answers; with several, each has counts of its own."""

    untaken: list[UntakenCount]
    """Since the process started, the most frequent first."""

    connected_charge_points: int
    charge_points: list[ConnectedChargePoint]
    """The thousand that sent something last."""

    mqtt: MqttStatus | None
    """None: there is no broker (FLEETMETER_MQTT_URL)."""


@get("/", summary="What no rule took, and who is connected", operation_id="V1InputsShow")
async def show_inputs(state: State) -> Inputs:
    """Counts of messages, and fields of messages, of the process that answers; its connections."""
    counter: UntakenCounter = state.untaken
    central: CentralSystem = state.ocpp
    mqtt: Mqtt | None = state.mqtt
    return Inputs(
        os.getpid(),
        counter.counts(),
        len(central),
        central.shown(_MOST_CHARGE_POINTS),
        mqtt.status if mqtt else None,
    )


inputs = Router(
    "/v1/inputs",
    tags=["Inputs"],
    opt={SCOPE: "admin"},
    before_request=takes(),
    route_handlers=[show_inputs],
)
