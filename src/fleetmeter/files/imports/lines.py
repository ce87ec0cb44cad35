"""Reads the physical lines of a file block by block, in little memory however long they are."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from fleetmeter.readings.validate import Invalid

MAX_LINE = 64 * 1024
"""Maximum length of a line, bytes."""

BLOCK_BYTES = 384 * 1024
"""Bytes read at a time: some five thousand readings."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

CUT = "; the file seems to be cut off here"


class Lines(NamedTuple):
    """Consecutive lines."""

    lines: list[bytes]
    """The lines without their ends; one that is too long is cut after MAX_LINE + 1 bytes."""

    end: int
    """Offset of the next line, bytes."""

    whole: bool
    """Whether the last line has a line end."""


def read_lines(file: BinaryIO, offset: int) -> Iterator[Lines]:
    """Yield all lines from `offset` on, where a line begins."""
    file.seek(offset)
    begun, pending = b"", 0  # the line that goes on: its first bytes, and how many there are
    while chunk := file.read(BLOCK_BYTES):
        end = chunk.rfind(b"\n") + 1
        if not end:
            begun = (begun + chunk)[: MAX_LINE + 1]
            pending += len(chunk)
            continue
        lines = chunk[: end - 1].split(b"\n")
        lines[0] = begun + lines[0]
        if b"\r" in chunk or b"\r" in begun:
            lines = [line.removesuffix(b"\r") for line in lines]
        if max(map(len, lines)) > MAX_LINE:
            lines = [line[: MAX_LINE + 1] for line in lines]
        offset += pending + end
        yield Lines(lines, offset, True)
        begun = chunk[end : end + MAX_LINE + 1]
        pending = len(chunk) - end
    if pending:
        yield Lines([begun.removesuffix(b"\r")], offset + pending, False)


def text_of(line: bytes) -> str:
    """Decode a line. Raises Invalid when it is not text, or has characters that no reading has."""
    if len(line) > MAX_LINE:
        raise Invalid("malformed", f"the line is longer than {MAX_LINE // 1024} KiB")
    if b"\0" in line:
        raise Invalid("malformed", "the line has NUL bytes")
    if line.startswith(BYTE_ORDER_MARK):
        raise Invalid(
            "malformed",
            "the line begins with a byte order mark, as when files are joined; remove it",
        )
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise Invalid(
            "malformed", f"the line is not UTF-8 from byte {error.start + 1} on"
        ) from None


def shown(line: bytes) -> str:
    """Return a line for people to read and correct: complete, unless it was too long."""
    if len(line) > MAX_LINE:
        line = line[:1000] + b"..."
    return line.decode(errors="backslashreplace")
