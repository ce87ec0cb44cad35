"""A TCP proxy in front of the database, to take the database away and give it back."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit


class DatabaseProxy:
    """Forwards connections to a PostgreSQL server, over TCP or a Unix socket."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket_dir = parse_qs(parts.query).get("host", [None])[0]
        self._target = (parts.hostname or "localhost", parts.port or 5432)
        credentials, at, _ = parts.netloc.rpartition("@")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"postgresql://{unquote(credentials)}{at}127.0.0.1:{self._port}{parts.path}"
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()

    def take_away(self) -> None:
        """Drop every connection and refuse new ones."""
        self._run(self._stop())

    def give_back(self) -> None:
        """Listen again."""
        self._run(self._start())

    def freeze(self) -> None:
        """Keep connections but let nothing through, as a broken network does."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def thaw(self) -> None:
        """Let everything through again."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    @contextmanager
    def running(self) -> Iterator["DatabaseProxy"]:
        """Forward for the length of the block."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self.thaw()
        self.give_back()
        try:
            yield self
        finally:
            self.take_away()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def _run(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)  # type: ignore[arg-type]

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()
        for _ in range(10):  # what was being accepted becomes a connection within a few turns
            await asyncio.sleep(0)
        await self._cut()
        await asyncio.sleep(0.05)

    async def _cut(self) -> None:
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(  # also of one that was cancelled before it began
            lambda task: writer.transport.abort() if task.cancelled() else writer.close()
        )

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if self._socket_dir is not None:
                path = f"{self._socket_dir}/.s.PGSQL.5432"
                server_reader, server_writer = await asyncio.open_unix_connection(path)
            else:
                server_reader, server_writer = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(
                    self._pump(reader, server_writer), self._pump(server_reader, writer)
                )
            except asyncio.CancelledError:
                server_writer.transport.abort()
                raise
            finally:
                server_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                await self._flowing.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()
