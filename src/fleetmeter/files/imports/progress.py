"""Shows the progress of an import on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from fleetmeter.files.imports.sidecar_files import Ledger


@contextmanager
def progress(
    name: str, file_bytes: int, ledger: Ledger, read_bytes: Callable[[], int]
) -> Iterator[Callable[[Ledger], None]]:
    """Yield a function that shows the progress by `read_bytes`, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]:>9,.0f} readings/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        refresh_per_second=4,
    ) as bars:
        if ledger.resumed:
            bars.console.print(f"{name}: resuming after line {ledger.position.lines:,}")
        task = bars.add_task(name, total=file_bytes, rate=0.0)
        began, lines = monotonic(), ledger.position.lines

        def show(ledger: Ledger) -> None:
            rate = (ledger.position.lines - lines) / max(monotonic() - began, 1e-3)
            bars.update(task, completed=read_bytes(), rate=rate)

        yield show
