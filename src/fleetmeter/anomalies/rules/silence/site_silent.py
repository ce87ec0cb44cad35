"""Finds sites of which most devices are silent together."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta

from fleetmeter.anomalies.model import Subject, SubjectKind
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.needs import MeterPoint, VehiclePoint
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.silence.pauses import only_while_charging
from fleetmeter.anomalies.rules.silence.state import DeviceSilence, SiteSilences
from fleetmeter.anomalies.thresholds.base import Thresholds, require


class SiteSilent(Thresholds, frozen=True, kw_only=True):
    """Thresholds of site_silent."""

    kind = "site_silent"

    minimum_devices: Annotated[
        int, Meta(ge=2, le=10_000, description="Least number of silent devices.")
    ] = 3
    share: Annotated[
        float, Meta(gt=0, le=1, description="Opens when this part of the devices is silent.")
    ] = 0.8
    clear_share: Annotated[
        float, Meta(ge=0, le=1, description="Clears when a smaller part is silent.")
    ] = 0.5

    def __post_init__(self) -> None:
        require(self.clear_share <= self.share, "clearShare must not exceed share")


_KIND = SiteSilent.kind

_REMEMBERED = timedelta(days=92)
"""Time that a site's silences are remembered: hours evaluated again go back that far."""


def _judge(context: HourContext) -> None:
    """Note silent sites: by their devices or, in an hour of some devices, by earlier findings."""
    is_whole = context.hour.whole_fleet
    context.silent_sites = _silent_sites(context) if is_whole else _were_silent(context)


def _were_silent(context: HourContext) -> set[str | None]:
    """Find sites that were silent at the end of this hour when it was evaluated as a whole."""
    found: set[str | None] = set()
    for subject, state in context.states.items():
        part = state.get(SiteSilences)
        for opened, closed in part.silences if part is not None else ():
            if opened <= context.ends and (closed is None or context.ends <= closed):
                found.add(subject.device_id)
    return found


def _silent_sites(context: HourContext) -> set[str | None]:
    """Judge each site; return those whose devices are not reported one by one."""
    silent, quiet, unknown = context.silences
    members: dict[str, list[Subject]] = {}
    for subject in silent:
        site = context.site(subject)
        if site is not None:
            members.setdefault(site, []).append(subject)
    were = [subject.device_id for subject in context.hour.opened.get(_KIND, ())]
    sites = sorted({*members, *were})
    if not sites:
        return set()
    sizes = dict.fromkeys(sites, 0)
    for subject, device in context.hour.devices.items():
        if device.site in sizes and not only_while_charging(
            device, context.read(subject, DeviceSilence)
        ):
            sizes[device.site] += 1
    found: set[str | None] = set()
    for site in sites:
        devices = members.get(site, [])
        size = max(sizes[site] - unknown.get(site, 0), len(devices))
        if _is_silent(context, site, devices, quiet.get(site, 0), size):
            found.add(site)
    return found


def _is_silent(
    context: HourContext, site: str, silent: list[Subject], quiet: int, size: int
) -> bool:
    """Return whether a site is silent, or about to be."""
    subject = Subject("site", site)
    thresholds = context.thresholds(SiteSilent, subject)
    was = context.is_open(_KIND, subject)
    if not thresholds.enabled:
        return False
    least = max(thresholds.minimum_devices, thresholds.share * size)
    if not was:
        if len(silent) < least:
            return len(silent) + quiet >= least
        times = sorted(_silent_since(context, each) for each in silent)
        since = times[len(times) // 2]
        vehicles = sum(each.device_kind == "vehicle" for each in silent)
        context.change(subject, SiteSilences).silences.append((since, None))
        context.breach(
            _KIND,
            subject,
            since,
            f"{len(silent)} of {size} devices of site {site} are silent since about "
            f"{since:%Y-%m-%d %H:%M} UTC",
            {
                "silentDevices": len(silent),
                "vehicles": vehicles,
                "meters": len(silent) - vehicles,
                "devices": size,
                "threshold": thresholds.share,
                "examples": sorted(each.device_id for each in silent)[:10],
            },
        )
        return True
    if len(silent) >= thresholds.clear_share * size and silent:
        return True
    _end_silence(context, subject)
    summary = f"{size - len(silent)} of {size} devices of site {site} report again"
    evidence = {"silentDevices": len(silent), "devices": size}
    context.clear(_KIND, subject, _first_reading(context, site), summary, evidence)
    return True  # whoever reports less often has until the next hour


def _silent_since(context: HourContext, subject: Subject) -> datetime:
    silence = context.read(subject, DeviceSilence)
    return (silence and silence.silent_since) or context.ends


def _end_silence(context: HourContext, subject: Subject) -> None:
    state = context.change(subject, SiteSilences)
    oldest = context.ends - _REMEMBERED
    state.silences = [
        (opened, closed or context.ends)
        for opened, closed in state.silences
        if closed is None or closed > oldest
    ]


def _first_reading(context: HourContext, site: str) -> datetime:
    """Return the first of this hour, of the devices that came back."""
    sides: tuple[tuple[SubjectKind, Mapping[str, Sequence[VehiclePoint | MeterPoint]]], ...] = (
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


SITE_SILENT = Rule(
    thresholds=SiteSilent,
    title="Site silent",
    description="Most devices of a site are silent together, so that there is one alert instead of "
    "one for each.",
    source="A convention: at least three devices and four fifths of the site.",
    severity="critical",
    device_kinds=("site",),
    phase=Phase.SITE,
    states=(SiteSilences,),
    judge=_judge,
    found_hourly=True,
)
