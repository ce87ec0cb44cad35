"""Shows the progress of a simulation: one live block on a terminal, a line at times elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from time import monotonic

from rich.console import Console
from rich.live import Live
from rich.table import Table

from fleetmeter_simulator.client.sending import Tally
from fleetmeter_simulator.faults.kinds import Fault

_LINE_EVERY_S = 10.0
_MOST_FAULTS = 6
_RATE_OVER_S = 5.0

Show = Callable[[datetime, bool, Sequence[Fault]], None]
"""Receives simulated time, whether that is the present, and the current faults."""


@contextmanager
def display(tally: Tally) -> Iterator[Show]:
    """Yield the function that updates the display."""
    console = Console(stderr=True)
    rate = _Rate(tally)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:

            def show(now: datetime, present: bool, faults: Sequence[Fault]) -> None:
                live.update(_block(now, present, faults, tally, rate()), refresh=True)

            yield show
        return
    shown_at = monotonic()

    def line(now: datetime, present: bool, faults: Sequence[Fault]) -> None:
        nonlocal shown_at
        if monotonic() - shown_at >= _LINE_EVERY_S:
            shown_at = monotonic()
            waiting = f"; waiting: {tally.waiting}" if tally.waiting else ""
            console.print(
                f"{_time(now, present)}: {counts(tally)}, {rate():,.0f}/s, "
                f"{len(faults)} faults{waiting}",
                soft_wrap=True,
                highlight=False,
            )

    yield line


def counts(tally: Tally) -> str:
    """Format the tally in one line."""
    return (
        f"{tally.sent:,} readings sent, {tally.accepted:,} accepted, "
        f"{tally.duplicates:,} duplicates, {tally.rejected:,} rejected"
    )


def name_of(fault: Fault) -> str:
    """Format a fault as `--fault` takes it."""
    variant = f":{fault.variant}" if fault.variant else ""
    return f"{fault.kind}{variant}@{fault.subject.device_id}"


class _Rate:
    """Measures readings per second over the last seconds."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._points = [(monotonic(), 0)]

    def __call__(self) -> float:
        now = monotonic()
        self._points.append((now, self._tally.sent))
        while len(self._points) > 2 and self._points[1][0] < now - _RATE_OVER_S:
            del self._points[0]
        then, sent = self._points[0]
        return (self._tally.sent - sent) / max(now - then, 1e-3)


def _block(
    now: datetime, present: bool, faults: Sequence[Fault], tally: Tally, rate: float
) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("simulated", _time(now, present))
    table.add_row("sent", f"{tally.sent:,} readings, {rate:,.0f}/s")
    table.add_row("accepted", f"{tally.accepted:,}")
    table.add_row("duplicates", f"{tally.duplicates:,}")
    table.add_row("rejected", f"{tally.rejected:,}  {tally.example}".rstrip())
    more = f" and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
    shown = ", ".join(map(name_of, faults[:_MOST_FAULTS]))
    table.add_row("faults", f"{len(faults)}: {shown}{more}" if faults else "none")
    if tally.waiting:
        table.add_row("waiting", f"[yellow]{tally.waiting}, sending again")
    return table


def _time(now: datetime, present: bool) -> str:
    return f"{now:%Y-%m-%d %H:%M:%S} UTC{', live' if present else ''}"
