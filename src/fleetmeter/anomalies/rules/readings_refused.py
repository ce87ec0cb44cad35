"""Finds devices whose readings are refused, by their rejections, every minute."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fleetmeter.anomalies.model import Change, Subject, SubjectKind
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.thresholds.base import Thresholds
from fleetmeter.anomalies.thresholds.rulebook import Rulebook


class ReadingsRefused(Thresholds, frozen=True, kw_only=True):
    """Thresholds of readings_refused."""

    kind = "readings_refused"

    minutes: Annotated[
        float,
        Meta(
            ge=1, le=10_080, description="Opens after readings were refused for so long, minutes."
        ),
    ] = 60.0


_KIND = ReadingsRefused.kind

MOST = 200
"""Maximum number of devices reported at once: refused ids may be made up."""


class Refused(msgspec.Struct, frozen=True):
    """A device whose readings are being refused."""

    kind: SubjectKind
    id: str
    site: str | None
    since: datetime
    last_at: datetime
    refused: int
    code: str
    detail: str
    """The detail of the last refusal."""

    accepted_at: datetime | None
    """Arrival of the newest accepted reading; None if none was ever accepted."""


class Lasting(msgspec.Struct, frozen=True):
    """An anomaly that is not over, and what has happened since."""

    device_kind: SubjectKind
    device_id: str
    site: str | None
    started_at: datetime
    last_at: datetime | None
    accepted_at: datetime | None
    is_over: bool | None
    """Return None if refusals are not known any more."""


def judge(
    refused: Iterable[Refused], lasting: Iterable[Lasting], at: datetime, rulebook: Rulebook
) -> list[Change]:
    """Return the anomalies that begin and those that end."""
    reported = {Subject(each.device_kind, each.device_id): each for each in lasting}
    changes = [_over(each, at) for each in reported.values() if each.is_over is not False]
    for subject, each in reported.items():
        if each.is_over is False and not rulebook.of(ReadingsRefused, subject, each.site).enabled:
            changes.append(_closed(each, at, at, "the rule was switched off"))
    room = MOST - len(reported)
    for device in refused:
        subject = Subject(device.kind, device.id)
        thresholds = rulebook.of(ReadingsRefused, subject, device.site)
        lasts = device.last_at - device.since >= timedelta(minutes=thresholds.minutes)
        if thresholds.enabled and lasts and subject not in reported and room > 0:
            changes.append(_opened(device, at))
            room -= 1
    return changes


def _opened(device: Refused, at: datetime) -> Change:
    minutes = (device.last_at - device.since).total_seconds() / 60
    none = "" if device.accepted_at and device.accepted_at > device.since else ", none accepted"
    evidence: Mapping[str, Any] = {
        "code": device.code,
        "detail": device.detail,
        "refused": device.refused,
        "lastAt": device.last_at,
        "acceptedAt": device.accepted_at,
    }
    return Change(
        _KIND,
        Subject(device.kind, device.id),
        device.site,
        at,
        device.since,
        None,
        f"{device.refused} readings of {device.id} were refused in {minutes:.0f} minutes{none}: "
        f"{device.detail}",
        dict(evidence),
    )


def _over(each: Lasting, at: datetime) -> Change:
    if each.accepted_at and each.last_at and each.accepted_at > each.last_at:
        return _closed(each, each.last_at, at, "its readings are accepted again")
    return _closed(each, each.last_at or at, at, "nothing was refused for 25 hours")


def _closed(each: Lasting, ended_at: datetime, at: datetime, why: str) -> Change:
    subject = Subject(each.device_kind, each.device_id)
    ended_at = max(ended_at, each.started_at)
    return Change(_KIND, subject, each.site, at, each.started_at, ended_at, why, {})


READINGS_REFUSED = Rule(
    thresholds=ReadingsRefused,
    title="Readings refused",
    description="A device's readings have been refused for longer than a restart of the service or "
    "a mistake that is put right would explain: its clock, its id or a unit is wrong.",
    source="A convention: an hour. It is over when readings are accepted and none was refused for "
    "a quarter of an hour or two reporting intervals, or when none was refused for 25 hours.",
    severity="warning",
    device_kinds=("vehicle", "meter"),
    phase=Phase.REJECTION,
)
