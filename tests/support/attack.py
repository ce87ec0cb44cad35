"""Fires hostile requests at a service, and notes every answer that should not have been given."""

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPConnection
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from tests.support.hostile_requests import Forge, Hostile

HIDDEN = "HIDDEN"
"""In the labels of all devices outside; no request says it."""

SOURCES = ("whole", "in pieces", "rubbish")
"""How requests are sent."""

_OUTSIDE = re.compile(rb"OUTSIDE[-\w]*")
_WITHIN = re.compile(rb"IN-V1\\\\(x00|u0000)OUTSIDE-V1")
"""An id that others have sent, as it is shown: it begins as those within reach do."""
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_CONNECTIONS = 48
"""How many send at a time: several share a commit, which takes most of the time."""
_PATIENCE_S = 120
_ENOUGH = 1 << 20
"""How much of an answer is read."""
SAMPLES = 200
"""How many times an attack looks at the memory of the service."""


class Report(NamedTuple):
    """What came of an attack."""

    sent: Counter[str]
    """Requests by how they were sent, and by the scope of the route that they asked for."""

    statuses: Counter[tuple[str, int]]
    """Answers by how the request was sent, and by their status."""

    findings: list[str]
    rss: list[int]
    """Memory of the service at equal distances along the way, bytes."""


class _GaveUpError(Exception):
    """The connection has nothing more to say."""


def attack(base_url: str, forge: Forge, requests: int, pid: int, most_s: float) -> Report:
    """Send so many requests on several connections at a time; give up after `most_s` seconds."""
    return asyncio.run(_Attack(base_url, forge, requests, pid, most_s).run())


class _Attack:
    def __init__(self, base_url: str, forge: Forge, requests: int, pid: int, most_s: float) -> None:
        url = urlsplit(base_url)
        self._address = (url.hostname, url.port)
        self._forge = forge
        self._left = self._requests = requests
        self._until = time.monotonic() + most_s
        self._process = psutil.Process(pid)
        self.report = Report(Counter(), Counter(), [], [self._process.memory_info().rss])

    async def run(self) -> Report:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_CONNECTIONS):
                tasks.create_task(self._sessions())
        return self.report

    @property
    def _goes_on(self) -> bool:
        return self._left > 0 and time.monotonic() < self._until

    async def _sessions(self) -> None:
        while self._goes_on and len(self.report.findings) < 50:
            reader, writer = await asyncio.open_connection(*self._address, limit=_ENOUGH)
            try:
                await self._session(reader, writer)
            except (ConnectionError, _GaveUpError):
                pass
            finally:
                writer.transport.abort()  # in the middle of whatever it is

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for turn in range(20):
            if not self._goes_on:
                return
            if turn % 10 == 9:
                hostile = self._forge.rubbish()
                self._count("rubbish", hostile)
                writer.write(hostile.sent)
                received = b""
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.15):
                        while piece := await reader.read(65536):
                            received = (received + piece)[-_ENOUGH:]
                for status in _STATUS.findall(received):
                    self._judge("rubbish", hostile, int(status), b"")
                return
            hostile = self._forge.request()
            source = "in pieces" if turn % 7 == 6 else "whole"
            self._count(source, hostile)
            if source == "in pieces":
                half = len(hostile.sent) // 2
                writer.write(hostile.sent[:half])
                await writer.drain()
                await asyncio.sleep(0.02)
                writer.write(hostile.sent[half:])
            else:
                writer.write(hostile.sent)
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await self._answer(source, hostile, reader)
            except TimeoutError:
                self.report.findings.append(f"no answer in two minutes: {hostile.sent[:600]!r}")
                return

    def _count(self, source: str, hostile: Hostile) -> None:
        self.report.sent[source] += 1
        self.report.sent[hostile.scope] += bool(hostile.scope)
        self._left -= 1
        if self._left % max(1, self._requests // SAMPLES) == 0:
            self.report.rss.append(self._process.memory_info().rss)

    async def _answer(self, source: str, hostile: Hostile, reader: asyncio.StreamReader) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                self.report.findings.append(f"half a head: {error.partial!r}")
            raise _GaveUpError from None
        status = int(head.split(b" ", 2)[1])
        lower = head.lower()
        length = re.search(rb"\r\ncontent-length: (\d+)", lower)
        body = b""
        try:
            if status in (204, 304) or hostile.sent.startswith(b"HEAD "):
                pass
            elif length:
                body = await reader.readexactly(int(length[1]))
            elif b"chunked" in lower:
                async with asyncio.timeout(0.2 if hostile.is_stream else _PATIENCE_S):
                    while size := int(await reader.readuntil(b"\r\n"), 16):
                        body += (await reader.readexactly(size + 2))[:-2]
                    await reader.readexactly(2)
        except TimeoutError:  # a stream does not end
            self._judge(source, hostile, status, head + body)
            raise _GaveUpError from None
        except asyncio.IncompleteReadError:
            self._judge(source, hostile, status, head + body)
            raise _GaveUpError from None
        self._judge(source, hostile, status, head + body)
        if b"connection: close" in lower or hostile.is_stream:
            raise _GaveUpError

    def _judge(self, source: str, hostile: Hostile, status: int, received: bytes) -> None:
        self.report.statuses[source, status] += 1
        wrong = []
        if status >= 500 and status not in (501, 503):
            wrong.append("a failure")
        if status < 400 and not hostile.may_succeed:
            wrong.append("succeeded")
        if hostile.statuses and status not in hostile.statuses | {400, 413, 414, 415, 431, 503}:
            wrong.append(f"instead of {sorted(hostile.statuses)}")
        if hostile.limited:
            received = _WITHIN.sub(b"", received)
            named = {each for each in _OUTSIDE.findall(received) if each not in hostile.says}
            if HIDDEN.encode() in received:
                named.add(HIDDEN.encode())
            if named:
                shown = [
                    received[max(0, m.start() - 300) : m.end() + 100]
                    for m in _OUTSIDE.finditer(received)
                ]
                wrong.append(f"names {named}: {shown[:3]}")
        if wrong:
            self.report.findings.append(
                f"{status} {', '.join(wrong)}: {hostile.sent[:600]!r} -> {received[-700:]!r}"
            )


class Latency(NamedTuple):
    """How long an answer took, seconds."""

    raw: float
    """As a client sees it."""

    own: float
    """Without the time for which the event loop of the service, or the process that asks, was ready
    to run while others had all cores: what the service itself keeps a client waiting."""


class Probe:
    """Asks a service whether it lives, from a process of its own, all the while."""

    def __init__(self, base_url: str, pid: int) -> None:
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_probe, args=(base_url, pid, theirs), daemon=True)

    def __enter__(self) -> "Probe":
        self._process.start()
        self._ours.recv()  # it has begun
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def latencies(self) -> list[Latency]:
        """How long each answer took; ends it."""
        self._ours.send(None)
        return [Latency(*each) for each in self._ours.recv()]


def _probe(base_url: str, pid: int, told: Connection) -> None:
    url = urlsplit(base_url)
    connection = HTTPConnection(str(url.hostname), url.port, timeout=60)
    took: list[tuple[float, float]] = []
    told.send(None)
    while not took or not told.poll(0.01):
        waited_s = _waited_for_a_core_s(pid) + _waited_for_a_core_s(os.getpid())
        began = time.perf_counter()
        connection.request("GET", "/health/live")
        answer = connection.getresponse()
        answer.read()
        took_s = time.perf_counter() - began
        waited_s = _waited_for_a_core_s(pid) + _waited_for_a_core_s(os.getpid()) - waited_s
        took.append((took_s, took_s - waited_s))
        assert answer.status == 200, answer.status
    told.send(took)


def _waited_for_a_core_s(pid: int) -> float:
    """For how long the main thread of a process was ready to run and had no core, seconds.

    Linux counts that in nanoseconds, in the second field; elsewhere nobody knows.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[1]) / 1e9
    except FileNotFoundError:
        return 0.0


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that a share of the ordered ones do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
