"""Sends readings to FleetMeter from a gateway that may lose its power or its connection.

    with Client("https://fleetmeter.example.com", "/var/lib/gateway/spool", key="…") as client:
        client.put({"meterId": "M-1", "kwhConsumedAcTotal": 1204.5, "timestamp": datetime.now(UTC)})

`put` returns once the readings are on the disk. A thread sends them, the oldest first, until the
service has said what became of each; it stores each once, however often it is sent. What will not
be stored is reported. This file needs the standard library alone: copy it.
"""

import fcntl
import gzip
import json
import logging
import os
import random
import ssl
import threading
import time
from binascii import crc32
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_TIMEOUT_S = 30.0
_PAUSES_S = 1.0, 60.0  # first and longest, before a batch is sent again
_LONGEST_RETRY_AFTER_S = 3600.0
_LONGEST_ANSWER = 16 * 1024 * 1024

_log = logging.getLogger("fleetmeter.client")


class Lost(NamedTuple):
    """A reading that will not be stored, and why; the code is the service's, or this client's."""

    reading: Any
    code: str
    detail: str


class Client:
    """Keeps readings on the disk until the service has answered for them. For any thread."""

    def __init__(
        self,
        url: str,
        spool: str | Path,
        *,
        key: str | None = None,
        max_bytes: int = 64 * 1024 * 1024,
        batch_bytes: int = 256 * 1024,
        max_age_s: float = 5.0,
        on_lost: Callable[[Sequence[Lost]], None] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Begin to send what is in the spool, a folder of this client's own.

        Beyond `max_bytes`, the oldest batch of the spool is dropped. A batch is sent once it has
        `batch_bytes`, or is `max_age_s` old. `on_lost` is called in the thread that sends or puts;
        by default, a summary is logged. Raises ValueError, and OSError for an unusable folder.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is not the URL of a service; write it like https://host:3000")
        if not 0 < batch_bytes <= max_bytes // 4:
            raise ValueError("batch_bytes must be at most a quarter of max_bytes")
        host, port = parts.hostname, parts.port
        self._connection = HTTPConnection(host, port, timeout=_TIMEOUT_S)
        if parts.scheme == "https":
            self._connection = HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=tls)
        self._path = f"{parts.path.rstrip('/')}/v1/ingest"
        self._headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        if key := (key or "").strip():  # without the line break of its file
            if not (key.isascii() and key.isprintable()):
                raise ValueError("the key has characters that no key has")
            self._headers["Authorization"] = f"Bearer {key}"
        self._max_age_s, self._on_lost, self._why = max_age_s, on_lost or _log_lost, ""
        self._spool = _Spool(Path(spool), max_bytes, batch_bytes)
        self._changed = threading.Condition()  # held wherever the spool is used
        self._stop, self._hurries = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="fleetmeter-client", daemon=True)
        self._thread.start()

    def put(self, *readings: Mapping[str, object]) -> None:
        """Write readings, in the fields of the API, to the disk; they are safe once this returns.

        Raises OSError if the disk does not take them, and TypeError or ValueError if they are not
        JSON, or too many; none of them is kept then.
        """
        lines = b"".join(map(_line, readings))
        with self._changed:
            if self._stop.is_set():
                raise ValueError("the client is closed")
            self._spool.append(lines)
            dropped = self._spool.shrink()
            self._changed.notify_all()
        if dropped:
            self._on_lost(dropped)

    def flush(self, timeout_s: float) -> bool:
        """Send what there is without waiting for more; return whether all of it was answered."""
        with self._changed:
            self._hurries = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stop.is_set() or not self._spool.sizes, timeout_s)
            self._hurries = False
            return not self._spool.sizes

    def close(self, timeout_s: float = 10.0) -> None:
        """Flush, and end, once; what could not be sent is sent after the next start."""
        self.flush(timeout_s)
        with self._changed:
            self._stop.set()
            self._changed.notify_all()
        self._thread.join()
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            try:
                lines, lost = _read(batch)
                if lost := lost + (self._deliver(lines) if lines else []):
                    self._on_lost(lost)
                with self._changed:
                    self._spool.remove(batch)
                    self._changed.notify_all()
            except InterruptedError:
                break
            except Exception:  # of the disk, or of on_lost: it is tried again
                _log.exception("cannot send %s yet", batch)
                self._stop.wait(_PAUSES_S[1])
        os.close(self._spool.lock)

    def _next(self) -> Path | None:
        """Wait for a batch that is due; None when the client is closed."""
        with self._changed:
            while not self._stop.is_set():
                batch, wait_s = self._spool.oldest(0.0 if self._hurries else self._max_age_s)
                if batch is not None:
                    return batch
                self._connection.close()  # which the service would do before there is more to send
                self._changed.wait(wait_s)
            return None

    def _deliver(self, lines: Sequence[bytes]) -> list[Lost]:
        """Send lines until each has an outcome; return those that are not stored."""
        pause_s = _PAUSES_S[0]
        while True:
            wait_s = random.uniform(pause_s / 2, pause_s)  # noqa: S311 - not all at the same time
            try:
                status, answer, retry_after_s = self._post(lines)
            except (OSError, HTTPException) as error:
                self._connection.close()
                self._say(f"no answer: {error!r}")
            else:
                if (rejected := _rejected(answer, len(lines))) is not None:
                    self._say("")
                    return [Lost(json.loads(lines[at]), *why) for at, why in rejected.items()]
                if status in (400, 413) and len(lines) > 1:  # too much, or one cannot be read
                    half = len(lines) // 2
                    return self._deliver(lines[:half]) + self._deliver(lines[half:])
                why = f"{status} {answer.get('detail', 'without an answer of FleetMeter')}"
                if status in (400, 413) and str(answer.get("type")).startswith("urn:fleetmeter:"):
                    return [Lost(json.loads(lines[0]), "refused", why)]
                self._say(why)
                wait_s = max(wait_s, retry_after_s)
            if self._stop.wait(wait_s):
                raise InterruptedError
            pause_s = min(pause_s * 2, _PAUSES_S[1])

    def _post(self, lines: Sequence[bytes]) -> tuple[int, dict[str, Any], float]:
        """Send a request; return its status, the object of its answer, and Retry-After."""
        body = gzip.compress(b"\n".join(lines))
        self._connection.request("POST", self._path, body, self._headers)
        response = self._connection.getresponse()
        content, retry_after = response.read(_LONGEST_ANSWER), response.getheader("Retry-After", "")
        wait_s = min(float(retry_after), _LONGEST_RETRY_AFTER_S) if retry_after.isdecimal() else 0.0
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        return response.status, answer if isinstance(answer, dict) else {}, wait_s

    def _say(self, why: str) -> None:
        """Log why readings are not sent yet, once; an empty text when they are."""
        if why != self._why:
            _log.warning("not sent yet: %s" if why else "sent again%s", why)
            self._why = why


class _Spool:
    """Keeps lines in files, a batch each: the newest may grow, the oldest is sent."""

    def __init__(self, folder: Path, max_bytes: int, batch_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._max_bytes, self._batch_bytes = folder, max_bytes, batch_bytes
        self.lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self.lock)
            raise OSError(error.errno, "another client uses this spool", str(folder)) from None
        self.sizes = {path: path.stat().st_size for path in sorted(folder.glob("*.batch"))}
        self._number = max((int(path.stem) for path in self.sizes), default=0)
        self._sent: Path | None = None
        self._growing: Path | None = None

    def append(self, lines: bytes) -> None:
        """Write lines so that they outlast a loss of power: all, or none."""
        if len(lines) > self._max_bytes // 4:
            raise ValueError("so many readings need more than a quarter of the spool")
        if (path := self._growing) is None:
            self._number += 1
            path = self._folder / f"{self._number:012}.batch"
            path.touch(exist_ok=False)
            os.fsync(self.lock)  # the folder: else a loss of power could take the new file
            self._growing, self._since_s, self.sizes[path] = path, time.monotonic(), 0
        try:
            with path.open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            self._growing = None  # unless this undoes it
            os.truncate(path, self.sizes[path])
            self._growing = path
            raise
        self.sizes[path] += len(lines)
        if self.sizes[path] >= self._batch_bytes:
            self._growing = None

    def shrink(self) -> list[Lost]:
        """Drop the oldest batches while there are too many bytes; return their readings."""
        dropped = []
        for batch in [each for each in self.sizes if each not in (self._sent, self._growing)]:
            if sum(self.sizes.values()) <= self._max_bytes:
                break
            lines, damaged = _read(batch)
            why = f"the spool has {self._max_bytes:,} bytes"
            dropped += damaged + [Lost(json.loads(line), "spool_full", why) for line in lines]
            self.remove(batch)
        return dropped

    def oldest(self, max_age_s: float) -> tuple[Path | None, float | None]:
        """Return the batch to send, which grows no more; otherwise, how long to wait for one."""
        oldest = next(iter(self.sizes), None)
        if oldest is not None and oldest == self._growing:
            wait_s = self._since_s + max_age_s - time.monotonic()
            if wait_s > 0:
                return None, wait_s
            self._growing = None
        self._sent = oldest
        return oldest, None

    def remove(self, batch: Path) -> None:
        batch.unlink()
        del self.sizes[batch]


def _line(reading: Mapping[str, object]) -> bytes:
    """Return a line of a batch: a checksum, and a reading as JSON."""
    text = json.dumps(dict(reading), allow_nan=False, default=datetime.isoformat).encode()
    return b"%08x %s\n" % (crc32(text), text)


def _read(batch: Path) -> tuple[list[bytes], list[Lost]]:
    """Return the readings of a batch as JSON, and lines that are not as they were written."""
    lines, damaged = [], []
    for line in filter(None, batch.read_bytes().split(b"\n")):
        if line[:9] == b"%08x " % crc32(line[9:]):
            lines.append(line[9:])
        else:
            damaged.append(Lost(line, "damaged", "its checksum is wrong"))
    return lines, damaged


def _rejected(answer: dict[str, Any], count: int) -> dict[int, tuple[str, str]] | None:
    """Return code and detail of rejected items by index; None if not each has an outcome."""
    try:
        rejected = {each["index"]: (each["code"], each["detail"]) for each in answer["rejected"]}
        for more in answer.get("moreRejected", ()):
            for first, last in more["ranges"]:
                rejected |= dict.fromkeys(range(first, last + 1), (more["code"], "like others"))
        answered = answer["accepted"] + answer["duplicates"] + len(rejected)
    except (KeyError, TypeError, ValueError):
        return None
    return rejected if answered == count and rejected.keys() <= set(range(count)) else None


def _log_lost(lost: Sequence[Lost]) -> None:
    _log.error("lost %d readings, such as %r", len(lost), lost[0])
