"""The small web server of `twinbox serve` that takes what providers call us about, below the public address.
What a call means is `sync.watches`; a proxy in front of it does TLS."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import Misconfigured, TwinboxError
from sync.app import App
from sync.watches import HOOKS, take_notice

_MOST_AT_ONCE = 64
_HEAD_BYTES = 16_384
_IDLE_SECONDS = 5
log = structlog.get_logger()


def web_app(app: App) -> Starlette:
    """The routes: one, for notices. Their bodies are empty, so none is ever read."""

    async def notice(request: Request) -> Response:
        try:
            known = await run_in_threadpool(take_notice, app, request.path_params["service"], dict(request.headers))
        except TwinboxError as error:
            log.warning("a notice could not be taken", reason=str(error))
            return Response(status_code=503)  # then it comes again
        return Response(status_code=204 if known else 404)

    # A proxy may take the path of the public address off, or leave it.
    paths = dict.fromkeys((HOOKS, urlsplit(app.settings.public_url).path + HOOKS))
    return Starlette(routes=[Route(f"{path}/{{service}}", notice, methods=["POST"]) for path in paths])


@contextmanager
def receiving(app: App) -> Iterator[int]:
    """Listen where the settings say, for the length of the block; gives the port. Raises Misconfigured."""
    with _listener(app.settings.listen) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                web_app(app),
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
        thread = threading.Thread(target=server.run, args=([listener],), name="receiver", daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _listener(where: str) -> socket.socket:
    host, _, port = where.rpartition(":")
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=_family(host))
    except OSError as error:
        raise Misconfigured(
            f"cannot listen at {where}: {error.strerror or error}",
            advice="Let TWINBOX_LISTEN name an address of this machine and a free port, or unset TWINBOX_PUBLIC_URL.",
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
