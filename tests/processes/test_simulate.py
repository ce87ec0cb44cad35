"""`fleetmeter simulate` against a real service: everything it generated is stored once."""

import json
import signal
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleetmeter.readings.model import EPOCH, MICROSECOND
from fleetmeter_simulator.faults.kinds import parse_wanted
from fleetmeter_simulator.fleet import Fleet
from tests.conftest import Db, Service, eventually, rfc3339
from tests.support.processes import Forked
from tests.support.proxy import DatabaseProxy

pytestmark = pytest.mark.either

HOUR = timedelta(hours=1)
FAULT = "clock_skew:behind@EV-1+1h/1h"


def simulate(folder: Path, url: str, *options: str) -> Forked:
    return Forked(["simulate", "--url", url, *options], {}, folder)


def generated(fleet: Fleet, until: datetime) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Return everything that was sent, by device and time: energy and other values."""
    rows = {}
    hour = fleet.start
    last = (until - EPOCH) // MICROSECOND
    while hour <= until:
        for arrives, _, row in fleet.arrivals(hour):
            if arrives <= last:
                rows[row[0], row[1]] = row[2:5] if len(row) == 7 else row[2:4]
        hour += HOUR
    return rows


def stored(db: Db, prefix: str) -> dict[tuple[str, int], tuple[Any, ...]]:
    queries = (
        "select vehicle_id, time, coalesce(register_mwh, energy_mwh), soc_bp, battery_temp_cdeg"
        " from vehicle_readings where starts_with(vehicle_id, $1)",
        "select meter_id, time, coalesce(register_mwh, energy_mwh), voltage_mv"
        " from meter_readings where starts_with(meter_id, $1)",
    )
    return {
        (row[0], (row[1] - EPOCH) // MICROSECOND): tuple(row)[2:]
        for query in queries
        for row in db.fetch(query, prefix)
    }


def test_what_is_stored_is_what_was_generated_once_though_the_service_went_away(
    service: Service, client: httpx.Client, db: Db, tmp_path: Path, uid: str
) -> None:
    start = (datetime.now(UTC) - 5 * HOUR).replace(minute=0, second=0, microsecond=0)
    proxy = DatabaseProxy(service.base_url)
    with proxy.running():
        url = f"http://127.0.0.1:{proxy.url.rpartition(':')[2]}"
        options: Sequence[str] = (
            *("--vehicles", "12", "--seed", "7", "--start", rfc3339(start), "--prefix", uid),
            *("--duration", "1s", "--fault", FAULT, "--truth", "truth.json", "--speed", "6000"),
        )
        running = simulate(tmp_path, url, *options)
        eventually(lambda: db.value(_COUNT, uid) > 500)
        proxy.take_away()
        time.sleep(0.6)
        proxy.give_back()
        output, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert "0 rejected" in output
    assert "had to be sent again" in output

    truth = json.loads((tmp_path / "truth.json").read_text())
    until = datetime.fromisoformat(truth["to"])
    assert truth["faults"][0]["deviceId"] == f"{uid}EV-1"
    fleet = Fleet(
        7,
        12,
        start,
        (until - start) / timedelta(days=1),
        faults=[parse_wanted(FAULT.replace("@", f"@{uid}"))],
        prefix=uid,
    )
    expected = generated(fleet, until)
    assert len(expected) > 12 * 5 * 60
    assert stored(db, uid) == expected

    vehicle = client.get(f"/v1/vehicles/{uid}EV-1").json()
    device = fleet.devices.vehicles[0]
    assert vehicle["meterId"] == device.meter_id
    assert vehicle["settings"]["site"] == f"{uid}SITE-1"
    assert vehicle["settings"]["batteryCapacityKwh"] == device.battery_capacity_kwh
    meter = client.get(f"/v1/meters/{device.meter_id}").json()
    assert meter["settings"]["ratedPowerKw"] == fleet.devices.meters[0].rated_power_kw


@pytest.mark.slow
def test_ctrl_c_stops_it_with_a_summary(service: Service, db: Db, tmp_path: Path, uid: str) -> None:
    options = ("--vehicles", "20", "--backfill", "1h", "--prefix", uid)
    running = simulate(tmp_path, service.base_url, *options)
    killer = threading.Timer(30, running.kill)
    killer.start()
    eventually(lambda: db.value(_COUNT, uid) >= 100, timeout_s=25)
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=15)
    killer.cancel()
    assert running.returncode == 0, errors
    assert output.startswith("simulated ")
    assert "readings sent" in output
    assert "Traceback" not in errors


def test_it_says_what_it_waits_for_though_it_has_handed_over_everything(
    service: Service, tmp_path: Path, uid: str
) -> None:
    log = tmp_path / "log"
    log.touch()
    running = Forked(
        [
            *("simulate", "--url", service.base_url, "--via", "mqtt", "--prefix", uid),
            *("--broker", "mqtt://127.0.0.1:1", "--vehicles", "2", "--duration", "0"),
            *("--backfill", "1h"),
        ],
        {},
        tmp_path,
        log,
        {"fleetmeter_simulator.display._LINE_EVERY_S": 0.1},
    )
    try:
        eventually(lambda: "waiting: no broker answers at 127.0.0.1" in log.read_text())
        running.terminate()
        assert running.wait(15) == 0
    finally:
        running.kill()
    assert "when it was stopped: no broker answers at 127.0.0.1" in log.read_text()


_COUNT = "select count(*) from meter_readings where starts_with(meter_id, $1)"
