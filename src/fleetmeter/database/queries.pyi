"""The types of the named queries. Written by `make queries`; query_types.py explains them."""
# fmt: off
# ruff: noqa

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload
from uuid import UUID

import asyncpg
from asyncpg import Record

_Connection = asyncpg.Connection[Record] | asyncpg.pool.PoolConnectionProxy[Record]
_P = ParamSpec("_P")
_T = TypeVar("_T")

class _Query(Generic[_P, _T]):
    sql: str
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _T: ...

def _query(function: Callable[_P, _T]) -> _Query[_P, _T]: ...

available_queries: list[str]

@_query
async def account_hours(connection: _Connection, /) -> str: ...

@_query
async def account_hours_until_now(connection: _Connection, /) -> str: ...

class ActiveAnomaliesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["kind"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["open", "acknowledged"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "open", "acknowledged"]) -> Any: ...
    def keys(self) -> Iterator[Literal["kind", "open", "acknowledged"]]: ...

@_query
def active_anomalies(connection: _Connection, /, *, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[ActiveAnomaliesRow, None]: ...

@_query
async def add_browser_session(connection: _Connection, /, *, cookie_hash: bytes, holder: str,
    key_hash: bytes | None, issuer: str | None, scopes: Sequence[str] | None,
    sites: Sequence[str] | None, idle: timedelta, longest_until: datetime) -> str: ...

class AddKeyRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id", "name", "created_by", "subject"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["secret_hash", "previous_hash"]) -> bytes | Any: ...
    @overload
    def __getitem__(self, key: Literal["previous_until", "created_at", "expires_at", "revoked_at",
        "last_used_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["scopes", "devices", "sites"]) -> list[str] | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "name", "secret_hash", "previous_hash",
        "previous_until", "scopes", "devices", "sites", "created_at", "created_by", "expires_at",
        "revoked_at", "last_used_at", "subject"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "name", "secret_hash", "previous_hash",
        "previous_until", "scopes", "devices", "sites", "created_at", "created_by", "expires_at",
        "revoked_at", "last_used_at", "subject"]]: ...

@_query
async def add_key(connection: _Connection, /, *, id: str, name: str, subject: str | None,
    secret_hash: bytes, scopes: Sequence[str], devices: Sequence[str], sites: Sequence[str],
    created_by: str, expires_at: datetime | None) -> AddKeyRow | None: ...

@_query
async def add_up_meters(connection: _Connection, /) -> str: ...

@_query
async def add_webhook(connection: _Connection, /, *, url: str, secret: str, format: str,
    kinds: Sequence[str] | None) -> int | None: ...

@_query
async def advance_state(connection: _Connection, /) -> str: ...

class AllOverridesRow(Record):
    def __getitem__(self, key: Literal["kind", "scope", "target", "parameters"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["kind", "scope", "target", "parameters"]]: ...

@_query
def all_overrides(connection: _Connection, /) -> AsyncGenerator[AllOverridesRow, None]: ...

class AnomaliesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id", "reopened"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "device_kind", "device_id", "site", "status",
        "cause", "summary", "evidence", "acknowledged_by", "resolved_by"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["started_at", "detected_at", "ended_at", "opened_at",
        "acknowledged_at", "resolved_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "kind", "device_kind", "device_id", "site", "status",
        "cause", "summary", "evidence", "started_at", "detected_at", "ended_at", "opened_at",
        "acknowledged_at", "acknowledged_by", "resolved_at", "resolved_by", "reopened"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "kind", "device_kind", "device_id", "site", "status",
        "cause", "summary", "evidence", "started_at", "detected_at", "ended_at", "opened_at",
        "acknowledged_at", "acknowledged_by", "resolved_at", "resolved_by", "reopened"]]: ...

@_query
def anomalies(connection: _Connection, /, *, status: str | None, kind: str | None,
    device_id: str | None, site: str | None, start: datetime | None, end: datetime | None,
    before: int | None, limit: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[AnomaliesRow, None]: ...

AnomaliesSinceRow = AnomaliesRow

@_query
def anomalies_since(connection: _Connection, /, *, device_kinds: Sequence[str],
    device_ids: Sequence[str], since: datetime,
    without: Sequence[str]) -> AsyncGenerator[AnomaliesSinceRow, None]: ...

AnomalyRow = AnomaliesRow

@_query
async def anomaly(connection: _Connection, /, *, anomaly_id: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AnomalyRow | None: ...

@_query
async def are_rollups_late(connection: _Connection, /) -> bool: ...

class AroundLateDevicesRow(Record):
    def __getitem__(self, key: Literal["changed_vehicle_ids", "changed_meter_ids", "vehicle_ids",  # type: ignore[override]
        "meter_ids"]) -> list[str] | Any: ...
    def keys(self) -> Iterator[Literal["changed_vehicle_ids", "changed_meter_ids", "vehicle_ids",
        "meter_ids"]]: ...

@_query
async def around_late_devices(connection: _Connection, /, *, vehicle_ids: Sequence[str],
    meter_ids: Sequence[str]) -> AroundLateDevicesRow: ...

class AssignMeterRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["vehicle"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["vehicle", "since"]) -> Any: ...
    def keys(self) -> Iterator[Literal["vehicle", "since"]]: ...

@_query
async def assign_meter(connection: _Connection, /, *, vehicle_id: str, meter_id: str | None,
    since: datetime | None) -> AssignMeterRow: ...

class AssignedMetersRow(Record):
    def __getitem__(self, key: Literal["meter"]) -> int | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["meter"]]: ...

@_query
def assigned_meters(connection: _Connection, /, *, vehicles: Sequence[int],
    times: Sequence[datetime]) -> AsyncGenerator[AssignedMetersRow, None]: ...

class AssignmentAtRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["meter_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["since", "meter_id"]) -> Any: ...
    def keys(self) -> Iterator[Literal["since", "meter_id"]]: ...

@_query
async def assignment_at(connection: _Connection, /, *, vehicle_id: str,
    at: datetime | None) -> AssignmentAtRow | None: ...

@_query
async def assignment_end(connection: _Connection, /, *, vehicle: int,
    since: datetime) -> datetime | None: ...

class AssignmentsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["since", "until"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["meter_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["by_transaction"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["since", "until", "meter_id", "by_transaction"]) -> Any: ...
    def keys(self) -> Iterator[Literal["since", "until", "meter_id", "by_transaction"]]: ...

@_query
def assignments(connection: _Connection, /, *, vehicle_id: str, start: datetime, limit: int,
    reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[AssignmentsRow, None]: ...

class AssignmentsToStampRow(Record):
    def __getitem__(self, key: Literal["since"]) -> datetime | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["since"]]: ...

@_query
def assignments_to_stamp(connection: _Connection, /, *,
    vehicle: int) -> AsyncGenerator[AssignmentsToStampRow, None]: ...

class AuditPageRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["who", "address", "request_id", "action", "object", "before",
        "after"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "at", "who", "address", "request_id", "action",
        "object", "before", "after"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "at", "who", "address", "request_id", "action",
        "object", "before", "after"]]: ...

@_query
def audit_page(connection: _Connection, /, *, before: int | None, who: str | None,
    action: str | None, object: str | None, start: datetime | None, end: datetime | None,
    limit: int) -> AsyncGenerator[AuditPageRow, None]: ...

@_query
async def begin_anomaly_events(connection: _Connection, /) -> datetime: ...

class BeginBatchRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["assignments_version", "devices_version"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["horizon"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["assignments_version", "devices_version",
        "horizon"]) -> Any: ...
    def keys(self) -> Iterator[Literal["assignments_version", "devices_version", "horizon"]]: ...

@_query
async def begin_batch(connection: _Connection, /) -> BeginBatchRow: ...

@_query
async def begin_correction(connection: _Connection, /, *, kind: str, device_id: str) -> int: ...

@_query
async def begin_evaluation(connection: _Connection, /) -> bool: ...

class BeginExportRow(Record):
    def __getitem__(self, key: Literal["set_config"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["set_config"]]: ...

@_query
async def begin_export(connection: _Connection, /) -> BeginExportRow: ...

@_query
async def begin_rule_change(connection: _Connection, /, *, kind: str) -> str: ...

class BeginTransactionRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["number", "vehicle", "by_number"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["vehicle_id", "was_id", "meter_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["number", "vehicle", "vehicle_id", "since", "was_id",
        "meter_id", "by_number"]) -> Any: ...
    def keys(self) -> Iterator[Literal["number", "vehicle", "vehicle_id", "since", "was_id",
        "meter_id", "by_number"]]: ...

@_query
def begin_transaction(connection: _Connection, /, *, station_id: str, connector: int, meter_id: str,
    own_id: str | None, token: str | None, at: datetime, register_mwh: int | None,
    measures: str) -> AsyncGenerator[BeginTransactionRow, None]: ...

@_query
async def bring_back_reading(connection: _Connection, /, *, kind: str, device_id: str,
    time: datetime) -> bool: ...

class ChargingElsewhereRow(Record):
    def __getitem__(self, key: Literal["device_id"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["device_id"]]: ...

@_query
def charging_elsewhere(connection: _Connection, /, *, meter_ids: Sequence[str],
    since: datetime) -> AsyncGenerator[ChargingElsewhereRow, None]: ...

@_query
async def chunks(connection: _Connection, /) -> str: ...

class ClaimWebhookRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id", "last_event_id", "failures"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["url", "secret", "format"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["kinds"]) -> list[str] | Any: ...
    @overload
    def __getitem__(self, key: Literal["claim"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "url", "secret", "format", "kinds", "last_event_id",
        "failures", "claim"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "url", "secret", "format", "kinds", "last_event_id",
        "failures", "claim"]]: ...

@_query
async def claim_webhook(connection: _Connection, /, *,
    lease: timedelta) -> ClaimWebhookRow | None: ...

class ClockSamplesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["kind", "id", "site", "role", "reports",
        "meter_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["reporting_interval_s", "battery_capacity_wh",
        "rated_power_w"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["counts_sessions"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["time", "last_seen"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "id", "site", "reporting_interval_s",
        "battery_capacity_wh", "rated_power_w", "role", "reports", "counts_sessions", "meter_id",
        "time", "last_seen"]) -> Any: ...
    def keys(self) -> Iterator[Literal["kind", "id", "site", "reporting_interval_s",
        "battery_capacity_wh", "rated_power_w", "role", "reports", "counts_sessions", "meter_id",
        "time", "last_seen"]]: ...

@_query
def clock_samples(connection: _Connection, /, *, behind_s: float, ahead_s: float, since: datetime,
    vehicle_ids: Sequence[str], meter_ids: Sequence[str]) -> AsyncGenerator[ClockSamplesRow,
    None]: ...

@_query
async def correct_reading(connection: _Connection, /, *, kind: str, device_id: str, time: datetime,
    values: str, who: str, reason: str) -> int: ...

@_query
async def count_living_keys(connection: _Connection, /) -> int: ...

@_query
async def count_webhooks(connection: _Connection, /) -> int: ...

CurrentAnomaliesRow = AnomaliesRow

@_query
def current_anomalies(connection: _Connection, /, *, kinds: Sequence[str],
    device_kinds: Sequence[str], device_ids: Sequence[str]) -> AsyncGenerator[CurrentAnomaliesRow,
    None]: ...

@_query
async def database_bytes(connection: _Connection, /) -> int: ...

class DatabaseFiguresRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["name", "label"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["value"]) -> float | Any: ...
    @overload
    def __getitem__(self, key: Literal["name", "label", "value"]) -> Any: ...
    def keys(self) -> Iterator[Literal["name", "label", "value"]]: ...

@_query
def database_figures(connection: _Connection, /) -> AsyncGenerator[DatabaseFiguresRow, None]: ...

@_query
async def database_time(connection: _Connection, /) -> datetime: ...

@_query
async def derive_intervals(connection: _Connection, /, *, device: int) -> str: ...

@_query
async def derive_pending(connection: _Connection, /) -> str: ...

class DeviceRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["device", "meter", "energy_mwh", "register_mwh", "span_ms",
        "soc_bp", "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh",
        "voltage_mv", "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "odometer_m",
        "highest_mwh", "reverse_highest_mwh", "register_limit_mwh", "reverse_limit_mwh",
        "derivation", "session", "reporting_interval_s", "register_rollover_mwh",
        "battery_capacity_wh", "rated_power_w", "derived_reverse_mwh"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["time", "energy_at", "interval_start", "soc_bp_at",
        "battery_temp_cdeg_at", "power_w_at", "reverse_mwh_at", "reverse_register_mwh_at",
        "voltage_mv_at", "voltage_l1_mv_at", "voltage_l2_mv_at", "voltage_l3_mv_at", "last_seen",
        "removed_at", "odometer_m_at", "session_at", "sent_time"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["meter_declared", "reset", "spread",
        "stamp_by_arrival"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "meter_id", "session_id", "label", "site", "time_zone",
        "register", "role", "reports", "meter_site"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["device", "meter", "time", "energy_at", "energy_mwh",
        "register_mwh", "span_ms", "interval_start", "meter_declared", "reset", "spread", "soc_bp",
        "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh", "voltage_mv",
        "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "soc_bp_at", "battery_temp_cdeg_at",
        "power_w_at", "reverse_mwh_at", "reverse_register_mwh_at", "voltage_mv_at",
        "voltage_l1_mv_at", "voltage_l2_mv_at", "voltage_l3_mv_at", "last_seen", "removed_at",
        "odometer_m", "odometer_m_at", "highest_mwh", "reverse_highest_mwh", "register_limit_mwh",
        "reverse_limit_mwh", "derivation", "session", "session_at", "id", "meter_id", "session_id",
        "label", "site", "reporting_interval_s", "time_zone", "register", "register_rollover_mwh",
        "battery_capacity_wh", "rated_power_w", "role", "reports", "stamp_by_arrival", "sent_time",
        "derived_reverse_mwh", "meter_site"]) -> Any: ...
    def keys(self) -> Iterator[Literal["device", "meter", "time", "energy_at", "energy_mwh",
        "register_mwh", "span_ms", "interval_start", "meter_declared", "reset", "spread", "soc_bp",
        "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh", "voltage_mv",
        "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "soc_bp_at", "battery_temp_cdeg_at",
        "power_w_at", "reverse_mwh_at", "reverse_register_mwh_at", "voltage_mv_at",
        "voltage_l1_mv_at", "voltage_l2_mv_at", "voltage_l3_mv_at", "last_seen", "removed_at",
        "odometer_m", "odometer_m_at", "highest_mwh", "reverse_highest_mwh", "register_limit_mwh",
        "reverse_limit_mwh", "derivation", "session", "session_at", "id", "meter_id", "session_id",
        "label", "site", "reporting_interval_s", "time_zone", "register", "register_rollover_mwh",
        "battery_capacity_wh", "rated_power_w", "role", "reports", "stamp_by_arrival", "sent_time",
        "derived_reverse_mwh", "meter_site"]]: ...

@_query
async def device(connection: _Connection, /, *, kind: str, device_id: str,
    reach_ids: Sequence[str] | None, reach_sites: Sequence[str] | None) -> DeviceRow | None: ...

class DeviceHabitsRow(Record):
    def __getitem__(self, key: Literal["observed_interval_s", "reporting_interval_s",  # type: ignore[override]
        "pauses"]) -> int | Any: ...
    def keys(self) -> Iterator[Literal["observed_interval_s", "reporting_interval_s",
        "pauses"]]: ...

@_query
async def device_habits(connection: _Connection, /, *, kind: str,
    device_id: str) -> DeviceHabitsRow | None: ...

class DeviceHistoryRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["device", "meter", "energy_mwh", "register_mwh", "span_ms",
        "soc_bp", "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh",
        "voltage_mv", "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "odometer_m",
        "highest_mwh", "reverse_highest_mwh", "session", "derived_reverse_mwh"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["time", "interval_start",
        "sent_time"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["meter_declared", "reset", "spread"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "meter_id", "session_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["device", "meter", "time", "energy_mwh", "register_mwh",
        "span_ms", "interval_start", "meter_declared", "reset", "spread", "soc_bp",
        "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh", "voltage_mv",
        "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "odometer_m", "highest_mwh",
        "reverse_highest_mwh", "session", "id", "meter_id", "session_id", "sent_time",
        "derived_reverse_mwh"]) -> Any: ...
    def keys(self) -> Iterator[Literal["device", "meter", "time", "energy_mwh", "register_mwh",
        "span_ms", "interval_start", "meter_declared", "reset", "spread", "soc_bp",
        "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh", "voltage_mv",
        "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "odometer_m", "highest_mwh",
        "reverse_highest_mwh", "session", "id", "meter_id", "session_id", "sent_time",
        "derived_reverse_mwh"]]: ...

@_query
def device_history(connection: _Connection, /, *, kind: str, device_id: str, start: datetime,
    end: datetime, limit: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[DeviceHistoryRow, None]: ...

@_query
async def device_known(connection: _Connection, /, *, kind: str, device_id: str) -> bool: ...

@_query
async def device_number(connection: _Connection, /, *, kind: str, device_id: str) -> int | None: ...

class DeviceSettingsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["device", "reporting_interval_s", "register_rollover_mwh",
        "battery_capacity_wh", "rated_power_w"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "id", "label", "site", "time_zone", "role",
        "register", "reports"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["derive_since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["says_starts", "stamp_by_arrival",
        "changes_kind"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["device", "kind", "id", "label", "site",
        "reporting_interval_s", "derive_since", "says_starts", "time_zone", "register_rollover_mwh",
        "battery_capacity_wh", "rated_power_w", "role", "stamp_by_arrival", "register",
        "changes_kind", "reports"]) -> Any: ...
    def keys(self) -> Iterator[Literal["device", "kind", "id", "label", "site",
        "reporting_interval_s", "derive_since", "says_starts", "time_zone", "register_rollover_mwh",
        "battery_capacity_wh", "rated_power_w", "role", "stamp_by_arrival", "register",
        "changes_kind", "reports"]]: ...

@_query
async def device_settings(connection: _Connection, /, *, kind: str,
    device_id: str) -> DeviceSettingsRow | None: ...

@_query
async def device_within_reach(connection: _Connection, /, *, kind: str, device_id: str,
    reach_ids: Sequence[str] | None, reach_sites: Sequence[str] | None) -> bool: ...

DevicesRow = DeviceRow

@_query
def devices(connection: _Connection, /, *, kind: str, after: str, last: str | None,
    since: datetime | None, limit: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[DevicesRow, None]: ...

class DevicesAheadRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["devices"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["last"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["devices", "last"]) -> Any: ...
    def keys(self) -> Iterator[Literal["devices", "last"]]: ...

@_query
async def devices_ahead(connection: _Connection, /, *, kind: str, after: str,
    scan: int) -> DevicesAheadRow: ...

class DevicesNamedRow(Record):
    def __getitem__(self, key: Literal["kind", "id", "site"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["kind", "id", "site"]]: ...

@_query
def devices_named(connection: _Connection, /, *,
    ids: Sequence[str]) -> AsyncGenerator[DevicesNamedRow, None]: ...

class DevicesToExportRow(Record):
    def __getitem__(self, key: Literal["first", "last"]) -> int | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["first", "last"]]: ...

@_query
async def devices_to_export(connection: _Connection, /, *, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> DevicesToExportRow: ...

@_query
async def drop_old_history(connection: _Connection, /) -> str: ...

@_query
async def enable_webhook(connection: _Connection, /, *, webhook_id: int,
    from_now: bool) -> str | None: ...

@_query
async def end_browser_session(connection: _Connection, /, *, cookie_hash: bytes) -> str: ...

@_query
async def end_surplus_browser_sessions(connection: _Connection, /, *, holder: str,
    most_of_holder: int, most: int) -> str: ...

@_query
async def erase_token(connection: _Connection, /, *, token: str) -> int: ...

@_query
async def evaluated(connection: _Connection, /, *, until: datetime) -> str: ...

class EvaluationProgressRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["evaluated_until", "now"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["is_late"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["evaluated_until", "now", "is_late"]) -> Any: ...
    def keys(self) -> Iterator[Literal["evaluated_until", "now", "is_late"]]: ...

@_query
async def evaluation_progress(connection: _Connection, /) -> EvaluationProgressRow: ...

@_query
async def evaluation_ran(connection: _Connection, /, *, at: datetime, took: timedelta) -> str: ...

class EventsAfterRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["event", "who", "note", "anomaly", "kind"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "event", "at", "who", "note", "anomaly",
        "kind"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "event", "at", "who", "note", "anomaly", "kind"]]: ...

@_query
def events_after(connection: _Connection, /, *, after: int, until: int,
    limit: int) -> AsyncGenerator[EventsAfterRow, None]: ...

class EventsOfAnomalyRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["event", "who", "note"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "event", "at", "who", "note"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "event", "at", "who", "note"]]: ...

@_query
def events_of_anomaly(connection: _Connection, /, *, anomaly_id: int, before: int | None,
    limit: int) -> AsyncGenerator[EventsOfAnomalyRow, None]: ...

class ExchangesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["device", "last_mwh", "first_mwh"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["is_reverse"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["at", "stated_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["device", "is_reverse", "at", "last_mwh", "first_mwh",
        "stated_at"]) -> Any: ...
    def keys(self) -> Iterator[Literal["device", "is_reverse", "at", "last_mwh", "first_mwh",
        "stated_at"]]: ...

@_query
def exchanges(connection: _Connection, /, *, kind: str, device_id: str, at: datetime,
    is_reverse: bool, limit: int) -> AsyncGenerator[ExchangesRow, None]: ...

class ExportPageRow(Record):
    def __getitem__(self, key: Literal["vehicleId", "meterId", "timestamp", "intervalStart",  # type: ignore[override]
        "kwhDeliveredDc", "kwhDeliveredDcTotal", "soc", "batteryTemp", "powerKw", "odometerKm",
        "kwhReturnedDc", "kwhReturnedDcTotal", "kwhConsumedAc", "kwhConsumedAcTotal", "voltage",
        "voltageL1", "voltageL2", "voltageL3", "kwhExportedAc", "kwhExportedAcTotal", "sessionId",
        "assignedMeterId", "derivedKwh", "reset", "sentTimestamp"]) -> str | Any: ...
    def keys(self) -> Iterator[Literal["vehicleId", "meterId", "timestamp", "intervalStart",
        "kwhDeliveredDc", "kwhDeliveredDcTotal", "soc", "batteryTemp", "powerKw", "odometerKm",
        "kwhReturnedDc", "kwhReturnedDcTotal", "kwhConsumedAc", "kwhConsumedAcTotal", "voltage",
        "voltageL1", "voltageL2", "voltageL3", "kwhExportedAc", "kwhExportedAcTotal", "sessionId",
        "assignedMeterId", "derivedKwh", "reset", "sentTimestamp"]]: ...

@_query
def export_page(connection: _Connection, /, *, start: datetime, end: datetime, after_device: int,
    last_device: int, after_time: datetime, last_time: datetime, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[ExportPageRow, None]: ...

class ExportPageEndRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["device"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["time"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["device", "time"]) -> Any: ...
    def keys(self) -> Iterator[Literal["device", "time"]]: ...

@_query
async def export_page_end(connection: _Connection, /, *, start: datetime, end: datetime,
    after_device: int, last_device: int, after_time: datetime,
    most: int) -> ExportPageEndRow | None: ...

class ExportPartsRow(Record):
    def __getitem__(self, key: Literal["starts", "ends"]) -> datetime | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["starts", "ends"]]: ...

@_query
def export_parts(connection: _Connection, /, *, start: datetime,
    end: datetime) -> AsyncGenerator[ExportPartsRow, None]: ...

@_query
async def export_snapshot(connection: _Connection, /) -> str: ...

class FailingJobsRow(Record):
    def __getitem__(self, key: Literal["job", "error"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["job", "error"]]: ...

@_query
def failing_jobs(connection: _Connection, /) -> AsyncGenerator[FailingJobsRow, None]: ...

FinishTransactionRow = BeginTransactionRow

@_query
def finish_transaction(connection: _Connection, /, *, station_id: str, transaction_id: str | None,
    at: datetime, register_mwh: int | None, reason: str | None, connector: int | None,
    token: str | None, meter_id: str | None, measures: str) -> AsyncGenerator[FinishTransactionRow,
    None]: ...

@_query
async def first_hour(connection: _Connection, /, *, since: datetime) -> datetime | None: ...

class FleetRow(Record):
    def __getitem__(self, key: Literal["totals", "sites", "vehicles"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["totals", "sites", "vehicles"]]: ...

@_query
async def fleet(connection: _Connection, /, *, start: datetime, end: datetime,
    after_site: str | None, sites: int, sort: str, reverse: bool, after_value: float | None,
    after_id: str | None, vehicles: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> FleetRow: ...

class FleetEnergyRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["starts", "ends"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["ac_mwh", "unattributed_mwh", "dc_mwh", "compared_dc_mwh",
        "compared_ac_mwh", "meter_readings", "vehicle_readings", "readings_without_meter",
        "resets"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["covered_dc_s", "covered_ac_s", "compared_s", "charging_s",
        "charging_compared_s", "expected_dc_s", "expected_ac_s"]) -> float | Any: ...
    @overload
    def __getitem__(self, key: Literal["dc_while_charging", "ac_while_charging"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["starts", "ends", "ac_mwh", "unattributed_mwh", "dc_mwh",
        "compared_dc_mwh", "compared_ac_mwh", "meter_readings", "vehicle_readings",
        "readings_without_meter", "resets", "covered_dc_s", "covered_ac_s", "compared_s",
        "charging_s", "charging_compared_s", "dc_while_charging", "ac_while_charging",
        "expected_dc_s", "expected_ac_s"]) -> Any: ...
    def keys(self) -> Iterator[Literal["starts", "ends", "ac_mwh", "unattributed_mwh", "dc_mwh",
        "compared_dc_mwh", "compared_ac_mwh", "meter_readings", "vehicle_readings",
        "readings_without_meter", "resets", "covered_dc_s", "covered_ac_s", "compared_s",
        "charging_s", "charging_compared_s", "dc_while_charging", "ac_while_charging",
        "expected_dc_s", "expected_ac_s"]]: ...

@_query
def fleet_energy(connection: _Connection, /, *, bounds: Sequence[datetime], limit: int,
    reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[FleetEnergyRow, None]: ...

class FleetFactsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["devices", "late_hours"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["newest_reading", "oldest_reading", "evaluated_until",
        "migrated_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["rollup_lag_s"]) -> float | Any: ...
    @overload
    def __getitem__(self, key: Literal["disabled_webhooks"]) -> list[int] | Any: ...
    @overload
    def __getitem__(self, key: Literal["devices", "newest_reading", "oldest_reading",
        "rollup_lag_s", "late_hours", "evaluated_until", "disabled_webhooks",
        "migrated_at"]) -> Any: ...
    def keys(self) -> Iterator[Literal["devices", "newest_reading", "oldest_reading",
        "rollup_lag_s", "late_hours", "evaluated_until", "disabled_webhooks", "migrated_at"]]: ...

@_query
async def fleet_facts(connection: _Connection, /) -> FleetFactsRow: ...

@_query
async def forget_browser_sessions(connection: _Connection, /) -> str: ...

@_query
async def forget_device(connection: _Connection, /, *, kind: str, device_id: str) -> str: ...

@_query
async def forget_late_devices(connection: _Connection, /, *, ids: Sequence[int]) -> str: ...

@_query
async def forget_memories(connection: _Connection, /, *, aspects: Sequence[str],
    device_kinds: Sequence[str], device_ids: Sequence[str]) -> str: ...

@_query
async def forget_register_events(connection: _Connection, /) -> str: ...

@_query
async def forget_token(connection: _Connection, /, *, token: str) -> int: ...

class GoneSubjectsRow(Record):
    def __getitem__(self, key: Literal["device_kind", "device_id"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["device_kind", "device_id"]]: ...

@_query
def gone_subjects(connection: _Connection, /) -> AsyncGenerator[GoneSubjectsRow, None]: ...

@_query
async def installation_id(connection: _Connection, /) -> UUID: ...

class JobScheduleRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["job"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["every"]) -> timedelta | Any: ...
    @overload
    def __getitem__(self, key: Literal["paused", "running"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["last_run"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "job", "every", "paused", "running",
        "last_run"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "job", "every", "paused", "running", "last_run"]]: ...

@_query
def job_schedule(connection: _Connection, /) -> AsyncGenerator[JobScheduleRow, None]: ...

@_query
async def kept_since(connection: _Connection, /) -> datetime: ...

KeyRow = AddKeyRow

@_query
async def key(connection: _Connection, /, *, id: str) -> KeyRow | None: ...

class KeyDatesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["name"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["created_at", "expires_at",
        "last_used_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["name", "created_at", "expires_at",
        "last_used_at"]) -> Any: ...
    def keys(self) -> Iterator[Literal["name", "created_at", "expires_at", "last_used_at"]]: ...

@_query
def key_dates(connection: _Connection, /) -> AsyncGenerator[KeyDatesRow, None]: ...

KeyPageRow = AddKeyRow

@_query
def key_page(connection: _Connection, /, *, after: str, revoked: bool,
    limit: int) -> AsyncGenerator[KeyPageRow, None]: ...

class KeysVersionRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["version"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["any_key"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["version", "any_key"]) -> Any: ...
    def keys(self) -> Iterator[Literal["version", "any_key"]]: ...

@_query
async def keys_version(connection: _Connection, /) -> KeysVersionRow: ...

class KindsFoundRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["kind"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["anomalies"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "anomalies"]) -> Any: ...
    def keys(self) -> Iterator[Literal["kind", "anomalies"]]: ...

@_query
def kinds_found(connection: _Connection, /, *, ids: Sequence[int]) -> AsyncGenerator[KindsFoundRow,
    None]: ...

class KindsOfDeviceRow(Record):
    def __getitem__(self, key: Literal["kind"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["kind"]]: ...

@_query
def kinds_of_device(connection: _Connection, /, *, kinds: Sequence[str],
    device_id: str) -> AsyncGenerator[KindsOfDeviceRow, None]: ...

LastingAnomaliesRow = AnomaliesRow

@_query
def lasting_anomalies(connection: _Connection, /, *, device_kinds: Sequence[str],
    device_ids: Sequence[str]) -> AsyncGenerator[LastingAnomaliesRow, None]: ...

class LastingRefusalsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["device_kind", "device_id", "site"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["started_at", "last_at",
        "accepted_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["is_over"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["device_kind", "device_id", "site", "started_at", "last_at",
        "accepted_at", "is_over"]) -> Any: ...
    def keys(self) -> Iterator[Literal["device_kind", "device_id", "site", "started_at", "last_at",
        "accepted_at", "is_over"]]: ...

@_query
def lasting_refusals(connection: _Connection, /, *,
    at: datetime) -> AsyncGenerator[LastingRefusalsRow, None]: ...

@_query
async def leave_mqtt_place(connection: _Connection, /, *, client_id: str) -> bool: ...

LivingKeyRow = AddKeyRow

@_query
async def living_key(connection: _Connection, /, *, which: str) -> LivingKeyRow | None: ...

LivingKeysRow = AddKeyRow

@_query
def living_keys(connection: _Connection, /) -> AsyncGenerator[LivingKeysRow, None]: ...

class LoadMetersRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["device"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["role"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["is_expected"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["device", "role", "is_expected"]) -> Any: ...
    def keys(self) -> Iterator[Literal["device", "role", "is_expected"]]: ...

@_query
def load_meters(connection: _Connection, /, *, meter_id: str | None, site: str | None,
    roles: Sequence[str] | None, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[LoadMetersRow, None]: ...

class LoadOfMetersRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["starts", "ends", "peak_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["ac_mwh", "peak_mwh"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["covered_ac_s", "elapsed_s"]) -> float | Any: ...
    @overload
    def __getitem__(self, key: Literal["starts", "ends", "ac_mwh", "covered_ac_s", "elapsed_s",
        "peak_mwh", "peak_at"]) -> Any: ...
    def keys(self) -> Iterator[Literal["starts", "ends", "ac_mwh", "covered_ac_s", "elapsed_s",
        "peak_mwh", "peak_at"]]: ...

@_query
def load_of_meters(connection: _Connection, /, *, meters: Sequence[int],
    bounds: Sequence[datetime]) -> AsyncGenerator[LoadOfMetersRow, None]: ...

class LockWaitsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["lock", "statement"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["waits_s"]) -> float | Any: ...
    @overload
    def __getitem__(self, key: Literal["holders"]) -> list[str] | Any: ...
    @overload
    def __getitem__(self, key: Literal["lock", "waits_s", "statement", "holders"]) -> Any: ...
    def keys(self) -> Iterator[Literal["lock", "waits_s", "statement", "holders"]]: ...

@_query
def lock_waits(connection: _Connection, /, *, most: int) -> AsyncGenerator[LockWaitsRow, None]: ...

class MemoriesRow(Record):
    def __getitem__(self, key: Literal["device_kind", "device_id", "memory"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["device_kind", "device_id", "memory"]]: ...

@_query
def memories(connection: _Connection, /, *, aspect: str) -> AsyncGenerator[MemoriesRow, None]: ...

MemoriesOfRow = MemoriesRow

@_query
def memories_of(connection: _Connection, /, *, aspect: str, device_kinds: Sequence[str],
    device_ids: Sequence[str]) -> AsyncGenerator[MemoriesOfRow, None]: ...

class MeterPointsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["time"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["energy_mwh", "span_ms", "voltage_mv", "voltage_l1_mv",
        "voltage_l2_mv", "voltage_l3_mv"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["reset"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "time", "energy_mwh", "span_ms", "voltage_mv", "reset",
        "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "time", "energy_mwh", "span_ms", "voltage_mv", "reset",
        "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv"]]: ...

@_query
def meter_points(connection: _Connection, /, *, ids: Sequence[str], starts: Sequence[datetime],
    end: datetime) -> AsyncGenerator[MeterPointsRow, None]: ...

class MeterSharesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["vehicle_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["dc_mwh", "ac_mwh", "compared_dc_mwh", "compared_ac_mwh",
        "readings"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["vehicle_id", "dc_mwh", "ac_mwh", "compared_dc_mwh",
        "compared_ac_mwh", "readings"]) -> Any: ...
    def keys(self) -> Iterator[Literal["vehicle_id", "dc_mwh", "ac_mwh", "compared_dc_mwh",
        "compared_ac_mwh", "readings"]]: ...

@_query
def meter_shares(connection: _Connection, /, *, meter_id: str, bounds: Sequence[datetime],
    after: str, limit: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[MeterSharesRow, None]: ...

class MetersEnergyRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["starts", "ends"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["ac_mwh", "unattributed_mwh", "dc_mwh", "compared_dc_mwh",
        "compared_ac_mwh", "meter_readings", "vehicle_readings", "resets", "voltage_mv_count",
        "voltage_mv_sum", "voltage_mv_min", "voltage_mv_max"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["covered_dc_s", "covered_ac_s", "compared_s", "charging_s",
        "charging_compared_s", "expected_dc_s", "expected_ac_s"]) -> float | Any: ...
    @overload
    def __getitem__(self, key: Literal["dc_while_charging", "ac_while_charging"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["starts", "ends", "ac_mwh", "unattributed_mwh", "dc_mwh",
        "compared_dc_mwh", "compared_ac_mwh", "meter_readings", "vehicle_readings", "resets",
        "covered_dc_s", "covered_ac_s", "compared_s", "charging_s", "charging_compared_s",
        "dc_while_charging", "ac_while_charging", "expected_dc_s", "expected_ac_s",
        "voltage_mv_count", "voltage_mv_sum", "voltage_mv_min", "voltage_mv_max"]) -> Any: ...
    def keys(self) -> Iterator[Literal["starts", "ends", "ac_mwh", "unattributed_mwh", "dc_mwh",
        "compared_dc_mwh", "compared_ac_mwh", "meter_readings", "vehicle_readings", "resets",
        "covered_dc_s", "covered_ac_s", "compared_s", "charging_s", "charging_compared_s",
        "dc_while_charging", "ac_while_charging", "expected_dc_s", "expected_ac_s",
        "voltage_mv_count", "voltage_mv_sum", "voltage_mv_min", "voltage_mv_max"]]: ...

@_query
def meters_energy(connection: _Connection, /, *, meter_ids: Sequence[str],
    bounds: Sequence[datetime], limit: int) -> AsyncGenerator[MetersEnergyRow, None]: ...

class MissedEventsRow(Record):
    def __getitem__(self, key: Literal["goes_on_after", "missed"]) -> int | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["goes_on_after", "missed"]]: ...

@_query
async def missed_events(connection: _Connection, /, *, after: int, until: int,
    most: int) -> MissedEventsRow | None: ...

class NewAnomalyIdsRow(Record):
    def __getitem__(self, key: Literal["id"]) -> int | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["id"]]: ...

@_query
def new_anomaly_ids(connection: _Connection, /, *, most: int) -> AsyncGenerator[NewAnomalyIdsRow,
    None]: ...

@_query
async def newest_event(connection: _Connection, /) -> int: ...

class NewestTimesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["time"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "time"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "time"]]: ...

@_query
def newest_times(connection: _Connection, /, *, kind: str, ids: Sequence[str], since: datetime,
    until: datetime) -> AsyncGenerator[NewestTimesRow, None]: ...

@_query
async def note_hours(connection: _Connection, /, *, hours: Sequence[datetime]) -> int: ...

@_query
async def note_keys_used(connection: _Connection, /, *, ids: Sequence[str]) -> str: ...

@_query
async def note_pairs(connection: _Connection, /, *, meters: Sequence[int],
    vehicles: Sequence[int]) -> str: ...

@_query
async def note_rejections(connection: _Connection, /, *, rejections: str) -> str: ...

@_query
async def number_device(connection: _Connection, /, *, kind: str, device_id: str) -> int: ...

class NumberDevicesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["kind", "id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["device", "version"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "id", "device", "version"]) -> Any: ...
    def keys(self) -> Iterator[Literal["kind", "id", "device", "version"]]: ...

@_query
def number_devices(connection: _Connection, /, *, kinds: Sequence[str],
    ids: Sequence[str]) -> AsyncGenerator[NumberDevicesRow, None]: ...

@_query
async def number_of_transaction(connection: _Connection, /, *, station_id: str,
    transaction_id: str) -> int | None: ...

class NumberSessionsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["session"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "session"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "session"]]: ...

@_query
def number_sessions(connection: _Connection, /, *,
    ids: Sequence[str]) -> AsyncGenerator[NumberSessionsRow, None]: ...

class ObservedHoursRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["hour"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["vehicle_id", "meter_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["dc_mwh", "ac_mwh", "covered_dc_s", "readings", "resets",
        "soc_bp_min", "soc_bp_max", "battery_temp_cdeg_count", "battery_temp_cdeg_sum",
        "battery_temp_cdeg_min", "battery_temp_cdeg_max", "power_w_count", "power_w_sum",
        "power_w_min", "power_w_max", "voltage_mv_count", "voltage_mv_sum", "voltage_mv_min",
        "voltage_mv_max", "voltage_l1_mv_count", "voltage_l1_mv_sum", "voltage_l1_mv_min",
        "voltage_l1_mv_max", "voltage_l2_mv_count", "voltage_l2_mv_sum", "voltage_l2_mv_min",
        "voltage_l2_mv_max", "voltage_l3_mv_count", "voltage_l3_mv_sum", "voltage_l3_mv_min",
        "voltage_l3_mv_max"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["comparable"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["covered_ac_s"]) -> float | Any: ...
    @overload
    def __getitem__(self, key: Literal["hour", "vehicle_id", "meter_id", "dc_mwh", "ac_mwh",
        "comparable", "covered_dc_s", "covered_ac_s", "readings", "resets", "soc_bp_min",
        "soc_bp_max", "battery_temp_cdeg_count", "battery_temp_cdeg_sum", "battery_temp_cdeg_min",
        "battery_temp_cdeg_max", "power_w_count", "power_w_sum", "power_w_min", "power_w_max",
        "voltage_mv_count", "voltage_mv_sum", "voltage_mv_min", "voltage_mv_max",
        "voltage_l1_mv_count", "voltage_l1_mv_sum", "voltage_l1_mv_min", "voltage_l1_mv_max",
        "voltage_l2_mv_count", "voltage_l2_mv_sum", "voltage_l2_mv_min", "voltage_l2_mv_max",
        "voltage_l3_mv_count", "voltage_l3_mv_sum", "voltage_l3_mv_min",
        "voltage_l3_mv_max"]) -> Any: ...
    def keys(self) -> Iterator[Literal["hour", "vehicle_id", "meter_id", "dc_mwh", "ac_mwh",
        "comparable", "covered_dc_s", "covered_ac_s", "readings", "resets", "soc_bp_min",
        "soc_bp_max", "battery_temp_cdeg_count", "battery_temp_cdeg_sum", "battery_temp_cdeg_min",
        "battery_temp_cdeg_max", "power_w_count", "power_w_sum", "power_w_min", "power_w_max",
        "voltage_mv_count", "voltage_mv_sum", "voltage_mv_min", "voltage_mv_max",
        "voltage_l1_mv_count", "voltage_l1_mv_sum", "voltage_l1_mv_min", "voltage_l1_mv_max",
        "voltage_l2_mv_count", "voltage_l2_mv_sum", "voltage_l2_mv_min", "voltage_l2_mv_max",
        "voltage_l3_mv_count", "voltage_l3_mv_sum", "voltage_l3_mv_min", "voltage_l3_mv_max"]]: ...

@_query
def observed_hours(connection: _Connection, /, *, vehicle_ids: Sequence[str] | None,
    meter_ids: Sequence[str] | None, start: datetime,
    end: datetime) -> AsyncGenerator[ObservedHoursRow, None]: ...

@_query
async def oldest_write(connection: _Connection, /) -> datetime | None: ...

@_query
async def open_transaction(connection: _Connection, /, *, station_id: str,
    connector: int) -> int | None: ...

class OverridePageRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["kind", "scope", "target", "parameters",
        "changed_by"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["changed_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "scope", "target", "parameters", "changed_at",
        "changed_by"]) -> Any: ...
    def keys(self) -> Iterator[Literal["kind", "scope", "target", "parameters", "changed_at",
        "changed_by"]]: ...

@_query
def override_page(connection: _Connection, /, *, kind: str, after_scope: str, after_target: str,
    limit: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[OverridePageRow, None]: ...

OverridesAtRow = OverridePageRow

@_query
def overrides_at(connection: _Connection, /, *, kinds: Sequence[str], scope: str, target: str,
    site: str | None) -> AsyncGenerator[OverridesAtRow, None]: ...

class OverridesOfRuleRow(Record):
    def __getitem__(self, key: Literal["scope", "target", "parameters", "site"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["scope", "target", "parameters", "site"]]: ...

@_query
def overrides_of_rule(connection: _Connection, /, *,
    kind: str) -> AsyncGenerator[OverridesOfRuleRow, None]: ...

@_query
async def pack_rollups(connection: _Connection, /) -> str: ...

class PeaksRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["time"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["energy_mwh", "span_ms"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["is_jump"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "time", "energy_mwh", "span_ms",
        "is_jump"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "time", "energy_mwh", "span_ms", "is_jump"]]: ...

@_query
def peaks(connection: _Connection, /, *, kind: str, ids: Sequence[str], starts: Sequence[datetime],
    limits_w: Sequence[float], end: datetime) -> AsyncGenerator[PeaksRow, None]: ...

@_query
async def prepare_session(connection: _Connection, /) -> str: ...

@_query
async def purge_assignments(connection: _Connection, /, *, kind: str, device_id: str) -> str: ...

class PurgeDeviceRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["relation", "change"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["stored"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["relation", "change", "stored"]) -> Any: ...
    def keys(self) -> Iterator[Literal["relation", "change", "stored"]]: ...

@_query
def purge_device(connection: _Connection, /, *, kind: str, device_id: str,
    count_only: bool) -> AsyncGenerator[PurgeDeviceRow, None]: ...

@_query
async def put_pieces(connection: _Connection, /, *, devices: Sequence[int],
    times: Sequence[datetime]) -> str: ...

class ReadingRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["device", "meter", "energy_mwh", "register_mwh", "span_ms",
        "soc_bp", "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh",
        "voltage_mv", "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "odometer_m",
        "highest_mwh", "reverse_highest_mwh", "session", "replaced"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["time", "interval_start",
        "sent_time"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["meter_declared", "reset", "spread", "has_sent_energy",
        "sends_register"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "meter_id", "session_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["device", "meter", "time", "energy_mwh", "register_mwh",
        "span_ms", "interval_start", "meter_declared", "reset", "spread", "soc_bp",
        "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh", "voltage_mv",
        "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "odometer_m", "highest_mwh",
        "reverse_highest_mwh", "session", "id", "meter_id", "session_id", "replaced", "sent_time",
        "has_sent_energy", "sends_register"]) -> Any: ...
    def keys(self) -> Iterator[Literal["device", "meter", "time", "energy_mwh", "register_mwh",
        "span_ms", "interval_start", "meter_declared", "reset", "spread", "soc_bp",
        "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh", "voltage_mv",
        "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "odometer_m", "highest_mwh",
        "reverse_highest_mwh", "session", "id", "meter_id", "session_id", "replaced", "sent_time",
        "has_sent_energy", "sends_register"]]: ...

@_query
async def reading(connection: _Connection, /, *, kind: str, device_id: str, time: datetime,
    reach_ids: Sequence[str] | None, reach_sites: Sequence[str] | None) -> ReadingRow | None: ...

@_query
async def readings_stamped(connection: _Connection, /, *, since: datetime, until: datetime,
    reach_ids: Sequence[str] | None, reach_sites: Sequence[str] | None) -> int: ...

class ReadyLateDevicesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["device_kind", "device_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["ids"]) -> list[int] | Any: ...
    @overload
    def __getitem__(self, key: Literal["device_kind", "device_id", "since", "ids"]) -> Any: ...
    def keys(self) -> Iterator[Literal["device_kind", "device_id", "since", "ids"]]: ...

@_query
def ready_late_devices(connection: _Connection, /, *,
    most: int) -> AsyncGenerator[ReadyLateDevicesRow, None]: ...

RecordAnomalyEventsRow = NewAnomalyIdsRow

@_query
def record_anomaly_events(connection: _Connection, /, *, at: datetime,
    events: str) -> AsyncGenerator[RecordAnomalyEventsRow, None]: ...

@_query
async def record_audit(connection: _Connection, /, *, who: str, address: str | None,
    request_id: str | None, action: str, object: str, before: str | None,
    after: str | None) -> str: ...

@_query
async def record_rule_change(connection: _Connection, /, *, kind: str, scope: str, target: str,
    parameters: str, replaced: str | None, who: str, note: str | None) -> str: ...

@_query
async def refresh_late_hours(connection: _Connection, /) -> str: ...

class RefusedDevicesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["kind", "id", "site", "code", "detail"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["since", "last_at", "accepted_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["refused"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "id", "site", "since", "last_at", "refused", "code",
        "detail", "accepted_at"]) -> Any: ...
    def keys(self) -> Iterator[Literal["kind", "id", "site", "since", "last_at", "refused", "code",
        "detail", "accepted_at"]]: ...

@_query
def refused_devices(connection: _Connection, /, *, at: datetime,
    most: int) -> AsyncGenerator[RefusedDevicesRow, None]: ...

class RegisterFallsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["hour"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["device_kind", "device_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["dips", "flutters", "resets"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["hour", "device_kind", "device_id", "dips", "flutters",
        "resets"]) -> Any: ...
    def keys(self) -> Iterator[Literal["hour", "device_kind", "device_id", "dips", "flutters",
        "resets"]]: ...

@_query
def register_falls(connection: _Connection, /, *, vehicle_ids: Sequence[str] | None,
    meter_ids: Sequence[str] | None, start: datetime,
    end: datetime) -> AsyncGenerator[RegisterFallsRow, None]: ...

class RejectionsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id", "kind", "code", "detail", "path",
        "example"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["is_known"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["count", "count_since"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["first_at", "last_at", "since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "kind", "code", "is_known", "count", "first_at",
        "last_at", "since", "count_since", "detail", "path", "example"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "kind", "code", "is_known", "count", "first_at",
        "last_at", "since", "count_since", "detail", "path", "example"]]: ...

@_query
def rejections(connection: _Connection, /, *, after_id: str, after_kind: str, after_code: str,
    device_id: str | None, kind: str | None, code: str | None, limit: int,
    reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[RejectionsRow, None]: ...

@_query
async def release_webhook(connection: _Connection, /, *, webhook_id: int, claim: datetime,
    event_id: int) -> str: ...

@_query
async def remember(connection: _Connection, /, *, aspect: str, device_kinds: Sequence[str],
    device_ids: Sequence[str], memories: Sequence[str]) -> str: ...

@_query
async def remove_device(connection: _Connection, /, *, kind: str,
    device_id: str) -> bool | None: ...

@_query
async def remove_override(connection: _Connection, /, *, kind: str, scope: str,
    target: str) -> str: ...

@_query
async def remove_webhook(connection: _Connection, /, *, webhook_id: int | None,
    url: str | None) -> str | None: ...

class ReplacedReadingsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["version", "device", "meter", "energy_mwh", "register_mwh",
        "span_ms", "soc_bp", "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh",
        "voltage_mv", "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "odometer_m",
        "highest_mwh", "reverse_highest_mwh", "session"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["replaced_at", "time",
        "interval_start"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["replaced_by", "reason", "id", "meter_id",
        "session_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["meter_declared", "reset", "spread"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["version", "replaced_at", "replaced_by", "reason", "device",
        "meter", "time", "energy_mwh", "register_mwh", "span_ms", "interval_start",
        "meter_declared", "reset", "spread", "soc_bp", "battery_temp_cdeg", "power_w",
        "reverse_mwh", "reverse_register_mwh", "voltage_mv", "voltage_l1_mv", "voltage_l2_mv",
        "voltage_l3_mv", "odometer_m", "highest_mwh", "reverse_highest_mwh", "session", "id",
        "meter_id", "session_id"]) -> Any: ...
    def keys(self) -> Iterator[Literal["version", "replaced_at", "replaced_by", "reason", "device",
        "meter", "time", "energy_mwh", "register_mwh", "span_ms", "interval_start",
        "meter_declared", "reset", "spread", "soc_bp", "battery_temp_cdeg", "power_w",
        "reverse_mwh", "reverse_register_mwh", "voltage_mv", "voltage_l1_mv", "voltage_l2_mv",
        "voltage_l3_mv", "odometer_m", "highest_mwh", "reverse_highest_mwh", "session", "id",
        "meter_id", "session_id"]]: ...

@_query
def replaced_readings(connection: _Connection, /, *, kind: str, device_id: str, start: datetime,
    end: datetime, most: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[ReplacedReadingsRow, None]: ...

class ReportingRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["kind"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["known", "reporting", "late", "silent",
        "resting"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "known", "reporting", "late", "silent",
        "resting"]) -> Any: ...
    def keys(self) -> Iterator[Literal["kind", "known", "reporting", "late", "silent",
        "resting"]]: ...

@_query
def reporting(connection: _Connection, /, *, now: datetime, late_after: float, silent_after: float,
    reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[ReportingRow, None]: ...

@_query
async def reporting_interval(connection: _Connection, /) -> int: ...

@_query
async def restamp_pending(connection: _Connection, /) -> str: ...

@_query
async def restamp_readings(connection: _Connection, /, *, vehicle: int, since: datetime) -> int: ...

@_query
async def retention_days(connection: _Connection, /) -> int: ...

RevokeKeyRow = AddKeyRow

@_query
async def revoke_key(connection: _Connection, /, *, id: str) -> RevokeKeyRow: ...

class RoleFactsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["name"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["is_superuser", "is_owner", "has_reader"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["readable_secrets"]) -> list[str] | Any: ...
    @overload
    def __getitem__(self, key: Literal["name", "is_superuser", "is_owner", "has_reader",
        "readable_secrets"]) -> Any: ...
    def keys(self) -> Iterator[Literal["name", "is_superuser", "is_owner", "has_reader",
        "readable_secrets"]]: ...

@_query
async def role_facts(connection: _Connection, /) -> RoleFactsRow: ...

@_query
async def rolled_up_until(connection: _Connection, /) -> str: ...

RosterRow = ClockSamplesRow

@_query
def roster(connection: _Connection, /) -> AsyncGenerator[RosterRow, None]: ...

RotateKeyRow = AddKeyRow

@_query
async def rotate_key(connection: _Connection, /, *, id: str, secret_hash: bytes, grace: timedelta,
    expires_at: datetime | None) -> RotateKeyRow: ...

class RuleChangesRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "scope", "target", "parameters", "replaced",
        "changed_by", "note"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["changed_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "kind", "scope", "target", "parameters", "replaced",
        "changed_at", "changed_by", "note"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "kind", "scope", "target", "parameters", "replaced",
        "changed_at", "changed_by", "note"]]: ...

@_query
def rule_changes(connection: _Connection, /, *, kind: str, before: int | None, limit: int,
    reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[RuleChangesRow, None]: ...

@_query
async def save_anomalies(connection: _Connection, /, *, anomalies: str) -> str: ...

class ServerFactsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["now", "last_archived_at",
        "archive_failed_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["version_num", "database_bytes", "usable_connections",
        "other_connections", "databases"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["timescaledb", "licence"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["has_timescaledb"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["now", "version_num", "timescaledb", "has_timescaledb",
        "licence", "database_bytes", "usable_connections", "other_connections", "databases",
        "last_archived_at", "archive_failed_at"]) -> Any: ...
    def keys(self) -> Iterator[Literal["now", "version_num", "timescaledb", "has_timescaledb",
        "licence", "database_bytes", "usable_connections", "other_connections", "databases",
        "last_archived_at", "archive_failed_at"]]: ...

@_query
async def server_facts(connection: _Connection, /) -> ServerFactsRow: ...

class ServerSettingsRow(Record):
    def __getitem__(self, key: Literal["name", "setting"]) -> str | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["name", "setting"]]: ...

@_query
def server_settings(connection: _Connection, /, *,
    names: Sequence[str]) -> AsyncGenerator[ServerSettingsRow, None]: ...

class SessionsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["begins", "finishes"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["session_id", "meter_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["register_from_mwh", "register_to_mwh", "soc_bp_from",
        "soc_bp_to", "battery_temp_cdeg_max", "dc_mwh", "ac_mwh", "compared_dc_mwh",
        "compared_ac_mwh", "readings", "readings_without_meter", "resets",
        "meters"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["peak_mw", "covered_dc_s", "covered_ac_s", "compared_s",
        "charging_s", "charging_compared_s", "expected_s"]) -> float | Any: ...
    @overload
    def __getitem__(self, key: Literal["is_open", "dc_while_charging",
        "ac_while_charging"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["meter_ids"]) -> list[str] | Any: ...
    @overload
    def __getitem__(self, key: Literal["begins", "finishes", "session_id", "register_from_mwh",
        "register_to_mwh", "soc_bp_from", "soc_bp_to", "battery_temp_cdeg_max", "peak_mw",
        "is_open", "meter_id", "dc_mwh", "ac_mwh", "compared_dc_mwh", "compared_ac_mwh", "readings",
        "readings_without_meter", "resets", "covered_dc_s", "covered_ac_s", "compared_s",
        "charging_s", "charging_compared_s", "dc_while_charging", "ac_while_charging", "expected_s",
        "meters", "meter_ids"]) -> Any: ...
    def keys(self) -> Iterator[Literal["begins", "finishes", "session_id", "register_from_mwh",
        "register_to_mwh", "soc_bp_from", "soc_bp_to", "battery_temp_cdeg_max", "peak_mw",
        "is_open", "meter_id", "dc_mwh", "ac_mwh", "compared_dc_mwh", "compared_ac_mwh", "readings",
        "readings_without_meter", "resets", "covered_dc_s", "covered_ac_s", "compared_s",
        "charging_s", "charging_compared_s", "dc_while_charging", "ac_while_charging", "expected_s",
        "meters", "meter_ids"]]: ...

@_query
def sessions(connection: _Connection, /, *, vehicle_id: str, start: datetime, end: datetime,
    limit: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[SessionsRow, None]: ...

SetDeviceRow = DeviceSettingsRow

@_query
async def set_device(connection: _Connection, /, *, kind: str, device_id: str,
    settings: str) -> SetDeviceRow: ...

@_query
async def set_override(connection: _Connection, /, *, kind: str, scope: str, target: str,
    parameters: str, who: str) -> str: ...

class SetTokenRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["is_changed"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["since", "is_changed"]) -> Any: ...
    def keys(self) -> Iterator[Literal["since", "is_changed"]]: ...

@_query
async def set_token(connection: _Connection, /, *, token: str, driver: str | None,
    vehicle_id: str | None, since: datetime | None) -> SetTokenRow: ...

@_query
async def site_known(connection: _Connection, /, *, site: str, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> bool: ...

@_query
async def site_meters(connection: _Connection, /, *, site: str, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> list[str] | None: ...

@_query
async def site_of(connection: _Connection, /, *, kind: str, device_id: str) -> str | None: ...

class SiteSupplyRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["site", "role"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["meters", "ac_mwh"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["covered_ac_s", "expected_ac_s"]) -> float | Any: ...
    @overload
    def __getitem__(self, key: Literal["site", "role", "meters", "ac_mwh", "covered_ac_s",
        "expected_ac_s"]) -> Any: ...
    def keys(self) -> Iterator[Literal["site", "role", "meters", "ac_mwh", "covered_ac_s",
        "expected_ac_s"]]: ...

@_query
def site_supply(connection: _Connection, /, *, start: datetime, end: datetime,
    after_site: str | None, limit: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[SiteSupplyRow, None]: ...

SitesOfRow = DevicesNamedRow

@_query
def sites_of(connection: _Connection, /, *, kinds: Sequence[str],
    ids: Sequence[str]) -> AsyncGenerator[SitesOfRow, None]: ...

@_query
async def stamp_readings(connection: _Connection, /, *, devices: Sequence[int],
    sent: Sequence[datetime], times: Sequence[datetime],
    digests: Sequence[int]) -> list[datetime]: ...

class StampedByArrivalRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["kind", "id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["device"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["kind", "id", "device"]) -> Any: ...
    def keys(self) -> Iterator[Literal["kind", "id", "device"]]: ...

@_query
def stamped_by_arrival(connection: _Connection, /, *, kinds: Sequence[str],
    ids: Sequence[str]) -> AsyncGenerator[StampedByArrivalRow, None]: ...

StateExchangeRow = ExchangesRow

@_query
async def state_exchange(connection: _Connection, /, *, device: int, at: datetime, is_reverse: bool,
    last_mwh: int, first_mwh: int) -> StateExchangeRow: ...

class StorageJobsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["job", "relation", "outcome", "error"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["every", "took"]) -> timedelta | Any: ...
    @overload
    def __getitem__(self, key: Literal["last_run", "next_run"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["readings"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["job", "relation", "every", "last_run", "outcome", "error",
        "took", "next_run", "readings"]) -> Any: ...
    def keys(self) -> Iterator[Literal["job", "relation", "every", "last_run", "outcome", "error",
        "took", "next_run", "readings"]]: ...

@_query
def storage_jobs(connection: _Connection, /) -> AsyncGenerator[StorageJobsRow, None]: ...

class StoreReadingsRow(Record):
    def __getitem__(self, key: Literal["stored", "mixed", "conflicts"]) -> list[int] | Any: ...  # type: ignore[override]
    def keys(self) -> Iterator[Literal["stored", "mixed", "conflicts"]]: ...

@_query
async def store_readings(connection: _Connection, /) -> StoreReadingsRow: ...

class StoredRelationsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["relation"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["about_rows", "bytes", "chunks", "columnstore_chunks",
        "columnstore_rows", "columnstore_bytes_before", "columnstore_bytes"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["oldest", "newest"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["relation", "about_rows", "bytes", "chunks",
        "columnstore_chunks", "columnstore_rows", "columnstore_bytes_before", "columnstore_bytes",
        "oldest", "newest"]) -> Any: ...
    def keys(self) -> Iterator[Literal["relation", "about_rows", "bytes", "chunks",
        "columnstore_chunks", "columnstore_rows", "columnstore_bytes_before", "columnstore_bytes",
        "oldest", "newest"]]: ...

@_query
def stored_relations(connection: _Connection, /) -> AsyncGenerator[StoredRelationsRow, None]: ...

class StoredSumsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["relation", "energy_mwh"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["rows"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["relation", "rows", "energy_mwh"]) -> Any: ...
    def keys(self) -> Iterator[Literal["relation", "rows", "energy_mwh"]]: ...

@_query
def stored_sums(connection: _Connection, /) -> AsyncGenerator[StoredSumsRow, None]: ...

@_query
async def take_mqtt_place(connection: _Connection, /, *, client_id: str) -> bool: ...

class TakeOverTransactionsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["taken", "vehicle", "by_number"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["vehicle_id", "was_id", "meter_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["taken", "vehicle", "vehicle_id", "since", "was_id",
        "meter_id", "by_number"]) -> Any: ...
    def keys(self) -> Iterator[Literal["taken", "vehicle", "vehicle_id", "since", "was_id",
        "meter_id", "by_number"]]: ...

@_query
def take_over_transactions(connection: _Connection, /, *, token: str, since: datetime | None,
    all: bool, most: int) -> AsyncGenerator[TakeOverTransactionsRow, None]: ...

@_query
async def timescaledb_version(connection: _Connection, /) -> str: ...

class TokenHolderRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["token", "driver", "vehicle_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["token", "since", "driver", "vehicle_id"]) -> Any: ...
    def keys(self) -> Iterator[Literal["token", "since", "driver", "vehicle_id"]]: ...

@_query
async def token_holder(connection: _Connection, /, *, token: str) -> TokenHolderRow | None: ...

class TokenHoldersRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["token_key", "token", "driver",
        "vehicle_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["token_key", "token", "since", "driver",
        "vehicle_id"]) -> Any: ...
    def keys(self) -> Iterator[Literal["token_key", "token", "since", "driver", "vehicle_id"]]: ...

@_query
def token_holders(connection: _Connection, /, *, after: str, vehicle_id: str | None, limit: int,
    reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[TokenHoldersRow, None]: ...

class TransactionRecordRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["number", "connector", "register_start_mwh",
        "register_end_mwh"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["transaction_id", "station_id", "meter_id", "measures",
        "token", "driver", "vehicle_id", "reason"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["started_at", "ended_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["number", "transaction_id", "station_id", "connector",
        "meter_id", "measures", "token", "driver", "vehicle_id", "started_at", "register_start_mwh",
        "ended_at", "register_end_mwh", "reason"]) -> Any: ...
    def keys(self) -> Iterator[Literal["number", "transaction_id", "station_id", "connector",
        "meter_id", "measures", "token", "driver", "vehicle_id", "started_at", "register_start_mwh",
        "ended_at", "register_end_mwh", "reason"]]: ...

@_query
async def transaction_record(connection: _Connection, /, *,
    number: int) -> TransactionRecordRow | None: ...

class TransactionWithinRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["number", "connector", "register_start_mwh",
        "register_end_mwh"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["transaction_id", "station_id", "meter_id", "measures",
        "token", "driver", "vehicle_id", "reason"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["started_at", "ended_at", "at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["meter_within", "vehicle_within"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["number", "transaction_id", "station_id", "connector",
        "meter_id", "measures", "token", "driver", "vehicle_id", "started_at", "register_start_mwh",
        "ended_at", "register_end_mwh", "reason", "at", "meter_within",
        "vehicle_within"]) -> Any: ...
    def keys(self) -> Iterator[Literal["number", "transaction_id", "station_id", "connector",
        "meter_id", "measures", "token", "driver", "vehicle_id", "started_at", "register_start_mwh",
        "ended_at", "register_end_mwh", "reason", "at", "meter_within", "vehicle_within"]]: ...

@_query
async def transaction_within(connection: _Connection, /, *, number: int,
    reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> TransactionWithinRow | None: ...

TransactionsPageRow = TransactionWithinRow

@_query
def transactions_page(connection: _Connection, /, *, start: datetime | None, end: datetime | None,
    meter: str | None, vehicle: str | None, station: str | None, own_id: str | None,
    open: bool | None, at: datetime | None, number: int | None, limit: int,
    reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[TransactionsPageRow, None]: ...

class UnreadableRelationsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["owner", "role"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["relations"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["owner", "role", "relations"]) -> Any: ...
    def keys(self) -> Iterator[Literal["owner", "role", "relations"]]: ...

@_query
async def unreadable_relations(connection: _Connection, /) -> UnreadableRelationsRow: ...

class UseBrowserSessionRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["holder", "issuer"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["key_hash"]) -> bytes | Any: ...
    @overload
    def __getitem__(self, key: Literal["scopes", "sites"]) -> list[str] | Any: ...
    @overload
    def __getitem__(self, key: Literal["longest_until"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["holder", "key_hash", "issuer", "scopes", "sites",
        "longest_until"]) -> Any: ...
    def keys(self) -> Iterator[Literal["holder", "key_hash", "issuer", "scopes", "sites",
        "longest_until"]]: ...

@_query
async def use_browser_session(connection: _Connection, /, *, cookie_hash: bytes,
    idle: timedelta) -> UseBrowserSessionRow | None: ...

class VehicleEnergyRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["starts", "ends"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["dc_mwh", "ac_mwh", "compared_dc_mwh", "compared_ac_mwh",
        "readings", "readings_without_meter", "resets", "soc_bp_min", "soc_bp_max",
        "battery_temp_cdeg_count", "battery_temp_cdeg_sum", "battery_temp_cdeg_max",
        "meters"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["covered_dc_s", "covered_ac_s", "compared_s", "charging_s",
        "charging_compared_s", "expected_s"]) -> float | Any: ...
    @overload
    def __getitem__(self, key: Literal["dc_while_charging", "ac_while_charging"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["meter_ids"]) -> list[str] | Any: ...
    @overload
    def __getitem__(self, key: Literal["starts", "ends", "dc_mwh", "ac_mwh", "compared_dc_mwh",
        "compared_ac_mwh", "readings", "readings_without_meter", "resets", "covered_dc_s",
        "covered_ac_s", "compared_s", "charging_s", "charging_compared_s", "dc_while_charging",
        "ac_while_charging", "expected_s", "soc_bp_min", "soc_bp_max", "battery_temp_cdeg_count",
        "battery_temp_cdeg_sum", "battery_temp_cdeg_max", "meters", "meter_ids"]) -> Any: ...
    def keys(self) -> Iterator[Literal["starts", "ends", "dc_mwh", "ac_mwh", "compared_dc_mwh",
        "compared_ac_mwh", "readings", "readings_without_meter", "resets", "covered_dc_s",
        "covered_ac_s", "compared_s", "charging_s", "charging_compared_s", "dc_while_charging",
        "ac_while_charging", "expected_s", "soc_bp_min", "soc_bp_max", "battery_temp_cdeg_count",
        "battery_temp_cdeg_sum", "battery_temp_cdeg_max", "meters", "meter_ids"]]: ...

@_query
def vehicle_energy(connection: _Connection, /, *, vehicle_id: str, bounds: Sequence[datetime],
    limit: int, reach_ids: Sequence[str] | None,
    reach_sites: Sequence[str] | None) -> AsyncGenerator[VehicleEnergyRow, None]: ...

class VehiclePointsRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["time"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["energy_mwh", "span_ms", "soc_bp",
        "battery_temp_cdeg"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "time", "energy_mwh", "span_ms", "soc_bp",
        "battery_temp_cdeg"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "time", "energy_mwh", "span_ms", "soc_bp",
        "battery_temp_cdeg"]]: ...

@_query
def vehicle_points(connection: _Connection, /, *, ids: Sequence[str], starts: Sequence[datetime],
    end: datetime) -> AsyncGenerator[VehiclePointsRow, None]: ...

@_query
async def void_reading(connection: _Connection, /, *, kind: str, device_id: str, time: datetime,
    who: str, reason: str) -> int: ...

VoidedHistoryRow = NewestTimesRow

@_query
def voided_history(connection: _Connection, /, *, kind: str, device_id: str, start: datetime,
    end: datetime, limit: int) -> AsyncGenerator[VoidedHistoryRow, None]: ...

class VoidedReadingRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["version", "device", "meter", "energy_mwh", "register_mwh",
        "span_ms", "soc_bp", "battery_temp_cdeg", "power_w", "reverse_mwh", "reverse_register_mwh",
        "voltage_mv", "voltage_l1_mv", "voltage_l2_mv", "voltage_l3_mv", "odometer_m",
        "highest_mwh", "reverse_highest_mwh", "session", "replaced"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["replaced_at", "time",
        "interval_start"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["replaced_by", "reason", "id", "meter_id",
        "session_id"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["meter_declared", "reset", "spread", "has_sent_energy",
        "sends_register"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["version", "replaced_at", "replaced_by", "reason", "device",
        "meter", "time", "energy_mwh", "register_mwh", "span_ms", "interval_start",
        "meter_declared", "reset", "spread", "soc_bp", "battery_temp_cdeg", "power_w",
        "reverse_mwh", "reverse_register_mwh", "voltage_mv", "voltage_l1_mv", "voltage_l2_mv",
        "voltage_l3_mv", "odometer_m", "highest_mwh", "reverse_highest_mwh", "session", "id",
        "meter_id", "session_id", "replaced", "has_sent_energy", "sends_register"]) -> Any: ...
    def keys(self) -> Iterator[Literal["version", "replaced_at", "replaced_by", "reason", "device",
        "meter", "time", "energy_mwh", "register_mwh", "span_ms", "interval_start",
        "meter_declared", "reset", "spread", "soc_bp", "battery_temp_cdeg", "power_w",
        "reverse_mwh", "reverse_register_mwh", "voltage_mv", "voltage_l1_mv", "voltage_l2_mv",
        "voltage_l3_mv", "odometer_m", "highest_mwh", "reverse_highest_mwh", "session", "id",
        "meter_id", "session_id", "replaced", "has_sent_energy", "sends_register"]]: ...

@_query
async def voided_reading(connection: _Connection, /, *, kind: str, device_id: str,
    time: datetime) -> VoidedReadingRow | None: ...

class WebhookRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id", "last_event_id", "failures"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["url", "secret", "format", "last_error"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["kinds"]) -> list[str] | Any: ...
    @overload
    def __getitem__(self, key: Literal["created_at", "last_success_at", "next_attempt_at",
        "disabled_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "url", "secret", "format", "kinds", "created_at",
        "last_event_id", "last_success_at", "failures", "next_attempt_at", "last_error",
        "disabled_at"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "url", "secret", "format", "kinds", "created_at",
        "last_event_id", "last_success_at", "failures", "next_attempt_at", "last_error",
        "disabled_at"]]: ...

@_query
async def webhook(connection: _Connection, /, *, webhook_id: int) -> WebhookRow | None: ...

@_query
async def webhook_failed(connection: _Connection, /, *, webhook_id: int, claim: datetime,
    event_id: int, error: str | None, again_in: timedelta, disable: bool) -> str: ...

@_query
async def webhook_took(connection: _Connection, /, *, webhook_id: int, claim: datetime,
    event_id: int, lease: timedelta) -> datetime | None: ...

class WebhooksRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["id", "last_event_id", "failures",
        "waiting"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["url", "format", "last_error"]) -> str | Any: ...
    @overload
    def __getitem__(self, key: Literal["kinds"]) -> list[str] | Any: ...
    @overload
    def __getitem__(self, key: Literal["created_at", "last_success_at", "next_attempt_at",
        "disabled_at"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["id", "url", "format", "kinds", "created_at",
        "last_event_id", "last_success_at", "failures", "next_attempt_at", "last_error",
        "disabled_at", "waiting"]) -> Any: ...
    def keys(self) -> Iterator[Literal["id", "url", "format", "kinds", "created_at",
        "last_event_id", "last_success_at", "failures", "next_attempt_at", "last_error",
        "disabled_at", "waiting"]]: ...

@_query
def webhooks(connection: _Connection, /) -> AsyncGenerator[WebhooksRow, None]: ...

@_query
async def withdraw_exchange(connection: _Connection, /, *, device: int, is_reverse: bool,
    at: datetime) -> bool: ...

class WriterStateRow(Record):
    @overload  # type: ignore[override]
    def __getitem__(self, key: Literal["device", "register_mwh", "highest_mwh", "limit_mwh",
        "reverse_highest_mwh", "reverse_limit_mwh", "derivation", "interval_ms",
        "meter"]) -> int | Any: ...
    @overload
    def __getitem__(self, key: Literal["time", "energy_at", "reverse_at",
        "since"]) -> datetime | Any: ...
    @overload
    def __getitem__(self, key: Literal["is_session"]) -> bool | Any: ...
    @overload
    def __getitem__(self, key: Literal["device", "time", "energy_at", "register_mwh", "highest_mwh",
        "limit_mwh", "reverse_at", "reverse_highest_mwh", "reverse_limit_mwh", "is_session",
        "derivation", "interval_ms", "since", "meter"]) -> Any: ...
    def keys(self) -> Iterator[Literal["device", "time", "energy_at", "register_mwh", "highest_mwh",
        "limit_mwh", "reverse_at", "reverse_highest_mwh", "reverse_limit_mwh", "is_session",
        "derivation", "interval_ms", "since", "meter"]]: ...

@_query
def writer_state(connection: _Connection, /, *,
    devices: Sequence[int]) -> AsyncGenerator[WriterStateRow, None]: ...
