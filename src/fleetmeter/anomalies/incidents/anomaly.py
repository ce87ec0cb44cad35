"""Describes an anomaly as it is stored and shown."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fleetmeter.anomalies.model import Cause, Severity, Status, SubjectKind
from fleetmeter.anomalies.rules.catalogue import CataloguedKind


class Anomaly(msgspec.Struct, rename="camel", kw_only=True):
    """Something that is or was wrong, as it is stored and shown."""

    id: int
    kind: CataloguedKind
    severity: Severity
    device_kind: SubjectKind
    device_id: Annotated[str, Meta(description="For a site, its name.")]
    site: str | None
    status: Status
    cause: Annotated[
        Cause | None,
        Meta(description="Most likely cause of `dc_exceeds_ac` and `power_implausible`."),
    ]
    summary: str
    evidence: Annotated[dict[str, Any], Meta(description="The figures that led to it.")]
    started_at: Annotated[datetime, Meta(description="Start, by the readings' times.")]
    detected_at: Annotated[datetime, Meta(description="Detection, by the readings' times.")]
    ended_at: Annotated[datetime | None, Meta(description="End, by the readings' times.")]
    opened_at: Annotated[datetime, Meta(description="When it was first recorded.")]
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    resolved_by: Annotated[str | None, Meta(description="Null if a rule found that it had ended.")]
    reopened: Annotated[int, Meta(description="How often it came back.")]


Anomaly.__module__ = "fleetmeter.anomalies.model"  # OpenAPI's name of a page of them contains it
