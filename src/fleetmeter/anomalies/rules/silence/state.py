"""Remembers the silences of devices and sites."""

from datetime import datetime

import msgspec

from fleetmeter.anomalies.rules.shared.state import DeviceState, State


class DeviceSilence(State):
    """The silence of a device, and its habit of being silent between charges."""

    silent_since: datetime | None = None
    """Its last reading, when it has been silent for too long since."""

    was_charging: bool | None = None
    """True if a silent device was charging in its last reading; None: not known."""

    pauses: int = 0
    """Its last silences in a row that lay between two charges."""


class SiteSilences(State):
    """The times when most of a site was silent."""

    silences: list[tuple[datetime, datetime | None]] = msgspec.field(default_factory=list)


def hold(state: DeviceState, stored: DeviceState, started_at: datetime) -> None:
    """Carry on with a silence that began then."""
    silence, before = state.of(DeviceSilence), stored.get(DeviceSilence)
    if silence.silent_since is None:
        silence.silent_since = (before and before.silent_since) or started_at
