"""Computes energy balances of meters, sites and the fleet: metered, apportioned, left over."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from fleetmeter.energy.quality import (
    Compared,
    Quality,
    comparison,
    coverage,
    quality,
    reset_reasons,
)
from fleetmeter.energy.vehicle import (
    ConsumedAc,
    Efficiency,
    Loss,
    VehicleSums,
    WindowEnd,
    WindowStart,
    kwh_or_null,
    vehicle_quality,
)
from fleetmeter.readings.model import kwh

MeteredAc = Annotated[float | None, Meta(description="Energy that the meters metered, kWh.")]
Unattributed = Annotated[
    float | None,
    Meta(description="AC in quarter hours without a charging vehicle: standby, losses; kWh."),
]

Sort = Literal["-loss", "loss", "-efficiency", "efficiency", "vehicleId", "-vehicleId"]


class MeterSums(Compared, kw_only=True):
    """A bucket as `meters_energy` and `fleet_energy` return it, in stored units."""

    meter_readings: int = 0
    vehicle_readings: int = 0
    readings_without_meter: int = 0
    resets: int = 0
    expected_dc_s: float = 0.0
    expected_ac_s: float = 0.0


class MeterSumsWithVoltage(MeterSums, kw_only=True):
    """A bucket of one meter as `meters_energy` returns it."""

    voltage_mv_count: int | None
    voltage_mv_sum: int | None
    voltage_mv_min: int | None
    voltage_mv_max: int | None


class FleetSums(MeterSums, kw_only=True):
    """The whole window as the query `fleet` returns it."""

    vehicles: int
    meters: int
    vehicles_reporting: int
    meters_reporting: int


class SiteSums(MeterSums, kw_only=True):
    """One site as the query `fleet` returns it."""

    site: str | None
    meters: int
    vehicles: int


class RankedSums(VehicleSums, kw_only=True):
    """One vehicle as the query `fleet` returns it; it is ranked by `value`."""

    vehicle_id: str
    label: str | None
    site: str | None
    value: float | None


class EnergyBalance(msgspec.Struct, rename="camel", kw_only=True):
    """The energy metered in a bucket, and where it went."""

    from_: WindowStart = msgspec.field(name="from")
    to: WindowEnd
    energy_consumed_ac: MeteredAc
    energy_unattributed_ac: Unattributed
    energy_delivered_dc: Annotated[float, Meta(description="kWh")]
    efficiency_ratio: Efficiency
    energy_loss: Loss
    quality: Quality


class TotalEnergyBalance(msgspec.Struct, rename="camel", kw_only=True):
    """The energy metered in the whole window, and where it went."""

    from_: WindowStart = msgspec.field(name="from")
    to: WindowEnd
    total_energy_consumed_ac: MeteredAc
    total_energy_unattributed_ac: Unattributed
    total_energy_delivered_dc: Annotated[float, Meta(description="kWh")]
    efficiency_ratio: Efficiency
    energy_loss: Loss
    quality: Quality


class VehicleShare(msgspec.Struct, rename="camel", kw_only=True):
    """A vehicle's share of a meter's energy."""

    vehicle_id: str
    energy_consumed_ac: ConsumedAc
    energy_delivered_dc: Annotated[float, Meta(description="kWh")]
    efficiency_ratio: Efficiency
    energy_loss: Loss
    readings: int
    reasons: Annotated[
        list[str], Meta(description="What efficiency and loss leave out, or why they are null.")
    ]


class SiteBalance(EnergyBalance, kw_only=True):
    """The meters of one site together."""

    site: Annotated[str | None, Meta(description="Null for meters without a site.")]
    meters: Annotated[int, Meta(description="Meters that reported or that vehicles charged at.")]
    vehicles: Annotated[int, Meta(description="Vehicles that charged or stood there.")]


class RankedVehicle(msgspec.Struct, rename="camel", kw_only=True):
    """One vehicle of the fleet."""

    vehicle_id: str
    label: str | None
    site: str | None
    energy_consumed_ac: ConsumedAc
    energy_delivered_dc: Annotated[float, Meta(description="kWh")]
    efficiency_ratio: Efficiency
    energy_loss: Loss
    quality: Quality


Answer = TypeVar("Answer", bound=EnergyBalance | TotalEnergyBalance)


def balance(
    kind: type[Answer],
    start: datetime,
    end: datetime,
    sums: MeterSums,
    about: Sequence[str] = (),
    **more: Any,
) -> Answer:
    """Turn sums in stored units into an answer in kWh; `about` are reasons that come first."""
    total = "total_" if issubclass(kind, TotalEnergyBalance) else ""
    figures: dict[str, Any] = {
        f"{total}energy_consumed_ac": kwh_or_null(sums.ac_mwh),
        f"{total}energy_unattributed_ac": (
            None if sums.ac_mwh is None else kwh(sums.unattributed_mwh)
        ),
        f"{total}energy_delivered_dc": kwh(sums.dc_mwh),
    }
    return kind(
        from_=start,
        to=end,
        **figures,
        efficiency_ratio=sums.efficiency_ratio,
        energy_loss=kwh_or_null(sums.loss_mwh),
        quality=balance_quality(sums, list(about)),
        **more,
    )


def share(row: dict[str, Any]) -> VehicleShare:
    """Turn a row of the query `meter_shares` into a share in kWh."""
    sums = msgspec.convert(row, VehicleSums)
    return VehicleShare(
        vehicle_id=row["vehicle_id"],
        energy_consumed_ac=kwh_or_null(sums.ac_mwh),
        energy_delivered_dc=kwh(sums.dc_mwh),
        efficiency_ratio=sums.efficiency_ratio,
        energy_loss=kwh_or_null(sums.loss_mwh),
        readings=sums.readings,
        reasons=comparison(sums, has_both=True),
    )


def ranked(sums: RankedSums) -> RankedVehicle:
    """Turn a vehicle's sums into its line in the ranking."""
    return RankedVehicle(
        vehicle_id=sums.vehicle_id,
        label=sums.label,
        site=sums.site,
        energy_consumed_ac=kwh_or_null(sums.ac_mwh),
        energy_delivered_dc=kwh(sums.dc_mwh),
        efficiency_ratio=sums.efficiency_ratio,
        energy_loss=kwh_or_null(sums.loss_mwh),
        quality=vehicle_quality(sums),
    )


def balance_quality(sums: MeterSums, about: list[str]) -> Quality:
    """Return the coverage of both sides, the status that follows, and reasons as sentences."""
    # an interval may go through a window in which no reading is stamped
    has_meters = bool(sums.meter_readings or sums.covered_ac_s)
    has_vehicles = bool(sums.vehicle_readings or sums.covered_dc_s)
    if not has_meters and not has_vehicles:
        about = ["nothing was reported in this window", *about]
    elif not has_meters:
        about = ["no meter reported in this window", *about]
    elif not has_vehicles:
        about = ["no vehicle reported there in this window", *about]
    if sums.readings_without_meter:
        about = [
            *about,
            f"{sums.readings_without_meter} of {sums.vehicle_readings} vehicle readings belong to "
            "no meter",
        ]
    found = quality(
        sums,
        coverage(sums, sums.expected_dc_s, sums.expected_ac_s),
        has_vehicles=has_vehicles,
        has_meters=has_meters,
        about=about + reset_reasons(sums.resets),
    )
    if not has_meters and not has_vehicles:
        found.status = "no_data"
    elif not has_meters:
        found.status = "no_meter"
    return found
