"""A comparison of two versions: their databases and services, and the figures of both."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import psutil

from fleetmeter_benchmark.contenders import Contender
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.pairs import Pairs

_Each = TypeVar("_Each")
_Result = TypeVar("_Result")


class Comparison:
    """Measures the old and the new version in turn; the first one changes from pair to pair."""

    def __init__(
        self,
        contenders: Sequence[Contender],
        database: psutil.Process | None,
        options: Options,
        progress: Progress,
    ) -> None:
        self.pairs = Pairs()
        self.contenders = contenders
        self.database = database
        self.options = options
        self.progress = progress
        self._rounds: Counter[str] = Counter()

    async def in_turn(
        self, name: str, measured: Callable[[_Each], Awaitable[_Result]], both: Sequence[_Each]
    ) -> list[_Result]:
        """Measure the old and the new version, in either order."""
        self._rounds[name] += 1
        if self._rounds[name] % 2:
            return [await measured(each) for each in both]
        return [await measured(each) for each in reversed(both)][::-1]
