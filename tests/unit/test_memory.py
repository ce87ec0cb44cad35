"""What a writer remembers is bounded, and never forgets in the middle of a commit."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetmeter.ingest import memory
from fleetmeter.ingest.memory import LastTimes, RememberedAssignments

AT = datetime(2026, 2, 9, 10, tzinfo=UTC)


def test_the_assignment_in_force_is_the_newest_that_has_begun() -> None:
    remembered = RememberedAssignments()
    remembered.learn({"EV": [(AT, "A"), (AT + timedelta(hours=1), None)], "other": []})
    assert remembered.meter_at("EV", AT - timedelta(seconds=1)) is None
    assert remembered.meter_at("EV", AT) == "A"
    assert remembered.meter_at("EV", AT + timedelta(hours=2)) is None
    assert remembered.meter_at("other", AT) is None


def test_another_version_forgets_all_assignments_and_pairs() -> None:
    remembered = RememberedAssignments()
    remembered.at_version(1)
    remembered.learn({"EV": []})
    remembered.learn_pairs([("M", "EV")])
    remembered.at_version(1)
    assert remembered.unknown({"EV"}) == []
    assert remembered.new_pairs({("M", "EV")}) == []
    remembered.at_version(2)
    assert remembered.unknown({"EV"}) == ["EV"]
    assert remembered.new_pairs({("M", "EV")}) == [("M", "EV")]


def test_a_full_memory_still_knows_what_a_commit_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MAX_DEVICES", 5)
    remembered = RememberedAssignments()
    remembered.learn({f"K{n}": [(AT, f"M{n}")] for n in range(4)})
    commit = {"K1", "K2", "N1", "N2"}
    unknown = remembered.unknown(commit)
    remembered.learn({vehicle: [(AT, "M")] for vehicle in unknown})
    assert all(remembered.meter_at(vehicle, AT) for vehicle in commit)


def test_last_times_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MAX_DEVICES", 5)
    times = LastTimes()
    for n in range(20):
        times.learn({f"D{n}": AT})
    assert len(times._times) <= 5
    assert times.holds([("D19", AT)])
    assert not times.holds([("D19", AT + timedelta(seconds=1))])
    assert not times.holds([("D0", AT)])
