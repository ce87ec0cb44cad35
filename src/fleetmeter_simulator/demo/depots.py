"""Describes the four depots of the demo, their vehicles and their meters."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

SITE_INTERVAL_S = 60
"""Seconds between two readings of a device, once the fleet is live."""


class Depot(NamedTuple):
    """Describes a depot whose vehicles are alike."""

    site: str
    code: str
    """The beginning of the ids of its devices."""

    fleet: str
    """The name of its vehicles, which are numbered."""

    vehicles: int
    rated_kw: float
    """Most power that a charge point takes from the grid."""

    nominal_v: int
    capacity_kwh: tuple[float, ...]
    kwh_per_km: float
    daily_km: tuple[float, float]
    leaves_h: tuple[float, float]
    returns_h: tuple[float, float]
    """Least and most distance on a working day, and when shifts begin and end, local time."""

    weekend: float
    """Probability that a vehicle drives on a weekend day."""

    managed: float
    """Share of the charge points that wait for the night."""

    shared: int = 0
    """Charge points with two vehicles."""

    solar_kw: float = 0.0
    """Peak power of its solar panels; a depot that has some has a meter at the grid, too."""


DEPOTS: Sequence[Depot] = (
    Depot(
        *("Harbour", "HAR", "Parcel van", 80, 11.0, 230, (64.0, 75.0, 75.0)),
        *(0.26, (70, 150), (6.5, 8.5), (15.5, 18.5), 0.3, 0.55),
    ),
    Depot(
        *("Northgate", "NOR", "Box truck", 56, 22.0, 230, (120.0, 160.0)),
        *(0.62, (70, 140), (5.0, 7.5), (14.5, 17.5), 0.15, 0.6),
    ),
    Depot(
        *("Riverside", "RIV", "Pool car", 40, 11.0, 230, (52.0, 58.0, 77.0)),
        *(0.17, (40, 160), (7.0, 9.5), (15.0, 18.5), 0.1, 0.3),
        shared=6,
        solar_kw=240.0,
    ),
    Depot(
        *("Airport", "AIR", "Shuttle bus", 24, 80.0, 400, (350.0, 420.0)),
        *(1.15, (110, 200), (4.5, 6.5), (18.5, 22.0), 0.85, 0.25),
    ),
)


class Vehicle(NamedTuple):
    """Describes a vehicle, and where it charges."""

    vehicle_id: str
    label: str
    depot: Depot
    capacity_kwh: float
    meter: int
    """Position of its charge point among all meters."""


class Meter(NamedTuple):
    """Describes a meter."""

    meter_id: str
    label: str
    depot: Depot
    role: Literal["charger", "site", "solar"]
    rated_kw: float


class Fleet(NamedTuple):
    """Lists the devices of the demo."""

    vehicles: Sequence[Vehicle]
    meters: Sequence[Meter]
    """Charge points first, then the others."""


def fleet(share: float = 1.0) -> Fleet:
    """Return the devices of the demo, or a share of each depot's."""
    vehicles: list[Vehicle] = []
    chargers: list[Meter] = []
    for depot in DEPOTS:
        count = max(2, round(depot.vehicles * share))
        shared = min(depot.shared, count // 4)
        points = count - shared
        for number in range(count):
            point = number if number < points else number - points
            vehicles.append(
                Vehicle(
                    f"{depot.code}-EV-{number + 1:02}",
                    f"{depot.fleet} {number + 1}",
                    depot,
                    depot.capacity_kwh[number % len(depot.capacity_kwh)],
                    len(chargers) + point,
                )
            )
        chargers += [
            Meter(
                f"{depot.code}-CP-{number + 1:02}",
                f"{depot.site} charge point {number + 1}",
                depot,
                "charger",
                depot.rated_kw,
            )
            for number in range(points)
        ]
    return Fleet(vehicles, [*chargers, *_site_meters()])


def _site_meters() -> Iterator[Meter]:
    for depot in DEPOTS:
        if depot.solar_kw:
            yield Meter(f"{depot.code}-GRID", f"{depot.site} grid connection", depot, "site", 600.0)
            yield Meter(
                f"{depot.code}-SOLAR", f"{depot.site} solar roof", depot, "solar", depot.solar_kw
            )
