"""Words the outcomes of readings that were not taken, for the caller."""

from fleetmeter.intake.rows import CONFLICT
from fleetmeter.readings.kinds import KINDS, DeviceKind, Measurement
from fleetmeter.readings.model import Rejection, microseconds, rfc3339, time_of
from fleetmeter.readings.telemetry import Telemetry, attribute
from fleetmeter.readings.validate import Bounds, Invalid, checked, invalid_item, unusable


def rejection_of(item: int, reading: Telemetry, bounds: Bounds) -> Rejection:
    """Return what is wrong with an item that is not a reading."""
    try:
        checked(reading, bounds)
    except Invalid as invalid:
        return invalid_item(item, invalid)
    raise AssertionError("a reading was refused for no reason")


def dropped_field(item: int, reading: Telemetry, measurement: Measurement) -> Rejection:
    """Return the warning that a reading was taken without one of its measurements."""
    invalid = unusable(measurement, getattr(reading, attribute(measurement.field)))
    assert invalid is not None  # noqa: S101 - it was found to be so
    return Rejection(item, "dropped_field", invalid.detail, invalid.path)


def conflict_of(item: int, reading: Telemetry, status: int) -> Rejection:
    """Return why the database did not take a reading: it is in CONFLICT, or of MIXED energies."""
    kind = next(kind for kind in KINDS if getattr(reading, attribute(kind.id_field)) is not None)
    device_id = getattr(reading, attribute(kind.id_field))
    if status == CONFLICT:
        assert reading.timestamp is not None  # noqa: S101 - it was checked
        time = rfc3339(time_of(microseconds(reading.timestamp)))
        detail = (
            f"{device_id} has a reading of {time} with other values, which stays, or stays voided; "
            "to replace it, send a correction (POST /v1/corrections)"
        )
        return Rejection(item, "conflict", detail)
    return Rejection(item, "mixed_energy", _mixed(kind, reading).format(device_id))


def _mixed(kind: DeviceKind, reading: Telemetry) -> str:
    energy = kind.energy
    if getattr(reading, attribute(energy.field)) is not None:
        return _OTHER.format("a register", energy.register_field)
    return _OTHER.format("interval energy", energy.field)


_OTHER = (
    "{{}} sends {} at that time, so send {}; only a reading newer than all others of the device "
    "may change that"
)
