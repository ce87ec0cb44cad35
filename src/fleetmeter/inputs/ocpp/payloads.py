"""The payloads that are read, of 1.6 and 2.0.1, decoded as leniently as chargers write them. Pure.

Unknown fields are ignored, numbers may be texts and anything may be missing: what a message cannot
do without, whoever handles it says.
"""

from typing import Any, NamedTuple, TypeVar

import msgspec

from fleetmeter.inputs.ocpp.framing import CallError
from fleetmeter.readings.ocpp import SampledValue

_MOST_NAME = 64
"""Characters that are kept of a vendor, a model and a firmware; the standard has 50."""

_MOST_RECORDS = 40_000
"""Records of a payload; with the values that chargers send, a message of the greatest length has
about 28,000."""

_LISTS = frozenset({"meterValue", "transactionData", "sampledValue"})


class MeterValue(msgspec.Struct, gc=False):
    """What was measured at one moment."""

    timestamp: Any = None
    sampledValue: list[SampledValue] = []  # noqa: N815 - as on the wire, here and below


class MeterValues(msgspec.Struct):
    """What an outlet measured."""

    connectorId: Any = None  # noqa: N815
    evseId: Any = None  # noqa: N815
    transactionId: Any = None  # noqa: N815
    meterValue: list[MeterValue] | None = None  # noqa: N815

    @property
    def outlet(self) -> int | None:
        """Return the connector of 1.6, or the EVSE of 2.0.1."""
        return whole(self.evseId if self.connectorId is None else self.connectorId)


class StartTransaction(msgspec.Struct):
    """The start of a transaction in 1.6."""

    connectorId: Any = None  # noqa: N815
    idTag: Any = None  # noqa: N815
    meterStart: Any = None  # noqa: N815
    timestamp: Any = None


class StopTransaction(msgspec.Struct):
    """The end of a transaction in 1.6."""

    transactionId: Any = None  # noqa: N815
    idTag: Any = None  # noqa: N815
    meterStop: Any = None  # noqa: N815
    timestamp: Any = None
    reason: Any = None
    transactionData: list[MeterValue] | None = None  # noqa: N815


class TransactionEvent(msgspec.Struct):
    """The start, something of the course, or the end of a transaction in 2.0.1."""

    eventType: Any = None  # noqa: N815
    timestamp: Any = None
    evse: Any = None
    idToken: Any = None  # noqa: N815
    transactionInfo: Any = None  # noqa: N815
    meterValue: list[MeterValue] | None = None  # noqa: N815

    @property
    def outlet(self) -> int | None:
        """Return the EVSE."""
        return whole(of(self.evse, "id"))

    @property
    def called(self) -> str | None:
        """Return what the charger calls the transaction."""
        return text(of(self.transactionInfo, "transactionId"))

    @property
    def token(self) -> str | None:
        """Return the token."""
        return text(of(self.idToken, "idToken"))

    @property
    def reason(self) -> str | None:
        """Return why the transaction ended."""
        return text(of(self.transactionInfo, "stoppedReason"))


class BootNotification(msgspec.Struct):
    """What a charger is, in either version."""

    chargePointVendor: Any = None  # noqa: N815
    chargePointModel: Any = None  # noqa: N815
    firmwareVersion: Any = None  # noqa: N815
    chargingStation: Any = None  # noqa: N815

    @property
    def charger(self) -> "Charger":
        """Return what is kept of it."""
        station = self.chargingStation
        return Charger(
            _short(of(station, "vendorName") or self.chargePointVendor),
            _short(of(station, "model") or self.chargePointModel),
            _short(of(station, "firmwareVersion") or self.firmwareVersion),
        )


class Charger(NamedTuple):
    """What a charger is."""

    vendor: str | None = None
    """Who made it."""

    model: str | None = None
    firmware: str | None = None


class Configured(msgspec.Struct):
    """A setting of a charger of 1.6."""

    key: str
    value: str | None = None
    readonly: bool = False


class Configuration(msgspec.Struct):
    """Settings of a charger of 1.6."""

    configurationKey: list[Configured] | None = None  # noqa: N815


class Status(msgspec.Struct):
    """Whether something was accepted."""

    status: str | None = None


class Named(msgspec.Struct):
    """A component or variable of 2.0.1."""

    name: str = ""


class VariableResult(msgspec.Struct):
    """What became of asking for a variable of 2.0.1, or of setting it."""

    attributeStatus: str | None = None  # noqa: N815
    attributeValue: str | None = None  # noqa: N815
    variable: Named | None = None


class Variables(msgspec.Struct):
    """What became of asking for variables of 2.0.1, or of setting them."""

    getVariableResult: list[VariableResult] | None = None  # noqa: N815
    setVariableResult: list[VariableResult] | None = None  # noqa: N815


def of(record: object, name: str) -> Any:
    """Return a field of a record, None where there is none."""
    return record.get(name) if isinstance(record, dict) else None


def whole(value: object) -> int | None:
    """Return a whole number that may be written as a text, None for what is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
        return int(number) if number == int(number) else None
    except (TypeError, ValueError, OverflowError):
        return None


def _short(value: object) -> str | None:
    """Return the beginning of a text."""
    found = text(value)
    return None if found is None else found[:_MOST_NAME]


def text(value: object) -> str | None:
    """Return a text, also one that is written as a number; None for what is none."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


T = TypeVar("T", bound=msgspec.Struct)

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decoded(payload: bytes, kind: type[T]) -> T:
    """Return a payload. Raises CallError."""
    if payload.count(b"{") > _MOST_RECORDS:
        why = f"the payload has more than {_MOST_RECORDS:,} records"
        raise CallError("FormationViolation", why)
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, strict=False)
    found: T
    try:
        found = decoder.decode(payload)
    except msgspec.ValidationError:
        found = _mended(payload, kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CallError("FormationViolation", f"the payload is not JSON: {error}") from None
    return found


def _mended(payload: bytes, kind: type[T]) -> T:
    """Return a payload of which only the frame is as it should be. Raises CallError."""
    try:
        return msgspec.convert(_with_lists(msgspec.json.decode(payload)), kind, strict=False)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CallError("FormationViolation", f"the payload cannot be read: {error}") from None


def _with_lists(value: Any, *, is_list: bool = False) -> Any:
    """Return a value with lists where they belong, without what is nothing in them."""
    if is_list:
        items = value if isinstance(value, list) else [value]
        return [_with_lists(item) for item in items if isinstance(item, dict)]
    if isinstance(value, dict):
        return {
            key: _with_lists(item, is_list=key in _LISTS)
            for key, item in value.items()
            if item is not None
        }
    return value
