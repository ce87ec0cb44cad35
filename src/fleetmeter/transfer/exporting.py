"""Readings out: as CSV that PostgreSQL writes, or as Parquet that is made from it block by block.

History is read a page at a time and held nowhere. A page is read at the speed of the database and
sent at that of the client: a slow client keeps a connection, but no lock on a chunk.
"""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
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

PAGE = 50_000
"""Readings that are asked for at once: about 3 MB of CSV."""

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
        """Whole lines of CSV, of PAGE readings at most."""
        if self._database.exports.locked():
            raise ExportsBusyError("as many exports run as may at the same time")
        # a session, because what begin_export sets must not stay
        async with self._database.exports, self._database.session() as connection:
            await self._require_device(connection)
            await queries.begin_export(connection)
            devices = self._devices()
            parts = [
                (devices[row["source"]], row["starts"], row["ends"])
                async for row in queries.export_parts(
                    connection, start=self._selection.start, end=self._selection.end
                )
                if row["source"] in devices
            ]
            for (query, device_id), starts, ends in parts:
                lines = PAGE
                after: tuple[str, datetime] | tuple[None, None] = None, None
                while lines == PAGE:
                    page = io.BytesIO()
                    await connection.copy_from_query(
                        query,
                        *(starts, ends, device_id, *after, PAGE),
                        output=page,
                        format="csv",
                        timeout=LONG_S,
                    )
                    content = page.getvalue()
                    if lines := content.count(b"\n"):
                        self.readings += lines
                        after = _key_of_last(content)
                        yield content

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


def _key_of_last(page: bytes) -> tuple[str, datetime]:
    """Device and time of the last line; no value has a line break."""
    line = page[page.rfind(b"\n", 0, -1) + 1 :].decode()
    vehicle_id, meter_id, time, *_ = next(csv.reader([line]))
    return vehicle_id or meter_id, datetime.fromisoformat(time)


def _pieces(block: bytes) -> list[bytes]:
    return [block[at : at + BLOCK_BYTES] for at in range(0, len(block), BLOCK_BYTES)]
