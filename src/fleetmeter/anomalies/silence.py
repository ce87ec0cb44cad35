"""Devices that do not report any more, and sites of which none does.

A device is silent when its last reading is many reporting intervals old at the end of an hour. When
most of a site is silent together that is one anomaly, of the site; its devices' own are not raised
while that lasts, nor while it looks like coming (for most of the site, half of the time has passed
or the whole hour is without a reading). What is still silent an hour after the site is back gets
its own.

A device that is set to report only while it charges is never silent. One that is not set is taken
for such when its last silences lay between two charges (see pauses.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

from fleetmeter.anomalies.model import (
    Device,
    DeviceKind,
    Kind,
    MeterPoint,
    Needs,
    Subject,
    VehiclePoint,
)
from fleetmeter.anomalies.observed import Observed
from fleetmeter.anomalies.parameters import Silent, SiteSilent
from fleetmeter.anomalies.pauses import (
    HABIT,
    around,
    charged_after,
    charged_before,
    only_while_charging,
)
from fleetmeter.anomalies.rules import Rulebook
from fleetmeter.anomalies.turn import HourTurn, is_open

SILENCE_KNOWN = timedelta(days=30)
"""How far back a device's last reading is looked for; one that is older is not known."""

_REMEMBERED = timedelta(days=92)
"""How long a site's silences are: hours evaluated anew go back that far."""

_MOST_READ = timedelta(hours=12)
"""Of a silent device, before the end of the hour."""

_KIND: dict[str, Kind] = {"vehicle": "vehicle_silent", "meter": "meter_silent"}


def _suspects(observed: Observed, rulebook: Rulebook) -> list[Subject]:
    """Devices that lack so many readings of the hour that they may be half of the way to silent.

    Those that were silent before and sent nothing are not asked about again. Nor is one that brings
    readings of a time before: it is heard of, and will tell of this hour as well.
    """
    hour = observed.hour
    same = {kind: cast(Silent | None, rulebook.everywhere(kind)) for kind in _KIND.values()}
    found = []
    for subject, device in hour.devices.items():
        if device.reports == "while_charging":
            continue
        kind = _KIND[subject.device_kind]
        parameters = same[kind] or cast(Silent, rulebook.of(kind, subject, device.site))
        if _catches_up(device, parameters, hour.ends):
            continue
        readings = observed.readings(subject)
        if readings:
            seconds = (readings + parameters.intervals / 2) * device.reporting_interval_s
            if seconds > 3600:
                continue
        else:
            memory = observed.memories.get(subject)
            if memory is not None and memory.silent_since is not None:
                continue
        found.append(subject)
    return found


def _catches_up(device: Device, parameters: Silent, ends: datetime) -> bool:
    """Whether its newest readings came lately, and are of a time before the end of an hour."""
    newest, last_seen = device.newest, device.last_seen
    if newest is None or last_seen is None or newest > ends:
        return False
    return (ends - last_seen).total_seconds() < parameters.intervals * device.reporting_interval_s


def _back(observed: Observed) -> list[Subject]:
    """Devices that were silent and report again."""
    return [subject for subject, _ in observed.silent if observed.readings(subject)]


def need(observed: Observed, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the last reading of devices that may be silent, the first of those that are back."""
    suspects = _suspects(observed, rulebook)
    needs.last_times.update(suspects)
    starts, ends = observed.hour.starts, observed.hour.ends
    for subject in suspects:
        device = observed.hour.devices[subject]
        if device.reports is None:
            kind = _KIND[subject.device_kind]
            intervals = cast(Silent, rulebook.of(kind, subject, device.site)).intervals
            # one that is found silent now sent its last reading not longer ago
            silence = timedelta(hours=1, seconds=intervals * device.reporting_interval_s)
            since = ends - min(silence + around(device), _MOST_READ)
            needs.readings[subject] = min(needs.readings.get(subject, since), since)
    for subject in _back(observed):
        needs.readings[subject] = min(needs.readings.get(subject, starts), starts)


def judge(turn: HourTurn, observed: Observed) -> None:
    """Apply the three rules."""
    suspects = _suspects(observed, turn.rulebook)
    for subject in _back(observed):
        _comes_back(turn, subject)
    _excuse(turn, observed)
    quiet: dict[str, int] = {}
    unknown: dict[str, int] = {}
    for subject in suspects:
        site = turn.site(subject)
        last = turn.known.last_times.get(subject)
        if last is None:
            if site is not None:
                unknown[site] = unknown.get(site, 0) + 1
            continue
        parameters = cast(Silent, turn.parameters(_KIND[subject.device_kind], subject))
        intervals = (turn.ends - last).total_seconds() / _interval_s(turn, subject)
        if intervals >= parameters.intervals:
            memory = turn.remembered(subject)
            memory.silent_since = last
            memory.was_charging = charged_before(
                _points(turn, subject), last, turn.hour.devices[subject]
            )
        elif site is not None and (
            intervals >= parameters.intervals / 2 or last <= turn.hour.starts
        ):
            quiet[site] = quiet.get(site, 0) + 1
    silent = [
        subject
        for subject, memory in turn.memories.items()
        if memory.silent_since is not None
        and subject in turn.hour.devices
        and not only_while_charging(turn.hour.devices[subject], memory)
    ]
    held = (
        _sites(turn, observed, silent, quiet, unknown)
        if turn.hour.whole_fleet
        else _were_silent(turn)
    )
    for subject in silent:
        if turn.site(subject) not in held:
            _raise(turn, subject)


def _interval_s(turn: HourTurn, subject: Subject) -> int:
    return turn.hour.devices[subject].reporting_interval_s


def _comes_back(turn: HourTurn, subject: Subject) -> None:
    kind = _KIND[subject.device_kind]
    points = _points(turn, subject)
    first = next((p.time for p in points if p.time > turn.hour.starts), turn.hour.starts)
    memory = turn.remembered(subject)
    memory.silent_since = None
    if (device := turn.device(subject)) is not None:
        charges = charged_after(points, first, turn.ends, device)
        if charges is not None or not memory.was_charging:
            memory.pauses = min(memory.pauses + 1, HABIT) if memory.was_charging and charges else 0
    memory.was_charging = False
    if turn.is_open(kind, subject):
        turn.clear(kind, subject, first, f"{subject.device_id} reports again")


def _points(turn: HourTurn, subject: Subject) -> Sequence[VehiclePoint | MeterPoint]:
    if subject.device_kind == "vehicle":
        return turn.known.vehicle_readings.get(subject.device_id, ())
    return turn.known.meter_readings.get(subject.device_id, ())


def _excuse(turn: HourTurn, observed: Observed) -> None:
    """End the silence of devices that have been set to report only while they charge."""
    for kind in _KIND.values():
        for subject in list(observed.opened.get(kind, ())):
            device = turn.device(subject)
            if device is not None and device.reports == "while_charging":
                turn.remembered(subject).silent_since = None
                turn.clear(kind, subject, turn.ends, "it reports only while it charges")


def _raise(turn: HourTurn, subject: Subject) -> None:
    kind = _KIND[subject.device_kind]
    memory = turn.memories[subject]
    since = memory.silent_since
    if since is None or is_open(memory, kind):
        return
    parameters = cast(Silent, turn.parameters(kind, subject))
    if not parameters.enabled:
        return
    interval = _interval_s(turn, subject)
    minutes = (turn.ends - since).total_seconds() / 60
    turn.breach(
        kind,
        subject,
        since,
        f"no reading of {subject.device_id} since {since:%Y-%m-%d %H:%M} UTC "
        f"({_long(minutes)}; expected every {interval} s)",
        {
            "silentMin": round(minutes, 1),
            "reportingIntervalS": interval,
            "thresholdIntervals": parameters.intervals,
        },
    )


def _long(minutes: float) -> str:
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"


def _were_silent(turn: HourTurn) -> set[str | None]:
    """Sites that were silent at the end of this hour, as was found when all of them was looked
    at."""
    found: set[str | None] = set()
    for subject, memory in turn.memories.items():
        for opened, closed in memory.silences:
            if opened <= turn.ends and (closed is None or turn.ends <= closed):
                found.add(subject.device_id)
    return found


def _sites(
    turn: HourTurn,
    observed: Observed,
    silent: Iterable[Subject],
    quiet: dict[str, int],
    unknown: dict[str, int],
) -> set[str | None]:
    """Apply site_silent; sites whose devices are not told about by themselves."""
    members: dict[str, list[Subject]] = {}
    for subject in silent:
        site = turn.site(subject)
        if site is not None:
            members.setdefault(site, []).append(subject)
    was = [subject.device_id for subject in observed.opened.get("site_silent", ())]
    looked_at = sorted({*members, *was})
    if not looked_at:
        return set()
    sizes = dict.fromkeys(looked_at, 0)
    for subject, device in turn.hour.devices.items():
        if device.site in sizes and not only_while_charging(device, turn.memories.get(subject)):
            sizes[device.site] += 1
    held: set[str | None] = set()
    for site in looked_at:
        devices = members.get(site, [])
        size = max(sizes[site] - unknown.get(site, 0), len(devices))
        if _site(turn, site, devices, quiet.get(site, 0), size):
            held.add(site)
    return held


def _site(turn: HourTurn, site: str, silent: list[Subject], quiet: int, size: int) -> bool:
    """Whether a site is silent, or about to be."""
    subject = Subject("site", site)
    parameters = cast(SiteSilent, turn.parameters("site_silent", subject))
    was = turn.is_open("site_silent", subject)
    if not parameters.enabled:
        return False
    least = max(parameters.minimum_devices, parameters.share * size)
    if not was:
        if len(silent) < least:
            return len(silent) + quiet >= least
        since = sorted(_silent_since(turn, each) for each in silent)
        vehicles = sum(each.device_kind == "vehicle" for each in silent)
        turn.remembered(subject).silences.append((turn.ends, None))
        turn.breach(
            "site_silent",
            subject,
            since[len(since) // 2],
            f"{len(silent)} of {size} devices of site {site} are silent since about "
            f"{since[len(since) // 2]:%Y-%m-%d %H:%M} UTC",
            {
                "silentDevices": len(silent),
                "vehicles": vehicles,
                "meters": len(silent) - vehicles,
                "devices": size,
                "threshold": parameters.share,
                "examples": sorted(each.device_id for each in silent)[:10],
            },
        )
        return True
    if len(silent) >= parameters.clear_share * size and silent:
        return True
    _end_silence(turn, subject)
    summary = f"{size - len(silent)} of {size} devices of site {site} report again"
    evidence = {"silentDevices": len(silent), "devices": size}
    turn.clear("site_silent", subject, _first_reading(turn, site), summary, evidence)
    return True  # whoever reports less often has until the next hour


def _silent_since(turn: HourTurn, subject: Subject) -> datetime:
    return turn.memories[subject].silent_since or turn.ends


def _end_silence(turn: HourTurn, subject: Subject) -> None:
    memory = turn.remembered(subject)
    oldest = turn.ends - _REMEMBERED
    memory.silences = [
        (opened, closed or turn.ends)
        for opened, closed in memory.silences
        if closed is None or closed > oldest
    ]


def _first_reading(turn: HourTurn, site: str) -> datetime:
    """The first of this hour, of the devices that came back."""
    sides: tuple[tuple[DeviceKind, Mapping[str, Sequence[VehiclePoint | MeterPoint]]], ...] = (
        ("vehicle", turn.known.vehicle_readings),
        ("meter", turn.known.meter_readings),
    )
    times = [
        points[0].time
        for kind, readings in sides
        for id_, points in readings.items()
        if points and points[0].time > turn.hour.starts and turn.site(Subject(kind, id_)) == site
    ]
    return min(times, default=turn.hour.starts)
