"""What a writer remembers is bounded, and never forgets in the middle of a commit."""

import pytest

from fleetmeter.ingest import memory
from fleetmeter.ingest.memory import LastTimes, RememberedAssignments
from fleetmeter.readings.model import VehicleRow

AT = 842_000_000_000_000
HOUR = 3600 * 1_000_000


def reading(vehicle: str, time: int, meter: str | None = None) -> VehicleRow:
    return (vehicle, time, 1, 2, 3, meter, meter is not None)


def meters_of(remembered: RememberedAssignments, *rows: VehicleRow) -> list[str | None]:
    return [row[5] for row in remembered.stamped(rows)]


def test_the_assignment_in_force_is_the_newest_that_has_begun() -> None:
    remembered = RememberedAssignments()
    remembered.learn({"EV": [(AT, "A"), (AT + HOUR, None)], "other": []})
    rows = [reading("EV", AT - 1), reading("EV", AT), reading("EV", AT + 2 * HOUR)]
    assert meters_of(remembered, *rows, reading("other", AT)) == [None, "A", None, None]


def test_a_reading_that_names_its_meter_keeps_it() -> None:
    remembered = RememberedAssignments()
    remembered.learn({"EV": [(AT, "A")]})
    assert meters_of(remembered, reading("EV", AT, "own"), reading("EV", AT)) == ["own", "A"]


def test_another_version_forgets_all_assignments_and_pairs() -> None:
    remembered = RememberedAssignments()
    remembered.at_version(1)
    remembered.learn({"EV": []})
    remembered.learn_pairs([("M", "EV")])
    remembered.at_version(1)
    assert remembered.unknown({"EV"}) == []
    assert remembered.new_pairs([reading("EV", AT, "M"), reading("EV", AT)]) == []
    remembered.at_version(2)
    assert remembered.unknown({"EV"}) == ["EV"]
    assert remembered.new_pairs([reading("EV", AT, "M"), reading("EV", AT)]) == [("M", "EV")]


def test_a_full_memory_still_knows_what_a_commit_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MAX_DEVICES", 5)
    remembered = RememberedAssignments()
    remembered.learn({f"K{n}": [(AT, f"M{n}")] for n in range(4)})
    commit = {"K1", "K2", "N1", "N2"}
    unknown = remembered.unknown(commit)
    remembered.learn({vehicle: [(AT, "M")] for vehicle in unknown})
    assert all(meters_of(remembered, *(reading(vehicle, AT) for vehicle in commit)))


def test_last_times_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MAX_DEVICES", 5)
    times = LastTimes()
    for n in range(20):
        times.learn({f"D{n}": AT})
    assert len(times._times) <= 5
    assert times.holds([("D19", AT)])
    assert not times.holds([("D19", AT + 1)])
    assert not times.holds([("D0", AT)])


def test_fresh_is_newer_than_the_device_and_not_before_the_horizon() -> None:
    times = LastTimes()
    times.learn({"A": AT, "B": AT})
    rows = [("A", AT), ("A", AT + 1), ("B", AT - 1), ("C", AT - 5), ("C", AT + 2)]
    assert times.sorted_out(rows, horizon=AT - 3) == (
        [("A", AT + 1), ("C", AT + 2)],
        [("A", AT), ("B", AT - 1), ("C", AT - 5)],
    )
