"""Readings that come by columns are judged and stored as those are that come one by one."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.intake.batch_columns import BatchColumns, columns_of
from fleetmeter.intake.numbering import number
from fleetmeter.intake.reading_groups import GroupedPart, GroupedReadings, ReadingGroup
from fleetmeter.intake.rows import Column
from fleetmeter.readings.kinds import KINDS, METER, VEHICLE
from fleetmeter.readings.model import microseconds
from fleetmeter.readings.telemetry import FIELDS, NUMBERS, TEXTS
from fleetmeter.readings.validate import Bounds

SINCE = microseconds(datetime(2026, 1, 1, tzinfo=UTC))
BOUNDS = Bounds(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
IDS = st.sampled_from(["a", "b", "c", " wrong ", "x" * 300])
VALUES = st.one_of(
    st.sampled_from([0.0, -1.0, 50.0, 250.0, 1e18, 255.0]), st.floats(-1e3, 1e12, allow_nan=False)
)


@st.composite
def parts(draw: st.DrawFn) -> GroupedPart:
    """Groups of vehicles and meters, whose places alternate at random."""
    kinds = draw(st.lists(st.sampled_from([KINDS.index(VEHICLE), KINDS.index(METER)]), max_size=3))
    of = draw(st.lists(st.integers(0, max(len(kinds) - 1, 0)), max_size=12 if kinds else 0))
    groups = []
    for at, kind in enumerate(kinds):
        places = [place for place, group in enumerate(of) if group == at]
        if not places:
            continue

        def column(values: st.SearchStrategy[str], size: int = len(places)) -> list[str]:
            return draw(st.lists(values, min_size=size, max_size=size))

        texts: list[list[str] | None] = [None] * len(TEXTS)
        texts[TEXTS.index(KINDS[kind].id_field)] = column(IDS)
        for other in ("meterId", "sessionId"):
            if KINDS[kind] is VEHICLE and draw(st.booleans()):
                texts[TEXTS.index(other)] = column(IDS)
        fields = draw(st.sets(st.sampled_from(NUMBERS), min_size=1, max_size=4))
        numbers = {FIELDS.index(name): np.array([draw(VALUES) for _ in places]) for name in fields}
        times = np.array([SINCE + draw(st.integers(-5, 5)) for _ in places], np.int64)
        groups.append(ReadingGroup(kind, places, texts, numbers, times))
    return GroupedPart(groups)


def shown(columns: BatchColumns) -> object:
    """What is in the columns, with a number for each text."""

    def numbers(kind: int, ids: object) -> Column:
        assert isinstance(ids, (list, tuple))
        return np.array(
            [0 if id_ is None else 1 + hash((kind, id_)) % 999 for id_ in ids], np.int64
        )

    number(columns, numbers)
    right = ~columns.wrong
    dropped = sorted((place, each.field) for place, each in columns.dropped)
    return columns.wrong.tolist(), columns.rows[:, right].tolist(), dropped


@given(part=parts())
def test_columns_of_groups_are_those_of_their_readings(part: GroupedPart) -> None:
    assert shown(columns_of(part, BOUNDS)) == shown(columns_of(part.readings, BOUNDS))


def test_a_batch_of_parts_is_a_sequence_of_its_readings() -> None:
    def part(first: int, count: int) -> GroupedPart:
        ids = [f"M{first + at}" for at in range(count)]
        texts = [ids if name == METER.id_field else None for name in TEXTS]
        values = {FIELDS.index("voltage"): np.full(count, 230.0)}
        times = np.full(count, SINCE, np.int64)
        places = range(count)[::-1]
        return GroupedPart([ReadingGroup(KINDS.index(METER), places, texts, values, times)])

    batch = GroupedReadings([part(0, 3), part(3, 2).readings])
    names = ["M2", "M1", "M0", "M4", "M3"]
    assert len(batch) == 5
    assert [each.meter_id for each in batch] == names
    assert [batch[at].meter_id for at in range(-5, 5)] == names * 2
    assert [each.meter_id for each in batch[1:4]] == names[1:4]
    assert batch[0].timestamp == datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(IndexError):
        batch[5]
