"""FleetMeter's errors. Each text is for the person who has to act on it."""

from typing import Literal


class FleetMeterError(Exception):
    """Base class of all of FleetMeter's own errors."""


class SettingsError(FleetMeterError):
    """A setting cannot be used; the text names the environment variable."""


class MigrationError(FleetMeterError):
    """The database cannot be brought to this version's schema."""


class BackupError(FleetMeterError):
    """A backup cannot be made or restored."""


class EmbeddedServerError(FleetMeterError):
    """The embedded PostgreSQL did not start."""


class DatabaseUnavailableError(FleetMeterError):
    """The database cannot be reached, or was lost during the work. Nothing was acknowledged."""


class NotMigratedError(DatabaseUnavailableError):
    """The database lacks tables or routines of this version."""


class NotPermittedError(FleetMeterError):
    """The role of FLEETMETER_DATABASE_URL lacks a privilege."""


class BusyError(FleetMeterError):
    """Too many requests ask the database at the same time."""


class QueueFullError(FleetMeterError):
    """Too many readings wait to be committed; nothing of this request was stored."""


class CommitTimeoutError(FleetMeterError):
    """A request waited too long for its commit; `stored` says whether some may have been stored."""

    def __init__(self, message: str, *, maybe_stored: bool) -> None:
        super().__init__(message)
        self.maybe_stored = maybe_stored


class MalformedBodyError(FleetMeterError):
    """A request body does not match its content type."""


class BodyTooLargeError(FleetMeterError):
    """A body is too large, compressed or unpacked."""


class BatchTooLargeError(FleetMeterError):
    """A batch has too many items for one request."""


class UnknownDeviceError(FleetMeterError):
    """The device has neither reported nor been assigned, or has not reported since its removal."""

    def __init__(self, kind: str, device_id: str, *, removed: bool = False) -> None:
        never = "has not reported since it was removed" if removed else "has never reported"
        super().__init__(f"the {kind} {device_id} {never}")
        self.kind = kind


class OutOfReachError(FleetMeterError):
    """Somebody may not do this, since it concerns devices outside their reach."""


class SignInError(FleetMeterError):
    """Somebody could not be signed in at the issuer; the text says what to do.

    `reason` is what the page shows a text for: `expired` (begun elsewhere, or too long ago),
    `cancelled` (nobody signed in there) or `refused`.
    """

    def __init__(self, text: str, reason: Literal["expired", "cancelled", "refused"]) -> None:
        super().__init__(text)
        self.reason = reason


class UnknownSiteError(FleetMeterError):
    """No device belongs to the site."""
