"""Write events of anomalies, without rules that find something."""

from tests.conftest import Db


def happen(
    db: Db, device_id: str, times: int = 1, kind: str = "battery_hot", padding: int = 0
) -> list[int]:
    """Write events of one device's anomaly, numbered from 0 in their notes; returns their ids."""
    rows = db.fetch(
        """
        with locked as materialized (
            select pg_advisory_xact_lock(hashtext('fleetmeter.anomaly_events'))
        ), anomaly as (
            insert into anomalies (
                kind, device_kind, device_id, status, summary, evidence, started_at, detected_at,
                resolved_at
            )
            select $1, 'vehicle', $2, 'resolved', 'hot', '{}', now(), now(), now()
            from locked
            returning *
        )
        insert into anomaly_events (anomaly_id, event, note, anomaly)
        select
            a.id,
            case when n = 0 then 'opened' else 'updated' end,
            n::text || repeat(' ', $4) as note,
            jsonb_build_object(
                'id', a.id, 'kind', a.kind, 'severity', 'warning', 'deviceKind', 'vehicle',
                'deviceId', a.device_id, 'site', null, 'status', 'open', 'cause', null,
                'summary', E'as hot\\nas that', 'evidence', '{}'::jsonb, 'startedAt', a.started_at,
                'detectedAt', a.detected_at, 'endedAt', null, 'openedAt', a.opened_at,
                'acknowledgedAt', null, 'acknowledgedBy', null, 'resolvedAt', null,
                'resolvedBy', null, 'reopened', 0
            )
        from anomaly as a
        cross join generate_series(0, $3 - 1) as numbers (n)
        order by numbers.n
        returning id
        """,
        kind,
        device_id,
        times,
        padding,
    )
    return [row["id"] for row in rows]
