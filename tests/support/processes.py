"""Processes of the command `fleetmeter`, forked from one that has loaded the program already.

To load it takes longer than most tests do. Arguments, environment, folder, output, signals and exit
status are those of a process of its own.
"""

import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from multiprocessing import forkserver, get_context
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from tempfile import mkdtemp
from typing import Any
from unittest.mock import patch

_NO_MAIN = ModuleSpec("tests.__main__", None)


class Forked:
    """A process, with what tests use of subprocess.Popen."""

    def __init__(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        log: Path | None = None,
        patches: Mapping[str, Any] | None = None,
    ) -> None:
        """Start it in `folder`, with the settings of `environ` alone.

        What it writes goes to `log`, or can be had from `communicate`. `patches` are set in it.
        """
        self.args = arguments
        self._written: Path | None = None
        files = [log, log] if log else []
        if not log:
            self._written = Path(mkdtemp(prefix="fleetmeter-"))
            files = [self._written / "output", self._written / "errors"]
        self._process = _forking().Process(
            target=_run,
            args=([*arguments], environment(environ), folder, files, {**(patches or {})}),
        )
        main = sys.modules["__main__"]
        with patch.object(main, "__spec__", _NO_MAIN):  # which the process would load, too
            self._process.start()
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status once it has ended; that of a signal is negative."""
        exit_code: int | None = self._process.exitcode
        return exit_code

    def poll(self) -> int | None:
        """The exit status once it has ended."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the exit status."""
        self._process.join(timeout)
        if (status := self.returncode) is None:
            raise TimeoutExpired(self.args, timeout or 0)
        return status

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; what it wrote to its output and about errors."""
        assert self._written is not None
        self.wait(timeout)
        output, errors = ((self._written / name).read_text() for name in ("output", "errors"))
        shutil.rmtree(self._written)
        return output, errors

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fleetmeter(folder: Path, *arguments: str, **environ: str) -> CompletedProcess[str]:
    """Run the command to its end."""
    process = Forked(arguments, environ, folder)
    try:
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return CompletedProcess(arguments, process.wait(), output, errors)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process, with the settings of `environ` and no others."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FLEETMETER_")}
    return inherited | {**environ}


def _run(
    arguments: list[str],
    environ: dict[str, str],
    folder: Path,
    files: list[Path],
    patches: dict[str, Any],
) -> None:
    """Become the command, in the forked process; workers of a service are forked from that."""
    from fleetmeter.cli import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for descriptor, path in enumerate(files, 1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(file, descriptor)
        os.close(file)
    for name, value in ({"uvicorn._subprocess.spawn": get_context("fork")} | patches).items():
        patch(name, value).start()
    sys.argv = ["fleetmeter", *arguments]
    main(prog_name="fleetmeter")


@cache
def _forking() -> Any:
    """Start the process that has loaded the program, once; it ends with this one."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.support.loaded"])
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        forkserver.ensure_running()
    return context
