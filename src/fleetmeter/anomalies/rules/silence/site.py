"""Sites of which most devices are silent together."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, cast

from fleetmeter.anomalies.model import DeviceKind, Subject
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.needs import MeterPoint, VehiclePoint
from fleetmeter.anomalies.rules.silence.pauses import only_while_charging
from fleetmeter.anomalies.thresholds.device_parameters import SiteSilent

_REMEMBERED = timedelta(days=92)
"""How long a site's silences are: hours evaluated again go back that far."""


def were_silent(context: HourContext) -> set[str | None]:
    """Sites that were silent at the end of this hour, as was found when all of them was looked
    at."""
    found: set[str | None] = set()
    for subject, state in context.states.items():
        for opened, closed in state.silences:
            if opened <= context.ends and (closed is None or context.ends <= closed):
                found.add(subject.device_id)
    return found


class Counts(NamedTuple):
    """By site: devices that are not silent."""

    quiet: dict[str, int]
    """They may be soon."""

    unknown: dict[str, int]
    """They have not reported within SILENCE_KNOWN."""


def silent_sites(
    context: HourContext, silent: Iterable[Subject], counts: Counts
) -> set[str | None]:
    """Apply site_silent; sites whose devices are not told about by themselves."""
    members: dict[str, list[Subject]] = {}
    for subject in silent:
        site = context.site(subject)
        if site is not None:
            members.setdefault(site, []).append(subject)
    was = [subject.device_id for subject in context.hour.opened.get("site_silent", ())]
    looked_at = sorted({*members, *was})
    if not looked_at:
        return set()
    sizes = dict.fromkeys(looked_at, 0)
    for subject, device in context.hour.devices.items():
        if device.site in sizes and not only_while_charging(device, context.states.get(subject)):
            sizes[device.site] += 1
    held: set[str | None] = set()
    for site in looked_at:
        devices = members.get(site, [])
        size = max(sizes[site] - counts.unknown.get(site, 0), len(devices))
        if _site(context, site, devices, counts.quiet.get(site, 0), size):
            held.add(site)
    return held


def _site(context: HourContext, site: str, silent: list[Subject], quiet: int, size: int) -> bool:
    """Whether a site is silent, or about to be."""
    subject = Subject("site", site)
    parameters = cast(SiteSilent, context.parameters("site_silent", subject))
    was = context.is_open("site_silent", subject)
    if not parameters.enabled:
        return False
    least = max(parameters.minimum_devices, parameters.share * size)
    if not was:
        if len(silent) < least:
            return len(silent) + quiet >= least
        times = sorted(_silent_since(context, each) for each in silent)
        since = times[len(times) // 2]
        vehicles = sum(each.device_kind == "vehicle" for each in silent)
        context.state_of(subject).silences.append((since, None))
        context.breach(
            "site_silent",
            subject,
            since,
            f"{len(silent)} of {size} devices of site {site} are silent since about "
            f"{since:%Y-%m-%d %H:%M} UTC",
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
    _end_silence(context, subject)
    summary = f"{size - len(silent)} of {size} devices of site {site} report again"
    evidence = {"silentDevices": len(silent), "devices": size}
    context.clear("site_silent", subject, _first_reading(context, site), summary, evidence)
    return True  # whoever reports less often has until the next hour


def _silent_since(context: HourContext, subject: Subject) -> datetime:
    return context.states[subject].silent_since or context.ends


def _end_silence(context: HourContext, subject: Subject) -> None:
    state = context.state_of(subject)
    oldest = context.ends - _REMEMBERED
    state.silences = [
        (opened, closed or context.ends)
        for opened, closed in state.silences
        if closed is None or closed > oldest
    ]


def _first_reading(context: HourContext, site: str) -> datetime:
    """The first of this hour, of the devices that came back."""
    sides: tuple[tuple[DeviceKind, Mapping[str, Sequence[VehiclePoint | MeterPoint]]], ...] = (
        ("vehicle", context.answers.vehicle_readings),
        ("meter", context.answers.meter_readings),
    )
    times = [
        points[0].time
        for kind, readings in sides
        for id_, points in readings.items()
        if points
        and points[0].time > context.hour.starts
        and context.site(Subject(kind, id_)) == site
    ]
    return min(times, default=context.hour.starts)
