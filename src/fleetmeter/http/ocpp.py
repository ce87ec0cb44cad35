"""The WebSocket of charge points: /ocpp/{chargePointId}, OCPP-J (docs/inputs/ocpp.md).

The request is one like any other until its connection becomes a WebSocket: who may not connect gets
a problem document.
"""

from typing import Annotated, Any

import structlog
from litestar import get
from litestar.params import PathParameter
from litestar.status_codes import (
    HTTP_101_SWITCHING_PROTOCOLS,
    HTTP_400_BAD_REQUEST,
    HTTP_401_UNAUTHORIZED,
    HTTP_403_FORBIDDEN,
    HTTP_426_UPGRADE_REQUIRED,
    HTTP_503_SERVICE_UNAVAILABLE,
)
from litestar.types import ASGIApp, Receive, Scope, Send

from fleetmeter.connections.handshake import UPGRADE, Handshake, HandshakeError, handshake_of
from fleetmeter.connections.limits import NoRoomError
from fleetmeter.connections.websocket import PROTOCOL_ERROR, WebSocket
from fleetmeter.http.shared.addresses import client_address
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.lasting import basic_user, lasting_principal
from fleetmeter.http.shared.principals import principal_of
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.inputs.ocpp.answers import VERSIONS
from fleetmeter.inputs.ocpp.central_system import CentralSystem, NoMeterError, RefusedError
from fleetmeter.metrics import count_denied

MAX_ID = 64
"""Longest identity of a charge point, characters; 2.0.1 has 48."""

_log = structlog.get_logger()


@get(
    "/ocpp/{charge_point_id:str}",
    include_in_schema=False,
    opt={SCOPE: "ingest"},
)
async def ocpp(charge_point_id: Annotated[str, PathParameter()]) -> ASGIApp:
    """Let a charge point connect, with one of the subprotocols."""
    if not (1 <= len(charge_point_id) <= MAX_ID and charge_point_id.isprintable()):
        raise invalid_parameter("chargePointId", f"must be 1 to {MAX_ID} printable characters")
    return _Connecting(charge_point_id)


class _Connecting:
    """Makes a WebSocket of the connection of a charge point."""

    def __init__(self, charge_point: str) -> None:
        self._charge_point = charge_point

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 101, or raise a problem."""
        _connect(self._charge_point, scope)
        # the answer is sent: this is for those who count requests
        await send(
            {"type": "http.response.start", "status": HTTP_101_SWITCHING_PROTOCOLS, "headers": []}
        )


def _connect(charge_point: str, scope: Scope) -> None:
    handshake = _handshake(scope)
    _check_user(charge_point, scope)
    offered = next((each for each in handshake.subprotocols if each.lower() in VERSIONS), None)
    listener: Any = _Refused(charge_point, handshake.subprotocols)
    if offered is not None:
        version: Any = offered.lower()
        central: CentralSystem = scope["litestar_app"].state.ocpp
        try:
            listener = central.charge_point(
                charge_point,
                version,
                principal_of(scope),
                lasting_principal(scope),
                client_address(scope),
            )
        except RefusedError as error:
            count_denied("reach")
            raise problem(HTTP_403_FORBIDDEN, str(error), kind="out-of-reach") from None
        except NoMeterError as error:
            raise invalid_parameter("chargePointId", str(error)) from None
    try:
        scope["extensions"][UPGRADE](handshake.headers(offered), listener)  # type: ignore[index,operator]
    except NoRoomError as error:
        count_denied("connections")
        raise problem(
            HTTP_503_SERVICE_UNAVAILABLE, f"{error}; try again later", kind="overloaded"
        ) from None


def _handshake(scope: Scope) -> Handshake:
    """Return what a client asks for. Raises problems."""
    try:
        handshake = handshake_of(str(scope.get("method")), scope["headers"])
    except HandshakeError as error:
        raise problem(
            HTTP_400_BAD_REQUEST, f"this is no handshake of WebSocket: {error}", kind="bad-request"
        ) from None
    if handshake is None or UPGRADE not in (scope.get("extensions") or {}):
        raise problem(
            HTTP_426_UPGRADE_REQUIRED,
            "charge points connect here by WebSocket, with the subprotocol "
            f"{', '.join(VERSIONS)}: ws://…/ocpp/{{chargePointId}}",
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )
    return handshake


def _check_user(charge_point: str, scope: Scope) -> None:
    """Raise 401 where the user of Basic authentication is not the charge point of the path."""
    user = basic_user(scope)
    if user is not None and user != charge_point:
        count_denied("unauthenticated")
        raise problem(
            HTTP_401_UNAUTHORIZED,
            f"the user of Basic authentication must be the charge point, {charge_point}",
            headers={"WWW-Authenticate": 'Basic realm="FleetMeter"'},
        )


class _Refused:
    """A connection without a subprotocol: as the standard has it, it is made, and closed."""

    def __init__(self, charge_point: str, offered: Any) -> None:
        self._charge_point = charge_point
        self._offered = list(offered)[:8]

    def opened(self, socket: WebSocket) -> None:
        """Close the connection."""
        _log.warning(
            "a charge point speaks no version that is known",
            charge_point=self._charge_point,
            offers=[each[:20] for each in self._offered],
            known=VERSIONS,
        )
        socket.close(PROTOCOL_ERROR, f"offer one of {', '.join(VERSIONS)}")

    def received(self, message: bytes) -> None:
        """Ignore a message."""

    def stop(self) -> None:
        """Do nothing: it closes."""

    def lost(self) -> None:
        """Do nothing."""
