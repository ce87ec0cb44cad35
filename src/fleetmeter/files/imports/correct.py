"""Corrects stored readings with the values of a file, for `fleetmeter import --correct`."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from fleetmeter.database.pool import Database
from fleetmeter.devices.corrections import Correction, CorrectionError, correct
from fleetmeter.intake.door import Door, IngestOutcome
from fleetmeter.intake.outcomes import invalid_item
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.model import Rejection
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
        outcome = CorrectedOutcome(stored.accepted, stored.duplicates, [], stored.warnings)
        for rejection in stored.rejected:
            item = items[rejection.index]
            if rejection.code == "conflict" and isinstance(item, Telemetry):
                await self._correct(outcome, rejection.index, item)
            else:
                outcome.rejected.append(rejection)
        return outcome

    async def _correct(self, outcome: CorrectedOutcome, index: int, item: Telemetry) -> None:
        """Correct one stored reading and count it. Absent values stay."""
        given = {k: v for k, v in msgspec.structs.asdict(item).items() if v is not None}
        kind = next(kind for kind in KINDS if attribute(kind.id_field) in given)
        device_id, time = given.pop(attribute(kind.id_field)), given.pop("timestamp")
        try:
            done = await correct(
                self._database, Correction(kind, device_id, time, given, *self._corrections)
            )
        except Invalid as invalid:
            outcome.rejected.append(invalid_item(index, invalid))
        except CorrectionError as error:
            outcome.rejected.append(Rejection(index, error.code, str(error)))
        else:
            outcome.corrected += done.changed
            outcome.duplicates += not done.changed
