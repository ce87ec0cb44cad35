"""A service that is away, overloaded, or something else."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from fleetmeter.errors import FleetMeterError
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.pace import Pace
from fleetmeter_simulator.client.sending import Sender
from fleetmeter_simulator.client.service import check
from tests.support.scripted import Script, answering

TAKEN = b'{"accepted":1,"duplicates":0,"rejected":[]}'
ARRIVALS: list[Arrival] = [(0, "meters", (f"M{n}", 0, 1, 230_000, None)) for n in range(10)]


def test_what_is_not_acknowledged_is_sent_again_as_it_was() -> None:
    script: Script = [
        (503, {"Retry-After": "0"}, b'{"detail":"overloaded"}'),
        (408, {}, b"{}"),
        (200, {}, b'{"accepted":9,"duplicates":1,"rejected":[]}'),
    ]
    with answering(script) as (url, asked):
        sender = Sender(url, 1, 100)
        with sender.running():
            sender.send(ARRIVALS)
    assert len(asked) == 3
    assert len({each.body for each in asked}) == 1
    tally = sender.tally
    assert (tally.sent, tally.accepted, tally.duplicates, tally.again) == (10, 9, 1, 2)


def test_a_batch_that_is_too_large_is_halved() -> None:
    with answering([(413, {}, b"{}"), (200, {}, TAKEN)]) as (url, asked):
        sender = Sender(url, 1, 100)
        with sender.running():
            sender.send(ARRIVALS)
    sizes = [len(each.body) for each in asked]
    assert sizes[0] > sizes[1] == sizes[2]
    assert sender.tally.sent == 10


def test_rejections_are_counted_by_code() -> None:
    refused = b'{"detail":"no","rejected":[{"index":0,"code":"too_old","detail":"is too old"}]}'
    with answering([(422, {}, refused)]) as (url, _):
        sender = Sender(url, 1, 100)
        with sender.running():
            sender.send(ARRIVALS[:1])
    assert sender.tally.codes == {"too_old": 1}
    assert sender.tally.example == "is too old"


def test_a_service_that_cannot_read_it_ends_the_simulation() -> None:
    with answering([(400, {}, b'{"detail":"what is this"}')]) as (url, _):
        sender = Sender(url, 1, 100)
        with pytest.raises(FleetMeterError, match="400: what is this"), sender.running():
            sender.send(ARRIVALS)


def test_a_stop_while_the_service_is_away_tells_what_was_not_sent() -> None:
    with answering([(503, {"Retry-After": "30"}, b"{}")]) as (url, _):
        sender = Sender(url, 1, 5)
        threading.Timer(0.3, sender.stop).start()
        with sender.running():
            sender.send(ARRIVALS)
    assert sender.tally.sent == 0
    assert sender.tally.unsent == 10


def test_what_is_no_service_is_one_clear_line() -> None:
    with pytest.raises(FleetMeterError, match=r"no service answers at http://127\.0\.0\.1:1 "):
        check("http://127.0.0.1:1")
    with pytest.raises(FleetMeterError, match="is not the URL of a service"):
        check("localhost:3000")
    with (
        answering([(404, {}, b"<html>")]) as (url, _),
        pytest.raises(FleetMeterError, match="is not ready, 404"),
    ):
        check(url)


def test_simulated_time_runs_faster_but_never_ahead_of_the_present() -> None:
    began = datetime(2026, 3, 1, 12, tzinfo=UTC)
    present = began
    pace = Pace(began - timedelta(hours=10), 600, now=lambda: present)
    assert pace.now() == began - timedelta(hours=10)
    present = began + timedelta(seconds=30)
    assert pace.now() == began - timedelta(hours=5)
    assert not pace.caught_up()
    present = began + timedelta(seconds=61)
    assert pace.caught_up()
    assert pace.now() == present


def test_without_a_speed_it_is_the_present_at_once() -> None:
    began = datetime(2026, 3, 1, 12, tzinfo=UTC)
    pace = Pace(began - timedelta(days=30), None, now=lambda: began)
    assert pace.caught_up()
    assert pace.now() == began
