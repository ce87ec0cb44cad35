"""What a charger is told to measure, once: how often, and which measurands.

It is asked first, so that nothing is set that is so already, and what it has beyond that stays.
What it does not let itself be told is logged.
"""

from collections.abc import Awaitable, Callable, Container, Iterator, Mapping
from typing import Any

import structlog

from fleetmeter.inputs.ocpp.memory import Memory
from fleetmeter.inputs.ocpp.payloads import Configuration, Status, Variables, decoded
from fleetmeter.readings.ocpp import ENERGY

Ask = Callable[[str, Any], Awaitable[bytes]]
"""Sends a call and returns the payload of its result. See OwnCalls.ask."""

_POWER, _SOC, _VOLTAGE = "Power.Active.Import", "SoC", "Voltage"
_WANTED = (
    (ENERGY, _POWER, _SOC, _VOLTAGE),
    (ENERGY, _POWER, _VOLTAGE),
    (ENERGY, _POWER, _SOC),
    (ENERGY, _POWER),
    (ENERGY,),
)
"""Lists of measurands, the best first: a charger that does not know one often refuses all, and
those of alternating current seldom know the state of charge."""

_DONE = ("Accepted", "RebootRequired")

_SAMPLED_DATA = "SampledDataCtrlr"

_log = structlog.get_logger()


async def configure_1_6(ask: Ask, memory: Memory, sample_s: int) -> None:
    """Set what a charger of 1.6 samples. Raises CallFailedError and CallError."""
    interval, measurands = "MeterValueSampleInterval", "MeterValuesSampledData"
    payload = await ask("GetConfiguration", {"key": [interval, measurands]})
    has = decoded(payload, Configuration).configurationKey or ()
    found = {each.key: each.value for each in has}
    read_only = {each.key for each in has if each.readonly}

    async def change(key: str, value: str) -> bool:
        answer = await ask("ChangeConfiguration", {"key": key, "value": value})
        return decoded(answer, Status).status in _DONE

    for key in (interval, measurands):
        await _set(key, found, sample_s if key == interval else None, memory, change, read_only)


async def configure_2_0_1(ask: Ask, memory: Memory, sample_s: int) -> None:
    """Set what a charger of 2.0.1 samples. Raises CallFailedError and CallError."""
    interval = "TxUpdatedInterval"
    lists = ("TxStartedMeasurands", "TxUpdatedMeasurands", "TxEndedMeasurands")
    names = (interval, *lists)
    asked = {"getVariableData": [_variable(name) for name in names]}
    answer = decoded(await ask("GetVariables", asked), Variables).getVariableResult or ()
    found = {
        each.variable.name: each.attributeValue
        for each in answer
        if each.variable is not None and each.attributeStatus == "Accepted"
    }

    async def change(name: str, value: str) -> bool:
        data = {"setVariableData": [_variable(name) | {"attributeValue": value}]}
        result = decoded(await ask("SetVariables", data), Variables).setVariableResult or ()
        return all(each.attributeStatus in _DONE for each in result)

    for name in names:
        await _set(name, found, sample_s if name == interval else None, memory, change)


async def _set(
    key: str,
    found: Mapping[str, str | None],
    sample_s: int | None,
    memory: Memory,
    change: Callable[[str, str], Awaitable[bool]],
    read_only: Container[str] = (),
) -> None:
    """Set an interval, or without `sample_s` a list of measurands, unless it is so already."""
    if key in memory.refused:
        return
    if key not in found:
        _refused(memory, key, "it does not know it")
        return
    wishes = [*_wishes(found[key])] if sample_s is None else [str(sample_s)]
    if not wishes or found[key] == wishes[0]:
        return
    if key in read_only:
        _refused(memory, key, f"it is read-only: {found[key]}")
        return
    for wish in wishes:
        if await change(key, wish):
            if wish != wishes[0]:
                _refused(memory, key, f"it refuses {wishes[0]}, and takes {wish}")
            return
    _refused(memory, key, f"it refuses {wishes[0]}, and stays with {found[key]}")


def _variable(name: str) -> dict[str, Any]:
    return {"component": {"name": _SAMPLED_DATA}, "variable": {"name": name}}


def _wishes(value: str | None) -> Iterator[str]:
    """Yield lists of measurands to try, the best first; none, if nothing is missing.

    Each keeps what the charger has, but for the last one.
    """
    has = [each.strip() for each in (value or "").split(",") if each.strip()]
    lists = [[each for each in wanted if each not in has] for wanted in _WANTED]
    if not lists[0]:
        return
    for number, missing in enumerate(lists):
        if missing and missing not in lists[:number]:
            yield ",".join([*has, *missing])
    if ENERGY not in has:
        yield ENERGY


def _refused(memory: Memory, key: str, why: str) -> None:
    """Log once that a charger does not measure as it should."""
    memory.refused.add(key)
    _log.warning(
        "a charger does not let itself be told what to measure",
        charge_point=memory.id,
        setting=key,
        why=why,
    )


CONFIGURE: dict[str, Callable[[Ask, Memory, int], Awaitable[None]]] = {
    "ocpp1.6": configure_1_6,
    "ocpp2.0.1": configure_2_0_1,
    "ocpp2.1": configure_2_0_1,
}
