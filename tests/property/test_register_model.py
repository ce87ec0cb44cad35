"""The energy of registers as found in the field, in any order, matches a naive model."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from tests.conftest import EXAMPLES, SLOW_EXAMPLES, Db, Server, eventually, new_uid, rfc3339
from tests.support.consistency import rollup_differences
from tests.support.register_model import Exchange, Found, Rule, derive
from tests.support.rollups import compress

KWH = 1_000_000
MINUTE = timedelta(minutes=1)
MILLISECOND = timedelta(milliseconds=1)

REGISTERS = (
    ("meters", "meterId", "kwhConsumedAcTotal"),
    ("meters", "meterId", "kwhExportedAcTotal"),
    ("vehicles", "vehicleId", "kwhDeliveredDcTotal"),
    ("vehicles", "vehicleId", "kwhReturnedDcTotal"),
)


class Value(NamedTuple):
    """A register's next value: an increase, a fraction or a fixed value; after some minutes."""

    minutes: float
    more: float
    part: float
    just: float | None

    def after(self, kwh: float) -> float:
        return round(kwh * self.part + self.more if self.just is None else self.just, 3)


class Send(NamedTuple):
    """Some unsent readings at once, and a few that were sent before."""

    size: int
    again: int = 0


class Fix(NamedTuple):
    """A correction of a reading, if any was sent."""

    number: int
    kwh: float


class Swap(NamedTuple):
    """An exchange, some seconds from a reading, and whether it is withdrawn again."""

    number: int
    seconds: int
    last: float
    first: float
    withdrawn: bool


class Settings(NamedTuple):
    """Settings of the device."""

    register: str | None
    rated_kw: float | None
    rollover_kwh: float | None
    interval_s: int | None


class Compress(NamedTuple):
    """Older chunks go into the columnstore, where there is one."""


MOST_STEPS = 14
LEVELS = [0, 3, 45.5, 54.3, 400, 460, 500, 500.2, 505, 900, 1650, 2408.3, 9990, 9999]
levels = st.sampled_from(LEVELS)
nothing, whole = st.just(0), st.just(1)
steps = st.one_of(
    st.builds(
        Value,
        st.sampled_from([1, 1, 1, 5.25, 600]),
        st.sampled_from([0, 0.1, 0.25, 9]),
        whole,
        st.none(),
    ),
    st.builds(
        Value,
        st.sampled_from([1, 5, 30, 600]),
        nothing,
        st.sampled_from([0, 0.5, 0.9, 0.97]),
        st.none(),
    ),
    st.builds(Value, st.sampled_from([1, 1, 30, 600]), nothing, whole, levels),
)


@st.composite
def series(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Return minutes and values; dips return to the value before."""
    at, kwh = 0.0, draw(levels)
    found = [(at, kwh)]
    for step in draw(st.lists(steps, min_size=2, max_size=MOST_STEPS)):
        at += step.minutes
        found.append((at, step.after(kwh)))
        if step.part == 1 or draw(st.booleans()):
            kwh = found[-1][1]
    return found


swaps = st.builds(
    Swap,
    st.integers(0, 20),
    st.sampled_from([-30, 0, 30]),
    st.sampled_from([0, 0.05, 4]),
    levels,
    st.booleans(),
)
configured = st.builds(
    Settings,
    st.sampled_from([None, None, None, "lifetime", "session"]),
    st.sampled_from([None, 11, 250]),
    st.sampled_from([None, None, 500.5, 10_000]),
    st.sampled_from([None, 300]),
)
changes = st.one_of(
    st.builds(Fix, st.integers(0, 20), levels), swaps, configured, st.builds(Compress)
)


class Model:
    """One device, with its readings and exchanges."""

    def __init__(
        self, client: httpx.Client, register: tuple[str, str, str], start: datetime
    ) -> None:
        self.client = client
        kind, self.id_field, self.field = register
        self.id = f"{new_uid()}D"
        self.path = f"/v1/{kind}/{self.id}"
        self.is_meter = kind == "meters"
        self.start = start
        self.sent: dict[datetime, float] = {}
        self.exchanges: dict[datetime, Exchange] = {}
        self.settings = Settings(None, None, None, None)

    def send(self, values: list[tuple[datetime, float]]) -> None:
        answer = self.client.post(
            "/v1/ingest",
            json=[
                {self.id_field: self.id, "timestamp": rfc3339(at), self.field: kwh}
                for at, kwh in values
            ],
        )
        assert answer.status_code == 200, answer.text
        self.sent |= dict(values)

    def fix(self, fix: Fix) -> None:
        if self.sent:
            at = sorted(self.sent)[fix.number % len(self.sent)]
            body: dict[str, Any] = {"who": "the test", "reason": "to see", self.field: fix.kwh}
            body |= {self.id_field: self.id, "timestamp": rfc3339(at)}
            answer = self.client.post("/v1/corrections", json=body)
            assert answer.status_code == 200, answer.text
            self.sent[at] = fix.kwh

    def exchange(self, swap: Swap, times: list[datetime]) -> None:
        at = times[swap.number % len(times)] + timedelta(seconds=swap.seconds)
        if not self.is_meter or at in self.exchanges:
            return
        earlier = [kwh for time, kwh in self.sent.items() if time <= at]
        last = round(max(earlier, default=0) + swap.last, 3)
        body = {"at": rfc3339(at), "lastKwh": last, "firstKwh": swap.first, "register": self.field}
        for _ in range(2):  # once, however often
            answer = self.client.post(f"{self.path}/exchanges", json=body)
            assert answer.status_code == 200, answer.text
        self.exchanges[at] = Exchange(at, round(last * KWH), round(swap.first * KWH))
        if swap.withdrawn:
            where = {"at": rfc3339(at), "register": self.field}
            self.client.delete(f"{self.path}/exchanges", params=where).raise_for_status()
            del self.exchanges[at]

    def set(self, new: Settings) -> None:
        fields = {
            "register": new.register,
            "registerRolloverKwh": new.rollover_kwh,
            "reportingIntervalS": new.interval_s,
        }
        if self.is_meter:
            fields["ratedPowerKw"] = new.rated_kw
        answer = self.client.patch(self.path, json=fields)
        assert answer.status_code == 200, answer.text
        self.settings = new

    def derived(self) -> list[Found]:
        """Return what history must have, oldest first."""
        _, rated_kw, rollover_kwh, interval_s = self.settings
        rule = Rule(
            self.settings.register == "session",
            None if rated_kw is None or not self.is_meter else round(rated_kw * 1000),
            None if rollover_kwh is None else round(rollover_kwh * KWH),
            interval_s or 60,
        )
        values = [(at, round(kwh * KWH)) for at, kwh in sorted(self.sent.items())]
        found = derive(values, rule, list(self.exchanges.values()))
        return [each for each in found if each is not None]

    def check(self, db: Db) -> None:
        window: dict[str, str | int] = {"from": rfc3339(self.start - MINUTE), "limit": 1000}
        items = self.client.get(f"{self.path}/readings", params=window).json()["items"]
        name = self.field.removesuffix("Total")
        found = self.derived()
        assert [item[name] for item in items] == [
            None if each.starts is None else each.energy / KWH for each in found
        ]
        assert self.client.get(self.path).json()[name] == items[-1][name]
        if self.field in ("kwhConsumedAcTotal", "kwhDeliveredDcTotal"):
            assert [item.get("reset", False) for item in items] == [each.reset for each in found]
            rows = db.fetch(
                "select r.reset, r.energy_mwh, r.span_ms from readings as r"
                " join devices as d on d.device = r.device where d.id = $1 order by r.time",
                self.id,
            )
            assert [tuple(row) for row in rows] == [
                (
                    each.touched,
                    each.energy,
                    None
                    if each.starts is None
                    else (at - each.starts) // MINUTE.resolution // 1000,
                )
                for at, each in zip(sorted(self.sent), found, strict=True)
            ]
            eventually(lambda: rollup_differences(db, self.id) == [])


IN_ORDER = list(range(1 + MOST_STEPS))


@settings(SLOW_EXAMPLES, max_examples=8 * EXAMPLES)
@given(
    register=st.sampled_from([REGISTERS[0], *REGISTERS]),
    values=series(),
    order=st.one_of(st.just(IN_ORDER), st.permutations(IN_ORDER)),
    days=st.sampled_from([1, 15]),
    before=configured,
    events=st.lists(
        st.one_of(
            st.builds(Send, st.integers(1, 4), st.integers(0, 2)),
            st.builds(Send, st.just(15)),
            changes,
        ),
        max_size=10,
    ),
)
@example(  # behind an exchange that adds nothing, a dip begins
    register=REGISTERS[1],
    values=[(0, 400), (1, 3), (2, 54.3)],
    order=IN_ORDER,
    days=1,
    before=Settings(None, 11, None, None),
    events=[Send(1), Swap(0, 30, 0, 54.3, False)],
)
def test_energy_of_registers_matches_a_naive_model(
    client: httpx.Client,
    db: Db,
    server: Server,
    register: tuple[str, str, str],
    values: list[tuple[float, float]],
    order: list[int],
    days: int,
    before: Settings,
    events: list[Send | Fix | Swap | Settings | Compress],
) -> None:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days, hours=145)
    model = Model(client, register, start)
    times = [start + minute * MINUTE for minute, _ in values]
    waiting = [(times[place], values[place][1]) for place in order if place < len(values)]
    note(f"{model.id} {waiting}")
    model.set(before)
    for event in [*events, Send(15)]:
        if isinstance(event, Send) and (waiting or model.sent):
            again = list(model.sent.items())[: event.again]
            if batch := waiting[: event.size] + again:
                model.send(batch)
            waiting = waiting[event.size :]
        elif isinstance(event, Fix):
            model.fix(event)
        elif isinstance(event, Swap):
            model.exchange(event, times)
        elif isinstance(event, Settings):
            model.set(event)
        elif isinstance(event, Compress):
            compress(db, server)
    model.check(db)
