"""Shows the progress of an import on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from fleetmeter.files.imports.sidecar_files import SidecarFiles
from fleetmeter.terminal import printable


@contextmanager
def progress(
    name: str, file_bytes: int, sidecar: SidecarFiles, read_bytes: Callable[[], int]
) -> Iterator[Callable[[SidecarFiles], None]]:
    """Yield a function that shows the progress by `read_bytes`, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]:>9,.0f} readings/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        refresh_per_second=4,
    ) as bars:
        if sidecar.resumed:
            note = f"{printable(name)}: resuming after line {sidecar.position.lines:,}"
            bars.console.print(note, markup=False)
        task = bars.add_task(printable(name), total=file_bytes, rate=0.0)
        began, lines = monotonic(), sidecar.position.lines

        def show(sidecar: SidecarFiles) -> None:
            rate = (sidecar.position.lines - lines) / max(monotonic() - began, 1e-3)
            bars.update(task, completed=read_bytes(), rate=rate)

        yield show
