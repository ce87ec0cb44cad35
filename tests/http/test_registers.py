"""Registers: energy from ever-growing totals, in any order, by any number of services."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import (
    Db,
    Server,
    eventually,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    settled,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences
from tests.support.registers import energies, register, vehicle_register

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 2, 1], [1, 3, 0, 2]])
def test_energy_does_not_depend_on_the_order_of_arrival(
    client: httpx.Client, uid: str, order: list[int]
) -> None:
    start = hours_ago(2)
    totals = [10, 10.5, 12, 12]
    for n in order:
        post(client, register(f"{uid}M", start + n * MINUTE, totals[n]))
    assert energies(client, f"{uid}M", start) == [None, 0.5, 1.5, 0]
    state = client.get(f"/v1/meters/{uid}M").json()
    assert (state["kwhConsumedAc"], state["kwhConsumedAcTotal"]) == (0, 12)


@pytest.mark.parametrize("days", [0.1, 3, 30])
def test_a_late_reading_splits_the_difference_in_rollups_and_live_state_too(
    client: httpx.Client, db: Db, uid: str, days: float
) -> None:
    start = hours_ago(24 * days).replace(minute=58)
    later = start + 60 * MINUTE
    post(
        client,
        register(f"{uid}M", start, 100),
        register(f"{uid}M", later, 106),
        vehicle_register(f"{uid}EV", start, 50),
        vehicle_register(f"{uid}EV", later, 53),
    )
    late = start + MINUTE
    post(client, register(f"{uid}M", late, 102), vehicle_register(f"{uid}EV", late, 51.5))

    assert energies(client, f"{uid}M", start) == [None, 2, 4]
    assert client.get(f"/v1/meters/{uid}M").json()["kwhConsumedAc"] == 4
    assert client.get(f"/v1/vehicles/{uid}EV").json()["kwhDeliveredDc"] == 1.5
    settled(db)
    assert rollup_differences(db, uid) == []
    assert (
        db.value("select sum(energy_mwh) from meter_hourly where meter_id = $1", f"{uid}M") == 6e6
    )


def test_a_resent_register_is_a_duplicate_or_a_conflict_and_changes_nothing(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(1)
    sent = [register(f"{uid}M", start + n * MINUTE, 10 + n) for n in range(5)]
    post(client, *sent)
    assert post(client, *sent)["duplicates"] == 5
    other = [register(f"{uid}M", start + n * MINUTE, 12) for n in range(5)]
    outcome = client.post("/v1/ingest", json=other).json()
    assert (outcome["accepted"], outcome["duplicates"]) == (0, 1)
    assert [(item["index"], item["code"]) for item in outcome["rejected"]] == [
        (index, "conflict") for index in (0, 1, 3, 4)
    ]
    assert energies(client, f"{uid}M", start) == [None, 1, 1, 1, 1]


def test_a_late_reading_of_the_other_kind_costs_itself_alone(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(2)
    post(client, *(register(f"{uid}R", start + n * MINUTE, 10 + n) for n in range(0, 6, 2)))
    post(client, *(meter_reading(f"{uid}I", start + n * MINUTE, 1) for n in range(0, 6, 2)))
    strays = [
        meter_reading(f"{uid}R", start + MINUTE),
        meter_reading(f"{uid}R", start + 4 * MINUTE),
        register(f"{uid}I", start - MINUTE, 5),
    ]
    good = [register(f"{uid}R", start + MINUTE, 10.5), meter_reading(f"{uid}I", start + MINUTE)]
    answer = client.post("/v1/ingest", json=[*strays, *good])
    assert answer.json()["accepted"] == 2
    assert [(item["index"], item["code"]) for item in answer.json()["rejected"]] == [
        (0, "mixed_energy"),
        (1, "mixed_energy"),
        (2, "mixed_energy"),
    ]
    assert energies(client, f"{uid}R", start) == [None, 0.5, 1.5, 2]


def test_a_device_that_has_changed_takes_late_readings_of_the_kind_that_it_sent_then(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(5)
    hour = timedelta(hours=1)
    post(client, meter_reading(f"{uid}M", start, 1), meter_reading(f"{uid}M", start + hour, 1))
    post(
        client, register(f"{uid}M", start + 2 * hour, 70), register(f"{uid}M", start + 3 * hour, 73)
    )
    post(client, meter_reading(f"{uid}M", start + 4 * hour, 2))
    late = start + 30 * MINUTE
    wrong = [register(f"{uid}M", late, 9), meter_reading(f"{uid}M", late + 2 * hour)]
    assert client.post("/v1/ingest", json=wrong).json()["accepted"] == 0
    right = [meter_reading(f"{uid}M", late, 5), register(f"{uid}M", late + 2 * hour, 71)]
    assert post(client, *right)["accepted"] == 2
    assert energies(client, f"{uid}M", start) == [1, 5, 1, None, 1, 2, 2]
    # between two kinds, it may be of either
    either = [register(f"{uid}M", late + hour, 64), meter_reading(f"{uid}M", late + 3 * hour, 6)]
    post(client, *either)
    assert energies(client, f"{uid}M", start) == [1, 5, 1, None, 6, 1, 2, 6, 2]
    assert post(client, *right, *either)["duplicates"] == 4


def test_a_register_may_count_more_over_a_gap_than_an_interval_may_have(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(100)
    post(client, register(f"{uid}M", start, 5), register(f"{uid}M", hours_ago(1), 250_000.5))
    assert energies(client, f"{uid}M", start) == [None, 249_995.5]
    eventually(lambda: rollup_differences(db, uid) == [])


def test_both_kinds_in_one_batch_keep_their_places(client: httpx.Client, uid: str) -> None:
    at = hours_ago(0.1)
    post(client, register(f"{uid}R", at, 1), meter_reading(f"{uid}I", at))
    post(client, vehicle_register(f"{uid}VR", at, 1), vehicle_reading(f"{uid}VI", at))
    earlier, later = at - MINUTE, at + MINUTE
    answer = client.post(
        "/v1/ingest",
        json=[
            meter_reading(f"{uid}I", earlier),
            meter_reading(f"{uid}R", earlier),
            {"nonsense": True},
            register(f"{uid}I", later, 2),
            meter_reading(f"{uid}I", later),
            vehicle_reading(f"{uid}VR", at),
            vehicle_register(f"{uid}VI", later, 3),
            vehicle_register(f"{uid}VR", earlier, 0.5),
            meter_reading(f"{uid}I", later, kwhConsumedAcTotal=3),
        ],
    )
    assert answer.status_code == 207
    outcome = answer.json()
    assert (outcome["accepted"], outcome["duplicates"]) == (4, 0)
    assert [(item["index"], item["code"]) for item in outcome["rejected"]] == [
        (1, "mixed_energy"),
        (2, "unknown_kind"),
        (4, "mixed_energy"),
        (5, "mixed_energy"),
        (8, "mixed_energy"),
    ]
    assert "kwhConsumedAcTotal" in outcome["rejected"][0]["detail"]


def test_registers_through_two_services_at_once_are_derived_once(
    client: httpx.Client, replica: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(3)
    readings = [register(f"{uid}M{m}", start + n * MINUTE, n * n) for n in range(120) for m in "AB"]
    with ThreadPoolExecutor(8) as senders:
        batches = [readings[n::12] for n in range(12)] * 2

        def send(numbered: tuple[int, list[dict[str, Any]]]) -> int:
            number, batch = numbered
            return int(post((client, replica)[number % 2], *batch)["accepted"])

        assert sum(senders.map(send, enumerate(batches))) == len(readings)
    for m in "AB":
        found = db.fetch(
            "select energy_mwh, span_ms from meter_readings where meter_id = $1 order by time",
            f"{uid}M{m}",
        )
        assert [row["energy_mwh"] for row in found] == [
            0,
            *((2 * n - 1) * 1_000_000 for n in range(1, 120)),
        ]
        assert [row["span_ms"] for row in found] == [None, *[60_000] * 119]


def test_first_readings_of_both_kinds_at_once_are_as_one_after_the_other(
    client: httpx.Client, replica: httpx.Client, db: Db, uid: str
) -> None:
    at = hours_ago(0.1)
    with ThreadPoolExecutor(2) as senders:
        for n in range(15):
            meter = f"{uid}M{n}"
            answers = list(
                senders.map(
                    lambda sender: sender[0].post("/v1/ingest", json=sender[1]),
                    [
                        (client, register(meter, at, 5)),
                        (replica, meter_reading(meter, at + MINUTE)),
                    ],
                )
            )
            # the register is refused when it comes after what is newer
            codes = [answer.status_code for answer in answers]
            assert codes in ([200, 200], [422, 200]), [answer.text for answer in answers]
            stored = db.fetch("select from meter_readings where meter_id = $1", meter)
            assert len(stored) == codes.count(200)


def test_a_spurious_value_counts_nothing(client: httpx.Client, uid: str) -> None:
    start = hours_ago(1)
    for n, total in enumerate((1000, 999_999_999, 1001, 1002.5)):
        post(client, register(f"{uid}M", start + n * MINUTE, total))
    assert energies(client, f"{uid}M", start) == [None, None, None, 1.5]
    balance = client.get(f"/v1/analytics/meters/{uid}M").json()
    assert balance["totalEnergyConsumedAc"] == 1.5
    assert "2 times" in " ".join(balance["quality"]["reasons"])


def test_a_register_that_reports_often_is_covered(client: httpx.Client, uid: str) -> None:
    start = hours_ago(2)
    post(
        client,
        *(register(f"{uid}M", start + n * timedelta(seconds=0.4), 5 + n) for n in range(151)),
    )
    window = {"from": rfc3339(start), "to": rfc3339(start + MINUTE)}
    balance = client.get(f"/v1/analytics/meters/{uid}M", params=window).json()
    assert balance["quality"]["coverage"]["ac"] == pytest.approx(1, abs=0.02)


def test_a_device_refused_in_two_requests_of_one_commit_is_reported_in_both(
    client: httpx.Client, uid: str
) -> None:
    at = hours_ago(0.2)
    post(client, *(register(f"{uid}R{n}", at, 1) for n in range(20)))
    wrong = [meter_reading(f"{uid}R{n}", at - MINUTE) for n in range(20)]
    with ThreadPoolExecutor(8) as senders:
        answers = list(
            senders.map(lambda _: client.post("/v1/ingest", json=wrong).status_code, range(40))
        )
    assert answers == [422] * 40


@pytest.mark.timescaledb
def test_a_late_register_unpacks_nothing_of_other_devices(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(24 * 20).replace(hour=12)  # far from where a chunk ends
    post(
        client,
        *(register(f"{uid}M{m}", start + n * 10 * MINUTE, n) for n in range(20) for m in range(10)),
    )
    chunk = db.fetch(
        "select format('%I.%I', chunk_schema, chunk_name) as name"
        " from timescaledb_information.chunks where hypertable_name = 'readings'"
        " and range_start <= $1 and range_end > $1",
        start,
    )[0]["name"]
    db.fetch(f"call convert_to_columnstore('{chunk}', if_not_columnstore => true)")
    rows = (
        f"select distinct d.id from only {chunk} as r"
        " join devices as d on d.device = r.device where starts_with(d.id, $1)"
    )
    assert db.fetch(rows, uid) == []
    post(client, register(f"{uid}M3", start + 15 * MINUTE, 1.5))
    assert [row["id"] for row in db.fetch(rows, uid)] == [f"{uid}M3"]


@pytest.mark.timescaledb
def test_a_late_register_corrects_its_successor_in_the_columnstore(
    client: httpx.Client, db: Db, server: Server, uid: str
) -> None:
    start = hours_ago(24 * 14)
    post(client, register(f"{uid}M", start, 5), register(f"{uid}M", start + 2 * MINUTE, 9))
    for chunk in db.fetch(
        "select format('%I.%I', chunk_schema, chunk_name) as name"
        " from timescaledb_information.chunks where not is_compressed"
        " and hypertable_name = 'readings' and range_end < now() - interval '8 days'"
    ):
        db.fetch(f"call convert_to_columnstore('{chunk['name']}', if_not_columnstore => true)")
    post(client, register(f"{uid}M", start + MINUTE, 6))
    window = {"from": rfc3339(start), "to": rfc3339(start + 5 * MINUTE)}
    items = client.get(f"/v1/meters/{uid}M/readings", params=window).json()["items"]
    assert [item["kwhConsumedAc"] for item in items] == [None, 1, 3]
    eventually(lambda: rollup_differences(db, uid) == [])


def test_a_dip_is_a_reset_until_the_register_comes_back(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(2)

    def send(n: int, total: float) -> None:
        post(client, register(f"{uid}M", start + n * MINUTE, total))

    for n, total in enumerate((512.3, 512.4, 0, 0.2)):
        send(n, total)
    assert energies(client, f"{uid}M", start) == [None, 0.1, None, 0.2]
    send(4, 512.8)
    assert energies(client, f"{uid}M", start) == [None, 0.1, None, None, 0.4]
    items = client.get(f"/v1/meters/{uid}M/readings", params={"from": rfc3339(start)}).json()
    assert not any("reset" in item for item in items["items"])
    window = {"from": rfc3339(start), "to": rfc3339(start + 4 * MINUTE)}
    balance = client.get(f"/v1/analytics/meters/{uid}M", params=window).json()
    assert (balance["totalEnergyConsumedAc"], balance["quality"]["coverage"]["ac"]) == (0.5, 1)
    assert any("dropped out and came back once" in each for each in balance["quality"]["reasons"])
    eventually(lambda: rollup_differences(db, uid) == [])


def test_an_answer_for_a_vehicle_mentions_a_dip_of_its_meters_register(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(3).replace(minute=2)
    for n, total in enumerate((512.3, 512.6, 0, 513.2, 513.5)):
        at = start + n * MINUTE
        charging = vehicle_reading(f"{uid}EV", at, 0.25, meterId=f"{uid}M")
        idle = vehicle_reading(f"{uid}other", at, 0, meterId=f"{uid}quiet")
        post(client, register(f"{uid}M", at, total), charging, idle)
    window = {"from": rfc3339(start - MINUTE), "to": rfc3339(start + 5 * MINUTE)}

    def reasons(vehicle: str) -> str:
        path = f"/v1/analytics/performance/{uid}{vehicle}"
        return " ".join(client.get(path, params=window).json()["quality"]["reasons"])

    eventually(lambda: "came back once" in reasons("EV"))
    assert "a register" not in reasons("other")


@pytest.mark.parametrize(
    ("field", "kind", "body"),
    [
        ("kwhConsumedAcTotal", "meters", {"register": "session"}),
        ("kwhExportedAcTotal", "meters", {"register": "session"}),
        ("kwhConsumedAcTotal", "meters", {"ratedPowerKw": 11}),
        ("kwhDeliveredDcTotal", "vehicles", {"registerRolloverKwh": 600}),
        ("kwhReturnedDcTotal", "vehicles", {"registerRolloverKwh": 600}),
    ],
)
def test_a_setting_of_registers_holds_for_what_is_stored(
    client: httpx.Client, uid: str, field: str, kind: str, body: dict[str, Any]
) -> None:
    start = hours_ago(24 * 3)
    totals = [(0, 590), (600, 598), (605, 3), (1200, 40), (2400, 600.4)]
    id_field = "meterId" if kind == "meters" else "vehicleId"
    path = f"/v1/{kind}/{uid}D"
    post(
        client,
        *(
            {id_field: f"{uid}D", "timestamp": rfc3339(start + minute * MINUTE), field: total}
            for minute, total in totals
        ),
    )

    def energies() -> list[float | None]:
        items = client.get(f"{path}/readings", params={"from": rfc3339(start)}).json()["items"]
        return [item[field.removesuffix("Total")] for item in items]

    as_lifetime = [None, 8, None, 37, 560.4]
    assert energies() == as_lifetime
    client.patch(path, json=body).raise_for_status()
    assert (
        energies()
        == {
            "register": [None, 8, 3, 37, 560.4],
            # 597.4 kWh in 30 hours are more than 16.5 kW, and the 2.4 above the old value are less
            "ratedPowerKw": [None, 8, None, None, 2.4],
            "registerRolloverKwh": [None, 8, 5, 37, 560.4],
        }[next(iter(body))]
    )
    client.patch(path, json=dict.fromkeys(body)).raise_for_status()
    assert energies() == as_lifetime
