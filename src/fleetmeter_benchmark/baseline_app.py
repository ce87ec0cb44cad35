"""Serves a Litestar handler that does nothing, as the service would: the baseline of singles."""

import sys
from socket import create_server

import uvicorn
from litestar import Litestar, post
from litestar.status_codes import HTTP_204_NO_CONTENT


@post("/v1/ingest", status_code=HTTP_204_NO_CONTENT)
async def empty() -> None:
    """Do nothing."""


if __name__ == "__main__":
    listener = create_server(("127.0.0.1", 0), backlog=2048)
    print(f'{{"url": "http://127.0.0.1:{listener.getsockname()[1]}"}}', file=sys.stderr, flush=True)
    app = Litestar([empty], openapi_config=None, logging_config=None)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False
    )
    uvicorn.Server(config).run(sockets=[listener])
