"""Shows a benchmark's progress on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fleetmeter_benchmark.options import Progress as Advance


@contextmanager
def progress_bars() -> Iterator[Advance]:
    """Show a bar per scenario, for the length of the block."""
    with Progress(
        TextColumn("{task.description:<32}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        refresh_per_second=2,  # it is drawn by the process that takes the time of answers
    ) as bars:
        tasks: dict[str, Any] = {}

        def advance(scenario: str, done: int, total: int) -> None:
            if scenario not in tasks:
                tasks[scenario] = bars.add_task(scenario, total=total)
            elif done == 0:  # the next round
                bars.reset(tasks[scenario], total=total)
            bars.update(tasks[scenario], completed=done, total=total)

        yield advance
