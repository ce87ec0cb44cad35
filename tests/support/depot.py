"""A small fleet with a history, for tests that look at one: the depots of the demo, with fewer."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import httpx
import msgspec

from fleetmeter_simulator.demo.depots import Fleet, fleet
from fleetmeter_simulator.demo.faults import Fault
from fleetmeter_simulator.demo.minutes import Depots
from fleetmeter_simulator.demo.readings import QUARTER, Recorder
from fleetmeter_simulator.demo.settings import settings_of

_SHARE = 0.05
_DAYS = 2


class Depot(NamedTuple):
    """What was loaded into a service."""

    fleet: Fleet
    began: datetime
    until: datetime
    """The time of the newest readings."""


def load_depot(base_url: str) -> Depot:
    """Post two days of about ten vehicles, up to now: a reading a quarter hour.

    The voltage at the first charge point is too low, so an anomaly is found within seconds.
    """
    devices = fleet(_SHARE)
    now = datetime.now(UTC)
    began = (now - timedelta(days=_DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
    depots = Depots(devices, [Fault("sag", 0, 12 * 60, 10**9, 0.14)], began, timedelta(hours=1))
    recorder = Recorder(devices, depots)
    count = len(devices.vehicles) + len(devices.meters)
    until, some = began, []
    while until + timedelta(minutes=QUARTER) <= now:
        until += timedelta(minutes=QUARTER)
        some += [each for _, each in recorder.readings(QUARTER, [until] * count)]
    with httpx.Client(base_url=base_url, timeout=60) as client:
        for setting in settings_of(devices, began, 60 * QUARTER):
            for method, path, document in setting:
                sent = client.request(method, path, content=msgspec.json.encode(document))
                assert sent.status_code == 200, sent.text
        answer = client.post(
            "/v1/ingest",
            content=msgspec.msgpack.encode(some),
            headers={"Content-Type": "application/msgpack"},
        )
    assert answer.status_code == 200, answer.text
    return Depot(devices, began, until)
