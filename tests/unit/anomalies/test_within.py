"""Anomalies as a limited reach shows them."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.access.reach import Reach
from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.incidents.within import Sites, as_shown
from fleetmeter.anomalies.model import SubjectKind
from fleetmeter.anomalies.rules.catalogue import RULES

AT = datetime(2026, 3, 1, tzinfo=UTC)
SITES: Sites = {
    "IN-1": {"vehicle": "north"},
    "IN-2": {"vehicle": "north", "meter": "north"},
    "OUT-1": {"meter": "south"},
    "OUT-2": {"vehicle": None, "meter": "south"},
}
REACHES = [Reach(devices=("IN-*",)), Reach(sites=("north",)), Reach(("IN-*",), ("north",))]


def anomaly(
    evidence: dict[str, Any],
    device_id: str = "IN-1",
    kind: SubjectKind = "vehicle",
    site: str | None = "north",
) -> Anomaly:
    """One that is open, whose summary repeats its evidence."""
    return Anomaly(
        id=1,
        kind="dc_exceeds_ac",
        severity="warning",
        device_kind=kind,
        device_id=device_id,
        site=site,
        status="open",
        cause=None,
        summary=f"{device_id}: {evidence}",
        evidence=evidence,
        started_at=AT,
        detected_at=AT,
        ended_at=None,
        opened_at=AT,
        acknowledged_at=None,
        acknowledged_by=None,
        resolved_at=None,
        resolved_by=None,
        reopened=0,
    )


@pytest.mark.parametrize("reach", REACHES)
def test_what_names_nothing_outside_stays_as_it_is(reach: Reach) -> None:
    same = anomaly({"meterId": "IN-2", "code": "in_future", "kwh": 1.5, "phases": ["L1", "L2"]})
    assert as_shown(same, reach, SITES) is same


@pytest.mark.parametrize("reach", REACHES)
def test_one_of_a_device_outside_is_not_shown(reach: Reach) -> None:
    assert as_shown(anomaly({}, "OUT-1", "meter", "south"), reach, SITES) is None
    assert as_shown(anomaly({}, "OUT-9", site="north"), reach, SITES) is None


def test_a_site_is_shown_to_a_reach_that_lists_it_and_no_ids() -> None:
    north, south = (anomaly({}, site, "site", site) for site in ("north", "south"))
    for reach in REACHES:
        shown = [as_shown(each, reach, SITES) for each in (north, south)]
        assert shown == [None if reach.devices else north, None]


@pytest.mark.parametrize("reach", REACHES)
def test_the_site_of_a_device_that_has_moved_is_not_shown(reach: Reach) -> None:
    shown = as_shown(anomaly({}, site="south"), reach, SITES)
    assert shown is not None
    assert shown.site is None


TEXTS = st.sampled_from(["IN-1", "IN-2", "OUT-1", "OUT-2", "L1", "in_future"])
VALUES = st.recursive(
    TEXTS | st.integers(0, 9) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), st.sampled_from(REACHES))
def test_no_id_outside_is_ever_shown(evidence: dict[str, Any], reach: Reach) -> None:
    before = anomaly(evidence)
    shown = as_shown(before, reach, SITES)
    assert shown is not None
    text = msgspec.json.encode(shown).decode()
    assert "OUT" not in text
    if "OUT" in str(evidence):
        assert shown.summary.startswith(RULES["dc_exceeds_ac"].title)
        for inside in ("IN-1", "L1", "in_future"):
            assert str(shown.evidence).count(f"'{inside}'") == str(evidence).count(f"'{inside}'")
    else:
        assert shown is before
