"""A small web server in a thread of this process, for as long as a block lasts. What it answers is the caller's
routes; TLS is left to a proxy."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from core.errors import Misconfigured

_MOST_AT_ONCE = 64
_HEAD_BYTES = 16_384
_IDLE_SECONDS = 5


@contextmanager
def listening(where: str, setting: str, routes: Sequence[BaseRoute]) -> Iterator[int]:
    """Answer these routes at `where` (HOST:PORT, port 0 for any free one); gives the port.

    Raises Misconfigured, naming the setting, when it cannot listen there.
    """
    with _listener(where, setting) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                Starlette(routes=routes),
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_MOST_AT_ONCE,
                h11_max_incomplete_event_size=_HEAD_BYTES,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_IDLE_SECONDS,
            )
        )
        thread = threading.Thread(target=server.run, args=([listener],), name="web server", daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _listener(where: str, setting: str) -> socket.socket:
    host, _, port = where.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=family)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen at {where}: {error.strerror or error}",
            advice=f"Let {setting} name an address of this machine and a free port.",
        ) from error
