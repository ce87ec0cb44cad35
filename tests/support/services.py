"""Run the application in the process of the tests, where they can patch it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from fleetmeter import app
from fleetmeter.settings import Settings
from tests.conftest import eventually


@contextmanager
def served(url: str, around: Callable[[Any], Any] = lambda made: made) -> Iterator[str]:
    """Serve the application, with something around it, from a thread of this process; its URL."""
    config = uvicorn.Config(around(app.create_app(url, Settings())), port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
