"""Takes what providers call us about, below the public address of `twinbox serve`; a proxy in front does TLS.
What a call means is `sync.watches`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli.web_server import listening
from core.errors import TwinboxError
from sync.app import App
from sync.watches import HOOKS, take_notice

log = structlog.get_logger()


def receiving(app: App) -> AbstractContextManager[int]:
    """Take notices where the settings say, for the length of the block; gives the port. Raises Misconfigured."""
    return listening(app.settings.listen, "TWINBOX_LISTEN", _routes(app))


def _routes(app: App) -> list[Route]:
    """One route, for notices. Their bodies are empty, so none is ever read."""

    async def notice(request: Request) -> Response:
        try:
            known = await run_in_threadpool(take_notice, app, request.path_params["service"], dict(request.headers))
        except TwinboxError as error:
            log.warning("a notice could not be taken", reason=str(error))
            return Response(status_code=503)  # then it comes again
        return Response(status_code=204 if known else 404)

    # A proxy may take the path of the public address off, or leave it.
    paths = dict.fromkeys((HOOKS, urlsplit(app.settings.public_url).path + HOOKS))
    return [Route(f"{path}/{{service}}", notice, methods=["POST"]) for path in paths]
