"""Lengths of time and faults as the command line takes them."""

import re
from datetime import timedelta

import pytest
from click.testing import CliRunner

from fleetmeter_simulator.cli import command
from fleetmeter_simulator.durations import parse_duration
from fleetmeter_simulator.faults.kinds import KINDS, VARIANTS, Wanted, parse_wanted, per_kind


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30d", timedelta(days=30)),
        ("2h", timedelta(hours=2)),
        ("90m", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
        ("1d12h", timedelta(hours=36)),
        ("1.5h", timedelta(minutes=90)),
        ("0", timedelta()),
    ],
)
def test_a_length_of_time_has_units(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "3w", "1h 2m", "99999d"])
def test_what_is_no_length_of_time_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like 30d, 2h|longer than 3660d"):
        parse_duration(text)


def test_a_fault_says_what_where_when_and_for_how_long() -> None:
    assert parse_wanted("dc_exceeds_ac:wrong-meter@EV-7+2d/12h") == Wanted(
        "dc_exceeds_ac", "wrong-meter", "EV-7", timedelta(days=2), timedelta(hours=12)
    )
    assert parse_wanted("site_silent@SITE-1") == Wanted("site_silent", device="SITE-1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("efficiency_low", "a fault is KIND"),
        ("efficiency_low@", "a fault is KIND"),
        ("efficient@EV-1", "unknown fault 'efficient'; choose from efficiency_low, "),
        ("dc_exceeds_ac:magic@EV-1", "dc_exceeds_ac has wrong-meter, clock-offset"),
        ("battery_hot:very@EV-1", "battery_hot has no variants"),
        ("battery_hot@EV-1+soon", "'soon' is not a length of time"),
        ("battery_hot@EV-1+1h/30s", "at least a minute"),
        ("battery_hot@EV-1/3h", "a fault is KIND"),
    ],
)
def test_a_fault_that_cannot_be_read_is_refused_with_what_would_be_right(
    text: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        parse_wanted(text)


def test_so_many_of_each_kind_take_its_variants_in_turn() -> None:
    wanted = per_kind(6)
    assert [fault.kind for fault in wanted[::6]] == list(KINDS)
    of_dc = [fault.variant for fault in wanted if fault.kind == "dc_exceeds_ac"]
    assert of_dc == list(VARIANTS["dc_exceeds_ac"])


def test_the_help_lists_every_kind_of_fault_with_its_variants() -> None:
    help_ = CliRunner().invoke(command, ["--help"]).output
    listed = help_.partition("Kinds of faults")[2].partition("\nOptions:")[0]
    kind = ""
    shown: dict[str, list[str]] = {}
    for line in listed.splitlines()[1:]:
        kind = match[1] if (match := re.match(r"    (\w+)", line)) else kind
        shown.setdefault(kind, []).extend(re.findall(r"[\w-]+", line.removeprefix(f"    {kind}")))
    assert {kind: tuple(variants) for kind, variants in shown.items() if kind} == {
        kind: VARIANTS.get(kind, ()) for kind in KINDS
    }
