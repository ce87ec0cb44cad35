"""Fills a service with the demo over its API, and keeps it live."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import quote

import msgspec

from fleetmeter.errors import FleetMeterError
from fleetmeter_simulator.client.sending import Sender
from fleetmeter_simulator.client.service import Service, StoppedError
from fleetmeter_simulator.demo.readings import Reading
from fleetmeter_simulator.demo.settings import intervals_of, settings_of
from fleetmeter_simulator.demo.simulation import Simulation

HISTORY_INTERVAL_S = 900
LIVE_INTERVAL_S = 60
_BATCH = 5000
_DEVICES = 16
"""Devices whose settings are changed between two looks at whether to stop."""
_PAUSE_S = 0.2
_NOTE = "Both drivers have been told; the bays are being relabelled."

_encode = msgspec.msgpack.Encoder().encode


class Filling:
    """Talks to one service."""

    def __init__(self, url: str, key: str | None, stopped: Callable[[], bool]) -> None:
        self._sender = Sender(url, 4, _BATCH, key)
        self._service = Service(url, stopped, lambda _: None, key)
        self._stopped = stopped

    def began(self, vehicle_id: str) -> datetime | None:
        """Return when the history of the demo begins that is there, if there is one."""
        path = f"/v1/vehicles/{quote(vehicle_id, safe='')}/assignments"
        answer = self._get(path, missing={"items": []})
        since = [datetime.fromisoformat(each["since"]) for each in answer["items"]]
        return min(since, default=None)

    def newest(self, known: Iterable[str]) -> datetime | None:
        """Return the time of the newest reading of these vehicles."""
        ids, times, cursor = set(known), [], ""
        while cursor is not None:
            more = f"&cursor={quote(cursor, safe='')}" if cursor else ""
            answer = self._get(f"/v1/vehicles?limit=1000{more}")
            times += [
                datetime.fromisoformat(each["timestamp"])
                for each in answer["items"]
                if each["vehicleId"] in ids and each["timestamp"]
            ]
            cursor = answer["nextCursor"]
        return max(times, default=None)

    def describe(self, simulation: Simulation) -> None:
        """Send the settings and assignments of all devices. Raises FleetMeterError."""
        self._sender.announce(
            settings_of(simulation.fleet, simulation.midnight, HISTORY_INTERVAL_S)
        )

    def go_live(self, simulation: Simulation) -> None:
        """Say that the devices report every minute from now on. Raises StoppedError."""
        intervals = intervals_of(simulation.fleet, LIVE_INTERVAL_S)
        while some := list(islice(intervals, _DEVICES)):
            if self._stopped():
                raise StoppedError
            self._sender.announce(some)

    def send(self, some: Iterable[Sequence[Reading]]) -> None:
        """Send readings in batches. Raises FleetMeterError."""
        batch: list[Reading] = []
        for each in some:
            batch += each
            if len(batch) >= _BATCH:
                self._post(batch)
                batch = []
        if batch:
            self._post(batch)

    def acknowledge_one(self) -> None:
        """Acknowledge an anomaly, as a person would who has seen it."""
        found = self._get("/v1/anomalies?status=open&kind=dc_exceeds_ac&limit=1")["items"]
        for each in found:
            body = msgspec.json.encode({"who": "anna", "note": _NOTE})
            path = f"/v1/anomalies/{each['id']}/acknowledge"
            self._service.until_answered("POST", path, body, "application/json")

    def live(self, simulation: Simulation) -> None:
        """Send what devices read as they do, until it is stopped."""
        for due, readings in self._due(simulation):
            while not self._stopped() and datetime.now(UTC) < due:
                time.sleep(_PAUSE_S)
            if self._stopped():
                return
            self._post(readings)

    def close(self) -> None:
        """Close the connection."""
        self._service.close()

    def _due(self, simulation: Simulation) -> Iterator[tuple[datetime, list[Reading]]]:
        while True:
            # what is over goes in one request, and is as far apart as it was measured
            groups = simulation.minute()
            if groups[-1][0] + timedelta(minutes=1) < datetime.now(UTC):
                yield groups[-1][0], [each for _, some in groups for each in some]
            else:
                yield from (group for group in groups if group[1])

    def _post(self, readings: Sequence[Reading]) -> None:
        answer = self._service.until_answered(
            "POST", "/v1/ingest", _encode(readings), "application/msgpack"
        )
        if answer.status != 200:
            raise FleetMeterError(f"the service refuses readings of the demo, {answer.said}")

    def _get(self, path: str, missing: Any = None) -> Any:
        try:
            answer = self._service.once("GET", path)
        except OSError as error:
            raise FleetMeterError(f"GET {path}: no answer ({error})") from error
        if answer.status == 404 and missing is not None:
            return missing
        if answer.status != 200:
            raise FleetMeterError(f"GET {path} was refused, {answer.said}")
        return msgspec.json.decode(answer.body)
