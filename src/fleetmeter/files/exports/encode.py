"""Encodes history as CSV, which PostgreSQL writes, or as Parquet made from it block by block.

History is read a page at a time and never held as a whole. A page is read at the speed of the
database and sent at that of the client: a slow client keeps a connection, but no lock on a chunk.
"""

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Literal

import msgspec

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import LONG_S, Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.devices.reach import require_within
from fleetmeter.devices.state import require_device
from fleetmeter.errors import FleetMeterError, UnknownDeviceError
from fleetmeter.files.column_names import EXPORTED
from fleetmeter.files.exports.parquet import ParquetMaker, require_parquet
from fleetmeter.readings.kinds import KindName
from fleetmeter.readings.model import MICROSECOND

ExportFormat = Literal["csv", "parquet"]

BLOCK_BYTES = 256 * 1024
"""Approximate size of a block."""

PAGE = 50_000
"""Readings per query: about 3 MB of CSV."""

_HEADER = ",".join(EXPORTED).encode() + b"\n"

_NEWEST_DEVICE = (1 << 31) - 1
"""A number above that of any device."""


_Key = tuple[int, datetime]
"""Device and time: history's primary key."""


class ExportsBusyError(FleetMeterError):
    """The maximum number of exports is running."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The readings to export: start ≤ t < end, of all devices, one vehicle or one meter."""

    start: datetime
    end: datetime
    reach: Reach
    """All devices are those within it; meters outside it are not named."""

    vehicle_id: str | None = None
    meter_id: str | None = None

    @property
    def device(self) -> tuple[KindName, str] | None:
        """Return the only device, by kind and id; None for all."""
        if self.vehicle_id is not None:
            return "vehicle", self.vehicle_id
        return None if self.meter_id is None else ("meter", self.meter_id)


class Export:
    """One export. Iterate over its blocks once; close the generator to stop early."""

    def __init__(self, database: Database, selection: Selection, format_: ExportFormat) -> None:
        self.readings = 0
        """Number of readings read so far."""
        self._database = database
        self._selection = selection
        self._format = format_

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Yield the file in blocks of about BLOCK_BYTES.

        Readings come in the parts of export_parts; within a part, device by device in the order
        in which they became known, each sorted by time. Raises ExportsBusyError,
        UnknownDeviceError and ParquetMissingError before the first block, and at any time
        DatabaseUnavailableError.
        """
        if self._format == "csv":
            async with aclosing(self._pages()) as pages:
                for block in _pieces(_HEADER + await anext(pages, b"")):
                    yield block
                async for page in pages:
                    for block in _pieces(page):
                        yield block
        else:
            await asyncio.to_thread(require_parquet)
            maker = ParquetMaker()
            async with aclosing(self._pages()) as pages:
                async for page in pages:
                    for block in _pieces(await asyncio.to_thread(maker.feed, page)):
                        yield block
            for block in _pieces(await asyncio.to_thread(maker.finish)):
                yield block

    async def _pages(self) -> AsyncGenerator[bytes, None]:
        """Yield whole lines of CSV, about PAGE readings at a time."""
        if self._database.exports.locked():
            raise ExportsBusyError("the maximum number of exports is already running")
        # a session, because what begin_export sets must not stay
        async with self._database.exports, self._database.session() as connection:
            first, last = await self._devices(connection)
            await queries.begin_export(connection)
            parts = [
                (row["starts"], row["ends"])
                async for row in queries.export_parts(
                    connection, start=self._selection.start, end=self._selection.end
                )
            ]
            for start, end in parts:
                after: _Key | None = (first, start - MICROSECOND)
                while after is not None:
                    page, after = await self._page(connection, start, end, after, last)
                    if page:
                        self.readings += page.count(b"\n")
                        yield page

    async def _page(
        self, connection: Connection, start: datetime, end: datetime, after: _Key, last: int
    ) -> tuple[bytes, _Key | None]:
        """Return the page after a key of a part, and its last key, None for the last page."""
        end_of_page = await connection.fetchrow(
            queries.export_page_end.sql,
            *(start, end, after[0], last, after[1], PAGE),
            timeout=LONG_S,
        )
        key = (end_of_page["device"], end_of_page["time"]) if end_of_page else None
        until = key or (last, end)
        page = io.BytesIO()
        await connection.copy_from_query(
            queries.export_page.sql,
            *self._selection.reach.parameters().values(),
            *(start, end, after[0], until[0], after[1], until[1]),
            output=page,
            format="csv",
            timeout=LONG_S,
        )
        return page.getvalue(), key

    async def _devices(self, connection: Connection) -> tuple[int, int]:
        """Return the lowest and highest number of the devices to export."""
        reach = self._selection.reach
        if (device := self._selection.device) is None:
            if reach.whole:
                return 0, _NEWEST_DEVICE
            numbers = await queries.devices_to_export(connection, **reach.parameters())
            return numbers["first"] or 0, numbers["last"] or 0
        kind, device_id = device
        await require_within(connection, kind, device_id, reach)
        await require_device(connection, kind, device_id)
        number: int | None = await queries.device_number(connection, kind=kind, device_id=device_id)
        if number is None:  # forgotten meanwhile
            raise UnknownDeviceError(kind, device_id)
        return number, number


def _pieces(block: bytes) -> list[bytes]:
    return [block[at : at + BLOCK_BYTES] for at in range(0, len(block), BLOCK_BYTES)]
