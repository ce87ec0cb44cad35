"""Charging sessions: their extent, session ids, and coarse registers."""

import csv
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.conftest import Db, post, rfc3339
from tests.support.clocks import midday

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def reading(vehicle: str, at: datetime, **fields: Any) -> dict[str, Any]:
    return {"vehicleId": vehicle, "timestamp": rfc3339(at), **fields}


def sessions(client: httpx.Client, vehicle: str, day: datetime) -> list[dict[str, Any]]:
    """Return all sessions around a day, oldest first."""
    window = {"from": rfc3339(day - 30 * HOUR), "to": rfc3339(day + 30 * HOUR)}
    answer = client.get(f"/v1/vehicles/{vehicle}/sessions", params=window)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"][::-1]
    assert all(item["meanPower"] <= item["peakPower"] for item in items)
    return items


def coarse(start: datetime, power_kw: float, step_kwh: float) -> Callable[[datetime], float]:
    """Return the total that a register with coarse steps shows at a time of a charge."""

    def total(at: datetime) -> float:
        charged = max((at - start) / HOUR, 0) * power_kw
        return round(700 + int(charged / step_kwh + 1e-9) * step_kwh, 1)

    return total


@pytest.mark.parametrize(
    ("step_kwh", "power_kw", "every_s"),
    [(1, 1.4, 60), (1, 3.7, 300), (1, 11, 30), (0.5, 1.4, 60), (0.5, 2.3, 600), (0.1, 0.3, 60)],
)
def test_a_coarse_register_gives_one_session_at_the_true_power(
    client: httpx.Client, uid: str, step_kwh: float, power_kw: float, every_s: int
) -> None:
    start, every = midday(3), timedelta(seconds=every_s)
    total = coarse(start, power_kw, step_kwh)
    times = [start - 5 * HOUR + n * every for n in range(10 * HOUR // every + 1)]
    post(client, *(reading(f"{uid}V", at, kwhDeliveredDcTotal=total(at)) for at in times))
    (session,) = sessions(client, f"{uid}V", start)
    assert session["energyDeliveredDc"] == pytest.approx(total(times[-1]) - 700)
    assert session["meanPower"] == pytest.approx(power_kw, rel=0.06)
    assert session["peakPower"] < 1.35 * power_kw  # one step is seen late, the next in time
    assert abs(datetime.fromisoformat(session["from"]) - start) < 0.3 * HOUR
    assert (session["meterStart"], session["meterEnd"]) == (700, total(times[-1]))


def test_two_nights_of_a_coarse_register_are_two_sessions(client: httpx.Client, uid: str) -> None:
    start = midday(3)
    night = coarse(start, 3.6, 1), coarse(start + 14 * HOUR, 3.6, 1)

    def total(at: datetime) -> float:
        return night[0](min(at, start + 3 * HOUR)) + night[1](at) - 700

    times = [start + n * MINUTE for n in range(0, 20 * 60, 5)]
    post(client, *(reading(f"{uid}V", at, kwhDeliveredDcTotal=total(at)) for at in times))
    first, second = sessions(client, f"{uid}V", start)
    assert first["energyDeliveredDc"] == pytest.approx(10, abs=1)
    assert datetime.fromisoformat(second["from"]) >= start + 14 * HOUR - 0.3 * HOUR
    assert first["meterEnd"] == second["meterStart"]


def test_a_register_that_is_silent_between_charges_has_a_session_for_each(
    client: httpx.Client, uid: str
) -> None:
    start = midday(3)
    plugged = [start, start + 20 * HOUR]
    readings = [
        reading(f"{uid}V", at + n * MINUTE, kwhDeliveredDcTotal=round(40 + (30 * k + n) * 0.12, 2))
        for k, at in enumerate(plugged)
        for n in range(1, 31)
    ]
    post(client, *readings)
    first, second = sessions(client, f"{uid}V", start)
    assert first["from"] == rfc3339(start + MINUTE)  # its first reading only opens the register
    assert second["from"] == rfc3339(plugged[1])
    assert second["energyDeliveredDc"] == pytest.approx(3.6)
    assert second["meanPower"] == pytest.approx(7.2)
    assert second["peakPower"] == pytest.approx(7.2)


def test_a_session_id_binds_readings_over_a_pause(client: httpx.Client, uid: str) -> None:
    start = midday(3)
    vehicle = f"{uid}V"
    charging = [(0, "T-1"), (1, "T-1"), (180, "T-1"), (181, None), (182, "T-1"), (183, "T-2")]
    post(
        client,
        *(
            reading(
                vehicle,
                start + n * MINUTE,
                kwhDeliveredDc=0.1,
                soc=40 + n % 9,
                **({"sessionId": id_} if id_ else {}),
            )
            for n, id_ in charging
        ),
    )
    first, second = sessions(client, vehicle, start)
    assert (first["sessionId"], first["energyDeliveredDc"]) == ("T-1", 0.5)
    assert (first["from"], first["to"]) == (
        rfc3339(start - MINUTE),
        rfc3339(start + 182 * MINUTE),
    )
    assert (second["sessionId"], second["energyDeliveredDc"]) == ("T-2", 0.1)
    # windows that the pause lies between list it once
    for begin, found in ((start + 10 * MINUTE, ["T-2"]), (start - 2 * MINUTE, ["T-2", "T-1"])):
        window = {"from": rfc3339(begin), "to": rfc3339(start + 5 * HOUR)}
        items = client.get(f"/v1/vehicles/{vehicle}/sessions", params=window).json()["items"]
        assert [item["sessionId"] for item in items] == found


def test_a_session_id_comes_back_in_readings_and_may_come_late(
    client: httpx.Client, uid: str
) -> None:
    at = midday(2)
    for fields in (
        {"kwhDeliveredDc": 1},
        {"sessionId": 'a, "b"', "soc": 4},
        {"sessionId": "x" * 65},
    ):
        answer = post(client, reading(f"{uid}V", at, **({"soc": 4} | fields)))
        assert answer["rejected"] == []
    (warning,) = answer["warnings"]
    assert (warning["code"], warning["path"]) == ("dropped_field", "$.sessionId")
    refused = client.post("/v1/ingest", json=reading(f"{uid}V", at, soc=4, sessionId="another"))
    assert refused.json()["rejected"][0]["code"] == "conflict"
    window = {"from": rfc3339(at), "to": rfc3339(at + MINUTE)}
    items = client.get(f"/v1/vehicles/{uid}V/readings", params=window).json()["items"]
    assert [item["sessionId"] for item in items] == ['a, "b"']
    assert client.get(f"/v1/vehicles/{uid}V").json()["sessionId"] == 'a, "b"'
    exported = client.get("/v1/export", params={"vehicleId": f"{uid}V", **window}).text
    (line,) = csv.DictReader(io.StringIO(exported))
    assert line["sessionId"] == 'a, "b"'
    correction = {"vehicleId": f"{uid}V", "timestamp": rfc3339(at), "sessionId": "c"}
    put = client.post("/v1/corrections", json=correction | {"who": "a test", "reason": "so"})
    assert put.json()["reading"]["sessionId"] == "c"


def test_a_finished_session_is_one_reading(client: httpx.Client, uid: str) -> None:
    end = midday(3)
    done = {"intervalStart": rfc3339(end - 4 * HOUR), "kwhDeliveredDc": 27, "sessionId": "T-9"}
    post(client, reading(f"{uid}V", end, **done))
    (session,) = sessions(client, f"{uid}V", end)
    assert (session["from"], session["to"]) == (rfc3339(end - 4 * HOUR), rfc3339(end))
    assert session["meanPower"] == session["peakPower"] == 6.75
    assert (session["meterStart"], session["meterEnd"]) == (None, None)


def test_intervals_that_overlap_have_no_mean_above_the_peak(client: httpx.Client, uid: str) -> None:
    at = midday(3)
    starts = {"intervalStart": rfc3339(at - HOUR), "kwhDeliveredDc": 5}
    post(client, *(reading(f"{uid}V", at + n * MINUTE, **starts) for n in range(3)))
    (session,) = sessions(client, f"{uid}V", at)
    assert session["meanPower"] == session["peakPower"] == pytest.approx(15 * 60 / 62)


def test_a_tiny_step_after_a_large_one_is_answered(client: httpx.Client, uid: str) -> None:
    at = midday(3)
    shown = {timedelta(): 100, HOUR: 1050, 4.9 * HOUR: 1050.000001}
    post(client, *(reading(f"{uid}V", at + t, kwhDeliveredDcTotal=n) for t, n in shown.items()))
    found = sessions(client, f"{uid}V", at)
    assert sum(item["energyDeliveredDc"] for item in found) == pytest.approx(950.000001, abs=1e-7)
    assert found[0]["meterStart"] == 100


@pytest.mark.parametrize("fraction_s", [0, 0.217])
def test_a_session_has_exactly_what_its_register_counted(
    client: httpx.Client, uid: str, fraction_s: float
) -> None:
    """Pauses before and within a session, over which its energy is spread, change no total."""
    start = midday(3) + timedelta(seconds=fraction_s)
    minutes_kwh = {0: 500, 30: 505.5, 400: 506.777777, 424: 511.111113, 700: 512.333333, 731: 517}
    post(
        client,
        *(
            reading(
                f"{uid}V",
                start + minute * MINUTE,
                kwhDeliveredDcTotal=total,
                **({"sessionId": f"{uid}T"} if minute >= 400 else {}),
            )
            for minute, total in minutes_kwh.items()
        ),
    )
    first, second = sessions(client, f"{uid}V", start)
    assert first["energyDeliveredDc"] == 5.5
    assert datetime.fromisoformat(second["from"]) > start + 390 * MINUTE
    assert (second["meterStart"], second["meterEnd"]) == (505.5, 517)
    assert second["energyDeliveredDc"] == 11.5


def test_neighbouring_windows_have_each_session_once_where_intervals_overlap(
    client: httpx.Client, uid: str
) -> None:
    start, vehicle = midday(3), f"{uid}V"
    lengths = {0: MINUTE, 30: MINUTE, 40: 10 * HOUR}
    for after, length in lengths.items():
        at = start + after * MINUTE
        begin = rfc3339(at - length)
        post(client, reading(vehicle, at, kwhDeliveredDc=1, intervalStart=begin))
    # the last interval reaches back over the pause, to where the session before ended
    begins = [rfc3339(start - MINUTE), rfc3339(start)]
    assert [item["from"] for item in sessions(client, vehicle, start)] == begins
    bounds = [start - HOUR, start, start + 10 * MINUTE, start + HOUR]
    found = [
        item["from"]
        for window in pairwise(bounds)
        for item in client.get(
            f"/v1/vehicles/{vehicle}/sessions",
            params=dict(zip(("from", "to"), map(rfc3339, window), strict=True)),
        ).json()["items"]
    ]
    assert found == begins


def test_a_session_that_ended_before_a_pause_is_not_open_in_a_window_that_ends_with_it(
    client: httpx.Client, uid: str
) -> None:
    start, vehicle = midday(3), f"{uid}V"
    minutes = [*range(20), 20 * 60]
    post(client, *(reading(vehicle, start + n * MINUTE, kwhDeliveredDc=0.1) for n in minutes))
    window = {"from": rfc3339(start - HOUR), "to": rfc3339(start + 6 * MINUTE)}
    (found,) = client.get(f"/v1/vehicles/{vehicle}/sessions", params=window).json()["items"]
    assert (found["to"], found["open"]) == (rfc3339(start + 19 * MINUTE), False)


def test_a_vehicle_that_never_pauses_has_one_session_and_its_months_are_passed_over(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start, vehicle = midday(102), f"{uid}V"
    assert client.patch(f"/v1/vehicles/{vehicle}", json={"reportingIntervalS": 21_600}).is_success
    times = [start + n * 6 * HOUR for n in range(400)]
    post(client, *(reading(vehicle, at, kwhDeliveredDc=1) for at in times))
    window = {"from": rfc3339(start - 24 * HOUR), "to": rfc3339(start + 2400 * HOUR)}
    (found,) = client.get(f"/v1/vehicles/{vehicle}/sessions", params=window).json()["items"]
    assert found["from"] == rfc3339(start - 6 * HOUR)
    may_begin = "select session_may_begin(device_of('vehicle', $1), interval '9 hours', $2, $3)"
    for day, expected in ((-1, True), (1, False), (40, False), (99, True)):
        at = start + day * 24 * HOUR
        assert db.value(may_begin, vehicle, at, min(at + 744 * HOUR, times[-1])) is expected


def test_short_windows_list_the_same_sessions_as_a_long_one(
    client: httpx.Client, db: Db, uid: str
) -> None:
    """What may be passed over, and how far is read, changes no answer."""
    start = midday(6)
    total = coarse(start, 2.4, 1)
    shapes: list[list[dict[str, Any]]] = [
        [
            {"kwhDeliveredDcTotal": total(start + n * 7 * MINUTE), "at": n * 7}
            for n in range(-30, 60)
        ],
        [{"kwhDeliveredDc": 0.1, "at": n} for n in range(90) if n % 40 < 23],
        [
            {"kwhDeliveredDc": 0.1, "at": n, "meterId": f"{uid}M{n // 17 % 2}"}
            for n in range(0, 90, 3)
        ],
        [
            {"kwhDeliveredDc": 0.1, "at": n}
            | ({"sessionId": f"{uid}{n // 50}"} if n % 3 == 0 else {})
            for n in range(0, 200, 12)
        ],
        [
            {"kwhDeliveredDc": 1, "at": n, "intervalStart": rfc3339(start + (n - back) * MINUTE)}
            for n, back in ((0, 1), (30, 1), (40, 600), (90, 45), (95, 1), (200, 130))
        ],
    ]
    for number, shape in enumerate(shapes):
        vehicle = f"{uid}V{number}"
        answer = post(
            client,
            *(
                reading(vehicle, start + fields["at"] * MINUTE)
                | {name: value for name, value in fields.items() if name != "at"}
                for fields in shape
            ),
        )
        assert answer["rejected"] == []
        ends = (start - 12 * HOUR, start + 12 * HOUR)
        whole = db.fetch("select * from charging_sessions($1, $2, $3) order by 1", vehicle, *ends)
        split = db.fetch(
            "select s.* from generate_series($2::timestamptz, $3::timestamptz - $4::interval, $4)"
            " as g (at) cross join lateral charging_sessions($1, g.at, g.at + $4) as s order by 1",
            vehicle, *ends, 22.5 * MINUTE,
        )  # fmt: skip
        assert split == whole
        assert whole
