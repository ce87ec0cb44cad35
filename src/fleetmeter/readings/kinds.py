"""Describes readings: the kinds of device, and the measurements of each.

Everything that must know the fields of a reading follows from here: decoding, validation, the COPY
format, answers, corrections, exports, imports and OpenAPI by reading these tables, and the SQL that
has to list columns by `make lists`, which writes the lists (see lists.py).
"""

from typing import Literal, NamedTuple

KindName = Literal["vehicle", "meter"]

MAX_POWER_KW = 10_000
"""Maximum power through one device, kW: bounds its energy."""

MAX_INTERVAL_KWH = MAX_POWER_KW * 24
"""Maximum energy of one interval, kWh: that power over the longest reporting interval, a day."""

MAX_REGISTER_KWH = 1_000_000_000
"""Maximum value of a register, kWh: what a float still holds to the milliwatt-hour."""

Rollup = Literal["none", "extremes", "mean"]
"""How a measurement is rolled up: not at all, by its extremes, or by its mean and extremes."""


class Measurement(NamedTuple):
    """A measurement beside energy: one field on the wire, one column in history."""

    field: str
    """The name on the wire."""

    column: str
    """The name in history and live state; it carries the unit that is stored."""

    sql_type: Literal["smallint", "integer", "bigint"]

    scale: int
    """Stored units per unit on the wire."""

    low: float
    high: float
    """With `low`, the bounds of what a device may send, inclusive, in units of the wire."""

    unit: str
    description: str
    example: float | str
    rollup: Rollup = "none"

    of_history: str = ""
    """SQL expression that is rolled up; by default the column."""

    not_available: tuple[float, ...] = ()
    """Values that devices send for nothing, though they may be true of others."""

    is_energy: bool = False
    """Whether a value that cannot be costs the whole reading, and not only itself."""

    is_name: bool = False
    """Whether it is a text, of which the number is stored."""


class Energy(NamedTuple):
    """Energy through a device, as interval energy or as a register; stored in milliwatt-hours."""

    field: str
    """The name of interval energy on the wire."""

    column: str
    register_column: str
    description: str
    example: float

    @property
    def register_field(self) -> str:
        """Return the name of the register on the wire."""
        return f"{self.field}Total"


class DeviceKind(NamedTuple):
    """A kind of device, and what its readings have."""

    name: KindName
    id_field: str
    energy: Energy
    measurements: tuple[Measurement, ...]
    example_id: str
    charges: bool = False
    """Whether its readings may name the meter that it charges from."""

    @property
    def plural(self) -> str:
        """Return the name in paths, such as /v1/vehicles."""
        return f"{self.name}s"

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields that only this kind has, on the wire."""
        energies = (self.energy.field, self.energy.register_field)
        return (*energies, *(each.field for each in self.measurements))


SOC = Measurement(
    field="soc",
    column="soc_bp",
    sql_type="smallint",
    scale=100,
    low=0,
    high=100,
    unit="%",
    description="State of charge",
    example=72,
    rollup="extremes",
)
BATTERY_TEMP = Measurement(
    field="batteryTemp",
    column="battery_temp_cdeg",
    sql_type="smallint",
    scale=100,
    low=-60,
    high=150,  # beyond what a battery sensor can mean
    unit="°C",
    description="Battery temperature",
    example=36,
    rollup="mean",
)
_PHASES = "voltage_l1_mv, voltage_l2_mv, voltage_l3_mv"

MAX_VOLTAGE = 500_000
"""V; above any metering point of a depot."""

_NO_VOLTAGE = (3276.7, 6553.5, 32767, 65535)
"""Values of a register of 15 or 16 bits with all bits set, in V or tenths of a volt."""

VOLTAGE = Measurement(
    field="voltage",
    column="voltage_mv",
    sql_type="integer",
    scale=1000,
    low=0,
    high=MAX_VOLTAGE,
    unit="V",
    description="Mean voltage",
    example=230,
    rollup="mean",
    of_history=f"coalesce(voltage_mv, mean_of({_PHASES}))",
    not_available=_NO_VOLTAGE,
)
VOLTAGES = tuple(
    Measurement(
        field=f"voltageL{phase}",
        column=f"voltage_l{phase}_mv",
        sql_type="integer",
        scale=1000,
        low=0,
        high=MAX_VOLTAGE,
        unit="V",
        description=f"Voltage of phase {phase}",
        example=230,
        rollup="mean",
        not_available=_NO_VOLTAGE,
    )
    for phase in (1, 2, 3)
)
POWER = Measurement(
    field="powerKw",
    column="power_w",
    sql_type="integer",
    scale=1000,
    low=-100_000,
    high=100_000,
    unit="kW",
    description="Power; never turned into energy",
    example=7.2,
    rollup="mean",
)
ODOMETER = Measurement(
    field="odometerKm",
    column="odometer_m",
    sql_type="bigint",
    scale=1000,
    low=0,
    high=10_000_000,
    unit="km",
    description="Distance driven in its life",
    example=48_211.5,
)


SESSION = Measurement(
    field="sessionId",
    column="session",
    sql_type="integer",
    scale=1,
    low=1,
    high=2**31 - 1,
    unit="",
    description="Plug-in or transaction that it belongs to; binds charging sessions",
    example="T-4711",
    is_name=True,
)
"""A reading of any kind may have it; alone it is not a measurement."""


def _reverse(field: str, description: str) -> tuple[Measurement, Measurement]:
    """Return energy in the other direction, of the interval and as a register."""
    interval = Measurement(
        field=field,
        column="reverse_mwh",
        sql_type="bigint",
        scale=1_000_000,
        low=0,
        high=MAX_INTERVAL_KWH,
        unit="kWh",
        description=f"{description} since the previous reading",
        example=0.4,
        is_energy=True,
    )
    register = interval._replace(
        field=f"{field}Total",
        column="reverse_register_mwh",
        high=MAX_REGISTER_KWH,
        description=f"{description}: an ever-growing total, instead",
    )
    return interval, register


VEHICLE = DeviceKind(
    name="vehicle",
    id_field="vehicleId",
    energy=Energy(
        field="kwhDeliveredDc",
        column="energy_mwh",
        register_column="register_mwh",
        description="Energy that reached the battery",
        example=1.2,
    ),
    measurements=(
        SOC,
        BATTERY_TEMP,
        POWER,
        ODOMETER,
        *_reverse("kwhReturnedDc", "Energy discharged from the battery"),
    ),
    example_id="EV-1",
    charges=True,
)
METER = DeviceKind(
    name="meter",
    id_field="meterId",
    energy=Energy(
        field="kwhConsumedAc",
        column="energy_mwh",
        register_column="register_mwh",
        description="Energy metered",
        example=1.5,
    ),
    measurements=(
        VOLTAGE,
        *VOLTAGES,
        POWER,
        *_reverse("kwhExportedAc", "Energy exported through the meter"),
    ),
    example_id="MTR-1",
)

KINDS: tuple[DeviceKind, ...] = (VEHICLE, METER)

KIND_OF: dict[str, DeviceKind] = {kind.name: kind for kind in KINDS}

MEASUREMENTS: tuple[Measurement, ...] = (
    *{each.column: each for kind in KINDS for each in kind.measurements}.values(),
    SESSION,
)
"""Every column beside energy that a device may fill, each once."""

PLACES: dict[str, int] = {each.column: place for place, each in enumerate(MEASUREMENTS)}
"""The place of each column in MEASUREMENTS."""
