"""What can be set for a device beside its readings, and its live state with it."""

from typing import Annotated

import msgspec
from asyncpg import Record
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.readings.ids import SITE_PATTERN
from fleetmeter.readings.model import MeterState, VehicleState
from fleetmeter.readings.stored import meter_fields, vehicle_fields

Label = Annotated[str, Meta(min_length=1, max_length=200, description="For people.")]
Site = Annotated[
    str,
    Meta(
        pattern=SITE_PATTERN,
        min_length=1,
        max_length=64,
        description="Where it belongs: 1–64 of A–Z a–z 0–9 . _ : - except . and ..",
        examples=["BER-1"],
    ),
]
ReportingInterval = Annotated[
    int, Meta(ge=1, le=86400, description="How often it is expected to report, seconds.")
]
TimeZoneName = Annotated[
    str,
    Meta(
        max_length=64,
        description="IANA time zone of its daily series.",
        examples=["Europe/Berlin"],
    ),
]
Rollover = Annotated[
    float,
    Meta(
        ge=0.001,
        le=1_000_000_000,
        description="Where its register turns over to zero, kWh; for readings that come after.",
        examples=[99999.9],
    ),
]
BatteryCapacity = Annotated[float, Meta(ge=0.001, le=10_000, description="kWh", examples=[77])]
RatedPower = Annotated[float, Meta(ge=0.001, le=100_000, description="kW", examples=[22])]


class VehicleSettings(msgspec.Struct, rename="camel", kw_only=True):
    """What is set for a vehicle; null: nothing."""

    label: Label | None = None
    site: Site | None = None
    reporting_interval_s: ReportingInterval | None = None
    time_zone: TimeZoneName | None = None
    battery_capacity_kwh: BatteryCapacity | None = None
    register_rollover_kwh: Rollover | None = None


class MeterSettings(msgspec.Struct, rename="camel", kw_only=True):
    """What is set for a meter; null: nothing."""

    label: Label | None = None
    site: Site | None = None
    reporting_interval_s: ReportingInterval | None = None
    time_zone: TimeZoneName | None = None
    rated_power_kw: RatedPower | None = None
    register_rollover_kwh: Rollover | None = None


class VehicleChange(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What to set for a vehicle; what is absent stays, null unsets."""

    label: Label | UnsetType | None = UNSET
    site: Site | UnsetType | None = UNSET
    reporting_interval_s: ReportingInterval | UnsetType | None = UNSET
    time_zone: TimeZoneName | UnsetType | None = UNSET
    battery_capacity_kwh: BatteryCapacity | UnsetType | None = UNSET
    register_rollover_kwh: Rollover | UnsetType | None = UNSET


class MeterChange(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What to set for a meter; what is absent stays, null unsets."""

    label: Label | UnsetType | None = UNSET
    site: Site | UnsetType | None = UNSET
    reporting_interval_s: ReportingInterval | UnsetType | None = UNSET
    time_zone: TimeZoneName | UnsetType | None = UNSET
    rated_power_kw: RatedPower | UnsetType | None = UNSET
    register_rollover_kwh: Rollover | UnsetType | None = UNSET


class VehicleWithSettings(VehicleState, kw_only=True):
    """A vehicle's newest reading, and what is set for it, if anything is."""

    settings: VehicleSettings | UnsetType = UNSET


class MeterWithSettings(MeterState, kw_only=True):
    """A meter's newest reading, and what is set for it, if anything is."""

    settings: MeterSettings | UnsetType = UNSET


def vehicle_settings(row: Record) -> VehicleSettings:
    """The settings in a row that has their columns."""
    return VehicleSettings(
        label=row["label"],
        site=row["site"],
        reporting_interval_s=row["reporting_interval_s"],
        time_zone=row["time_zone"],
        battery_capacity_kwh=_unscaled(row["battery_capacity_wh"], 1000),
        register_rollover_kwh=_unscaled(row["register_rollover_mwh"], 1_000_000),
    )


def meter_settings(row: Record) -> MeterSettings:
    """The settings in a row that has their columns."""
    return MeterSettings(
        label=row["label"],
        site=row["site"],
        reporting_interval_s=row["reporting_interval_s"],
        time_zone=row["time_zone"],
        rated_power_kw=_unscaled(row["rated_power_w"], 1000),
        register_rollover_kwh=_unscaled(row["register_rollover_mwh"], 1_000_000),
    )


def vehicle_state(row: Record) -> VehicleWithSettings:
    """The live state in a row of it with its settings."""
    settings = vehicle_settings(row)
    return VehicleWithSettings(
        **vehicle_fields(row),
        last_seen=row["last_seen"],
        settings=UNSET if settings == VehicleSettings() else settings,
    )


def meter_state(row: Record) -> MeterWithSettings:
    """The live state in a row of it with its settings."""
    settings = meter_settings(row)
    return MeterWithSettings(
        **meter_fields(row),
        last_seen=row["last_seen"],
        settings=UNSET if settings == MeterSettings() else settings,
    )


def _unscaled(value: int | None, factor: int) -> float | None:
    return None if value is None else value / factor
