"""Cuts the readings of requests into parts that are made ready at a time."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from fleetmeter.intake.pending_requests import Request
from fleetmeter.intake.reading_groups import GroupedPart, GroupedReadings
from fleetmeter.intake.rows import Column
from fleetmeter.readings.telemetry import Telemetry

AT_A_TIME = 2500
"""Readings that are made ready before others have their turn."""


class Part(NamedTuple):
    """Readings that are made ready at a time."""

    readings: Sequence[Telemetry] | GroupedPart
    request_ids: Column
    """Whose they are."""

    items: Column
    """Their places in their requests."""


def parts_of(requests: Sequence[Request], request_ids: Sequence[int]) -> list[Part]:
    """Return the readings of requests in parts, those that are grouped by themselves."""
    parts: list[Part] = []
    plain: list[tuple[Sequence[Telemetry], int]] = []
    for request, request_id in zip(requests, request_ids, strict=True):
        if not isinstance(request.readings, GroupedReadings):
            plain.append((request.readings, request_id))
            continue
        first = 0
        for part in request.readings.parts:
            ids, items = np.full(len(part), request_id), np.arange(first, first + len(part))
            if isinstance(part, GroupedPart):
                parts.append(Part(part, ids, items))
            else:
                parts += cut(part, ids, items)
            first += len(part)
    sizes = [len(readings) for readings, _ in plain]
    ids = np.repeat([request_id for _, request_id in plain], sizes)
    items = np.concatenate([np.arange(size) for size in sizes] or [np.arange(0)])
    return parts + cut([*chain.from_iterable(readings for readings, _ in plain)], ids, items)


def cut(readings: Sequence[Telemetry], request_ids: Column, items: Column) -> list[Part]:
    """Cut readings into parts that are made ready at a time."""
    slices = [slice(at, at + AT_A_TIME) for at in range(0, len(readings), AT_A_TIME)]
    return [Part(readings[each], request_ids[each], items[each]) for each in slices]
