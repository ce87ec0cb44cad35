"""GET and PUT /v1/rules: thresholds of the fleet, a site or a device."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.overrides import MOST_OVERRIDES, rulebook_now
from fleetmeter.anomalies.rules.battery_hot import BatteryHot
from fleetmeter.anomalies.rules.catalogue import RULES
from tests.conftest import Db, hours_ago, meter_reading, post, vehicle_reading
from tests.support import connections

pytestmark = pytest.mark.either

ANNA = {"who": "anna@example.com", "note": "desert buses"}
HOT = "/v1/rules/battery_hot"


def put(client: httpx.Client, kind: str, scope: str, target: str | None, **body: Any) -> Any:
    """Set parameters, which must succeed; return what is in force there."""
    answer = attempt(client, kind, scope, target, **body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def attempt(
    client: httpx.Client, kind: str, scope: str, target: str | None, **body: Any
) -> httpx.Response:
    said = {name: body.pop(name) for name in ("who", "note") if name in body}
    where = {"scope": scope} | ({} if target is None else {"target": target})
    return client.put(f"/v1/rules/{kind}", json=ANNA | said | where | {"parameters": body})


def listed(client: httpx.Client, path: str, target: str | None) -> list[dict[str, Any]]:
    """Return the items of one target from all pages of two items."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = client.get(path, params={"limit": 2, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= 2
        found += [item for item in page["items"] if item["target"] == target]
        if page["nextCursor"] is None:
            return found
        cursor = {"cursor": page["nextCursor"]}


def changes(client: httpx.Client, kind: str, target: str | None) -> list[tuple[Any, Any]]:
    """Return what was set for a target and what it replaced, oldest first."""
    items = listed(client, f"/v1/rules/{kind}/changes", target)
    return [(item["parameters"], item["replaced"]) for item in reversed(items)]


@pytest.fixture
def bus(client: httpx.Client, uid: str) -> Iterator[str]:
    """A vehicle at the site {uid}S with a meter {uid}M; removes thresholds of the fleet."""
    at = hours_ago(1)
    post(client, vehicle_reading(f"{uid}EV", at), meter_reading(f"{uid}M", at))
    for path in (f"/v1/vehicles/{uid}EV", f"/v1/meters/{uid}M"):
        assert client.patch(path, json={"site": f"{uid}S"}).status_code == 200
    yield f"{uid}EV"
    for target, scope in ((f"{uid}EV", "vehicle"), (f"{uid}S", "site"), (None, "fleet")):
        put(client, "battery_hot", scope, target)


def test_every_rule_shows_its_purpose_and_its_thresholds(client: httpx.Client) -> None:
    answer = client.get("/v1/rules").json()
    assert [rule["kind"] for rule in answer["items"]] == list(RULES)
    assert answer["nextCursor"] is None
    for rule in answer["items"]:
        assert rule == client.get(f"/v1/rules/{rule['kind']}").json()
        assert rule["title"]
        assert rule["description"]
        assert rule["source"]
        assert rule["severity"] in ("info", "warning", "critical")
        assert set(rule["deviceKinds"]) <= {"vehicle", "meter", "site"}
        assert (rule["scope"], rule["target"], rule["overrides"]) == ("fleet", None, [])
        assert rule["parameters"] == rule["defaults"]
        assert rule["schema"]["additionalProperties"] is False
        assert list(rule["schema"]["properties"]) == list(rule["defaults"])
        for name, told in rule["schema"]["properties"].items():
            assert told["description"], name
            assert told["default"] == rule["defaults"][name]


def test_the_narrowest_scope_wins_parameter_by_parameter(
    client: httpx.Client, db: Db, uid: str, bus: str
) -> None:
    defaults = client.get(HOT).json()["defaults"]
    put(client, "battery_hot", "fleet", None, openC=50, clearC=47, reopenWithinH=48)
    put(client, "battery_hot", "site", f"{uid}S", openC=52, reopenWithinH=12)
    rule = put(client, "battery_hot", "vehicle", bus, reopenWithinH=6)
    assert rule == client.get(HOT, params={"scope": "vehicle", "target": bus}).json()
    assert rule["parameters"] == defaults | {"openC": 52, "clearC": 47, "reopenWithinH": 6}
    assert [(item["scope"], item["target"], item["parameters"]) for item in rule["overrides"]] == [
        ("fleet", None, {"openC": 50, "clearC": 47, "reopenWithinH": 48}),
        ("site", f"{uid}S", {"openC": 52, "reopenWithinH": 12}),
        ("vehicle", bus, {"reopenWithinH": 6}),
    ]

    site = client.get(HOT, params={"scope": "site", "target": f"{uid}S"}).json()
    assert site["parameters"] == defaults | {"openC": 52, "clearC": 47, "reopenWithinH": 12}
    fleet = client.get(HOT).json()
    assert fleet["parameters"] == defaults | {"openC": 50, "clearC": 47, "reopenWithinH": 48}

    rulebook = connections.using(db.url, rulebook_now)

    def used(device_id: str, site: str | None) -> Any:
        """Return the thresholds that the evaluation uses."""
        return msgspec.to_builtins(rulebook.of(BatteryHot, Subject("vehicle", device_id), site))

    assert used(bus, f"{uid}S") == rule["parameters"]
    assert used(f"{uid}other", f"{uid}S") == site["parameters"]
    assert used(f"{uid}other", None) == fleet["parameters"]


def test_what_is_set_replaces_what_was_set_there(client: httpx.Client, bus: str) -> None:
    put(client, "battery_hot", "vehicle", bus, openC=50, reopenWithinH=6)
    rule = put(client, "battery_hot", "vehicle", bus, openC=51)
    assert [item["parameters"] for item in rule["overrides"]] == [{"openC": 51}]
    assert rule["parameters"]["reopenWithinH"] == rule["defaults"]["reopenWithinH"]
    rule = put(client, "battery_hot", "vehicle", bus)
    assert rule["overrides"] == []
    assert rule["parameters"] == rule["defaults"]
    assert listed(client, f"{HOT}/overrides", bus) == []


def test_changes_are_kept_with_author_and_time(client: httpx.Client, bus: str) -> None:
    put(client, "battery_hot", "vehicle", bus, openC=50)
    put(client, "battery_hot", "vehicle", bus, openC=51, who="ben", note=None)
    put(client, "battery_hot", "vehicle", bus)
    newest, second, first = listed(client, f"{HOT}/changes", bus)
    assert (first["parameters"], first["replaced"]) == ({"openC": 50}, None)
    assert (second["parameters"], second["replaced"]) == ({"openC": 51}, {"openC": 50})
    assert (newest["parameters"], newest["replaced"]) == ({}, {"openC": 51})
    assert (first["changedBy"], first["note"]) == (ANNA["who"], ANNA["note"])
    assert (second["changedBy"], second["note"]) == ("ben", None)
    assert {item["scope"] for item in (newest, second, first)} == {"vehicle"}
    at = datetime.fromisoformat(newest["changedAt"])
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)


def test_nothing_is_kept_when_nothing_changes(client: httpx.Client, bus: str) -> None:
    put(client, "battery_hot", "vehicle", bus)
    assert changes(client, "battery_hot", bus) == []
    first = put(client, "battery_hot", "vehicle", bus, openC=50)
    assert put(client, "battery_hot", "vehicle", bus, openC=50.0, who="ben") == first
    assert changes(client, "battery_hot", bus) == [({"openC": 50}, None)]


def test_a_curve_is_set_as_a_whole(client: httpx.Client, bus: str) -> None:
    curve = [[2.3, 0.7], [11, 0.9]]
    for _ in range(2):
        rule = put(client, "efficiency_low", "vehicle", bus, expected=curve)
        assert rule["parameters"]["expected"] == curve
    assert changes(client, "efficiency_low", bus) == [({"expected": curve}, None)]
    answer = attempt(client, "efficiency_low", "vehicle", bus, expected=[[2.3, "low"]])
    assert answer.json()["errors"][0]["path"] == "$.parameters.expected[0][1]"
    answer = attempt(client, "efficiency_low", "vehicle", bus, expected=curve[::-1])
    assert "the powers must increase" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("parameters", "path", "told"),
    [
        ({"opnC": 50}, "$.parameters.opnC", "is not a parameter of battery_hot; choose from"),
        ({"openC": "hot"}, "$.parameters.openC", "Expected `float`, got `str`"),
        ({"openC": None}, "$.parameters.openC", "Expected `float`, got `null`"),
        ({"openC": 151}, "$.parameters.openC", "Expected `float` <= 150.0"),
        ({"openC": 10**400}, "$.parameters.openC", "out of range"),
        ({"reopenWithinH": -1}, "$.parameters.reopenWithinH", "Expected `float` >= 0.0"),
        ({"enabled": 1}, "$.parameters.enabled", "Expected `bool`, got `int`"),
        ({"openC": 40}, "$.parameters", "clearC"),
    ],
)
def test_invalid_parameters_are_named_by_their_path(
    client: httpx.Client, bus: str, parameters: dict[str, Any], path: str, told: str
) -> None:
    answer = attempt(client, "battery_hot", "vehicle", bus, **parameters)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["path"] == path
    assert told in error["detail"]
    assert changes(client, "battery_hot", bus) == []


def test_thresholds_of_a_device_must_fit_those_of_its_site(
    client: httpx.Client, uid: str, bus: str
) -> None:
    put(client, "battery_hot", "site", f"{uid}S", openC=40, clearC=38)
    answer = attempt(client, "battery_hot", "vehicle", bus, clearC=42)  # the default, openC 45
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "$.parameters"
    put(client, "battery_hot", "vehicle", bus, clearC=39)


@pytest.mark.parametrize("scope", ["fleet", "site"])
def test_a_change_must_fit_what_narrower_scopes_set(
    client: httpx.Client, uid: str, bus: str, scope: str
) -> None:
    target = f"{uid}S" if scope == "site" else None
    before = changes(client, "battery_hot", target)
    put(client, "battery_hot", "vehicle", bus, clearC=44)
    answer = attempt(client, "battery_hot", scope, target, openC=43, clearC=41)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:fleetmeter:problem:overrides-conflict"
    assert f"would contradict what is set for the vehicle {bus}" in answer.json()["detail"]
    assert f"change the vehicle {bus} first" in answer.json()["detail"]
    assert changes(client, "battery_hot", target) == before
    put(client, "battery_hot", "vehicle", bus)
    put(client, "battery_hot", scope, target, openC=43, clearC=41)


def test_thresholds_of_a_site_do_not_apply_to_devices_elsewhere(
    client: httpx.Client, uid: str, bus: str
) -> None:
    client.patch(f"/v1/vehicles/{bus}", json={"site": None})
    put(client, "battery_hot", "vehicle", bus, clearC=44)
    put(client, "battery_hot", "site", f"{uid}S", openC=43, clearC=41)  # the meter's still


def test_a_rule_of_both_kinds_is_set_for_a_vehicle_or_a_meter(
    client: httpx.Client, uid: str, bus: str
) -> None:
    client.put(f"/v1/vehicles/{bus}/meter", json={"meterId": bus})  # a meter of the same id
    put(client, "clock_skew", "vehicle", bus, enabled=False)
    assert not put(client, "clock_skew", "vehicle", bus, enabled=False)["parameters"]["enabled"]
    meter = client.get("/v1/rules/clock_skew", params={"scope": "meter", "target": bus}).json()
    assert meter["parameters"]["enabled"]
    put(client, "clock_skew", "vehicle", bus)


@pytest.mark.parametrize(
    ("kind", "scope", "target", "path"),
    [
        ("battery_hot", "meter", "M", "$.scope"),
        ("voltage_out_of_range", "vehicle", "EV", "$.scope"),
        ("site_silent", "vehicle", "EV", "$.scope"),
        ("battery_hot", "site", None, "$.target"),
        ("battery_hot", "vehicle", None, "$.target"),
        ("battery_hot", "vehicle", "EV ", "$.target"),
        ("battery_hot", "site", "two words", "$.target"),
        ("battery_hot", "vehicle", "EV\n", "$.target"),
        ("battery_hot", "fleet", "EV", "$.target"),
        ("battery_hot", "planet", None, "$.scope"),
        ("gremlins", "fleet", None, "kind"),
    ],
)
def test_an_invalid_scope_is_named(
    client: httpx.Client, kind: str, scope: str, target: str | None, path: str
) -> None:
    answer = attempt(client, kind, scope, target, enabled=False)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == path
    asked = {"scope": scope} | ({} if target is None else {"target": target})
    answer = client.get(f"/v1/rules/{kind}", params=asked)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == path.removeprefix("$.")


@pytest.mark.parametrize(
    ("kind", "scope"),
    [("battery_hot", "vehicle"), ("meter_silent", "meter"), ("soc_mismatch", "site")],
)
def test_an_unknown_target_is_404(client: httpx.Client, uid: str, kind: str, scope: str) -> None:
    for answer in (
        attempt(client, kind, scope, f"{uid}nobody", enabled=False),
        client.get(f"/v1/rules/{kind}", params={"scope": scope, "target": f"{uid}nobody"}),
    ):
        assert answer.status_code == 404
        assert answer.json()["type"] == f"urn:fleetmeter:problem:unknown-{scope}"
    put(client, kind, scope, f"{uid}nobody")  # what was set for one that is gone can be removed


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"who": ""}, "$.who"),
        ({"who": "an\tna"}, "$.who"),
        ({"note": "x" * 1001}, "$.note"),
        ({"note": "two\nlines"}, "$.note"),
        ({"parameters": []}, "$.parameters"),
        ({"kind": "battery_hot"}, "$"),
    ],
)
def test_an_invalid_body_is_named_by_its_path(
    client: httpx.Client, body: dict[str, Any], path: str
) -> None:
    whole = ANNA | {"scope": "fleet", "parameters": {}} | body
    answer = client.put(HOT, json=whole)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == path


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/rules?limit=5", "limit"),
        (f"{HOT}?deviceId=EV", "deviceId"),
        (f"{HOT}/overrides?scope=fleet", "scope"),
        (f"{HOT}/overrides?cursor=WyJ4Il0", "cursor"),
        (f"{HOT}/changes?cursor=MA", "cursor"),
        (f"{HOT}/changes?limit=0", "limit"),
    ],
)
def test_an_invalid_parameter_is_named(client: httpx.Client, path: str, named: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == named


def test_overrides_are_paged_in_the_order_of_scopes_and_targets(
    client: httpx.Client, uid: str, bus: str
) -> None:
    put(client, "battery_hot", "vehicle", bus, reopenWithinH=6)
    put(client, "battery_hot", "site", f"{uid}S", reopenWithinH=7)
    put(client, "battery_hot", "fleet", None, reopenWithinH=8)
    found: list[tuple[str, str | None]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(f"{HOT}/overrides", params={"limit": 1, **cursor}).json()
        found += [(item["scope"], item["target"]) for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert [("fleet", None), ("site", f"{uid}S"), ("vehicle", bus)] == [
        place for place in found if place[1] is None or place[1].startswith(uid)
    ]


def test_simultaneous_changes_each_replace_the_one_before(client: httpx.Client, bus: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: put(client, "battery_hot", "vehicle", bus, openC=50 + n), range(8)))
    history = changes(client, "battery_hot", bus)
    assert len(history) == 8
    assert [replaced for _, replaced in history] == [None] + [set_ for set_, _ in history[:-1]]
    (item,) = listed(client, f"{HOT}/overrides", bus)
    assert item["parameters"] == history[-1][0]


def test_the_number_of_overrides_of_a_rule_is_limited(
    client: httpx.Client, db: Db, uid: str, bus: str
) -> None:
    db.fetch(
        "insert into rule_overrides (kind, scope, target, parameters, changed_by)"
        " select 'soc_mismatch', 'vehicle', $1 || n, '{\"minimumGain\": 20}', 'test'"
        " from generate_series(1, $2) n",
        *(uid, MOST_OVERRIDES),
    )
    try:
        answer = attempt(client, "soc_mismatch", "vehicle", bus, minimumGain=25)
        assert answer.status_code == 409
        assert "remove some first" in answer.json()["detail"]
        for n in (1, 2):
            put(client, "soc_mismatch", "vehicle", f"{uid}{n}")
        put(client, "soc_mismatch", "vehicle", bus, minimumGain=25)
        put(client, "soc_mismatch", "fleet", None, minimumGain=10)  # goes with all of them
    finally:
        put(client, "soc_mismatch", "fleet", None)
        db.fetch("delete from rule_overrides where starts_with(target, $1)", uid)
