"""Whatever is sent, in whatever order and however often, history matches a naive model."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from tests.conftest import (
    EXAMPLES,
    SLOW_EXAMPLES,
    Db,
    Server,
    meter_reading,
    new_uid,
    on_migrated,
    rfc3339,
    running_service,
    vehicle_reading,
)
from tests.support.accounting_model import (
    DEFAULT_INTERVAL_S,
    MICROSECOND,
    MILLISECOND,
    Sent,
    derived,
    floor_quarter,
    pieces,
)
from tests.support.consistency import rollup_differences, unshared_energy
from tests.support.register_model import Rule
from tests.support.rollups import compress, materialise

VEHICLES = ["EV-1", "EV-2", "EV-3"]
METERS = ["M-1", "M-2"]
SPAN = 125
"""Minutes that the readings of an era spread over: a few hours, so that they meet."""


class Vehicle(NamedTuple):
    vehicle: str
    era: int
    minute: int
    second: float
    mwh: int
    length: float | None
    """Minutes that it says its interval to be long."""

    meter: str | None


class Meter(NamedTuple):
    meter: str
    era: int
    minute: int
    second: float
    mwh: int
    length: float | None


class Assign(NamedTuple):
    vehicle: str
    era: int
    minute: int
    meter: str | None


class Correct(NamedTuple):
    """A correction of one of the stored readings."""

    number: int
    mwh: int
    meter: str | None


class Every(NamedTuple):
    """A reporting interval, also for stored readings; None for the default."""

    device: str
    interval_s: int | None


class Compress(NamedTuple):
    """Older chunks go into the columnstore, where there is one."""


eras = st.integers(0, 1)
minutes = st.integers(0, SPAN)
seconds = st.sampled_from([0, 0, 0, 30, 7.25])
LENGTHS = [None, None, None, 2, 17.5, 90]
lengths = st.sampled_from(LENGTHS)
ENERGIES = [0, 1, 3, 1000, 333_333, 1_200_000, 1_000_000_000]
energy = st.sampled_from(ENERGIES)
readings = st.one_of(
    st.builds(
        Vehicle,
        st.sampled_from(VEHICLES),
        eras,
        minutes,
        seconds,
        energy,
        lengths,
        st.sampled_from([None, None, *METERS]),
    ),
    st.builds(Meter, st.sampled_from(METERS), eras, minutes, seconds, energy, lengths),
)
assigns = st.builds(
    Assign,
    st.sampled_from(VEHICLES),
    eras,
    st.integers(-10, SPAN),
    st.sampled_from([None, *METERS]),
)
batches = st.lists(readings, min_size=1, max_size=15)
corrections = st.builds(Correct, st.integers(0, 50), energy, st.sampled_from([None, *METERS]))
every = st.builds(
    Every,
    st.sampled_from([*VEHICLES, *METERS]),
    st.none() | st.sampled_from([60, 300, 900, 1800, 3600, 86400]),
)
histories = st.lists(
    st.one_of(batches, batches, batches, assigns, corrections, every, st.builds(Compress)),
    min_size=1,
    max_size=10,
)


class Model:
    """History, live state and energy by the definitions, without a database."""

    def __init__(self, uid: str, starts: list[datetime]) -> None:
        self.uid = uid
        self.starts = starts
        self.vehicles: dict[tuple[str, datetime], Vehicle] = {}
        self.meters: dict[tuple[str, datetime], Meter] = {}
        self.assignments: dict[tuple[str, datetime], str | None] = {}
        self.replaced: dict[tuple[str, datetime], list[tuple[Vehicle | Meter, str]]] = {}
        self.intervals: dict[str, int] = {}

    def at(self, event: Vehicle | Meter | Assign) -> datetime:
        second = 0 if isinstance(event, Assign) else event.second
        return self.starts[event.era] + timedelta(minutes=event.minute, seconds=second)

    def begin(self, reading: Vehicle | Meter) -> datetime | None:
        """Return the interval start that the reading states."""
        if reading.length is None:
            return None
        return self.at(reading) - timedelta(minutes=reading.length)

    def send(self, client: httpx.Client, batch: list[Vehicle | Meter]) -> None:
        """Post a batch; the outcome must be the model's."""
        outcomes = self.keep(batch)
        answer = client.post("/v1/ingest", json=[self.payload(reading) for reading in batch])
        conflicts = [index for index, outcome in enumerate(outcomes) if outcome == "conflict"]
        expected = 422 if len(conflicts) == len(batch) else 207 if conflicts else 200
        assert answer.status_code == expected, answer.text
        found = answer.json()
        assert found["accepted"] == outcomes.count("accepted")
        assert found["duplicates"] == outcomes.count("duplicate")
        assert [(item["index"], item["code"]) for item in found["rejected"]] == [
            (index, "conflict") for index in conflicts
        ]

    def keep(self, batch: list[Vehicle | Meter]) -> list[str]:
        """Keep and complete the first reading of each key; return the outcome of each item."""
        outcomes = []
        for reading in batch:
            there: dict[Any, Any] = self.vehicles if isinstance(reading, Vehicle) else self.meters
            key = (reading[0], self.at(reading))
            kept = there.get(key)
            versions = [old for old, _ in self.replaced.get(key, [])]
            if kept is None:
                there[key] = reading
                outcomes.append("accepted")
            elif differs(kept, reading, versions):
                outcomes.append("conflict")
            else:
                values = zip(kept, reading, strict=True)
                there[key] = type(kept)(*(b if a is None else a for a, b in values))
                outcomes.append("duplicate" if there[key] == kept else "accepted")
        return outcomes

    def correct(self, client: httpx.Client, change: Correct) -> None:
        """Correct one reading; remember its old values."""
        stored: list[Vehicle | Meter] = [*self.vehicles.values(), *self.meters.values()]
        if not stored:
            return
        old = stored[change.number % len(stored)]
        new = old._replace(mwh=change.mwh)
        values: dict[str, Any] = {"reason": f"number {change.number}", "who": "the test"}
        if isinstance(new, Vehicle):
            new = new._replace(meter=change.meter)
            values |= {
                "vehicleId": self.uid + new.vehicle,
                "kwhDeliveredDc": new.mwh / 1_000_000,
                "meterId": new.meter and self.uid + new.meter,
            }
            self.vehicles[new.vehicle, self.at(new)] = new
        else:
            values |= {"meterId": self.uid + new.meter, "kwhConsumedAc": new.mwh / 1_000_000}
            self.meters[new.meter, self.at(new)] = new
        answer = client.post("/v1/corrections", json=values | {"timestamp": rfc3339(self.at(new))})
        assert answer.status_code == 200, answer.text
        assert answer.json()["changed"] == (new != old)
        if new != old:
            versions = self.replaced.setdefault((old[0], self.at(old)), [])
            versions.append((old, values["reason"]))
        assert answer.json()["version"] == len(self.replaced.get((old[0], self.at(old)), [])) + 1

    def assign(self, client: httpx.Client, change: Assign) -> None:
        self.assignments[change.vehicle, self.at(change)] = change.meter
        path = f"/v1/vehicles/{self.uid}{change.vehicle}/meter"
        meter = change.meter and self.uid + change.meter
        for _ in range(50):  # what waited too long for others is sent again
            answer = client.put(path, json={"meterId": meter, "since": rfc3339(self.at(change))})
            if answer.status_code != 503:
                break
        assert answer.status_code == 200, answer.text

    def every(self, client: httpx.Client, change: Every) -> None:
        kind = "vehicles" if change.device in VEHICLES else "meters"
        answer = client.patch(
            f"/v1/{kind}/{self.uid}{change.device}",
            json={"reportingIntervalS": change.interval_s},
        )
        assert answer.status_code == 200, answer.text
        self.intervals[change.device] = change.interval_s or DEFAULT_INTERVAL_S

    def payload(self, reading: Vehicle | Meter) -> dict[str, Any]:
        at, kwh = self.at(reading), reading.mwh / 1_000_000
        begin = self.begin(reading)
        fields = {"intervalStart": rfc3339(begin)} if begin else {}
        if isinstance(reading, Meter):
            return meter_reading(self.uid + reading.meter, at, kwh, **fields)
        if reading.meter:
            fields["meterId"] = self.uid + reading.meter
        return vehicle_reading(self.uid + reading.vehicle, at, kwh, **fields)

    def quarters(self) -> dict[tuple[datetime, str, str | None], tuple[int, int, int]]:
        """Return readings, energy and covered milliseconds by quarter hour, device and meter."""
        found: dict[tuple[datetime, str, str | None], tuple[int, int, int]] = {}

        def add(at: datetime, device: str, meter: str | None, *more: int) -> None:
            key = (floor_quarter(at - MICROSECOND), device, meter)
            was = found.get(key, (0, 0, 0))
            found[key] = (was[0] + more[0], was[1] + more[1], was[2] + more[2])

        stored: dict[tuple[str, datetime], Vehicle | Meter] = {**self.vehicles, **self.meters}
        for device in (*VEHICLES, *METERS):
            sent = {
                at: Sent(
                    each.mwh,
                    self.meter_of(each) if isinstance(each, Vehicle) else None,
                    starts=self.begin(each),
                )
                for (name, at), each in stored.items()
                if name == device
            }
            interval_s = self.intervals.get(device, DEFAULT_INTERVAL_S)
            mine = derived(sent, device, False, Rule(interval_s=interval_s))
            for r in mine:
                add(r.at, device, r.meter, 1, 0, 0)
            for r, piece in pieces(mine):
                covered_ms = piece.covered // MILLISECOND
                add(piece.ends, device, r.meter, 0, piece.energy, covered_ms)
        return found

    def meter_of(self, reading: Vehicle) -> str | None:
        """Return the meter declared in the reading, or else the one assigned at its time."""
        if reading.meter is not None:
            return reading.meter
        in_force = [
            (since, meter)
            for (vehicle, since), meter in self.assignments.items()
            if vehicle == reading.vehicle and since <= self.at(reading)
        ]
        return max(in_force, key=lambda item: item[0])[1] if in_force else None


def differs(
    kept: Vehicle | Meter, reading: Vehicle | Meter, versions: list[Vehicle | Meter]
) -> bool:
    """Return whether a reading differs from the stored one, or from a corrected value."""
    return any(
        b is not None and (a != b if a is not None else any(v is not None for v in was))
        for a, b, *was in zip(kept, reading, *versions, strict=True)
    )


_ENERGY = {"vehicles": "kwhDeliveredDc", "meters": "kwhConsumedAc"}


def check_devices(model: Model, client: httpx.Client) -> None:
    """Check history and live state through the API."""
    window: dict[str, str | int] = {
        "from": rfc3339(model.starts[0] - timedelta(hours=1)),
        "to": rfc3339(datetime.now(UTC) + timedelta(minutes=5)),
        "limit": 1000,
    }
    kinds: list[tuple[str, list[str], Mapping[tuple[str, datetime], Vehicle | Meter]]] = [
        ("vehicles", VEHICLES, model.vehicles),
        ("meters", METERS, model.meters),
    ]
    for kind, names, stored in kinds:
        for name in names:
            path = f"/v1/{kind}/{model.uid}{name}"
            expected = [
                model.payload(reading)
                | ({"meterId": _full(model, reading)} if isinstance(reading, Vehicle) else {})
                for (device, _), reading in sorted(stored.items())
                if device == name
            ]
            state = client.get(path)
            if not expected:
                assert state.status_code == 404
                continue
            found = client.get(f"{path}/readings", params=window | {"versions": "all"}).json()
            for item in found["items"]:
                at = datetime.fromisoformat(item["timestamp"])
                assert [
                    (version["version"], version[_ENERGY[kind]], version["reason"])
                    for version in item.pop("versions")
                ] == [
                    (number, old.mwh / 1_000_000, reason)
                    for number, (old, reason) in enumerate(model.replaced.get((name, at), []), 1)
                ]
            assert found["items"] == expected
            newest = state.json()
            newest.pop("lastSeen")
            for other in ("settings", "observedIntervalS", "observedReports"):
                newest.pop(other, None)
            assert newest == expected[-1]


def _full(model: Model, reading: Vehicle) -> str | None:
    meter = model.meter_of(reading)
    return model.uid + meter if meter else None


@pytest.fixture(scope="module")
def rolled_up(client: httpx.Client, db: Db, server: Server) -> None:
    """Roll up older readings first, so that rollups have a watermark."""
    at = datetime.now(UTC) - timedelta(hours=2)
    client.post("/v1/ingest", json=[vehicle_reading("old-EV", at), meter_reading("old-M", at)])
    materialise(db, server)


@pytest.mark.usefixtures("rolled_up")
@settings(SLOW_EXAMPLES, max_examples=2 * EXAMPLES)
@given(
    history=histories,
    replays=st.lists(st.integers(0, 7), max_size=4),
)
@example(  # a reading is completed, and sent again when a correction has taken its meter back
    history=[
        [Vehicle("EV-1", 0, 0, 0, 1, None, None)],
        [Vehicle("EV-1", 0, 0, 0, 1, 2, "M-1")],
        Correct(0, 1, None),
    ],
    replays=[0, 1],
)
def test_any_mix_of_events_matches_a_naive_model(
    client: httpx.Client,
    db: Db,
    server: Server,
    history: list[list[Vehicle | Meter] | Assign | Correct | Every | Compress],
    replays: list[int],
) -> None:
    model = new_model()
    note(str(history))
    for event in history:
        if isinstance(event, Assign):
            model.assign(client, event)
        elif isinstance(event, Correct):
            model.correct(client, event)
        elif isinstance(event, Every):
            model.every(client, event)
        elif isinstance(event, Compress):
            compress(db, server)
        else:
            model.send(client, event)
    sent = [event for event in history if isinstance(event, list)]
    for index in replays:
        if index < len(sent):
            model.send(client, sent[index][::-1])
    check_everything(model, client, db)


@pytest.fixture(scope="module")
def crowd(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, client: httpx.Client
) -> Iterator[list[httpx.Client]]:
    """Clients of two services on one database, one of them with several processes and writers."""
    environ = {
        **on_migrated(database_url),
        "FLEETMETER_WRITERS": "3",
        "FLEETMETER_COMMIT_READINGS": "20",
    }
    folder = tmp_path_factory.mktemp("crowd")
    with (
        running_service(folder, environ, options=["--workers", "2"]) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as other,
    ):
        yield [client, other]


@pytest.mark.usefixtures("rolled_up")
@settings(SLOW_EXAMPLES, max_examples=2 * EXAMPLES)
@given(
    history=st.lists(st.one_of(batches, batches, assigns), min_size=4, max_size=12),
)
def test_any_interleaving_of_clients_workers_and_writers_matches_a_naive_model(
    crowd: list[httpx.Client],
    db: Db,
    history: list[list[Vehicle | Meter] | Assign],
) -> None:
    model = new_model()
    # everything at once and the batches twice: values depend on the key alone, so that it does not
    # matter who was first
    events = [
        one_truth(event) if isinstance(event, Assign) else [one_truth(item) for item in event]
        for event in history
    ]
    again = [event[::-1] for event in events if isinstance(event, list)]
    work = list(zip([*events, *again], itertools.cycle(crowd), strict=False))

    def do(item: tuple[list[Vehicle | Meter] | Assign, httpx.Client]) -> int:
        event, client = item
        if isinstance(event, Assign):
            model.assign(client, event)
            return 0
        readings = [model.payload(reading) for reading in event]
        answer = client.post("/v1/ingest", json=readings)
        # they collided too often, and some may have been stored: what a client does then
        while answer.status_code == 503 and len(sent_again) < 50:
            sent_again.append(event)
            answer = client.post("/v1/ingest", json=readings)
        assert answer.status_code == 200, answer.text
        outcome = answer.json()
        assert outcome["accepted"] + outcome["duplicates"] == len(event)
        return int(outcome["accepted"])

    sent_again: list[list[Vehicle | Meter]] = []
    with ThreadPoolExecutor(8) as clients:
        accepted = sum(clients.map(do, work))
    for event in events:
        if isinstance(event, list):
            model.keep(event)
    told = len(model.vehicles) + len(model.meters)
    assert accepted == told or (sent_again and accepted < told)
    check_everything(model, crowd[0], db)


def one_truth(event: Any) -> Any:
    """Return the event with values derived from its key."""
    number = event.era * 1000 + event.minute
    meter = [None, *METERS][number % 3]
    if isinstance(event, Assign):
        return event._replace(meter=meter)
    event = event._replace(
        mwh=ENERGIES[number % len(ENERGIES)], length=LENGTHS[number % len(LENGTHS)]
    )
    return (
        event._replace(meter=meter if number % 2 else None) if hasattr(event, "vehicle") else event
    )


def new_model() -> Model:
    """Return a model of new devices with readings below the watermark and fresh ones."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    model = Model(new_uid(), [hour - timedelta(hours=50), hour - timedelta(hours=SPAN // 60 + 1)])
    note(model.uid)
    return model


def check_everything(model: Model, client: httpx.Client, db: Db) -> None:
    """Check live state and history at once, rollups and shares within seconds."""
    check_devices(model, client)

    def rollups_agree() -> None:
        assert quarters(db, model.uid) == model.quarters()
        assert rollup_differences(db, model.uid) == []
        assert unshared_energy(db, model.uid) == []

    within_seconds(rollups_agree)


def quarters(db: Db, uid: str) -> dict[tuple[datetime, str, str | None], tuple[int, int, int]]:
    """Return the rollup's row of each quarter hour."""
    rows = db.fetch(
        "select q.bucket, d.id, m.id as meter_id, q.readings, q.energy_mwh, q.covered_ms"
        " from quarter_hours as q"
        " join devices as d on d.device = q.device"
        " left join devices as m on m.device = q.meter"
        " where starts_with(d.id, $1)",
        uid,
    )
    return {
        (bucket, device.removeprefix(uid), meter and meter.removeprefix(uid)): tuple(sums)
        for bucket, device, meter, *sums in rows
    }


def within_seconds(check: Callable[[], None]) -> None:
    """The rollups follow late readings in the background, on a busy machine later."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
