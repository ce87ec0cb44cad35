"""An HTTP server that answers as a script says, whatever it is asked."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

Answered = tuple[int, dict[str, str], bytes]
"""Status, headers and body of an answer; a status of 0 closes the connection without one."""

Script = list[Answered]


class Asked(NamedTuple):
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@contextmanager
def answering(
    script: Script | Callable[[Asked], Answered], tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[Asked]]]:
    """Answer in turn, the last for ever; the server's URL, and what it has been asked so far."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(Asked(self.path, dict(self.headers), sent))
            if callable(script):
                status, headers, body = script(asked[-1])
            else:
                status, headers, body = script.pop(0) if len(script) > 1 else script[0]
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
