"""Compressed bodies: whole, in pieces, cut off, and bombs."""

import gzip
import sys
from collections.abc import Callable

import pytest

from fleetmeter.errors import BodyTooLargeError, MalformedBodyError
from fleetmeter.readings.compression import unpacker

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
TEXT = b"".join(b"reading %d; " % n for n in range(100_000))


def unpacked(body: bytes, encoding: str, size: int = 65536, limit: int = 1 << 24) -> bytes:
    unpack = unpacker(encoding, limit)
    assert unpack is not None
    pieces = [
        piece
        for start in range(0, len(body) + size, size)  # the last chunk is empty
        for piece in unpack.feed(body[start : start + size])
    ]
    unpack.finish()
    assert all(len(piece) <= 256 * 1024 for piece in pieces) or encoding not in PACK
    return b"".join(pieces)


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_a_body_unpacks_whatever_the_chunks(encoding: str, size: int) -> None:
    text = TEXT[:20_000] if size == 1 else TEXT
    assert unpacked(PACK[encoding](text), encoding, size) == text
    assert unpacked(PACK[encoding](text) * 2, encoding.upper(), size) == text * 2


@pytest.mark.parametrize("encoding", PACK)
def test_a_bomb_is_refused_when_it_passes_the_limit(encoding: str) -> None:
    bomb = PACK[encoding](bytes(1 << 26))
    with pytest.raises(BodyTooLargeError):
        unpacked(bomb, encoding)


@pytest.mark.parametrize("encoding", PACK)
def test_a_body_that_is_cut_off_is_malformed(encoding: str) -> None:
    packed = PACK[encoding](TEXT)
    for cut in (3, len(packed) // 2, len(packed) - 1):
        with pytest.raises(MalformedBodyError):
            unpacked(packed[:cut], encoding)


@pytest.mark.parametrize("encoding", PACK)
def test_a_body_that_is_not_packed_is_malformed(encoding: str) -> None:
    with pytest.raises(MalformedBodyError):
        unpacked(TEXT, encoding)
    with pytest.raises(MalformedBodyError):
        unpacked(PACK[encoding](TEXT) + b"trailing garbage that is long enough", encoding)


def test_no_encoding_changes_nothing_and_an_unknown_one_is_none() -> None:
    assert unpacked(TEXT, "", len(TEXT)) == TEXT
    assert unpacked(TEXT, "Identity", len(TEXT)) == TEXT
    assert unpacker("br", 10) is None


@pytest.mark.parametrize("encoding", PACK)
def test_a_body_of_many_empty_frames_is_refused(encoding: str) -> None:
    with pytest.raises(BodyTooLargeError):
        unpacked(PACK[encoding](b"") * 20_000, encoding, limit=1 << 20)
