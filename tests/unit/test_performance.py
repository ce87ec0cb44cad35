"""From sums to the answer: units, ratios, and how much was really measured."""

from datetime import UTC, datetime, timedelta

import msgspec

from fleetmeter.energy.performance import Performance, Sums, summarise

START = datetime(2026, 2, 9, tzinfo=UTC)
FULL_DAY = Sums(
    dc_mwh=1_200_000,
    metered_dc_mwh=1_200_000,
    ac_mwh=1_500_000,
    readings=1440,
    readings_without_meter=0,
    hours_without_ac=0,
    battery_temp_cdeg_sum=1440 * 3600,
    battery_temp_cdeg_max=4100,
    soc_bp_min=2050,
    soc_bp_max=7200,
    meter_ids=["MTR-1"],
    covered_dc=1440,
    covered_ac=1440,
    expected=1440,
)


def summary(**changes: object) -> Performance:
    sums = msgspec.structs.replace(FULL_DAY, **changes)
    return summarise("EV-1", START, START + timedelta(days=1), sums)


def test_sums_become_kwh_percent_and_degrees() -> None:
    answer = summary()
    assert answer.total_energy_delivered_dc == 1.2
    assert answer.total_energy_consumed_ac == 1.5
    assert answer.efficiency_ratio == 0.8
    assert answer.energy_loss == 0.3
    assert (answer.avg_battery_temp, answer.max_battery_temp) == (36, 41)
    assert (answer.min_soc, answer.max_soc) == (20.5, 72)
    assert answer.quality.status == "complete"
    assert answer.quality.reasons == []


def test_the_ratio_leaves_out_dc_whose_ac_is_unknown() -> None:
    answer = summary(dc_mwh=2_000_000, hours_without_ac=3)
    assert answer.total_energy_delivered_dc == 2
    assert answer.efficiency_ratio == 0.8
    assert answer.energy_loss == 0.3
    assert "3 of the hours" in answer.quality.reasons[0]


def test_without_ac_there_is_no_ratio() -> None:
    answer = summary(ac_mwh=None, metered_dc_mwh=0)
    assert answer.total_energy_consumed_ac is None
    assert answer.efficiency_ratio is None
    assert answer.energy_loss is None


def test_with_an_ac_of_zero_there_is_no_ratio() -> None:
    assert summary(ac_mwh=0, metered_dc_mwh=0, dc_mwh=0).efficiency_ratio is None


def test_more_dc_than_ac_is_told() -> None:
    answer = summary(ac_mwh=600_000)
    assert answer.efficiency_ratio == 2
    assert "more DC" in answer.quality.reasons[0]


def test_no_readings_is_no_data() -> None:
    answer = summary(
        dc_mwh=0,
        metered_dc_mwh=0,
        ac_mwh=None,
        readings=0,
        battery_temp_cdeg_sum=None,
        battery_temp_cdeg_max=None,
        soc_bp_min=None,
        soc_bp_max=None,
        meter_ids=[],
        covered_dc=0,
        covered_ac=0,
    )
    assert answer.quality.status == "no_data"
    assert answer.avg_battery_temp is None
    assert answer.total_energy_delivered_dc == 0


def test_no_meter_says_what_to_do() -> None:
    answer = summary(ac_mwh=None, meter_ids=[], readings_without_meter=1440, covered_ac=0)
    assert answer.quality.status == "no_meter"
    assert "assign" in " ".join(answer.quality.reasons)


def test_both_sides_must_be_covered_to_be_complete() -> None:
    assert summary(covered_dc=1368).quality.status == "complete"
    assert summary(covered_dc=1367).quality.status == "partial"
    assert summary(covered_ac=1367).quality.status == "partial"
    assert summary(covered_ac=720).quality.coverage.ac == 0.5
