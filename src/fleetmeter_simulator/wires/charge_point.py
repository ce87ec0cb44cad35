"""Speaks OCPP-J 1.6 as a charge point does, and connects again when the connection is lost."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from itertools import count
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from fleetmeter import __version__
from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.model import time_of
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.service import StoppedError
from fleetmeter_simulator.wires.wire import Stopped, Waiting

_VALUES = 200
"""Most meter values of a message."""

_ANSWER_S = 60.0
_PAUSES_S = (0.2, 5.0)
"""First and longest pause before a call is sent again."""

_STEP_S = 0.2
_CALL, _RESULT, _ERROR = 2, 3, 4

_NOT_LATER = (400, 401, 403, 404, 405, 426)
"""Statuses of a service that will not speak OCPP to this charge point later, either."""

_CONFIGURATION = {
    "MeterValueSampleInterval": "60",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Voltage",
}
"""What the service may ask for and change; the simulated fleet stays as it is."""

_BOOT = {"chargePointVendor": "FleetMeter", "chargePointModel": f"simulated {__version__}"}


class _LaterError(Exception):
    """A call is to be sent again later: the service says why."""


class ChargePoint:
    """A charge point with one outlet, the meter of the same id."""

    def __init__(
        self, url: str, meter_id: str, key: str | None, stopped: Stopped, waiting: Waiting
    ) -> None:
        parts = urlsplit(url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        path = f"{parts.path.rstrip('/')}/ocpp/{quote(meter_id, safe='')}"
        self._url = f"{scheme}://{parts.netloc}{path}"
        self._headers = {}
        if key is not None:
            credentials = b64encode(f"{meter_id}:{key}".encode()).decode()
            self._headers["Authorization"] = f"Basic {credentials}"
        self._stopped = stopped
        self._waiting = waiting
        self._configuration = dict(_CONFIGURATION)
        self._numbers = count(1)
        self._socket: ClientConnection | None = None

    async def send(self, arrivals: Sequence[Arrival]) -> None:
        """Send readings until they are acknowledged. Raises StoppedError, FleetMeterError."""
        for at in range(0, len(arrivals), _VALUES):
            values = [_meter_value(arrival) for arrival in arrivals[at : at + _VALUES]]
            await self._until_answered("MeterValues", {"connectorId": 1, "meterValue": values})

    async def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def _until_answered(self, action: str, payload: Any) -> None:
        """Send a call until it has a result, each time with the same id."""
        frame = [_CALL, f"{next(self._numbers)}", action, payload]
        pause, longest = _PAUSES_S
        waited = False
        while True:
            try:
                await self._call(self._socket or await self._connect(), frame)
            except _LaterError as error:
                why = str(error)
            except (OSError, WebSocketException) as error:
                why = str(error) or repr(error)
                await self.close()
                if isinstance(error, InvalidStatus) and error.response.status_code in _NOT_LATER:
                    raise FleetMeterError(f"{self._url} cannot be used: {why}") from error
            else:
                if waited:
                    self._waiting("")
                return
            waited = True
            self._waiting(f"OCPP: {why}")
            await self._sleep(pause)
            pause = min(pause * 2, longest)

    async def _connect(self) -> ClientConnection:
        """Connect, and say what it is, as a charge point does after its start."""
        socket = await connect(
            self._url,
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers=self._headers,
            compression=None,
            ping_interval=None,  # nothing would answer while there is nothing to send
            open_timeout=_ANSWER_S,
        )
        try:
            answer = await self._call(socket, [_CALL, "boot", "BootNotification", _BOOT])
            if answer.get("status") != "Accepted":
                raise _LaterError(f"BootNotification was answered with {answer}")
        except BaseException:
            await socket.close()
            raise
        self._socket = socket
        return socket

    async def _call(self, socket: ClientConnection, frame: list[Any]) -> dict[str, Any]:
        """Send a call and return its result.

        Raises _LaterError, OSError and WebSocketException, and FleetMeterError if it is refused.
        """
        async with asyncio.timeout(_ANSWER_S):
            await socket.send(msgspec.json.encode(frame).decode())
            while True:
                answer = msgspec.json.decode(await socket.recv(), type=list[Any])
                if answer[0] == _CALL:
                    await socket.send(msgspec.json.encode(self._reply(answer)).decode())
                elif answer[1] == frame[1]:
                    if answer[0] == _ERROR:
                        code, description = answer[2:4]
                        error = _LaterError if code == "InternalError" else FleetMeterError
                        raise error(f"{frame[2]} was answered with {code}: {description}")
                    result: dict[str, Any] = answer[2]
                    return result

    def _reply(self, call: list[Any]) -> list[Any]:
        """Answer a call of the service, which may ask to be sent this or that each so often."""
        _, id_, action, payload = call
        known = self._configuration
        if action == "ChangeConfiguration":
            is_known = payload["key"] in known
            if is_known:
                known[payload["key"]] = payload["value"]
            return [_RESULT, id_, {"status": "Accepted" if is_known else "NotSupported"}]
        if action == "GetConfiguration":
            asked = payload.get("key") or list(known)
            found = [
                {"key": key, "readonly": False, "value": known[key]}
                for key in asked
                if key in known
            ]
            unknown = [key for key in asked if key not in known]
            return [_RESULT, id_, {"configurationKey": found, "unknownKey": unknown}]
        return [_ERROR, id_, "NotImplemented", "", {}]

    async def _sleep(self, seconds: float) -> None:
        """Wait. Raises StoppedError when it is time to stop meanwhile."""
        while not self._stopped():
            if seconds <= 0:
                return
            await asyncio.sleep(min(seconds, _STEP_S))
            seconds -= _STEP_S
        raise StoppedError


def _meter_value(arrival: Arrival) -> dict[str, Any]:
    """Return what the outlet measured at a moment: a register or an interval, and the voltage."""
    _, kind, row = arrival
    what = "Interval" if kind == "meters" else "Register"
    _, time, energy_mwh, millivolts, *_ = row
    return {
        "timestamp": time_of(time).isoformat(),
        "sampledValue": [
            {
                "value": f"{energy_mwh / 1000:.3f}",
                "measurand": f"Energy.Active.Import.{what}",
                "unit": "Wh",
            },
            {"value": f"{millivolts / 1000:.3f}", "measurand": "Voltage", "unit": "V"},
        ],
    }
