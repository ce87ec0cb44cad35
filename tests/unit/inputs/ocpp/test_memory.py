"""What is remembered of a charge point is bounded, whatever it sends."""

import asyncio
from typing import Any, cast

import pytest

from fleetmeter.devices.transactions import Transaction
from fleetmeter.inputs.ocpp import memory as memories
from fleetmeter.inputs.ocpp.memory import Memory
from fleetmeter.inputs.ocpp.payloads import BootNotification, Charger
from fleetmeter.inputs.ocpp.transactions import Records, transaction_of


def test_what_cannot_be_the_name_of_a_transaction_is_not_remembered() -> None:
    memory = Memory("CP-1")
    nobody = cast(Records, None)  # is not asked
    for called in ("x" * 65, "a\nb", {"id": "x" * 100}):
        assert asyncio.run(transaction_of(nobody, memory, called, None)) is None
        assert memory.transaction(str(called)) == (False, None)


def test_outlets_without_end_are_forgotten() -> None:
    memory = Memory("CP-1")
    for connector in range(10_000):
        memory.make_room(connector)
        memory.counted[connector] = memory.open[connector] = "T"
        assert memory.counted[connector] == "T"
    assert len(memory.counted) <= 1000
    assert len(memory.open) <= 1000


def test_of_what_a_charger_is_only_the_beginning_is_kept() -> None:
    long = BootNotification(chargePointVendor="v" * 1000, chargingStation={"model": ["m"] * 1000})
    assert long.charger == Charger("v" * 64, None, None)
    station = {"vendorName": "V", "model": "M" * 1000, "firmwareVersion": 2.5}
    assert BootNotification(chargingStation=station).charger == Charger("V", "M" * 64, "2.5")


def test_direct_current_that_is_nobodys_is_soon_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its token may be told meanwhile."""
    now_s = 0.0
    monkeypatch.setattr(memories, "monotonic", lambda: now_s)
    memory = Memory("CP-1")
    fields: dict[str, Any] = dict.fromkeys(Transaction.__struct_fields__)
    nobodys = Transaction(**fields | {"measures": "dc"})
    of_somebody = Transaction(**fields | {"measures": "dc", "vehicle_id": "EV-1"})
    memory.keep("1", nobodys)
    memory.keep("2", of_somebody)
    assert memory.transaction("1") == (True, nobodys)
    now_s = 10.0
    assert memory.transaction("1") == (False, None)
    assert memory.transaction("2") == (True, of_somebody)


def test_transactions_are_looked_up_again_after_a_charger_was_elsewhere() -> None:
    known = memories.Memories()
    known.connected("CP-1")
    memory = known.of("CP-1")
    fields: dict[str, Any] = dict.fromkeys(Transaction.__struct_fields__)
    memory.keep_open(1, Transaction(**fields | {"transaction_id": "7"}))
    known.connected("CP-1")
    assert known.of("CP-1") is memory
    assert (memory.open, memory.transaction("7")) == ({}, (False, None))
