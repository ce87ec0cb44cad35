"""Each hour is evaluated once, by one service, despite interruptions and late readings."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import asyncpg
import httpx
import msgspec
import pytest

from fleetmeter.anomalies.evaluation import evaluate_hour, late, reader, runner
from fleetmeter.anomalies.evaluation.decide import evaluate
from fleetmeter.anomalies.evaluation.runner import Evaluator, Ran
from fleetmeter.anomalies.incidents import store
from fleetmeter.anomalies.incidents.reconcile import FOUND_LATE, SHOWN_LATE
from fleetmeter.anomalies.model import Hour
from fleetmeter.database.pool import Database, connect
from fleetmeter.errors import DatabaseUnavailableError
from fleetmeter.settings import Settings
from tests.conftest import (
    EVALUATED,
    Db,
    Server,
    eventually,
    hours_ago,
    migrated_database,
    on_migrated,
    post,
    running_service,
    vehicle_reading,
)
from tests.support.locks import until_blocked

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAYS = 4
START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=10)
END = START + timedelta(days=DAYS)
CLOSED = 6 * MINUTE
"""Delay after the end of an hour until it may be evaluated."""

INTERVAL = 5 * MINUTE
MILLISECOND = timedelta(milliseconds=1)
T = TypeVar("T")


NUMBERS = {f"V{n}": n for n in range(1, 6)} | {f"M{n}": 10 + n for n in range(1, 6)}
"""Numbers of the devices, by id."""


class VehicleRow(NamedTuple):
    vehicle_id: str
    time: datetime
    energy_mwh: int
    soc_bp: int | None
    battery_temp_cdeg: int | None
    meter_id: str
    span_ms: int = INTERVAL // MILLISECOND


class MeterRow(NamedTuple):
    meter_id: str
    time: datetime
    energy_mwh: int
    voltage_mv: int | None
    span_ms: int = INTERVAL // MILLISECOND


Row = VehicleRow | MeterRow


def at(day: int, hour: float) -> datetime:
    return START + timedelta(days=day, hours=hour)


def within(time: datetime, day: int, start: float, end: float) -> bool:
    return at(day, start) <= time < at(day, end)


def readings() -> list[Row]:
    """Return four days of four vehicles, each with a meter of its own, and of a fifth meter.

    They charge from 22 to 5 o'clock with 3.3 of 3.7 kW; and what is wrong stands here. `time` is
    when the interval of a reading begins, and it is stamped where that ends.
    """
    rows: list[Row] = []
    time = START
    while time < END:
        for n in range(1, 5):
            charges = time.hour >= 22 or time.hour < 5
            dc, ac = (275_000, 308_000) if charges else (0, 0)
            temp, voltage = 2000, 230_000
            if n == 1 and (within(time, 1, 10, 11.2) or within(time, 1, 15, 15.7)):
                temp = 5000  # battery_hot, twice
            if n == 2 and within(time, 1, 22, 29):
                dc = 180_000  # efficiency_low
            if n == 2 and within(time, 2, 12, 14.5):
                voltage = 262_000  # voltage_out_of_range
            if n == 4 and within(time, 1, 6, 20):
                ac = 30_000  # standby_loss: 360 W
            if n == 1 and within(time, 2, 22, 29):  # dc_exceeds_ac: it charges at M5
                dc, ac = round(dc * fading(time)), 0
            if not (n == 3 and within(time, 2, 8, 20)):  # vehicle_silent
                soc = 3000 + 10 * (time.minute // 5)
                rows.append(VehicleRow(f"V{n}", time + INTERVAL, dc, soc, temp, f"M{n}"))
            rows.append(MeterRow(f"M{n}", time + INTERVAL, ac, voltage))
        ac = round(308_000 * fading(time)) if within(time, 2, 22, 29) else 0
        rows.append(MeterRow("M5", time + INTERVAL, ac, 230_000))
        time += INTERVAL
    return rows


def fading(time: datetime) -> float:
    """Return the fraction of its power at which a nearly full battery charges."""
    return 1 - 0.1 * ((time - at(2, 22)) / HOUR)


READINGS = readings()


class Place:
    """A database with the fleet, of which nothing has been evaluated."""

    def __init__(self, url: str, engine: str) -> None:
        self.url = url
        self.engine = engine
        self.db = Db(url)

    def begin(self, rows: Sequence[Row] = READINGS) -> None:
        """Replace everything stored with these readings."""
        asyncio.run(self._begin(rows))

    async def _begin(self, rows: Sequence[Row]) -> None:
        connection = await asyncpg.connect(self.url, server_settings={"timezone": "UTC"})
        try:
            await connection.execute(
                "truncate anomalies cascade; truncate anomaly_memory, late_devices, late_hours,"
                " rule_overrides;"
                " update anomaly_progress set evaluated_until = null;"
                " update live_state set removed_at = null;"
                " delete from readings; delete from spread_energy"
            )
            await self._copy(connection, rows)
        finally:
            await connection.close()

    async def _copy(self, connection: Any, rows: Sequence[Row]) -> None:
        for kind in (VehicleRow, MeterRow):
            await connection.copy_records_to_table(
                "readings",
                columns=["device", *(name.removesuffix("_id") for name in kind._fields[1:])],
                records=[
                    [NUMBERS[value] if isinstance(value, str) else value for value in row]
                    for row in rows
                    if type(row) is kind
                ],
            )

    def report(self, id_: str) -> None:
        """Give a device live state; a vehicle charges at the meter of its number."""
        device = NUMBERS[id_]
        meter = 10 + device if id_.startswith("V") else None
        self.db.fetch(
            "insert into live_state (device, meter, time, energy_mwh, last_seen)"
            " values ($1, $2, $3, 0, $3)",
            *(device, meter, END),
        )
        if meter is not None:
            self.db.fetch("insert into meter_vehicles values ($1, $2)", meter, device)

    def comes_late(self, rows: Sequence[Row]) -> None:
        """Store readings, with the marks that a writer leaves for late ones."""

        async def run() -> None:
            connection = await asyncpg.connect(self.url, server_settings={"timezone": "UTC"})
            try:
                async with connection.transaction():
                    await self._copy(connection, rows)
                    for row in rows:
                        await connection.execute(
                            "insert into late_devices (device, since, late_hours_until)"
                            " values ($1, $2, 0)",
                            *(NUMBERS[row[0]], row.time - row.span_ms * MILLISECOND),
                        )
            finally:
                await connection.close()

        asyncio.run(run())

    def run(self, work: Callable[[Database], Awaitable[T]]) -> T:
        """Run something with a pool like a service's."""

        async def run() -> T:
            database = await connect(self.url, Settings())
            try:
                return await work(database)
            finally:
                await database.close()

        return asyncio.run(run())

    def evaluate(self, *until: datetime) -> list[Ran | None]:
        """Run the evaluation at these times, in one service."""

        async def work(database: Database) -> list[Ran | None]:
            mine = Evaluator(database)
            return [await mine.run(time + CLOSED) for time in until]

        return self.run(work)

    def state(self) -> dict[str, list[Any]]:
        """Return everything found and remembered, except ids and clock times."""
        return {
            "anomalies": sorted(self.anomalies()),
            "events": [
                (row["event"], row["who"], row["note"], *plain(row["anomaly"]))
                for row in self.db.fetch("select * from anomaly_events order by id")
            ],
            "states": [
                tuple(row)
                for row in self.db.fetch(
                    "select device_kind, device_id, memory from anomaly_memory order by 1, 2"
                )
            ],
            "until": [self.db.value("select evaluated_until from anomaly_progress")],
        }

    def anomalies(self) -> list[tuple[Any, ...]]:
        """Return each anomaly's kind, device, status, start, end, recurrences and cause."""
        rows = self.db.fetch("select * from anomalies order by id")
        return [
            (
                row["kind"],
                row["device_id"],
                row["status"],
                row["started_at"],
                row["ended_at"],
                row["reopened"],
                row["cause"],
            )
            for row in rows
        ]

    def notes(self, kind: str, device: str) -> list[tuple[str, str | None]]:
        """Return the events of a device's anomalies of one kind, with their notes."""
        return [
            tuple(row)
            for row in self.db.fetch(
                "select e.event, e.note from anomaly_events as e"
                " join anomalies as a on a.id = e.anomaly_id where a.kind = $1"
                " and a.device_id = $2 order by e.id",
                *(kind, device),
            )
        ]


def plain(anomaly: str) -> tuple[Any, ...]:
    """Return an event without what depends on when it was found."""
    fields = msgspec.json.decode(anomaly)
    for name in ("id", "openedAt", "acknowledgedAt", "resolvedAt"):
        del fields[name]
    return tuple(sorted((name, str(value)) for name, value in fields.items()))


@pytest.fixture(scope="module")
def place(server: Server) -> Iterator[Place]:
    with migrated_database(server, jobs=False) as url:
        place = Place(url, server.engine)
        for id_, device in NUMBERS.items():
            place.db.fetch(
                "insert into devices (device, kind, id, reporting_interval_s)"
                " overriding system value values ($1, $2, $3, 300)",
                *(device, "vehicle" if id_.startswith("V") else "meter", id_),
            )
            if id_ != "V5":
                place.report(id_)
        yield place


@pytest.fixture(scope="module")
def all_along(place: Place) -> dict[str, list[Any]]:
    """The state after every hour was evaluated as soon as it was over."""
    place.begin()
    place.evaluate(*(START + n * HOUR for n in range(1, DAYS * 24 + 1)))
    return place.state()


@pytest.mark.either
def test_each_fault_is_found_once(all_along: dict[str, list[Any]]) -> None:
    found = [(kind, device, status) for kind, device, status, *_ in all_along["anomalies"]]
    assert found == [
        ("battery_hot", "V1", "resolved"),
        ("dc_exceeds_ac", "V1", "open"),
        ("efficiency_low", "V2", "resolved"),
        ("standby_loss", "M4", "resolved"),
        ("vehicle_silent", "V3", "resolved"),
        ("voltage_out_of_range", "M2", "resolved"),
    ]
    hot = all_along["anomalies"][0]
    assert hot[5] == 1, "the second time, it is the same"


@pytest.mark.either
def test_catching_up_after_a_pause_finds_the_same_as_running_all_along(
    place: Place, all_along: dict[str, list[Any]]
) -> None:
    place.begin()
    (ran,) = place.evaluate(END)
    assert ran is not None
    assert ran[:2] == (DAYS * 24, 0)
    assert place.state() == all_along


@pytest.mark.either
@pytest.mark.parametrize("seed", [2])
def test_restarts_at_any_time_find_the_same_as_running_all_along(
    place: Place, all_along: dict[str, list[Any]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)  # noqa: S311
    monkeypatch.setattr(evaluate_hour, "_DEVICE_HOURS", 9 * chance.randint(1, 40))
    place.begin()
    hours = sorted(chance.sample(range(1, DAYS * 24), 5))
    for hour in hours:
        place.evaluate(START + hour * HOUR)
    place.evaluate(END)
    assert place.state() == all_along


@pytest.mark.either
def test_a_failure_in_the_middle_leaves_nothing_half_done(
    place: Place, all_along: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.begin()
    monkeypatch.setattr(evaluate_hour, "_DEVICE_HOURS", 9 * 24)
    apply = store.apply
    days = 0

    async def fails_on_the_third_day(*args: Any) -> list[int]:
        nonlocal days
        days += 1
        events = await apply(*args)
        if days == 3:
            raise OSError("out of coffee")
        return events

    monkeypatch.setattr(store, "apply", fails_on_the_third_day)
    with pytest.raises(Exception, match="out of coffee"):
        place.evaluate(END)
    half = place.state()
    assert half["until"] == [at(2, 0)]
    monkeypatch.setattr(store, "apply", apply)
    place.begin()
    place.evaluate(at(2, 0))
    assert place.state() == half
    place.evaluate(END)
    assert place.state() == all_along


@pytest.mark.either
def test_one_of_several_replicas_evaluates(place: Place, all_along: dict[str, list[Any]]) -> None:
    place.begin()

    async def both(database: Database) -> list[Ran | None]:
        other = await connect(place.url, Settings())
        try:
            runs = (Evaluator(each).run(END + CLOSED) for each in (database, other, database))
            return list(await asyncio.gather(*runs))
        finally:
            await other.close()

    ran = place.run(both)
    assert sorted((each and each[:2] for each in ran), key=str) == [(DAYS * 24, 0), None, None]
    assert place.state() == all_along


def without(*pieces: tuple[str, datetime, datetime]) -> tuple[list[Row], list[Row]]:
    """Return the readings outside these pieces, and those inside them."""
    held = [
        row
        for row in READINGS
        if any(row[0] == id_ and start < row.time <= end for id_, start, end in pieces)
    ]
    gone = set(held)
    return [row for row in READINGS if row not in gone], held


def late_row(vehicle_id: str, time: datetime) -> VehicleRow:
    """Return a reading a minute after another one."""
    return VehicleRow(vehicle_id, time, 0, 3000, 2000, f"M{vehicle_id[1:]}", 60_000)


@pytest.mark.either
def test_late_readings_reveal_an_anomaly(place: Place, all_along: dict[str, list[Any]]) -> None:
    there, held = without(("V1", at(1, 9), at(1, 16)), ("M2", at(2, 11), at(2, 15)))
    place.begin(there)
    place.evaluate(END)
    assert not {"battery_hot", "voltage_out_of_range"} & {a[0] for a in place.anomalies()}
    place.comes_late(held)
    assert place.evaluate(END) == [Ran(0, 2)]
    kinds = {"battery_hot", "voltage_out_of_range"}
    assert [a for a in sorted(place.anomalies()) if a[0] in kinds] == [
        a for a in all_along["anomalies"] if a[0] in kinds
    ]
    assert place.notes("battery_hot", "V1")[0] == ("opened", FOUND_LATE)
    assert [event for event, _ in place.notes("battery_hot", "V1")] == [
        *("opened", "resolved", "reopened", "resolved")
    ]
    assert place.state()["states"] == all_along["states"]
    assert place.db.value("select count(*) from late_devices") == 0


@pytest.mark.either
def test_late_readings_resolve_an_anomaly_that_never_was(
    place: Place, all_along: dict[str, list[Any]]
) -> None:
    there, held = without(("V4", at(2, 6), at(2, 16)))
    place.begin(there)
    place.evaluate(at(2, 12))
    [silent] = [a for a in place.anomalies() if a[1] == "V4"]
    assert silent[:3] == ("vehicle_silent", "V4", "open")
    place.comes_late([row for row in held if row.time <= at(2, 12)])
    assert place.evaluate(at(2, 12)) == [Ran(0, 1)]
    [silent] = [a for a in place.anomalies() if a[1] == "V4"]
    assert silent[2] == "resolved"
    [_, (event, note)] = place.notes("vehicle_silent", "V4")
    assert event == "resolved"
    assert note is not None
    assert note.startswith(SHOWN_LATE)
    place.comes_late([row for row in held if row.time > at(2, 12)])
    place.evaluate(END)
    assert place.state()["states"] == all_along["states"]


@pytest.mark.either
def test_late_readings_correct_the_cause(place: Place, all_along: dict[str, list[Any]]) -> None:
    there, held = without(("V1", at(2, 21), at(3, 6)))
    place.begin(there)
    place.evaluate(END)
    place.comes_late(held)
    assert place.evaluate(END) == [Ran(0, 1)]
    [found] = [a for a in place.anomalies() if a[0] == "dc_exceeds_ac"]
    assert found in all_along["anomalies"]
    assert found[-1] == "wrong_meter"


@pytest.mark.either
@pytest.mark.parametrize("seed", range(1))
def test_late_readings_end_in_the_same_state_as_timely_ones(
    place: Place, all_along: dict[str, list[Any]], seed: int
) -> None:
    """Every anomaly is found; one that was found too early stays on record, resolved."""
    chance = random.Random(seed)  # noqa: S311
    pieces = []
    for _ in range(4):
        start = START + chance.randrange(DAYS * 24 - 12) * HOUR
        device = f"{chance.choice('VM')}{chance.randint(1, 4)}"
        pieces.append((device, start, start + chance.randint(1, 12) * HOUR))
    there, held = without(*pieces)
    place.begin(there)
    place.evaluate(START + chance.randint(30, 90) * HOUR, END)
    chance.shuffle(held)
    half = len(held) // 2
    place.comes_late(held[:half])
    place.evaluate(END)
    place.comes_late(held[half:])
    place.evaluate(END)
    state = place.state()
    assert state["states"] == all_along["states"]
    lasting = [a for a in state["anomalies"] if a[4] is None]
    assert lasting == [a for a in all_along["anomalies"] if a[4] is None]
    # what came back may be told as two
    for kind, device, _, started_at, ended_at, *_ in all_along["anomalies"]:
        times = [a[3:5] for a in state["anomalies"] if a[:2] == (kind, device)]
        assert started_at in [began for began, _ in times], (kind, device)
        assert ended_at in [ended for _, ended in times], (kind, device)


@pytest.mark.either
def test_devices_that_only_measure_energy_are_evaluated(
    place: Place, all_along: dict[str, list[Any]]
) -> None:
    place.begin(
        [
            row._replace(soc_bp=None, battery_temp_cdeg=None)
            if isinstance(row, VehicleRow)
            else row._replace(voltage_mv=None)
            for row in READINGS
        ]
    )
    place.evaluate(END)
    measured = {"battery_hot", "voltage_out_of_range"}
    expected = [each for each in all_along["anomalies"] if each[0] not in measured]
    assert sorted(place.anomalies()) == expected


@pytest.mark.either
def test_a_silence_is_reported_although_its_energy_arrives_later(
    place: Place, all_along: dict[str, list[Any]]
) -> None:
    """A register spreads it over the hours in which there was no reading."""
    place.begin()
    place.db.fetch(
        "update readings set span_ms = $2, energy_mwh = 9000000, spread = true"
        " where device = 3 and time = $1",
        *(at(2, 20) + INTERVAL, (12 * HOUR + INTERVAL) // MILLISECOND),
    )
    place.db.fetch("select put_pieces('{3}', array[$1::timestamptz])", at(2, 20) + INTERVAL)
    assert place.db.value("select count(*) from spread_energy") == 49
    place.evaluate(*(START + n * 12 * HOUR for n in range(1, DAYS * 2 + 1)))
    assert sorted(place.anomalies()) == all_along["anomalies"]


@pytest.mark.either
def test_late_marks_in_the_future_cause_no_work(
    place: Place, all_along: dict[str, list[Any]]
) -> None:
    there, held = without(("V1", at(1, 9), at(1, 16)))
    place.begin(there)
    place.evaluate(at(1, 0))
    place.comes_late(held)
    assert place.evaluate(at(1, 0)) == [Ran(0, 0)]
    assert place.db.value("select count(*) from late_devices") == 0
    place.evaluate(END)
    assert place.state() == all_along


@pytest.mark.either
def test_state_lost_with_a_purged_device_is_rebuilt(place: Place) -> None:
    place.begin()
    place.evaluate(at(2, 12))
    before = place.state()["states"]
    place.db.run(
        'update anomaly_memory set memory = memory || \'{"other_meter": "M9"}\''
        " where device_id = 'V3'"
    )
    place.db.fetch("select purge_device('meter', 'M9', false)")
    assert place.db.value("select count(*) from anomaly_memory where device_id = 'V3'") == 0
    assert place.evaluate(at(2, 12)) == [Ran(0, 1)]
    assert place.state()["states"] == before
    place.evaluate(END)
    assert place.notes("vehicle_silent", "V3")[-1] == ("resolved", "V3 reports again")


@pytest.mark.either
def test_a_late_device_whose_meter_feeds_another_vehicle_is_not_blamed(place: Place) -> None:
    """V5 charges at M5, and so does V1 from day 2 on, which says that it charges at M1."""
    rows: list[Row] = []
    for row in READINGS:
        if isinstance(row, MeterRow) and row.meter_id == "M5":
            charges = within(row.time - INTERVAL, 2, 22, 29)
            dc, ac = (275_000, 308_000) if charges else (0, 0)
            soc = 3000 + row.time.minute
            rows.append(VehicleRow("V5", row.time, dc, soc, 2000, "M5"))
            rows.append(row._replace(energy_mwh=row.energy_mwh + ac))
        else:
            rows.append(row)
    place.report("V5")
    try:
        place.begin(rows)
        place.evaluate(END)
        before = place.state()
        assert "V5" not in {device for _, device, *_ in before["anomalies"]}
        place.comes_late([late_row("V5", at(2, 12) + MINUTE)])
        assert place.evaluate(END) == [Ran(0, 1)]
        assert place.state() == before
    finally:
        place.db.run(
            "delete from readings where device = 5;"
            "delete from live_state where device = 5;"
            "delete from meter_vehicles where vehicle = 5"
        )


@pytest.mark.either
def test_an_evaluation_may_take_longer_than_the_statement_timeout(place: Place) -> None:
    place.begin()
    place.evaluate(at(1, 0))

    async def work(database: Database) -> Ran | None:
        impatient = await connect(place.url, Settings(database_timeout_s=1))
        try:
            async with database.transaction() as connection:
                await connection.execute("lock table readings in access exclusive mode")
                run = asyncio.create_task(Evaluator(impatient).run(at(1, 1) + CLOSED))
                await asyncio.sleep(2)
            return await run
        finally:
            await impatient.close()

    assert place.run(work) == Ran(1, 0)


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[Hour], bool]) -> None:
    """Make a rule raise after it has changed its state."""

    def fail(hour: Hour, known: Any, states: dict[Any, Any], rulebook: Any) -> Any:
        outcome = evaluate(hour, known, states, rulebook)
        if fails(hour):
            raise ZeroDivisionError
        return outcome

    monkeypatch.setattr(evaluate_hour, "evaluate", fail)


@pytest.mark.either
def test_a_rule_that_fails_for_one_device_still_runs_for_the_others(
    place: Place, all_along: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_v4(hour: Hour) -> bool:
        return hour.starts == at(0, 3) and any(row.vehicle_id == "V4" for row in hour.vehicles)

    failing(monkeypatch, has_v4)
    place.begin()
    place.evaluate(END)
    state = place.state()
    assert state["until"] == [END]
    assert state["events"] == all_along["events"]
    of_others = [[row for row in each["states"] if row[1] != "V4"] for each in (state, all_along)]
    assert of_others[0] == of_others[1]


@pytest.mark.either
def test_a_rule_that_fails_for_every_device_does_not_stop_other_rules(
    place: Place, all_along: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda hour: at(0, 10) <= hour.starts < at(0, 12))
    place.begin()
    place.evaluate(END)
    assert place.state() == all_along, "nothing was wrong then"
    place.comes_late([late_row("V1", at(0, 10) + MINUTE)])
    assert place.evaluate(END) == [Ran(0, 1)]
    assert place.db.value("select count(*) from late_devices") == 0


@pytest.mark.either
def test_waiting_for_the_evaluation_means_waiting_for_one_run(
    place: Place, all_along: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_hour, "_DEVICE_HOURS", 9 * 24)
    monkeypatch.setattr(runner, "_TURN_S", 0.0)
    place.begin()
    waiting: list[asyncio.Task[datetime]] = []
    apply = store.apply

    async def wait(database: Database) -> datetime:
        async with database.transaction() as connection:
            await connection.execute(
                "select pg_advisory_xact_lock(hashtext('fleetmeter.evaluate'))"
            )
            until = await connection.fetchval("select evaluated_until from anomaly_progress")
            assert isinstance(until, datetime)
            return until

    async def work(database: Database) -> datetime:
        async def apply_while_somebody_waits(*args: Any) -> list[int]:
            if not waiting:
                waiting.append(asyncio.create_task(wait(database)))
                await until_blocked(args[0])
            return await apply(*args)

        monkeypatch.setattr(store, "apply", apply_while_somebody_waits)
        await Evaluator(database).run(END + CLOSED)
        return await waiting[0]

    assert place.run(work) == at(1, 0)
    place.evaluate(END)
    assert place.state() == all_along


def test_a_backlog_of_late_devices_does_not_delay_new_hours(place: Place) -> None:
    place.begin([])

    async def work(database: Database) -> list[datetime]:
        mine = Evaluator(database)
        turns: list[datetime] = []

        async def turn(connection: Any, at: datetime) -> tuple[Ran, bool]:
            turns.append(at)
            return Ran(0, 1), len(turns) == 3

        mine._run = turn  # type: ignore[method-assign]
        await mine.run()
        return turns

    turns = place.run(work)
    assert len(set(turns)) == 3
    assert turns == sorted(turns), "each goes by the time when it begins"


@pytest.mark.either
def test_a_very_late_device_does_not_re_evaluate_others(place: Place) -> None:
    place.begin()
    place.db.fetch(
        "insert into rule_overrides (kind, scope, target, parameters, changed_by)"
        " values ('battery_hot', 'fleet', '', '{\"enabled\": false}', 'anna')"
    )
    place.evaluate(END)
    place.db.run("truncate rule_overrides")
    place.comes_late(
        [
            late_row("V2", at(0, 1) + MINUTE),
            late_row("V1", at(3, 1) + MINUTE),
        ]
    )
    assert place.evaluate(END) == [Ran(0, 2)]
    assert "battery_hot" not in {a[0] for a in place.anomalies()}, "its hours did not change"


@pytest.mark.either
def test_late_devices_that_share_a_meter_are_evaluated_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.begin()
    place.evaluate(END)
    turns = 0
    reconcile = store.reconcile

    async def count(*args: Any) -> list[int]:
        nonlocal turns
        turns += 1
        return await reconcile(*args)

    monkeypatch.setattr(store, "reconcile", count)
    monkeypatch.setattr(late, "_MOST", 1)
    place.comes_late(
        [
            late_row("V1", at(3, 1) + MINUTE),
            MeterRow("M1", at(3, 2) + MINUTE, 0, 230_000, 60_000),
        ]
    )
    assert place.evaluate(END) == [Ran(0, 2)]
    assert turns == 1


@pytest.mark.either
def test_many_late_devices_are_evaluated_in_bounded_turns_and_each_is_kept(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.begin()
    place.evaluate(END)
    hours = (END - START + late.WARMUP) // HOUR
    monkeypatch.setattr(late, "_MOST_DEVICE_HOURS", 2 * hours)  # a vehicle and its meter
    place.comes_late([late_row(f"V{n}", at(3, 1) + MINUTE) for n in (1, 2, 3)])
    left: list[int] = []
    widest = 0
    recompute = late._recompute

    async def count(connection: Any, around: Any, times: Any) -> Any:
        nonlocal widest
        left.append(place.db.value("select count(*) from late_devices"))
        devices = len(around.vehicle_ids) + len(around.meter_ids)
        widest = max(widest, devices * ((times[1] - times[0] + late.WARMUP) // HOUR))
        if len(left) == 3:
            raise DatabaseUnavailableError("it is gone")
        return await recompute(connection, around, times)

    monkeypatch.setattr(late, "_recompute", count)
    with pytest.raises(DatabaseUnavailableError):
        place.evaluate(END)
    assert left == [3, 2, 1], "what a turn has done is not done again"
    assert widest <= 2 * hours
    assert place.db.value("select count(*) from late_devices") == 1


@pytest.mark.either
def test_a_late_device_that_was_not_there_before_is_not_missed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, held = without(("V1", START, END))
    place.begin(there)
    place.db.run("update live_state set removed_at = now() where device = 1")
    evaluate_hours = runner._evaluate_hours

    async def takes_long(*args: Any) -> Any:
        done = await evaluate_hours(*args)
        await asyncio.to_thread(
            place.db.run, "update live_state set removed_at = null where device = 1"
        )
        return done

    place.evaluate(at(0, 1))
    monkeypatch.setattr(runner, "_evaluate_hours", takes_long)
    place.comes_late(held)
    place.evaluate(END)
    assert "battery_hot" in {a[0] for a in place.anomalies()}


@pytest.mark.either
def test_the_first_history_of_an_empty_database_is_evaluated_once(
    place: Place, all_along: dict[str, list[Any]]
) -> None:
    place.begin([])
    place.evaluate(at(1, 7))
    assert place.db.value("select evaluated_until from anomaly_progress") is None
    marked, others = without(("V1", START, END))[::-1]
    place.begin(others)
    place.comes_late(marked)  # as an import does
    (ran,) = place.evaluate(END)
    assert ran is not None
    assert (ran.hours, ran.late_devices) == ((END - START) // HOUR, 0)
    assert len(ran.events) == len(set(ran.events)) > 0
    assert place.db.value("select count(*) from late_devices") == 0
    assert place.state() == all_along


@pytest.mark.timescaledb
def test_rolled_up_hours_are_evaluated_like_fresh_ones(
    place: Place, all_along: dict[str, list[Any]]
) -> None:
    place.begin()
    try:
        for rollup in ("quarter_hourly", "hourly"):
            place.db.fetch(
                f"call refresh_continuous_aggregate('{rollup}', null, '{at(2, 13).isoformat()}')"
            )
        place.evaluate(at(1, 7), at(2, 18), END)
        assert place.state() == all_along
    finally:
        place.begin([])
        for rollup in ("quarter_hourly", "hourly"):
            place.db.fetch(
                f"call refresh_continuous_aggregate('{rollup}', null, '{at(2, 13).isoformat()}')"
            )


@pytest.mark.either
def test_switching_a_rule_off_resolves_its_anomalies(place: Place) -> None:
    place.begin()
    place.evaluate(at(2, 12))
    place.db.fetch(
        "insert into rule_overrides (kind, scope, target, parameters, changed_by)"
        " values ('vehicle_silent', 'fleet', '', '{\"enabled\": false}', 'anna')"
    )
    place.evaluate(at(2, 13))
    [silent] = [a for a in place.anomalies() if a[1] == "V3"]
    assert silent[2] == "resolved"
    assert place.notes("vehicle_silent", "V3")[-1] == ("resolved", "the rule was switched off")


@pytest.mark.either
def test_removing_a_device_resolves_its_anomalies(place: Place) -> None:
    place.begin()
    place.evaluate(at(2, 12))
    place.db.run("update live_state set removed_at = now() where device = 3")
    place.evaluate(at(2, 12))
    assert place.notes("vehicle_silent", "V3")[-1] == ("resolved", "the device was removed")
    forgotten = "select count(*) from anomaly_memory where device_id = 'V3'"
    assert place.db.value(forgotten) == 0
    place.evaluate(END)
    assert len([a for a in place.anomalies() if a[1] == "V3"]) == 1
    assert place.db.value(forgotten) == 0


@pytest.mark.either
def test_hours_wait_for_writers_whose_readings_would_not_be_noted_as_late(place: Place) -> None:
    place.begin()
    soon = datetime.now(UTC) + 3 * HOUR

    async def closed(database: Database) -> tuple[datetime, datetime]:
        async with database.connection() as mine, database.connection() as writer:
            async with writer.transaction():
                await writer.execute("update accounting set session_gap_s = session_gap_s")
                waits = await runner._closed_until(mine, soon)
            return waits, await runner._closed_until(mine, soon)

    waits, after = place.run(closed)
    assert waits <= datetime.now(UTC)
    assert after == runner.closed_until(soon)


@pytest.mark.timescaledb
def test_rollups_that_grow_while_late_devices_are_evaluated_are_read_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.begin()
    place.evaluate(END)
    around, turns = reader.around, 0

    async def grow(*args: Any) -> Any:
        nonlocal turns
        turns += 1
        for rollup in ("quarter_hourly", "hourly"):
            await asyncio.to_thread(
                place.db.fetch,
                f"call refresh_continuous_aggregate('{rollup}', null, '{at(3, 0).isoformat()}')",
            )
        return await around(*args)

    monkeypatch.setattr(reader, "around", grow)
    place.comes_late([late_row("V1", at(3, 1) + MINUTE)])
    assert place.evaluate(END) == [Ran(0, 1)]
    assert turns == 2


def test_a_service_soon_reports_an_anomaly_in_late_readings(
    migrated_database_url: str, server: Server, tmp_path: Path
) -> None:
    db = Db(migrated_database_url)
    db.run(EVALUATED)
    environ = on_migrated(migrated_database_url)
    with (
        running_service(tmp_path, environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        start = hours_ago(4)
        hot = [vehicle_reading("EV", start + n * MINUTE, batteryTemp=50) for n in range(30)]
        post(client, *hot, vehicle_reading("EV", hours_ago(0.1)))
        eventually(
            lambda: db.fetch("select from anomalies where kind = 'battery_hot'"), timeout_s=20
        )
