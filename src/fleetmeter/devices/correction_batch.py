"""Correcting several stored readings, one after the other."""

from collections.abc import Mapping
from math import inf
from time import monotonic
from typing import NamedTuple

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.devices.corrections import Corrected, Correction, CorrectionError, correct
from fleetmeter.errors import BusyError, OutOfReachError
from fleetmeter.readings.model import Rejection
from fleetmeter.readings.validate import Invalid, invalid_item


class CorrectedBatch(NamedTuple):
    """The results of several corrections, by their positions, and why others were not made."""

    corrected: dict[int, Corrected]
    rejected: list[Rejection]


async def correct_each(
    database: Database,
    corrections: Mapping[int, Correction | Invalid],
    reach: Reach,
    most_s: float = inf,
) -> CorrectedBatch:
    """Make corrections one after the other, by their positions; what fails stops no other.

    An Invalid stands for a correction that could not be read; it is rejected in its place. Raises
    BusyError after `most_s` seconds: corrections that were made stay, and all can be sent again.
    """
    batch = CorrectedBatch({}, [])
    until = monotonic() + most_s
    for position, correction in corrections.items():
        if monotonic() > until:
            raise BusyError(
                f"only {len(batch.corrected):,} of {len(corrections):,} corrections were made "
                f"within {most_s:g} s; send fewer at once"
            )
        try:
            if isinstance(correction, Invalid):
                raise correction
            batch.corrected[position] = await correct(database, correction, reach)
        except Invalid as invalid:
            batch.rejected.append(invalid_item(position, invalid))
        except CorrectionError as error:
            batch.rejected.append(Rejection(position, error.code, str(error)))
        except OutOfReachError as error:
            batch.rejected.append(Rejection(position, "forbidden_device", str(error)))
    return batch
