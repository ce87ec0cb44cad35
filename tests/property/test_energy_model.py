"""Every analytics answer matches a naive model over raw readings.

Random fleets: shared meters, vehicles that move, registers with resets and rollovers, read densely
or days apart, reporting intervals of a minute to a day that change, intervals that overlap since
readings say when they began, times within a minute, gaps, disorder, sites and time zones,
corrections, readings sent again and chunks in the columnstore, below the rollups' watermark and
above it; and when old history has been dropped.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from tests.conftest import (
    EXAMPLES,
    PAUSE_JOBS,
    RETENTION_DAYS,
    SLOW_EXAMPLES,
    Db,
    Server,
    meter_reading,
    migrated_database,
    new_uid,
    on_migrated,
    rfc3339,
    running_service,
    vehicle_reading,
)
from tests.support.accounting_model import (
    DEFAULT_INTERVAL_S,
    QUARTER,
    Balance,
    Fleet,
    Reading,
    Sent,
    Sums,
    derived,
)
from tests.support.register_model import Rule
from tests.support.rollups import between_policies, compress, materialise

VEHICLES = ["EV-1", "EV-2", "EV-3"]
METERS = ["M-1", "M-2"]
DEVICES = [*VEHICLES, *METERS]
SPAN = 190
"""Minutes that the readings of an era spread over."""

ROLLOVER = 100_000_000_000
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
]
INTERVALS = [60, 300, 420, 900, 1800, 3600, 86400]
ENERGIES = [0, 0, 1, 333_333, 1_000_000, 7_000_001]
REGISTERS = [0, 1, 1_000_000, 900_000_000, 99_900_000_000, 99_999_000_000]


class Run(NamedTuple):
    """Readings of some devices at the same times, one after another."""

    devices: list[str]
    era: int
    minute: int
    step: int
    within: str
    """Where in its minute each is stamped."""

    energies: list[int]
    meter: str | None
    length: timedelta | None
    """Length of the interval that they state; None if they state none."""

    order: str

    def second(self, number: int) -> timedelta:
        """Return the second of its minute at which a reading is stamped."""
        seconds = {"begin": 0.0, "middle": 30.0, "anywhere": (number * 37 + 11) % 60 + 0.25}
        return timedelta(seconds=seconds[self.within])


class Move(NamedTuple):
    """An assignment."""

    vehicle: str
    era: int
    minute: int
    meter: str | None


class Fix(NamedTuple):
    """A correction of one of a device's readings, if it has any by then."""

    device: str
    number: int
    choice: int
    meter: str | None


class Change(NamedTuple):
    """Another reporting interval, whatever has been sent already; None: the default."""

    device: str
    interval_s: int | None


class Compress(NamedTuple):
    """Chunks of more than a day ago go into the columnstore, where there is one."""


class Setup(NamedTuple):
    """Settings of each device before it reports."""

    registers: set[str]
    early: set[str]
    """Registers that are read in the oldest era alone: the others never reach back there."""

    rollovers: set[str]
    sessions: set[str]
    """Registers that begin again with each session."""

    intervals: dict[str, int]
    sites: dict[str, str]


runs = st.builds(
    Run,
    st.lists(st.sampled_from(DEVICES), min_size=2, max_size=5, unique=True),
    st.sampled_from([0, 1, 1, 2]),
    st.integers(0, SPAN - 60) | st.integers(0, 30),
    st.sampled_from([1, 1, 5, 7, 15, 20, 30, 60]),
    st.sampled_from(["begin", "middle", "anywhere"]),
    st.lists(st.integers(0, 5), min_size=2, max_size=12),
    st.sampled_from([None, None, *METERS]),
    st.none() | st.sampled_from([1, 3, 22.5, 45, 150, 1500]).map(lambda n: n * MINUTE),
    st.sampled_from(["forwards", "backwards", "every other first", "one by one"]),
)
moves = st.builds(
    Move,
    st.sampled_from(VEHICLES),
    st.integers(0, 2),
    st.integers(-10, SPAN),
    st.sampled_from([None, *METERS, *METERS]),
)
fixes = st.builds(
    Fix,
    st.sampled_from(DEVICES),
    st.integers(0, 40),
    st.integers(0, 5),
    st.sampled_from([None, *METERS]),
)
intervals = st.builds(Change, st.sampled_from(DEVICES), st.none() | st.sampled_from(INTERVALS))
changes = st.one_of(moves, fixes, fixes, intervals, st.builds(Compress))
setups = st.builds(
    Setup,
    st.sets(st.sampled_from(DEVICES)),
    st.sets(st.sampled_from(DEVICES)),
    st.sets(st.sampled_from(DEVICES)),
    st.sets(st.sampled_from(DEVICES), max_size=2),
    st.dictionaries(st.sampled_from(DEVICES), st.sampled_from(INTERVALS)),
    st.dictionaries(st.sampled_from(METERS), st.sampled_from(["A", "B"])),
)


places = st.integers(0, SPAN // 15).map(lambda n: n * QUARTER) | st.integers(0, SPAN * 240).map(
    lambda n: timedelta(seconds=n / 4)
)
"""Where in an era a window begins or ends."""


class Model:
    """Readings that were sent, by device and time."""

    def __init__(self, setup: Setup, starts: list[datetime]) -> None:
        self.uid = new_uid()
        self.setup = setup
        self.intervals = dict(setup.intervals)
        self.starts = starts
        self.sent: dict[str, dict[datetime, Sent]] = {d: {} for d in DEVICES}
        self.moves: dict[tuple[str, datetime], str | None] = {}
        self.taken_back: set[tuple[str, datetime]] = set()
        """Which vehicles declared a meter, and when, until a correction."""

        self.accepted = 0

    def era(self, run: Run, device: str) -> datetime:
        """Return when the era of a run begins for a device."""
        if device not in self.setup.registers:
            return self.starts[run.era]
        return self.starts[0 if device in self.setup.early else max(run.era, 1)]

    def groups(self, run: Run) -> list[list[dict[str, Any]]]:
        """Return the readings of a run, grouped by time; the first at a time counts."""
        return [
            [
                self.keep(run, device, at, number, choice)
                for device in run.devices
                if (at := self.era(run, device) + minute + run.second(number)) < self.latest
            ]
            for number, choice in enumerate(run.energies)
            for minute in [(run.minute + number * run.step) * MINUTE]
        ]

    @property
    def latest(self) -> datetime:
        """The end of what is sent; later readings are left out."""
        return self.starts[2] + 6.5 * HOUR

    def keep(self, run: Run, device: str, at: datetime, number: int, choice: int) -> dict[str, Any]:
        """Record one reading, as it is sent."""
        register = device in self.setup.registers
        value = (REGISTERS if register else ENERGIES)[choice]
        starts = None if run.length is None else at - run.length
        reading: dict[str, Any]
        if device in VEHICLES:
            soc = 1000 + number
            reading = vehicle_reading(self.uid + device, at, soc=soc / 100)
            del reading["kwhDeliveredDc"]
            if run.meter:
                reading["meterId"] = self.uid + run.meter
            self.take(device, at, Sent(value, run.meter, soc, starts))
        else:
            reading = meter_reading(self.uid + device, at)
            del reading["kwhConsumedAc"]
            self.take(device, at, Sent(value, None, 0, starts))
        if starts is not None:
            reading["intervalStart"] = rfc3339(starts)
        name = "kwhDeliveredDc" if device in VEHICLES else "kwhConsumedAc"
        return reading | {name + ("Total" if register else ""): value / 1_000_000}

    def take(self, device: str, at: datetime, new: Sent) -> None:
        """Keep stored values and add absent ones, unless the values differ."""
        was = self.sent[device].get(at)
        if was is None:
            self.sent[device][at] = new
        elif was.meter is None and new.meter is not None and (device, at) in self.taken_back:
            return
        elif all(a is None or b is None or a == b for a, b in zip(was, new, strict=True)):
            both = new._replace(**{k: v for k, v in was._asdict().items() if v is not None})
            self.sent[device][at] = both
            if both == was:
                return
        else:
            return
        self.accepted += 1

    def send(self, client: httpx.Client, run: Run) -> None:
        """Post the run."""
        before = self.accepted
        accepted = 0
        for batch in in_order(self.groups(run), run):
            answer = client.post("/v1/ingest", json=batch)
            assert answer.status_code in (200, 207, 422), answer.text
            assert {item["code"] for item in answer.json()["rejected"]} <= {"conflict"}
            accepted += answer.json()["accepted"]
        assert accepted == self.accepted - before

    def fix(self, fix: Fix) -> dict[str, Any] | None:
        """Return the correction to send, or None; the model has already applied it."""
        sent = self.sent[fix.device]
        if not sent:
            return None
        at = sorted(sent)[fix.number % len(sent)]
        register = fix.device in self.setup.registers
        value = (REGISTERS if register else ENERGIES)[fix.choice]
        vehicle = fix.device in VEHICLES
        name = ("kwhDeliveredDc" if vehicle else "kwhConsumedAc") + ("Total" if register else "")
        if sent[at].meter is not None:
            self.taken_back.add((fix.device, at))
        sent[at] = sent[at]._replace(value=value, meter=fix.meter if vehicle else None)
        correction = {
            "vehicleId" if vehicle else "meterId": self.uid + fix.device,
            "timestamp": rfc3339(at),
            name: value / 1_000_000,
            "who": "the test",
            "reason": "to see what follows",
        }
        return correction | ({"meterId": fix.meter and self.uid + fix.meter} if vehicle else {})

    def change(self, client: httpx.Client, change: Change) -> None:
        """Set a reporting interval."""
        kind = "vehicles" if change.device in VEHICLES else "meters"
        answer = client.patch(
            f"/v1/{kind}/{self.uid}{change.device}",
            json={"reportingIntervalS": change.interval_s},
        )
        assert answer.status_code == 200, answer.text
        self.intervals[change.device] = change.interval_s or DEFAULT_INTERVAL_S

    def meter_at(self, vehicle: str, at: datetime, declared: str | None) -> str | None:
        """Return the meter declared in the reading, or else the one assigned at its time."""
        if declared is not None or vehicle in METERS:
            return declared
        in_force = [(t, m) for (v, t), m in self.moves.items() if v == vehicle and t <= at]
        return max(in_force, key=lambda item: item[0])[1] if in_force else None

    def fleet(self) -> Fleet:
        """Return the fleet with everything derived."""

        def readings(device: str) -> list[Reading]:
            sent = {
                at: each._replace(meter=self.meter_at(device, at, each.meter))
                for at, each in self.sent[device].items()
            }
            return derived(
                sent,
                device,
                device in self.setup.registers,
                Rule(
                    is_session=device in self.setup.sessions,
                    rollover=ROLLOVER if device in self.setup.rollovers else None,
                    interval_s=self.intervals.get(device, DEFAULT_INTERVAL_S),
                ),
            )

        return Fleet(
            [r for device in VEHICLES for r in readings(device)],
            [r for device in METERS for r in readings(device)],
            self.intervals,
        )


class Place(NamedTuple):
    """A database of the test's own, and a service on it."""

    server: Server
    db: Db
    client: httpx.Client


@pytest.fixture(scope="module")
def place(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("energy")
    with (
        migrated_database(server, jobs=False) as url,
        running_service(folder, on_migrated(url)) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        yield Place(server, Db(url), client)


def eras(zone: ZoneInfo) -> list[datetime]:
    """Return three times: around the last end of daylight saving, two days ago, and now."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    october = (
        now.replace(month=10, day=31, hour=0)
        if now.month > 10
        else now.replace(year=now.year - 1, month=10, day=31, hour=0)
    )
    sunday = october - timedelta(days=(october.weekday() + 1) % 7)
    midnight = sunday.replace(tzinfo=zone).astimezone(UTC)
    return [midnight.replace(minute=0) - HOUR, now - 50 * HOUR, now - 7 * HOUR]


def prepare(place: Place, model: Model) -> None:
    """Empty the tables, and apply the settings of the devices.

    All at once, and not while the service accounts for hours: what it is about to write follows
    from the example before.
    """
    rollups = (
        "quarter_hourly; truncate hourly; truncate daily"
        if place.server.engine == "timescaledb"
        else "kept_quarter_hours, meter_quarters, metered_hours"
    )
    between_policies(
        place.db.run,
        f"""
        select pg_advisory_xact_lock(hashtext('fleetmeter.refresh_late_hours'));
        truncate devices, readings, spread_energy, live_state;
        truncate {rollups};
        truncate assignments, meter_vehicles, late_hours, late_devices, accounted_energy,
            accounted_hours, register_events;
        """,
    )
    if place.db.value("select days from retention") != RETENTION_DAYS:
        place.db.fetch("update kept_history set since = '0001-01-01 00:00:00+00'")
        keep(place, RETENTION_DAYS)
    for device in DEVICES:
        kind = "vehicle" if device in VEHICLES else "meter"
        place.db.fetch(
            "insert into devices (kind, id, reporting_interval_s, register_rollover_mwh, site,"
            " register) values ($1, $2, $3, $4, $5, $6)",
            kind,
            model.uid + device,
            model.setup.intervals.get(device),
            ROLLOVER if device in model.setup.rollovers else None,
            model.setup.sites.get(device),
            "session" if device in model.setup.sessions else None,
        )


def roll_up(place: Place) -> None:
    """Roll up history."""
    materialise(place.db, place.server, ("quarter_hourly", "hourly"))


def keep(place: Place, days: int) -> None:
    """Change the retention, which creates new policies."""
    place.db.fetch("select configure_retention($1)", days)
    if place.server.engine == "timescaledb":
        place.db.fetch(PAUSE_JOBS)


def drop_old_history(place: Place) -> None:
    """Drop history older than five days, by the policies or like the service."""
    keep(place, 4)
    if place.server.engine == "timescaledb":
        for row in place.db.fetch(
            "select job_id from timescaledb_information.jobs where proc_name = 'policy_retention'"
        ):
            place.db.fetch(f"call run_job({row['job_id']})")
    else:
        place.db.fetch("call drop_old_history()")


@settings(SLOW_EXAMPLES, max_examples=2 * EXAMPLES)
@given(
    setup=setups,
    events=st.lists(st.one_of(runs, runs, runs, changes), min_size=3, max_size=10),
    rolled_up_after=st.integers(0, 9),
    again=st.booleans(),
    old_history_goes=st.booleans(),
    cut=st.tuples(places, places, places),
    zone=st.sampled_from(ZONES),
)
@example(  # the first intervals begin before the first readings' day
    Setup({"EV-1"}, {"EV-1", "EV-2"}, {*VEHICLES}, {"EV-1"}, {}, {}),
    [Run([*VEHICLES, *METERS], 0, 29, 1, "begin", [5, 0, 2, 4], "M-2", 150 * MINUTE, "one by one")],
    1,
    False,
    False,
    (10 * QUARTER, 12 * QUARTER, 9 * QUARTER),
    "America/St_Johns",
)
def test_every_answer_matches_a_naive_model(
    place: Place,
    setup: Setup,
    events: list[Run | Move | Fix | Change | Compress],
    rolled_up_after: int,
    again: bool,
    old_history_goes: bool,
    cut: tuple[timedelta, timedelta, timedelta],
    zone: str,
) -> None:
    model = Model(setup, eras(ZoneInfo(zone)))
    note(f"{model.uid} {setup} {events} {cut} {zone} {rolled_up_after} {again} {old_history_goes}")
    prepare(place, model)
    for number, event in enumerate(events):
        if number == rolled_up_after:
            roll_up(place)
        if isinstance(event, Run):
            model.send(place.client, event)
        elif isinstance(event, Fix):
            if (correction := model.fix(event)) is not None:
                answer = place.client.post("/v1/corrections", json=correction)
                assert answer.status_code == 200, answer.text
        elif isinstance(event, Compress):
            compress(place.db, place.server)
        elif isinstance(event, Change):
            model.change(place.client, event)
        else:
            at = model.starts[event.era] + event.minute * MINUTE
            model.moves[event.vehicle, at] = event.meter
            answer = place.client.put(
                f"/v1/vehicles/{model.uid}{event.vehicle}/meter",
                json={"meterId": event.meter and model.uid + event.meter, "since": rfc3339(at)},
            )
            assert answer.status_code == 200, answer.text
    for event in events if again else ():
        if isinstance(event, Run):
            model.send(place.client, event)
    roll_up(place)
    if place.server.engine == "timescaledb":  # sooner than the service would
        between_policies(place.db.run, "call refresh_late_hours()")
        place.db.fetch("call account_hours(35, 3)")
    if again:
        place.db.fetch("call add_up_meters(60)")
    check = Check(place.client, model)
    # an interval may begin before the oldest reading that is kept, where there are only rollups
    check.fleet.history_since = place.db.value("select kept_since()")
    check.fleet.pairs = {
        (row["meter"].removeprefix(model.uid), row["vehicle"].removeprefix(model.uid))
        for row in place.db.fetch(
            "select m.id as meter, v.id as vehicle from meter_vehicles as p"
            " join devices as m on m.device = p.meter join devices as v on v.device = p.vehicle"
        )
    }
    check.registers()
    within_seconds(lambda: check.everything(cut, ZoneInfo(zone)))
    if old_history_goes:
        drop_old_history(place)
        check.fleet.history_since = place.db.value("select kept_since()")
        within_seconds(lambda: check.without_old_history(cut, ZoneInfo(zone)))


def in_order(times: list[list[dict[str, Any]]], run: Run) -> list[list[dict[str, Any]]]:
    """Return the batches that a run arrives in."""
    if run.order == "one by one":
        return [batch for batch in times[len(times) // 2 :] + times[: len(times) // 2] if batch]
    readings = list(chain.from_iterable(times))
    if run.order == "backwards":
        return [readings[::-1]] if readings else []
    if run.order == "forwards":
        return [readings] if readings else []
    halves = [list(chain.from_iterable(half)) for half in (times[::2], times[1::2])]
    return [half for half in halves if half]


def within_seconds(check: Callable[[], None], timeout_s: float = 15) -> None:
    """Rollups and accounts follow in the background, on a busy machine later."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            check()
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


class Check:
    """Compares answers with the model."""

    def __init__(self, client: httpx.Client, model: Model) -> None:
        self.client = client
        self.model = model
        self.fleet = model.fleet()

    def get(self, path: str, start: datetime, end: datetime, **params: Any) -> Any:
        """Return the answer without the prefix of this example; None if the device is unknown."""
        answer = self.client.get(
            path, params={"from": rfc3339(start), "to": rfc3339(end), **params}
        )
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        return httpx.Response(200, text=answer.text.replace(self.model.uid, "")).json()

    def registers(self) -> None:
        """Check that history shows what was sent and what follows from it."""
        window = self.model.starts[0] - HOUR, datetime.now(UTC)
        for readings, kind, name in (
            (self.fleet.vehicles, "vehicles", "kwhDeliveredDc"),
            (self.fleet.meters, "meters", "kwhConsumedAc"),
        ):
            for device in {r.device for r in readings}:
                path = f"/v1/{kind}/{self.model.uid}{device}"
                items = self.get(f"{path}/readings", *window, limit=1000)["items"]
                mine = [r for r in readings if r.device == device]
                assert [
                    (item[name], item.get(f"{name}Total"), item.get("reset", False))
                    for item in items
                ] == [
                    (
                        None if r.starts is None else r.energy / 1e6,
                        self.model.sent[device][r.at].value / 1e6 if r.shows is not None else None,
                        r.reset,
                    )
                    for r in mine
                ]
                assert [item.get("intervalStart") for item in items] == [
                    None
                    if (stated := self.model.sent[device][r.at].starts) is None
                    else rfc3339(stated)
                    for r in mine
                ]
                newest = self.client.get(path).json()
                assert newest[name] == items[-1][name]
                assert newest.get(f"{name}Total") == items[-1].get(f"{name}Total")

    def everything(self, cut: tuple[timedelta, timedelta, timedelta], zone: ZoneInfo) -> None:
        """Check windows over everything, within an era, and from one era into another."""
        start, fresh = self.model.starts[1], self.model.starts[2]
        low, middle, high = sorted(cut)
        for window in (
            (self.model.starts[0] - HOUR, datetime.now(UTC).replace(microsecond=0)),
            (start + low, start + high + MINUTE),
            (start, start + 4 * HOUR),
            (start + low, fresh + high),
        ):
            self.window(*window)
        self.days(self.model.starts[0] - 20 * HOUR, self.model.starts[0] + 30 * HOUR, zone)
        self.days(start + low, fresh + 30 * HOUR, zone)
        self.buckets(HOUR, start + low, start + high + HOUR)
        self.buckets(QUARTER, start + low, start + high + HOUR)
        self.adds_up(start + low, start + middle + MINUTE, fresh + high, zone)
        for begin, end in (
            (self.model.starts[0] - HOUR, datetime.now(UTC)),
            (start + low, start + high + MINUTE),
        ):
            self.sessions(begin, end)

    def without_old_history(
        self, cut: tuple[timedelta, timedelta, timedelta], zone: ZoneInfo
    ) -> None:
        """Rollups outlive their readings: whole quarter hours of then, and anything since."""
        then, start = self.model.starts[0], self.model.starts[1]
        for kind, devices in (("vehicles", VEHICLES), ("meters", METERS)):
            for device in devices:
                path = f"/v1/{kind}/{self.model.uid}{device}/readings"
                answer = self.get(path, then - HOUR, then + 24 * HOUR)
                assert answer is None or answer["items"] == []
        self.window(then - HOUR, datetime.now(UTC).replace(microsecond=0))
        self.window(then + HOUR, then + 2 * HOUR)
        self.window(start + min(cut), start + max(cut) + MINUTE)
        self.buckets(HOUR, then, then + 5 * HOUR)
        self.buckets(QUARTER, then, then + 5 * HOUR)
        self.days(then - 20 * HOUR, then + 30 * HOUR, zone)

    def adds_up(self, start: datetime, middle: datetime, end: datetime, zone: ZoneInfo) -> None:
        """Check that neighbouring windows, quarter hours, hours and days add up to the whole."""
        for kind, devices, path, name in (
            ("vehicles", VEHICLES, "performance", "nergyDeliveredDc"),
            ("meters", METERS, "meters", "nergyConsumedAc"),
        ):
            for device in devices:
                whole, *halves = (
                    self.get(f"/v1/analytics/{path}/{self.model.uid}{device}", *window)
                    for window in ((start, end), (start, middle), (middle, end))
                )
                if whole is None:
                    continue
                total = mwh(whole[f"totalE{name}"])
                assert sum(mwh(half[f"totalE{name}"]) for half in halves) == total
                exact, cut = self.fleet.exact(device, start, end)
                assert abs(total - exact) <= 2 * cut
                for params in ({"bucket": "15min"}, {}, {"bucket": "day", "tz": zone.key}):
                    items = self.get(
                        f"/v1/{kind}/{self.model.uid}{device}/energy",
                        start,
                        end,
                        limit=1000,
                        **params,
                    )["items"]
                    assert sum(mwh(item[f"e{name}"]) for item in items) == total

    def window(self, start: datetime, end: datetime) -> None:
        """Check the answers for each vehicle and meter, the fleet and its sites."""
        by_vehicle, by_meter, total = self.fleet.account([start, end])
        elapsed = min(end, datetime.now(UTC)) - start
        for vehicle in VEHICLES:
            answer = self.get(f"/v1/analytics/performance/{self.model.uid}{vehicle}", start, end)
            sums = by_vehicle.get((0, vehicle), Sums())
            if answer is None:
                assert (0, vehicle) not in by_vehicle
                continue
            assert answer["totalEnergyDeliveredDc"] == sums.dc / 1e6
            assert answer["totalEnergyConsumedAc"] == kwh(sums.ac)
            assert answer["meterIds"] == sorted(sums.meters)
            same_ratio(answer, sums)
            coverage = answer["quality"]["coverage"]
            same_coverage(coverage, sums, elapsed)
            assert (answer["quality"]["status"] == "no_data") == ((0, vehicle) not in by_vehicle)
        for meter in METERS:
            answer = self.get(f"/v1/analytics/meters/{self.model.uid}{meter}", start, end)
            balance = by_meter.get((0, meter), Balance())
            if answer is None:
                assert (0, meter) not in by_meter
                continue
            same_balance(answer, balance, "totalE")
            same_coverage(answer["quality"]["coverage"], balance, elapsed)
            status = answer["quality"]["status"]
            assert (status == "no_data") == ((0, meter) not in by_meter)
            assert (status == "no_meter") == ((0, meter) in by_meter and balance.ac is None)
            shares = [item["energyConsumedAc"] for item in answer["vehicles"]["items"]]
            if balance.ac is not None:
                shared = sum(round((share or 0) * 1e6) for share in shares)
                assert shared + balance.unattributed == balance.ac
        self.whole_fleet(start, end, by_vehicle, by_meter, total.get(0, Balance()))

    def whole_fleet(
        self, start: datetime, end: datetime, by_vehicle: Any, by_meter: Any, total: Balance
    ) -> None:
        reporting = {v for _, v in by_vehicle}
        known = {r.device for r in self.fleet.vehicles}
        metered = {m for (_, m), balance in by_meter.items() if balance.ac is not None}
        known_meters = {r.device for r in self.fleet.meters}
        for sort in ("-loss", "efficiency"):
            items: list[Any] = []
            cursor: dict[str, str] = {}
            while True:
                answer = self.get("/v1/analytics/fleet", start, end, sort=sort, limit=2, **cursor)
                items += answer["vehicles"]["items"]
                if answer["vehicles"]["nextCursor"] is None:
                    break
                cursor = {"cursor": answer["vehicles"]["nextCursor"]}
            same_balance(answer, total, "totalE")
            same_charging(answer["quality"]["coverage"]["charging"], total)
            assert answer["vehiclesReporting"] == len(reporting)
            assert answer["vehiclesSilent"] == len(known - reporting)
            assert answer["metersReporting"] == len(metered)
            assert answer["metersSilent"] == len(known_meters - metered)
            expected = [
                (v, kwh(sums.ac), sums.dc / 1e6, sums.efficiency, kwh(sums.loss))
                for (_, v), sums in by_vehicle.items()
            ]
            place = 4 if sort == "-loss" else 3
            sign = -1 if sort == "-loss" else 1
            expected.sort(
                key=lambda row: (
                    row[place] is None,
                    sign * (row[place] or 0),
                    row[0],
                )
            )
            assert [
                (
                    item["vehicleId"],
                    item["energyConsumedAc"],
                    item["energyDeliveredDc"],
                    item["efficiencyRatio"],
                    item["energyLoss"],
                )
                for item in items
            ] == expected
            elapsed = min(end, datetime.now(UTC)) - start
            for item in items:
                sums = by_vehicle[0, item["vehicleId"]]
                same_coverage(item["quality"]["coverage"], sums, elapsed)
        sites = {
            site: [m for m in METERS if self.model.setup.sites.get(m) == site]
            for site in (*self.model.setup.sites.values(), None)
        }
        for item in answer["sites"]["items"]:
            balances = [by_meter[0, m] for m in sites[item["site"]] if (0, m) in by_meter]
            taken = [balance.ac for balance in balances if balance.ac is not None]
            assert item["energyConsumedAc"] == (sum(taken) / 1e6 if taken else None)
            assert item["energyDeliveredDc"] == sum(balance.dc for balance in balances) / 1e6

    def days(self, start: datetime, end: datetime, zone: ZoneInfo) -> None:
        """Check that local days have their true length and add up to their readings."""
        bounds = [start]
        at = start
        while at < end:  # the slow way: look at every quarter of an hour
            at += timedelta(minutes=15) - timedelta(
                minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond
            )
            before = at - timedelta(microseconds=1)
            if at < end and at.astimezone(zone).date() != before.astimezone(zone).date():
                bounds.append(at)
        self.series([*bounds, end], bucket="day", tz=zone.key)

    def buckets(self, length: timedelta, start: datetime, end: datetime) -> None:
        """Check the quarter hours or hours of UTC."""
        at = start.replace(minute=0, second=0, microsecond=0)
        inner = [at + n * length for n in range((end - at) // length + 1)]
        bounds = [start, *(bound for bound in inner if start < bound < end), end]
        self.series(bounds, bucket="15min" if length == QUARTER else "hour")

    def series(self, bounds: list[datetime], **params: str) -> None:
        """Check the series of each vehicle and meter, of the fleet and of a site."""
        by_vehicle, by_meter, total = self.fleet.account(bounds)
        for vehicle in VEHICLES:
            path = f"/v1/vehicles/{self.model.uid}{vehicle}/energy"
            expected = {k: sums for (k, v), sums in by_vehicle.items() if v == vehicle}
            for item, sums in self.items(path, bounds, expected, params):
                assert item["energyDeliveredDc"] == sums.dc / 1e6
                assert item["energyConsumedAc"] == kwh(sums.ac)
                assert item["readings"] == sums.readings
                same_ratio(item, sums)
                same_charging(item["quality"]["coverage"]["charging"], sums)
        for meter in METERS:
            path = f"/v1/meters/{self.model.uid}{meter}/energy"
            mine = {k: sums for (k, m), sums in by_meter.items() if m == meter}
            for item, balance in self.items(path, bounds, mine, params):
                same_balance(item, balance, "e")
                same_charging(item["quality"]["coverage"]["charging"], balance)
                assert item["readings"] == balance.meter_readings
            self.load(meter, bounds, {k: balance.ac or 0 for k, balance in mine.items()}, params)
        for item, balance in self.items("/v1/analytics/fleet/energy", bounds, total, params):
            same_balance(item, balance, "e")
            same_charging(item["quality"]["coverage"]["charging"], balance)
        site = sorted(self.model.setup.sites.values())[:1]
        if site:
            answer = self.get(
                f"/v1/analytics/sites/{site[0]}/energy", bounds[0], bounds[-1], limit=1000, **params
            )
            meters = [m for m in METERS if self.model.setup.sites.get(m) == site[0]]
            assert sum(
                round((item["energyConsumedAc"] or 0) * 1e6) for item in answer["items"]
            ) == sum(sums.ac or 0 for (_, m), sums in by_meter.items() if m in meters)

    def load(
        self, meter: str, bounds: list[datetime], mwh: dict[int, int], params: dict[str, str]
    ) -> None:
        """Check the load profile of a meter: the same energy, and its highest quarter hour."""
        answer = self.get(
            "/v1/analytics/load", bounds[0], bounds[-1], meterId=self.model.uid + meter, **params
        )
        buckets = [] if answer is None else answer["buckets"]
        energies = {each["from"]: each["energyConsumedAc"] for each in buckets}
        expected = {rfc3339(bounds[k]): energy / 1e6 for k, energy in mwh.items()}
        assert {at for at, kwh in expected.items() if kwh} <= energies.keys() <= expected.keys()
        assert {at: expected[at] for at in energies} == energies
        highest = max((each["peakPowerKw"] or 0 for each in buckets), default=0)
        assert highest == ((answer and answer["peak"]) or {"powerKw": 0})["powerKw"]

    def items(
        self, path: str, bounds: list[datetime], expected: dict[int, Any], params: dict[str, str]
    ) -> Iterator[tuple[Any, Any]]:
        """Check each item and its sums; only buckets with readings are listed."""
        answer = self.get(path, bounds[0], bounds[-1], limit=1000, **params)
        items = [] if answer is None else answer["items"]
        assert [(item["from"], item["to"]) for item in items] == [
            (rfc3339(bounds[k]), rfc3339(bounds[k + 1])) for k in sorted(expected)
        ]
        yield from zip(items, (expected[k] for k in sorted(expected)), strict=True)

    def sessions(self, start: datetime, end: datetime) -> None:
        """Check the sessions that begin in the window: complete, newest first, in pages."""
        for vehicle in VEHICLES:
            items: list[Any] = []
            cursor: dict[str, str] = {}
            path = f"/v1/vehicles/{self.model.uid}{vehicle}/sessions"
            while (answer := self.get(path, start, end, limit=2, **cursor)) is not None:
                items += answer["items"]
                if answer["nextCursor"] is None:
                    break
                cursor = {"cursor": answer["nextCursor"]}
            expected = [s for s in self.fleet.sessions(vehicle) if start <= s.begin < end]
            assert [
                (
                    item["from"],
                    item["to"],
                    item["meterId"],
                    item["energyDeliveredDc"],
                    item["socFrom"],
                    item["socTo"],
                    item["meterStart"],
                    item["meterEnd"],
                )
                for item in items
            ] == [
                (
                    rfc3339(s.begin),
                    rfc3339(s.to),
                    s.meter,
                    s.dc / 1e6,
                    s.soc_from / 100,
                    s.soc_to / 100,
                    None if (s.register_from or 0) < 0 else kwh(s.register_from),
                    kwh(s.register_to),
                )
                for s in reversed(expected)
            ]
            assert all(item["meanPower"] <= item["peakPower"] for item in items)


def kwh(mwh: int | None) -> float | None:
    return None if mwh is None else mwh / 1e6


def mwh(kwh: float | None) -> int:
    return round((kwh or 0) * 1e6)


def same_coverage(shown: dict[str, float], sums: Sums, elapsed: timedelta) -> None:
    for side, covered in (
        ("dc", sums.covered_dc),
        ("ac", sums.covered_ac),
        ("compared", sums.compared),
    ):
        assert shown[side] == pytest.approx(min(covered / elapsed, 1), abs=2e-4), side
    same_charging(shown["charging"], sums)


def same_charging(shown: float | None, sums: Sums) -> None:
    if sums.charging:
        share = min(sums.charging_compared / sums.charging, 1)
        assert shown == pytest.approx(share, abs=2e-4), "charging"
    else:
        assert shown is None


def same_ratio(answer: Any, sums: Sums) -> None:
    assert answer["efficiencyRatio"] == sums.efficiency
    assert answer["energyLoss"] == kwh(sums.loss)
    reasons = " ".join(answer["quality"]["reasons"])
    if sums.loss is not None:
        left_ac = (sums.ac or 0) - sums.unattributed - (sums.compared_ac or 0)
        left_out = sums.dc > sums.compared_dc or left_ac > 0
        assert ("leave out" in reasons) == left_out, reasons
        assert ("more DC" in reasons) == (sums.loss < 0), reasons
    if sums.efficiency is None and answer["quality"]["status"] == "partial":
        assert answer["quality"]["reasons"], "no ratio, and no reason"


def same_balance(answer: Any, balance: Balance, prefix: str) -> None:
    assert answer[f"{prefix}nergyConsumedAc"] == kwh(balance.ac)
    assert answer[f"{prefix}nergyUnattributedAc"] == (
        None if balance.ac is None else balance.unattributed / 1e6
    )
    assert answer[f"{prefix}nergyDeliveredDc"] == balance.dc / 1e6
    same_ratio(answer, balance)
