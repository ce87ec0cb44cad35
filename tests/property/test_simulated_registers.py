"""The energy of a simulated fleet's registers is what they really counted.

Whatever they show of it: steps of a half or a whole kilowatt-hour, flutter, dips, placeholders,
counters that begin again with each charge, and exchanges that are stated hours later.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from fleetmeter.readings.model import kwh, time_of
from fleetmeter_simulator.client.msgpack import CONTENT_TYPE, body
from fleetmeter_simulator.client.service import Service as Connection
from fleetmeter_simulator.client.setup import exchange_of, settings_of
from fleetmeter_simulator.devices.profiles import bays
from fleetmeter_simulator.devices.register_profiles import RegisterProfile
from fleetmeter_simulator.fleet import Fleet
from tests.conftest import Service, rfc3339
from tests.support.fleet_registers import told

SEED, VEHICLES, DAYS = 238, 14, 4
"""Seven registers, and of each kind one is among them."""


def profiles(prefix: str) -> Iterator[tuple[str, RegisterProfile]]:
    """Return the profiles of the fleet's registers, by device."""
    for bay in bays(SEED, VEHICLES, prefix, winter=True):
        if bay.meter.sends_register:
            yield bay.meter.meter_id, bay.meter.register
        for vehicle in bay.vehicles:
            if vehicle.sends_register:
                yield vehicle.vehicle_id, vehicle.register


def test_the_fleet_has_registers_of_every_kind() -> None:
    found = [profile for _, profile in profiles("")]
    assert {each.step_mwh for each in found} >= {1, 500_000, 1_000_000}
    assert any(each.placeholders for each in found)
    assert any(each.of_sessions and each.names_sessions for each in found)
    assert any(each.exchanged_at and each.exchange_is_stated for each in found)


@pytest.mark.slow
def test_energy_is_what_registers_counted(service: Service, client: httpx.Client, uid: str) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=DAYS + 1)
    fleet = Fleet(SEED, VEHICLES, start, DAYS, season="winter", prefix=uid)
    registers, arrivals = told(fleet, DAYS * 24)
    assert registers.keys() == dict(profiles(uid)).keys()

    connection = Connection(service.base_url, lambda: False, lambda _: None)
    for device in settings_of(fleet.devices):
        for setting in device:
            connection.put_json(*setting)
    waiting = sorted((each.stated_us, each) for each in fleet.exchanges if each.stated_us)
    assert waiting
    for at in range(0, len(arrivals), 5000):
        batch = arrivals[at : at + 5000]
        answer = connection.once("POST", "/v1/ingest", body(batch), CONTENT_TYPE)
        assert answer.status == 200, answer.said
        while waiting and waiting[0][0] <= batch[-1][0]:
            connection.put_json(*exchange_of(waiting.pop(0)[1]))
    connection.close()
    assert not waiting

    vehicles = {each.vehicle_id for each in fleet.devices.vehicles}
    for device_id, register in registers.items():
        first, last = (time_of(register.counted[at].time_us) for at in (0, -1))
        kind, field = "meters", "totalEnergyConsumedAc"
        if device_id in vehicles:
            kind, field = "performance", "totalEnergyDeliveredDc"
        window = {"from": rfc3339(first), "to": rfc3339(last)}
        answered = client.get(f"/v1/analytics/{kind}/{device_id}", params=window).json()
        off = abs(answered[field] - kwh(register.truth_mwh))
        assert off <= kwh(register.allowed_mwh) + 1e-6, (device_id, answered, register.truth_mwh)
        assert register.truth_mwh > 0
