"""Reads logged telegrams of Dutch and Belgian meters (P1, DSMR 4 and 5)."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import Bound
from fleetmeter.files.imports.tables.delimited import text_lines
from fleetmeter.files.imports.tables.table import Row, Table
from fleetmeter.readings.validate import Invalid

_COLUMNS = (
    "timestamp",
    "equipment",
    "imported",
    "exported",
    "power",
    "voltageL1",
    "voltageL2",
    "voltageL3",
)
_START = re.compile(r"(?:^|\s)/[A-Za-z]{3}\d")
_OBJECT = re.compile(r"(\d+-\d+:\d+\.\d+\.\d+)(?:\.255)?\(([^()]*)\)")
_TIME = re.compile(r"(\d{12})([SW])")
_VALUE = re.compile(r"(\d{1,10}(?:\.\d{1,6})?)(?:\*(\w+))?")
_KILO = {"kWh": 1.0, "Wh": 0.001, "kW": 1.0, "W": 0.001, "V": 1.0}
_MOST_LINES = 200
"""Maximum number of lines of a telegram."""


def open_telegrams(file: BinaryIO, bound: Bound) -> Table:
    """Open a log of telegrams; whatever is between them is left out."""
    encoding = bound.mapping.encoding or "latin-1"

    def rows() -> Iterator[Row]:
        telegram: list[str] = []
        began = 0
        for line in text_lines(file, encoding):
            if start := _START.search(line.text):
                telegram, began = [line.text[start.end() - 5 :]], line.number
            elif telegram:
                telegram.append(line.text)
                if line.text.startswith("!"):
                    yield Row(began, _cells(telegram), "\n".join(telegram)[:2000])
                    telegram = []
                elif len(telegram) > _MOST_LINES:
                    telegram = []
        if not began:
            raise SourceError("it has no telegram: none of its lines begins as /ISK5… does")
        if telegram:
            cut = Invalid("malformed", "the telegram is cut off: it has no line with !")
            yield Row(began, cut, "\n".join(telegram)[:2000])

    return Table(_COLUMNS, rows)


def _cells(telegram: Sequence[str]) -> list[Any] | Invalid:
    said = telegram[-1][1:].strip()
    if said and not _is_whole(telegram, said):
        return Invalid("malformed", f"the telegram's checksum is not {said}: it was garbled")
    found: dict[str, str] = {}
    for line in telegram[1:]:
        match = _OBJECT.match(line.strip())
        if match:
            found.setdefault(match[1].partition(":")[2], match[2])
    try:
        time = _time(found.get("1.0.0", ""))
        imported, exported = (_register(found, f"{direction}.8") for direction in ("1", "2"))
        power = _number(found.get("1.7.0"))
        back = _number(found.get("2.7.0"))
        voltages = [_number(found.get(f"{phase}.7.0")) for phase in (32, 52, 72)]
    except Invalid as invalid:
        return invalid
    if power is not None and back:
        power -= back
    return [time, _equipment(found.get("96.1.1", "")), imported, exported, power, *voltages]


def _register(found: dict[str, str], code: str) -> float | None:
    """Return a total: the tariffs' together, else the one without a tariff. Raises Invalid."""
    tariffs = [_number(found.get(f"{code}.{tariff}")) for tariff in (1, 2, 3, 4)]
    given = [each for each in tariffs if each is not None]
    return sum(given) if given else _number(found.get(f"{code}.0"))


def _number(text: str | None) -> float | None:
    if not text:
        return None
    match = _VALUE.fullmatch(text)
    if match is None or (match[2] or "V") not in _KILO:
        raise Invalid("malformed", f"the telegram has {text[:40]}, which is not a value")
    return float(match[1]) * _KILO[match[2] or "V"]


def _time(text: str) -> datetime:
    match = _TIME.fullmatch(text)
    if match is None:
        raise Invalid("missing_field", "the telegram has no time (0-0:1.0.0)")
    try:
        wall = datetime.strptime(match[1], "%y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid("invalid_timestamp", f"the telegram's time is {text}") from None
    return wall - timedelta(hours=2 if match[2] == "S" else 1)  # summer or winter in Amsterdam


def _equipment(text: str) -> str | None:
    """Return the meter's number, which is written in hexadecimal."""
    try:
        return bytes.fromhex(text).decode("ascii").strip() or None
    except ValueError:
        return text or None


def _is_whole(telegram: Sequence[str], said: str) -> bool:
    """Return whether the checksum is right, with the line ends of the meter or of the log."""
    for end in ("\r\n", "\n"):
        body = end.join([*telegram[:-1], "!"])
        if said.upper() == f"{_crc16(body.encode('latin-1', 'replace')):04X}":
            return True
    return False


def _crc16(body: bytes) -> int:
    """Return the CRC-16/ARC of the P1 companion standard 5.0.2."""
    crc = 0
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 * (crc & 1)
    return crc
