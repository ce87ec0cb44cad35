"""Models the weather that a fleet lives in."""

from datetime import datetime
from math import cos, pi
from typing import Literal

from fleetmeter_simulator.chance import seeded

Season = Literal["winter", "spring", "summer", "autumn"]
SEASONS: tuple[Season, ...] = ("winter", "spring", "summer", "autumn")

_MEAN_AND_SWING: dict[Season, tuple[float, float]] = {
    "winter": (0.5, 3.5),
    "spring": (10.0, 5.0),
    "summer": (21.0, 6.0),
    "autumn": (11.0, 4.5),
}
"""Mean of a day, and half the difference between night and afternoon, °C."""

_DAY_SPREAD_C = 3.5
_DAY_MOST_C = 7.0
_WARMEST_HOUR = 15
_DAY = 24 * 60


def season_of(time: datetime) -> Season:
    """Return the season of the month in the northern temperate zone."""
    return SEASONS[time.month % 12 // 3]


class Climate:
    """Gives air temperatures, °C, by minutes since a midnight; the same for the same seed."""

    def __init__(self, seed: object, season: Season) -> None:
        self._seed = seed
        self._mean, self._swing = _MEAN_AND_SWING[season]
        self._days: dict[int, float] = {}

    def at(self, minute: int) -> float:
        """Return the air temperature; warm and cold days blend into each other."""
        day, of_day = divmod(minute, _DAY)
        share = of_day / _DAY
        deviation = self._deviation(day) * (1 - share) + self._deviation(day + 1) * share
        swing = self._swing * cos((of_day / 60 - _WARMEST_HOUR) / 12 * pi)
        return self._mean + deviation + swing

    def _deviation(self, day: int) -> float:
        if day not in self._days:
            for past in [known for known in self._days if known < day - 1]:
                del self._days[past]
            drawn = seeded(self._seed, "weather", day).gauss(0, _DAY_SPREAD_C)
            self._days[day] = min(max(drawn, -_DAY_MOST_C), _DAY_MOST_C)
        return self._days[day]
