"""Runs `fleetmeter serve` and `fleetmeter import` for the demo, in a folder of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetmeter.errors import FleetMeterError
from fleetmeter_simulator.client.service import Service, StoppedError

_READY_S = 60.0
_STOP_S = 30.0
_STEP_S = 0.05


class OwnService:
    """Keeps a service and its database in a folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self._port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "service.log"
        # on its own database, without keys: what is set for the user's own service is not for it
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith("FLEETMETER")
        }
        self._environ = kept | {
            "FLEETMETER_DATA_DIR": str(folder),
            "FLEETMETER_PORT": str(port),
        }
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the service for the block, which begins once it is ready. Raises FleetMeterError."""
        self._check_port()
        with self.log.open("ab") as log:
            process = self._start("serve", log.fileno())
        try:
            self._wait(process)
            yield
        finally:
            process.terminate()
            process.wait(_STOP_S)

    def store(self, history: Path, stopped: Callable[[], bool], *options: str) -> None:
        """Import a history. Raises FleetMeterError; StoppedError."""
        with self.log.open("ab") as log:
            process = self._start("import", log.fileno(), *options, str(history))
        while process.poll() is None:
            time.sleep(_STEP_S)
            if stopped():
                process.terminate()
                process.wait(_STOP_S)
                raise StoppedError
        if process.returncode:
            raise FleetMeterError(f"the history was not imported; {self.log} says why")

    def _check_port(self) -> None:
        """Make sure that no other service is filled instead."""
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                raise FleetMeterError(
                    f"something else listens on port {self._port}; choose another --port, or fill "
                    f"that service: fleetmeter demo --url {self.url}"
                )

    def _start(self, command: str, log: int, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, so that Ctrl-C reaches only this process."""
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "fleetmeter", command, *arguments],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        service = Service(self.url, lambda: False, lambda _: None)
        deadline = time.monotonic() + _READY_S
        try:
            while time.monotonic() < deadline:
                if process.poll() is not None:
                    raise FleetMeterError(f"the service ended; {self.log} says why")
                try:
                    if service.once("GET", "/health/ready").status == 200:
                        return
                except OSError:
                    pass  # not listening yet
                time.sleep(_STEP_S)
        finally:
            service.close()
        raise FleetMeterError(f"the service is not ready after {_READY_S:.0f} s; see {self.log}")
