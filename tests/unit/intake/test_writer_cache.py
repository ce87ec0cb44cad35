"""Writers' cache of devices: it grows, and a change of assignments outdates it."""

from datetime import timedelta
from typing import Any

import numpy as np

from fleetmeter.intake.rows import NULL
from fleetmeter.intake.writer_cache import INTERVAL, NEVER, NOTHING, REGISTER, WriterCache
from fleetmeter.readings.model import EPOCH

HOUR_US = 3_600_000_000


def devices(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def row(device: int, **fields: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(
        (
            *("time", "energy_at", "register_mwh", "highest_mwh", "limit_mwh", "since", "meter"),
            *("reverse_at", "reverse_highest_mwh", "reverse_limit_mwh"),
        ),
        None,
    )
    known = {"device": device, "interval_ms": 60_000, "is_session": False, "derivation": 0}
    return nothing | known | fields


def cache_of(*rows: dict[str, Any], version: int = 1) -> WriterCache:
    cache = WriterCache()
    cache.make_room(max(row["device"] for row in rows))
    cache.at_version(version)
    cache.learn(rows, version)
    return cache


def test_what_was_read_is_known_also_that_there_is_nothing() -> None:
    hour = timedelta(hours=1)
    cache = cache_of(
        row(1),
        row(2, time=EPOCH + hour, energy_at=EPOCH),
        row(
            3,
            time=EPOCH + hour,
            energy_at=EPOCH + hour,
            register_mwh=7,
            highest_mwh=8,
            limit_mwh=100,
            derivation=2,
        ),
        row(4, since=EPOCH + hour, meter=9, interval_ms=900_000),
    )
    assert cache.unknown(devices(1, 2, 3, 4)).size == 0
    assert cache.energy[1:5].tolist() == [NOTHING, INTERVAL, REGISTER, NOTHING]
    assert cache.time[1:4].tolist() == [NEVER, HOUR_US, HOUR_US]
    assert cache.energy_time[1:4].tolist() == [NEVER, 0, HOUR_US]
    assert (cache.highest_mwh[3], cache.limit_mwh[3], cache.derivation[3]) == (8, 100, 2)
    assert (cache.since[4], cache.meter[4]) == (HOUR_US, 9)
    assert cache.interval_ms[[1, 4]].tolist() == [60_000, 900_000]
    assert (cache.since[1], cache.meter[1]) == (NEVER, 0)


def test_devices_are_unknown_until_they_are_learned_and_when_they_are_forgotten() -> None:
    cache = cache_of(row(1), row(2))
    cache.make_room(5000)
    assert cache.unknown(devices(1, 2, 5000)).tolist() == [5000]
    cache.forget(devices(2))
    assert cache.unknown(devices(1, 2)).tolist() == [2]


def test_another_version_outdates_all_assignments_and_pairs() -> None:
    cache = cache_of(row(1), row(2))
    cache.paired[devices(1)] = 7
    cache.at_version(1)
    assert cache.unknown(devices(1, 2)).size == 0
    assert cache.paired[1] == 7
    cache.at_version(2)
    assert cache.unknown(devices(1, 2)).tolist() == [1, 2]
    assert cache.paired[1] == 0
    cache.learn([row(1)], 1)  # what was read before somebody changed it again
    assert cache.unknown(devices(1)).tolist() == [1]


def test_what_was_stored_is_the_newest() -> None:
    cache = cache_of(row(1), row(2))
    cache.advance(devices(1, 2), devices(7, 6))
    cache.advance_energy(devices(1, 2), devices(5, 6), devices(NULL, 100))
    assert cache.time[1:3].tolist() == [7, 6]
    assert cache.energy_time[1:3].tolist() == [5, 6]
    assert cache.energy[1:3].tolist() == [INTERVAL, REGISTER]
    assert cache.highest_mwh[1:3].tolist() == [NULL, 100]


def test_what_few_devices_have_takes_no_room_until_one_has_it() -> None:
    cache = cache_of(row(1), row(2))
    assert cache.limit_mwh.strides == cache.reverse_time.strides == (0,)
    assert cache.limit_mwh[devices(1, 2)].tolist() == [NULL, NULL]
    cache.learn([row(2, limit_mwh=5)], 1)
    cache.advance_reverse(devices(1), devices(7), devices(8))
    cache.make_room(5000)
    assert cache.limit_mwh[devices(1, 2, 5000)].tolist() == [NULL, 5, NULL]
    assert cache.reverse_time[devices(1, 2, 5000)].tolist() == [7, NEVER, NEVER]
    assert cache.reverse_highest_mwh[devices(1, 2, 5000)].tolist() == [8, NULL, NULL]
    assert cache.reverse_limit_mwh.strides == (0,)
