"""Corrects stored readings with the values of a file, for `fleetmeter import --correct`."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.database.pool import Database
from fleetmeter.devices.correction_batch import correct_each
from fleetmeter.devices.corrections import Correction
from fleetmeter.intake.door import Door, IngestOutcome
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.stored import attribute
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid


class Store(Protocol):
    """Stores the readings of a file."""

    async def store(self, items: Sequence[Telemetry | Invalid]) -> IngestOutcome:
        """Store a block; return the outcome once it is committed."""
        ...


class Corrections(NamedTuple):
    """The author of corrections, and the reason."""

    who: str
    reason: str


class CorrectedOutcome(IngestOutcome):
    """The outcome of a block whose rows may have replaced stored readings."""

    corrected: int = 0


class CorrectingStore:
    """Stores readings through the door, and corrects those stored with other values."""

    def __init__(self, door: Door, database: Database, corrections: Corrections) -> None:
        self._door = door
        self._database = database
        self._corrections = corrections

    async def store(self, items: Sequence[Telemetry | Invalid]) -> CorrectedOutcome:
        """Store the items, then correct what is in conflict, in the order of the file."""
        stored = await self._door.store(items)
        wanted = {
            rejection.index: self._correction(item)
            for rejection in stored.rejected
            if rejection.code == "conflict"
            and isinstance(item := items[rejection.index], Telemetry)
        }
        corrected, rejected = await correct_each(self._database, wanted, EVERYTHING)
        rejected += (rejection for rejection in stored.rejected if rejection.index not in wanted)
        changed = sum(done.changed for done in corrected.values())
        return CorrectedOutcome(
            stored.accepted,
            stored.duplicates + len(corrected) - changed,
            sorted(rejected, key=lambda rejection: rejection.index),
            stored.warnings,
            corrected=changed,
        )

    def _correction(self, item: Telemetry) -> Correction:
        """Return the correction that a row asks for; absent values stay."""
        given = {k: v for k, v in msgspec.structs.asdict(item).items() if v is not None}
        kind = next(kind for kind in KINDS if attribute(kind.id_field) in given)
        device_id, time = given.pop(attribute(kind.id_field)), given.pop("timestamp")
        return Correction(kind, device_id, time, given, *self._corrections)
