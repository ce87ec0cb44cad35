"""Readings out: as CSV that PostgreSQL writes, or as Parquet that is made from it block by block.

History goes through in one direction and is held nowhere: whoever takes the blocks slowly slows the
database down, and whoever stops taking them (closes the generator) cancels the statement.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Literal

import msgspec

from fleetmeter.database.pool import LONG_S, Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.transfer.parquet import ParquetMaker, require_parquet

Format = Literal["csv", "parquet"]

COLUMNS = (
    "vehicleId",
    "meterId",
    "timestamp",
    "kwhDeliveredDc",
    "kwhDeliveredDcTotal",
    "soc",
    "batteryTemp",
    "kwhConsumedAc",
    "kwhConsumedAcTotal",
    "voltage",
    "assignedMeterId",
    "derivedKwh",
    "reset",
)
"""As in the JSON API, what was sent; the last three are derived, and an import ignores them."""

BLOCK_BYTES = 256 * 1024
"""What is handed out at once, about."""

_PARQUET_LINES_BYTES = 4 * 1024 * 1024
"""Of CSV, made to columns at once."""

_HEADER = ",".join(COLUMNS).encode() + b"\n"


class ExportsBusyError(FleetMeterError):
    """As many exports run as may."""


class UnknownDeviceError(FleetMeterError):
    """The device has neither reported nor been assigned."""

    def __init__(self, kind: Literal["vehicle", "meter"], device_id: str) -> None:
        super().__init__(f"the {kind} {device_id} has never reported")
        self.kind = kind
        self.device_id = device_id


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which readings: start ≤ t < end, of all devices, of one vehicle or of one meter."""

    start: datetime
    end: datetime
    vehicle_id: str | None = None
    meter_id: str | None = None


class Export:
    """One export. Take its blocks once; close their generator to stop before the end."""

    def __init__(self, database: Database, selection: Selection, format_: Format) -> None:
        self.readings = 0
        """How many the database has given so far."""
        self._database = database
        self._selection = selection
        self._format = format_

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The file, in blocks of about BLOCK_BYTES.

        In parts, as export_parts has them, and within a part by device and time. Before the first
        block, raises ExportsBusyError, UnknownDeviceError, ParquetMissingError; at any time,
        DatabaseUnavailableError.
        """
        if self._format == "csv":
            async with aclosing(self._lines(BLOCK_BYTES)) as lines:
                yield _HEADER + await anext(lines, b"")
                async for block in lines:
                    yield block
        else:
            await asyncio.to_thread(require_parquet)
            maker = ParquetMaker()
            async with aclosing(self._lines(_PARQUET_LINES_BYTES)) as lines:
                async for block in lines:
                    for piece in _pieces(await asyncio.to_thread(maker.feed, block)):
                        yield piece
            for piece in _pieces(await asyncio.to_thread(maker.finish)):
                yield piece

    async def _lines(self, size: int) -> AsyncGenerator[bytes, None]:
        """Blocks of whole lines of CSV, of about `size` bytes; one waits to be taken at most."""
        blocks: asyncio.Queue[bytes | None] = asyncio.Queue()
        room = asyncio.Semaphore(1)

        async def put(block: bytes) -> None:
            await room.acquire()
            blocks.put_nowait(block)

        copying = asyncio.create_task(self._copy(_Lines(put, size)))
        copying.add_done_callback(lambda _: blocks.put_nowait(None))
        try:
            while (block := await blocks.get()) is not None:
                room.release()
                self.readings += block.count(b"\n")
                yield block
            await copying
        finally:
            copying.cancel()
            await asyncio.wait([copying])
            if not copying.cancelled():
                copying.exception()  # known, or of no interest any more

    async def _copy(self, lines: "_Lines") -> None:
        """Let the database write every part into `lines`."""
        if self._database.exports.locked():
            raise ExportsBusyError("as many exports run as may at the same time")
        # a session, because what begin_export sets must not stay
        async with self._database.exports, self._database.session() as connection:
            await self._require_device(connection)
            await queries.begin_export(connection)
            devices = self._devices()
            parts = [
                (row["source"], row["starts"], row["ends"])
                async for row in queries.export_parts(
                    connection, start=self._selection.start, end=self._selection.end
                )
            ]
            for source, starts, ends in parts:
                if source in devices:
                    query, device_id = devices[source]
                    await connection.copy_from_query(
                        query,
                        *(starts, ends, device_id),
                        output=lines.write,
                        format="csv",
                        timeout=LONG_S,
                    )
            await lines.flush()

    def _devices(self) -> dict[str, tuple[str, str | None]]:
        """By table: the query, and the device that it is about."""
        vehicle_id, meter_id = self._selection.vehicle_id, self._selection.meter_id
        devices: dict[str, tuple[str, str | None]] = {}
        if meter_id is None:
            devices["vehicle_readings"] = (queries.export_vehicles.sql, vehicle_id)
        if vehicle_id is None:
            devices["meter_readings"] = (queries.export_meters.sql, meter_id)
        return devices

    async def _require_device(self, connection: Connection) -> None:
        vehicle_id, meter_id = self._selection.vehicle_id, self._selection.meter_id
        if vehicle_id is not None and not await queries.vehicle_known(
            connection, vehicle_id=vehicle_id
        ):
            raise UnknownDeviceError("vehicle", vehicle_id)
        if meter_id is not None and not await queries.meter_known(connection, meter_id=meter_id):
            raise UnknownDeviceError("meter", meter_id)


class _Lines:
    """Gathers what the database sends, which is whole lines, to blocks of a size."""

    def __init__(self, put: Callable[[bytes], Awaitable[None]], size: int) -> None:
        self._put = put
        self._size = size
        self._gathered: list[bytes] = []
        self._bytes = 0

    async def write(self, lines: bytes) -> None:
        self._gathered.append(lines)
        self._bytes += len(lines)
        if self._bytes >= self._size:
            await self.flush()

    async def flush(self) -> None:
        if self._gathered:
            block = b"".join(self._gathered)
            self._gathered.clear()
            self._bytes = 0
            await self._put(block)


def _pieces(block: bytes) -> list[bytes]:
    return [block[at : at + BLOCK_BYTES] for at in range(0, len(block), BLOCK_BYTES)]
