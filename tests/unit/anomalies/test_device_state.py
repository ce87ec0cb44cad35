"""The state of a device is copied, and stored in the format that it has always had."""

import msgspec
import pytest

from fleetmeter.anomalies.rules.catalogue import CODEC, STATES
from fleetmeter.anomalies.rules.shared.state import DeviceState, restored, snapshot

STORED = b"""
{"conditions": {"battery_hot": {"open": true, "since": "2026-03-02T08:00:00Z", "last": "breach",
  "at": "2026-03-02T08:00:00Z", "count": 2, "count_since": "2026-03-02T08:00:00Z"},
  "efficiency_low": {"last": "clear", "at": "2026-03-02T08:00:00Z"}},
  "session": {"meter": "M", "hours": [["2026-03-02T08:00:00Z", 5, 6, 1, 2, 3.5, 4.5, true,
  false]], "others": ["W"], "is_shared": true, "doubtful": true, "fitting_mwh": 7, "found":
  ["efficiency_low"]},
  "judged": [["2026-03-02T08:00:00Z", 0.01, 0.02]],
  "other_meter": "N",
  "unexplained": {"meter": "M", "since": "2026-03-02T08:00:00Z", "until":
  "2026-03-02T08:00:00Z", "dc_mwh": 1, "ac_mwh": 2},
  "suspicion": {"since": "2026-03-02T08:00:00Z", "vehicles": ["V"], "candidates": ["N"],
  "dc_mwh": 1, "ac_mwh": 2, "is_covered": false, "until": "2026-03-02T08:00:00Z"},
  "unclaimed": "2026-03-02T08:00:00Z",
  "run": ["2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z", 3, 2, 9],
  "peaking": true,
  "falls": [["2026-03-02T08:00:00Z", 3, 1, 1]],
  "charged": "2026-03-02T08:00:00Z",
  "nominal": [230, "2026-03-02T08:00:00Z", [229.5]],
  "nominal_of_role": {"charger": 230},
  "silent_since": "2026-03-02T08:00:00Z",
  "was_charging": false,
  "pauses": 2,
  "silences": [["2026-03-02T08:00:00Z", null], ["2026-03-02T08:00:00Z",
  "2026-03-02T08:00:00Z"]],
  "skew": [301.5, "2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z", 4]}
"""
"""Everything that a service of version 0.1 may have stored of a device, a field a line."""


def test_what_services_have_stored_is_read_and_stored_the_same() -> None:
    state = CODEC.decode(STORED)
    assert set(state.parts) <= set(STATES)
    assert msgspec.json.decode(CODEC.encode(state)) == msgspec.json.decode(STORED)


def test_a_state_that_was_copied_is_as_it_was() -> None:
    state = CODEC.decode(STORED)
    copy = snapshot(state)
    assert restored(copy) == state
    state.conditions.clear()
    state.parts.clear()
    assert restored(copy) == CODEC.decode(STORED)


def test_nothing_is_stored_of_what_is_as_by_default() -> None:
    state = DeviceState(parts={type_: type_() for type_ in STATES})
    assert CODEC.encode(state) == b"{}"
    assert not state.prune()
    assert state == CODEC.decode(b"{}") == DeviceState()


def test_a_field_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        CODEC.decode(b'{"pauses": "3"}')


def test_a_condition_of_a_kind_without_a_rule_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        CODEC.decode(b'{"conditions": {"nonsense": {}}}')
