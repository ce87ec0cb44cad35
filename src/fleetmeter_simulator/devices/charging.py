"""Models charging: power by state of charge, losses, and how warm batteries get.

Power is in kW, energy in kWh, state of charge from 0 to 1, temperature in °C; a step is a minute.
"""

from math import exp

OVERHEAD_KW = 0.5234
PROPORTIONAL = 0.0124
"""Losses of a charger: a fixed part for its and the car's electronics, and a share of the power.

So 0.76 arrives of 2.3 kW and 0.94 of 11 kW, as measured on real cars.
"""

LEAST_EFFICIENCY = 0.62
"""Lowest efficiency: at a trickle, cars switch some of their electronics off."""
MOST_EFFICIENCY = 0.95

COLD_BELOW_C = 10.0
COLD_LOSS = 0.002
"""Loss per kelvin that the battery is colder than that, up to COLD_LOSS_MOST."""
COLD_LOSS_MOST = 0.03

FAST_KW = 7.0
"""Below this power, a charger rarely reaches what the battery limits before it is nearly full."""

PREHEAT_BELOW_C = 3.0
PREHEATED_C = 5.0
HELD_ABOVE_C = 2.0
PREHEAT_KW = 2.0
"""Power with which a cold battery is heated before it charges, and kept from freezing."""

COOLED_BELOW_C = 39.5
"""Temperature at which cooling holds a healthy battery."""

COOLING = 1 / 400
"""Share of the difference to the air that a battery loses in a minute."""
_HEAT_CAPACITY = 0.0018
"""kWh per kelvin and kWh of capacity: 6.5 kg of cells at 1 kJ/(kg K) for each kWh."""
_HEAT_OF_CHARGING = 0.03
"""Share of the DC that warms the battery."""
DRIVING_K = 0.06
"""Kelvin per minute by which driving warms the battery."""


def knee_of(rated_kw: float) -> float:
    """Return the state of charge from which the battery takes less than the charger offers."""
    return 0.8 if rated_kw >= FAST_KW else 0.9


def ac_kw(rated_kw: float, soc: float) -> float:
    """Return the power that a car takes from the grid.

    Up to the knee, current is constant, so power rises a little with the battery's voltage; beyond
    it, voltage is constant, and power falls off exponentially.
    """
    knee, fall = knee_of(rated_kw), 0.1 if rated_kw >= FAST_KW else 0.06
    if soc < knee:
        return rated_kw * (0.96 + 0.04 * soc / knee)
    return rated_kw * exp((knee - soc) / fall)


def efficiency(kw: float, battery_temp_c: float) -> float:
    """Return DC ÷ AC of a healthy charger that takes `kw` from the grid."""
    value = 1 - PROPORTIONAL - OVERHEAD_KW / kw
    value = min(max(value, LEAST_EFFICIENCY), MOST_EFFICIENCY)
    if battery_temp_c < COLD_BELOW_C:
        value -= min(COLD_LOSS * (COLD_BELOW_C - battery_temp_c), COLD_LOSS_MOST)
    return value


def heating_k(kwh: float, capacity_kwh: float) -> float:
    """Return by how many kelvin an amount of heat warms a battery."""
    return kwh / (_HEAT_CAPACITY * capacity_kwh)


def charging_heat_k(dc_kwh: float, capacity_kwh: float) -> float:
    """Return by how many kelvin charging an amount of energy warms a battery."""
    return heating_k(dc_kwh * _HEAT_OF_CHARGING, capacity_kwh)
