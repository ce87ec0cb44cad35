"""Reads Green Button, the Atom feed of ESPI (NAESB REQ.21), with interval readings as rows.

Entries refer to each other by links and come in any order, so the file is read twice: once for what
there is, once for the readings. Of an electricity series that is there in several steps, such as
hours and days, only the finest counts.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import Bound
from fleetmeter.files.imports.tables.table import Limited, Row, Table
from fleetmeter.readings.validate import Invalid

_COLUMNS = ("usagePoint", "start", "end", "forward", "reverse")
_WH = "72"
"""The code of Wh in uom (IEC 61968-9)."""

_MOST_ELEMENTS = 2_000_000
"""Maximum number of elements of an entry, which is in memory as a whole."""

_REVERSE = "19"
_CUMULATIVE = ("1", "2", "3", "9")
"""Kinds of accumulation that are registers: bulk quantity, continuous, cumulative, total."""


class _Type(NamedTuple):
    """The properties of values that a ReadingType describes."""

    uom: str = _WH
    ten: int = 0
    """The power of ten that values are multiplied by."""

    reverse: bool = False
    cumulative: bool = False
    seconds: int = 0
    """Length of an interval, 0 if it is not given."""


class _Entry(NamedTuple):
    """The link of an entry, and the links it refers to."""

    self: str
    links: frozenset[str]


class _Feed:
    """The entries of a feed, without their readings."""

    def __init__(self) -> None:
        self.types: dict[str, _Type] = {}
        self.type_links: dict[str, _Entry] = {}
        self.series: dict[str, _Entry] = {}
        """MeterReadings."""
        self.points: list[str] = []
        self.blocks: dict[str, tuple[_Entry, int]] = {}
        """IntervalBlocks, with the length of the shortest interval, seconds."""

    def series_of(self, block: _Entry) -> str | None:
        """Return the MeterReading that a block of intervals belongs to."""
        own = {block.self, *(link for link in block.links if "IntervalBlock" in link)}
        for href in self.series:
            if any(_is_under(link, href) for link in own):
                return href
        for href, entry in self.series.items():
            if own & entry.links or href in block.links:
                return href
        return next(iter(self.series)) if len(self.series) == 1 else None

    def type_of(self, series: str | None) -> _Type:
        """Return the type of a series."""
        links = self.series[series].links if series in self.series else frozenset()
        for href, found in self.types.items():
            if href in links or (series and series in self.type_links[href].links):
                return found
        return next(iter(self.types.values())) if len(self.types) == 1 else _Type()

    def point_of(self, series: str | None) -> str:
        """Return the usage point of a series, by its last name."""
        links: list[str] = [
            series or "",
            *(self.series[series].links if series in self.series else ()),
        ]
        for link in links:
            _, found, after = link.partition("UsagePoint/")
            if found:
                return str(after.split("/")[0])
        return self.points[0].rstrip("/").rsplit("/", 1)[-1] if len(self.points) == 1 else ""


def open_green_button(file: BinaryIO, bound: Bound) -> Table:
    """Open a feed. Raises SourceError."""
    feed = _Feed()
    for entry, element in _entries(file):
        _note(feed, entry, element)
    chosen, notes = _chosen(feed)
    return Table(_COLUMNS, lambda: _rows(file, feed, chosen), notes)


def _note(feed: _Feed, entry: _Entry, element: Element) -> None:
    """Note an entry in the feed by its type."""
    for part in element.iter():
        match _tag(part):
            case "UsagePoint":
                feed.points.append(entry.self)
            case "MeterReading":
                feed.series[entry.self] = entry
            case "ReadingType":
                feed.types[entry.self] = _type(part)
                feed.type_links[entry.self] = entry
            case "IntervalReading":
                seconds = _number(_text(part, "duration"))
                _, known = feed.blocks.get(entry.self, (entry, 0))
                feed.blocks[entry.self] = (entry, min(seconds, known or seconds))


def _type(element: Element) -> _Type:
    return _Type(
        _text(element, "uom") or _WH,
        _number(_text(element, "powerOfTenMultiplier")),
        _text(element, "flowDirection") == _REVERSE,
        _text(element, "accumulationBehaviour") in _CUMULATIVE,
        _number(_text(element, "intervalLength")),
    )


def _chosen(feed: _Feed) -> tuple[set[str], list[str]]:
    """Choose the blocks that count; return notes about the others. Raises SourceError."""
    finest: dict[tuple[str, bool], tuple[int, str]] = {}
    blocks: dict[str, list[str]] = {}
    left_out: list[str] = []
    for block, (entry, shortest) in feed.blocks.items():
        series = feed.series_of(entry)
        kind = feed.type_of(series)
        name = series or ""
        if kind.uom != _WH or kind.cumulative:
            left_out.append(f"a register ({name})" if kind.uom == _WH else f"uom {kind.uom}")
            continue
        blocks.setdefault(name, []).append(block)
        key = (feed.point_of(series), kind.reverse)
        seconds = kind.seconds or shortest
        if key not in finest or (seconds, name) < finest[key]:
            finest[key] = (seconds, name)
    chosen = {name for _, name in finest.values()}
    left_out += [f"coarser intervals ({name})" for name in blocks if name not in chosen]
    if not chosen:
        raise SourceError(
            "the feed has no electricity in intervals in Wh (uom 72)"
            + (f"; there is {', '.join(dict.fromkeys(left_out))}" if left_out else "")
        )
    notes = [f"left out: {', '.join(dict.fromkeys(left_out))}"] if left_out else []
    return {block for name in chosen for block in blocks[name]}, notes


def _rows(file: BinaryIO, feed: _Feed, chosen: set[str]) -> Iterator[Row]:
    number = 0
    for entry, element in _entries(file):
        if entry.self not in chosen:
            continue
        series = feed.series_of(entry)
        kind, point = feed.type_of(series), feed.point_of(series)
        for part in element.iter():
            if _tag(part) == "IntervalReading":
                number += 1
                yield _row(number, part, kind, point)


def _row(number: int, element: Element, kind: _Type, point: str) -> Row:
    start, seconds = _text(element, "start"), _text(element, "duration")
    value = _text(element, "value")
    text = f"start {start}, duration {seconds}, value {value}"
    try:
        end = int(start) + int(seconds)
        energy = int(value) * 10.0**kind.ten
    except ValueError:
        wrong = Invalid("invalid_type", "start, duration or value is not a number")
        return Row(number, wrong, text)
    flows = (None, energy) if kind.reverse else (energy, None)
    return Row(number, [point, int(start), end, *flows], text)


def _entries(file: BinaryIO) -> Iterator[tuple[_Entry, Element]]:
    """Yield the entries of a feed, one in memory at a time. Raises SourceError."""
    file.seek(0)
    places = held = 0
    root: Element | None = None
    try:
        for event, element in iterparse(Limited(file), ("start", "end"), forbid_dtd=True):
            if root is None:
                root = element
            held += event == "start"
            if held > _MOST_ELEMENTS:
                raise SourceError(f"an entry has more than {_MOST_ELEMENTS:,} elements; split it")
            if event == "end" and _tag(element) == "entry":
                links = [link for link in element if _tag(link) == "link"]
                own = [_path(link) for link in links if link.get("rel") == "self"]
                others = frozenset(_path(link) for link in links if link.get("rel") != "self")
                places += 1
                yield _Entry(own[0] if own else f"entry {places}", others), element
                root.clear()
                held = 0
    except (ParseError, DefusedXmlException, UnicodeError) as error:
        raise SourceError(f"this is not Green Button XML: {_why(error)}") from None
    if not places:
        raise SourceError("this is not Green Button XML: it has no Atom entries")


def _why(error: Exception) -> str:
    if isinstance(error, DefusedXmlException):
        return "it declares entities or a DTD, which no such file has"
    return str(error)


def _path(link: Element) -> str:
    href: str = link.get("href", "")
    return urlsplit(href).path.rstrip("/")


def _is_under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _tag(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _text(element: Element, tag: str) -> str:
    found = next((part.text for part in element.iter() if _tag(part) == tag), None)
    return (found or "").strip()


def _number(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() and len(text) < 12 else 0
