"""Every wire sends what simulated devices took, and learns what became of it."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import get_args

import pytest

from fleetmeter.errors import FleetMeterError
from fleetmeter.inputs.influx import Influx as InfluxInput
from fleetmeter.inputs.mapping.load import load_mapping
from fleetmeter.inputs.untaken import UntakenCounter
from fleetmeter.readings.decode import BatchDecoder, Item
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Bounds, checked
from fleetmeter.slices import at_once
from fleetmeter_simulator.client import msgpack
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.sending import Sender
from fleetmeter_simulator.devices.readings import RowKind
from fleetmeter_simulator.fleet import Fleet
from fleetmeter_simulator.wires.influx import line_of, over_influx
from tests.support.scripted import Script, answering
from tests.support.simulated_fleets import SEED, START

ARRIVALS: list[Arrival] = [(0, "meters", (f"M{n}", 0, 1, 230_000, None)) for n in range(10)]


def as_msgpack(arrivals: Sequence[Arrival]) -> Sequence[Item]:
    decoder = BatchDecoder("msgpack", 100_000)
    at_once(decoder.feed(msgpack.body(arrivals)))
    return at_once(decoder.finish())


def as_lines(arrivals: Sequence[Arrival]) -> Sequence[Item]:
    decoder = InfluxInput(load_mapping(None), UntakenCounter()).decoder(1000, 100_000)
    at_once(decoder.feed("\n".join(map(line_of, arrivals)).encode()))
    items = at_once(decoder.finish())
    assert not decoder.untaken
    return items


@pytest.mark.parametrize("decoded", [as_msgpack, as_lines])
def test_what_is_sent_is_taken_as_the_row_it_was(
    decoded: Callable[[Sequence[Arrival]], Sequence[Item]],
) -> None:
    arrivals = Fleet(SEED, 30, START, 1).arrivals(START)
    bounds = Bounds(START, START + timedelta(hours=2))
    for (_, kind, row), item in zip(arrivals, decoded(arrivals), strict=True):
        assert isinstance(item, Telemetry)
        reading = checked(item, bounds)
        registers = kind.endswith("_registers")
        energy = reading.register_mwh if registers else reading.energy_mwh
        named = [reading.meter_id] if kind.startswith("vehicle") else []
        measured = [value for value in reading.values if value is not None]
        sent = (reading.id, reading.time, energy, *measured, *named, reading.session_id)
        assert sent == row
    assert {kind for _, kind, _ in arrivals} == set(get_args(RowKind))


def test_names_with_special_characters_stay_what_they_are() -> None:
    arrival: Arrival = (0, "meters", ("M 1,a=b", 0, 1, 230_000, "session, =\\1"))
    (item,) = as_lines([arrival])
    assert isinstance(item, Telemetry)
    assert (item.meter_id, item.session_id) == ("M 1,a=b", "session, =\\1")


def test_lines_that_are_refused_are_counted_by_code() -> None:
    lines = b'{"code":"too_old","message":"is too old"},{"code":"in_future","message":"too early"}'
    some = b'{"message":"partial write: 2 lines cannot be stored, ...","lines":[%b]}' % lines
    many = b'{"message":"partial write: 1,234 lines cannot be stored","lines":[%b]}' % lines
    script: Script = [(503, {"Retry-After": "0"}, b""), (400, {}, some), (400, {}, many)]
    with answering(script) as (url, asked):
        sender = Sender(url, 1, 2000, None, over_influx(url, "secret"))
        with sender.running():
            sender.send(ARRIVALS * 400)
    assert asked[0].path == "/api/v2/write?precision=us"
    assert asked[0].headers["Authorization"] == "Bearer secret"
    tally = sender.tally
    assert (tally.sent, tally.accepted, tally.rejected, tally.again) == (4000, 2764, 1236, 1)
    assert tally.codes == {"too_old": 2, "in_future": 2, "not named": 1232}
    assert tally.example == "too early"


def test_a_batch_of_lines_that_is_too_large_is_halved() -> None:
    with answering([(413, {}, b"{}"), (204, {}, b"")]) as (url, asked):
        sender = Sender(url, 1, 100, None, over_influx(url, None))
        with sender.running():
            sender.send(ARRIVALS)
    assert [each.body.count(b"\n") for each in asked] == [9, 4, 4]
    assert sender.tally.accepted == 10


@pytest.mark.parametrize(("status", "named"), [(400, "message"), (404, "detail")])
def test_a_service_that_takes_no_lines_ends_the_simulation(status: int, named: str) -> None:
    with answering([(status, {}, b'{"%b":"what is this"}' % named.encode())]) as (url, _):
        sender = Sender(url, 1, 100, None, over_influx(url, None))
        with pytest.raises(FleetMeterError, match=f"{status}: what is this"), sender.running():
            sender.send(ARRIVALS)
