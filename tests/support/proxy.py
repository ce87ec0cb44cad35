"""A TCP proxy in front of the database, to take the database away and give it back."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, unquote, urlsplit

_PATIENCE_S = 0.05
"""How long a thread waits for connections before it looks whether it is to end."""


class DatabaseProxy:
    """Forwards connections to a PostgreSQL server, over TCP or a Unix socket.

    In threads: an asyncio server leaks what it is accepting while it is closed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket_dir = parse_qs(parts.query).get("host", [None])[0]
        self._target = (parts.hostname or "localhost", parts.port or 5432)
        credentials, at, _ = parts.netloc.rpartition("@")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"postgresql://{unquote(credentials)}{at}127.0.0.1:{self._port}{parts.path}"
        self._flowing = threading.Event()
        self._away = threading.Event()
        self._listening: threading.Thread | None = None
        self._connections: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        """The open ones; the lock is held while one is added, removed or shut down."""

    def take_away(self) -> None:
        """Drop every connection and refuse new ones."""
        self._away.set()
        self._drop()
        if self._listening is not None:
            self._listening.join()
            self._listening = None
        self._drop()  # what was accepted meanwhile

    def give_back(self) -> None:
        """Listen again."""
        self._away.clear()
        listener = socket.create_server(("127.0.0.1", self._port))
        self._listening = threading.Thread(target=self._listen, args=(listener,), daemon=True)
        self._listening.start()

    def freeze(self) -> None:
        """Keep connections but let nothing through, as a broken network does."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything through again."""
        self._flowing.set()

    @contextmanager
    def running(self) -> Iterator["DatabaseProxy"]:
        """Forward for the length of the block."""
        self.thaw()
        self.give_back()
        try:
            yield self
        finally:
            self.thaw()
            self.take_away()
            for connection in self._connections:
                connection.join(10)

    def _drop(self) -> None:
        with self._lock:
            for each in self._sockets:
                with suppress(OSError):  # its peer is gone already
                    each.shutdown(socket.SHUT_RDWR)

    def _listen(self, listener: socket.socket) -> None:
        with listener:
            listener.settimeout(_PATIENCE_S)
            while not self._away.is_set():
                with suppress(TimeoutError):
                    client, _ = listener.accept()
                    thread = threading.Thread(target=self._forward, args=(client,), daemon=True)
                    self._connections.append(thread)
                    with self._lock:
                        self._sockets.add(client)
                    thread.start()

    def _forward(self, client: socket.socket) -> None:
        with self._closing(client), suppress(OSError):
            server = self._connected()
            with self._lock:
                self._sockets.add(server)
            with self._closing(server):
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()

    @contextmanager
    def _closing(self, each: socket.socket) -> Iterator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(each)
                each.close()

    def _connected(self) -> socket.socket:
        if self._socket_dir is None:
            return socket.create_connection(self._target)
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(f"{self._socket_dir}/.s.PGSQL.5432")
        except OSError:
            server.close()
            raise
        return server

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                self._flowing.wait()
                target.sendall(chunk)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
