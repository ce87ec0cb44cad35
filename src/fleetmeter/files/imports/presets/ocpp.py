"""Reads OCPP messages from a log, one per line: MeterValues, transactions, TransactionEvent.

A line may have anything before its message. 1.6 and 2.0.1 are distinguished by their fields.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import msgspec

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import Bound, MappingError
from fleetmeter.files.imports.presets.ocpp_values import COLUMNS, columns_of
from fleetmeter.files.imports.tables.delimited import encoding_of, text_lines
from fleetmeter.files.imports.tables.table import Row, Table
from fleetmeter.readings.validate import Invalid

_CALL = re.compile(r'\[\s*[23]\s*,\s*"')
_STATIONS = ("chargePointId", "chargePoint", "chargeBoxId", "cpId", "stationId", "identity")
"""Names of the charge point in logs that are JSON themselves."""

_MESSAGES = ("message", "msg", "payload", "frame", "raw", "body", "data")
_MOST_OPEN = 50_000
"""Maximum number of calls and transactions remembered."""

_decoder = msgspec.json.Decoder()


def open_log(file: BinaryIO, bound: Bound) -> Table:
    """Open a log. Raises SourceError and MappingError."""
    encoding, notes = encoding_of(file, bound.mapping.encoding)
    try:
        pattern = re.compile(bound.mapping.pattern) if bound.mapping.pattern else None
    except re.error as error:
        raise MappingError(f"pattern cannot be used: {error}") from None
    if pattern is not None and "chargePoint" not in pattern.groupindex:
        raise MappingError("pattern needs the group (?P<chargePoint>…)")

    def rows() -> Iterator[Row]:
        log = _Log(bound.mapping.device)
        found = False
        for line in text_lines(file, encoding):
            if line.wrong is not None:
                yield Row(line.number, line.wrong, line.text)
                continue
            station, message = _message(line.text, pattern)
            if message is None:
                continue
            found = True
            for cells in log.rows(station, message):
                yield Row(line.number, cells, line.text[:2000])
        if not found:
            raise SourceError('no line has an OCPP message, such as [2,"17","MeterValues",{…}]')

    return Table(COLUMNS, rows, notes)


def _message(text: str, pattern: re.Pattern[str] | None) -> tuple[str | None, list[Any] | None]:
    """Return the sender of a line's message, if it names one, and the message."""
    station = None
    if text.lstrip().startswith("{"):
        record = _json(text.strip())
        if isinstance(record, dict):
            station = next((str(record[key]) for key in _STATIONS if record.get(key)), None)
            inner = next((record[key] for key in _MESSAGES if record.get(key)), None)
            if isinstance(inner, list):
                return station, inner
            text = inner if isinstance(inner, str) else text
    if pattern is not None and (match := pattern.search(text)):
        station = match["chargePoint"]
    call = _CALL.search(text)
    if call is None:
        return station, None
    end = text.rfind("]") + 1
    message = _json(text[call.start() : end])
    return station, message if isinstance(message, list) else None


def _json(text: str) -> Any:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


class _Log:
    """Remembers calls, and the connector of each transaction, while a log is read."""

    def __init__(self, station: str | None) -> None:
        self._station = station
        self._starts: OrderedDict[Any, Any] = OrderedDict()
        self._connectors: OrderedDict[Any, Any] = OrderedDict()

    def rows(self, station: str | None, message: Sequence[Any]) -> Iterator[list[Any] | Invalid]:
        """Yield the rows of a message."""
        station = station or self._station
        if len(message) >= 3 and message[0] == 3:
            self._answered(station, message)
        if len(message) < 4 or message[0] != 2 or not isinstance(message[3], dict):
            return
        payload = message[3]
        connector = self._connector(station, message[1], str(message[2]), payload)
        for sample in _samples(str(message[2]), payload):
            if station is None:
                yield Invalid(
                    "missing_field",
                    "the line does not name its charge point; add --device ID, or a pattern for it",
                )
            elif connector is None:
                yield Invalid("missing_field", "nothing says which connector that was")
            else:
                yield [f"{station}-{connector}", station, connector, *columns_of(sample)]

    def _answered(self, station: str | None, message: Sequence[Any]) -> None:
        """Note the transaction that an answer begins."""
        connector = self._starts.pop((station, str(message[1])), None)
        answer = message[2]
        if connector is not None and isinstance(answer, dict) and "transactionId" in answer:
            _remember(self._connectors, (station, str(answer["transactionId"])), connector)

    def _connector(self, station: str | None, call: Any, action: str, payload: Any) -> Any:
        evse = payload.get("evse")
        connector = payload.get("connectorId", payload.get("evseId"))
        if isinstance(evse, dict):
            connector = evse.get("id", connector)
        if action == "StartTransaction":
            _remember(self._starts, (station, str(call)), connector)
        transaction = payload.get("transactionId")
        if isinstance(payload.get("transactionInfo"), dict):
            transaction = payload["transactionInfo"].get("transactionId")
        if transaction is not None:
            if connector is None:
                return self._connectors.get((station, str(transaction)))
            _remember(self._connectors, (station, str(transaction)), connector)
        return connector


def _remember(cache: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    if len(cache) > _MOST_OPEN:
        cache.popitem(last=False)


def _samples(action: str, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the meter values of a message, as MeterValues has them."""
    for key in ("meterValue", "transactionData"):
        found = payload.get(key)
        yield from (each for each in found or () if isinstance(each, dict))
    for key in ("meterStart", "meterStop"):
        if action == f"{key[5:]}Transaction" and payload.get(key) is not None:
            sampled = [{"value": payload[key]}]
            yield {"timestamp": payload.get("timestamp"), "sampledValue": sampled}
