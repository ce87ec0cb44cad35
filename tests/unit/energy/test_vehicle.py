"""From sums to the answer: units, ratios, and how much was really measured."""

from datetime import UTC, datetime, timedelta

import msgspec

from fleetmeter.energy.vehicle import Performance, VehicleSums, summarise

START = datetime(2026, 2, 9, tzinfo=UTC)
FULL_DAY = VehicleSums(
    dc_mwh=1_200_000,
    ac_mwh=1_500_000,
    compared_dc_mwh=1_200_000,
    compared_ac_mwh=1_500_000,
    readings=1440,
    readings_without_meter=0,
    battery_temp_cdeg_count=1440,
    battery_temp_cdeg_sum=1440 * 3600,
    battery_temp_cdeg_max=4100,
    soc_bp_min=2050,
    soc_bp_max=7200,
    meters=1,
    meter_ids=["MTR-1"],
    covered_dc_s=86400,
    covered_ac_s=86400,
    compared_s=86400,
    expected_s=86400,
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


def test_the_reason_says_what_efficiency_and_loss_leave_out() -> None:
    answer = summary(dc_mwh=2_000_000, ac_mwh=1_900_000, compared_s=75600)
    assert answer.total_energy_delivered_dc == 2
    assert answer.total_energy_consumed_ac == 1.9
    assert answer.efficiency_ratio == 0.8
    assert answer.energy_loss == 0.3
    assert answer.quality.coverage.compared == 0.875
    assert "leave out 0.8 kWh of DC and 0.4 kWh of AC" in answer.quality.reasons[0]
    (reason,) = summary(ac_mwh=1_500_001).quality.reasons
    assert "leave out 1e-06 kWh of AC" in reason


def test_without_time_in_common_there_is_no_ratio() -> None:
    answer = summary(ac_mwh=None, compared_dc_mwh=0, compared_ac_mwh=None)
    assert answer.total_energy_consumed_ac is None
    assert answer.efficiency_ratio is None
    assert answer.energy_loss is None
    assert "no time in common" in " ".join(answer.quality.reasons)
    assert "MTR-1 reported nothing" in answer.quality.reasons[0]


def test_with_an_ac_of_zero_there_is_no_ratio_and_a_reason() -> None:
    answer = summary(ac_mwh=0, compared_ac_mwh=0, compared_dc_mwh=0, dc_mwh=0)
    assert answer.efficiency_ratio is None
    assert "nothing to compare" in answer.quality.reasons[0]


def test_more_dc_than_ac_is_told() -> None:
    answer = summary(ac_mwh=600_000, compared_ac_mwh=600_000)
    assert answer.efficiency_ratio == 2
    assert "more DC" in answer.quality.reasons[0]


def test_a_reset_register_is_told() -> None:
    assert "came back once" in summary(resets=1).quality.reasons[0]
    assert "2 times" in summary(resets=2).quality.reasons[0]


def test_no_readings_is_no_data() -> None:
    answer = summarise("EV-1", START, START + timedelta(days=1), VehicleSums())
    assert answer.quality.status == "no_data"
    assert answer.avg_battery_temp is None
    assert answer.total_energy_delivered_dc == 0
    assert answer.efficiency_ratio is None


def test_a_window_within_an_interval_has_energy_but_no_reading() -> None:
    answer = summary(
        readings=0,
        battery_temp_cdeg_count=0,
        battery_temp_cdeg_sum=None,
        battery_temp_cdeg_max=None,
        soc_bp_min=None,
        soc_bp_max=None,
    )
    assert answer.quality.status == "complete"
    assert answer.quality.reasons == []
    assert (answer.avg_battery_temp, answer.max_battery_temp) == (None, None)
    assert (answer.min_soc, answer.max_soc) == (None, None)


def test_no_meter_says_what_to_do() -> None:
    answer = summary(
        ac_mwh=None,
        compared_dc_mwh=0,
        compared_ac_mwh=None,
        meters=0,
        meter_ids=[],
        readings_without_meter=1440,
        covered_ac_s=0,
    )
    assert answer.quality.status == "no_meter"
    assert "assign" in " ".join(answer.quality.reasons)


def test_both_sides_must_be_covered_to_be_complete() -> None:
    assert summary(covered_dc_s=82080).quality.status == "complete"
    assert summary(covered_dc_s=82020).quality.status == "partial"
    assert summary(covered_ac_s=82020).quality.status == "partial"
    assert summary(covered_ac_s=43200).quality.coverage.ac == 0.5


def test_who_reports_only_while_charging_is_complete_by_the_charging_time() -> None:
    day = {"covered_dc_s": 10800, "covered_ac_s": 10800, "compared_s": 10800, "charging_s": 10800.0}
    for dc, ac, compared_s, status in (
        (True, True, 10260.0, "complete"),
        (True, True, 10259.0, "partial"),
        (True, False, 10800.0, "partial"),  # the meter is expected to report all day
        (False, True, 10800.0, "partial"),
        (False, False, 10800.0, "partial"),
    ):
        flags = {"dc_while_charging": dc, "ac_while_charging": ac}
        found = summary(**day, **flags, charging_compared_s=compared_s).quality
        assert found.status == status
        assert found.coverage.dc == 0.125
        assert bool(found.reasons) == (status == "partial")
    assert summary(**day, charging_compared_s=9000.0).quality.coverage.charging == 0.8333
    assert summary().quality.coverage.charging is None
