"""soc_stuck and soc_scale."""

import pytest

from fleetmeter.anomalies.model import Change
from tests.unit.anomalies.fleet import Fleet, Values, at, between, of, vehicle


def charged(
    soc: Values,
    kw: float = 7.0,
    hours: tuple[float, float] = (10.2, 13.2),
    capacity_wh: int | None = None,
    last: int = 24,
) -> list[Change]:
    fleet = Fleet()
    fleet.add_vehicle("V", capacity_wh=capacity_wh)
    fleet.drives("V", (0, last), between(*hours, kw), soc=soc)
    return fleet.fold(0, last)


def rising(low: float, high: float, first: float = 10.2, last: float = 13.2) -> Values:
    return lambda t: low + (high - low) * min(max((t - first) / (last - first), 0), 1)


def test_a_state_of_charge_that_does_not_move_is_stuck() -> None:
    (change,) = charged(47.0)
    assert (change.kind, change.subject, change.at) == ("soc_stuck", vehicle("V"), at(15))
    assert (change.evidence["soc"], change.evidence["thresholdKwh"]) == (47, 5)
    assert change.evidence["dcKwh"] == pytest.approx(21, abs=0.2)


@pytest.mark.parametrize(
    ("kw", "capacity_wh", "opens"),
    [
        (1.7, None, True),  # 5.1 kWh
        (1.6, None, False),
        (7.0, 250_000, True),  # 21 kWh, of which 20 are 8 %
        (6.5, 250_000, False),
    ],
)
def test_how_much_moves_it(kw: float, capacity_wh: int | None, opens: bool) -> None:
    assert bool(of("soc_stuck", charged(47.0, kw, capacity_wh=capacity_wh))) == opens


def test_one_state_of_charge_at_the_end_is_not_stuck() -> None:
    # before and after the energy, not within it
    assert charged(lambda t: 47.0 if 13.15 <= t < 13.25 else None) == []


@pytest.mark.parametrize("soc", [rising(20, 60), rising(20, 21), lambda t: None])
def test_one_that_moves_or_is_absent_is_not_stuck(soc: Values) -> None:
    assert of("soc_stuck", charged(soc)) == []


def test_a_session_that_moves_it_ends_it() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives(
        "V",
        (0, 48),
        lambda t: 7 if 10 <= t % 24 < 13 else 0,
        soc=lambda t: 40 + max(0.0, t - 34) * 3,
    )
    opened, cleared = of("soc_stuck", fleet.fold(0, 48))
    assert (opened.at, cleared.at, cleared.ended_at) == (at(14), at(38), at(34))


@pytest.mark.parametrize(
    ("soc", "capacity_wh", "opens"),
    [
        (rising(0.2, 0.62), None, True),
        (rising(0.2, 0.62), 50_000, True),  # 21 of 50 kWh are 42 %
        (rising(0.2, 0.62), 500_000, False),
        (rising(0.0, 1.0), None, True),
        (rising(0.5, 43), 50_000, False),  # a battery that was empty
    ],
)
def test_a_ratio_is_noticed(soc: Values, capacity_wh: int | None, opens: bool) -> None:
    changes = charged(soc, capacity_wh=capacity_wh)
    assert [c.kind for c in changes] == ["soc_scale"] * opens
    if opens:
        assert changes[0].evidence["factor"] == 100


def test_a_state_of_charge_in_percent_ends_it() -> None:
    def soc(time: float) -> float:
        part = min(max((time % 24 - 10) / 3, 0), 1)
        return 0.2 + 0.4 * part if time < 24 else 20 + 40 * part

    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 48), lambda t: 7 if 10 <= t % 24 < 13 else 0, soc=soc)
    opened, cleared = of("soc_scale", fleet.fold(0, 48))
    assert (opened.ended_at, cleared.ended_at) == (None, at(34))
