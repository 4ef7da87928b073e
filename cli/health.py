"""`/healthz`, `/readyz` and `/metrics` of a running `twinbox serve`, `worker` or `scheduler`. What they tell is
`sync.readiness` and `sync.metrics`; no answer holds an id, an address or a secret."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.web_server import listening
from core.errors import TwinboxError
from core.metrics import BUILD, CONTENT_TYPE, DATABASE_UP, TURNS, Sample
from sync.app import App
from sync.metrics import database_gauges
from sync.readiness import unready

# A scheduler looks every second; with a database that hangs, one look lasts as long as its time limits.
_STUCK_SECONDS = 120
log = structlog.get_logger()


@contextmanager
def observed(app: App, *, schedules: bool) -> Iterator[int]:
    """Answer for this process at TWINBOX_METRICS_LISTEN for the length of the block; gives the port, 0 if unset.

    `schedules`: the scheduler runs in this process, so it is ill when that stands still.
    """
    if not app.settings.metrics_listen:
        yield 0
        return
    routes = health_routes(app, schedules=schedules)
    with listening(app.settings.metrics_listen, "TWINBOX_METRICS_LISTEN", routes) as port:
        log.info("metrics are served", port=port)
        yield port


def health_routes(app: App, *, schedules: bool, monotonic: Callable[[], float] = time.monotonic) -> list[Route]:
    """The three routes. They are plain functions, so each answer is made in a thread of its own."""
    stands_still = _Standstill(app, monotonic)

    def healthz(_request: Request) -> Response:
        well = not (schedules and stands_still())
        return JSONResponse({"healthy": well}, status_code=200 if well else 503)

    def readyz(_request: Request) -> Response:
        missing = unready(app)
        for name, error in missing.items():
            log.warning("not ready", check=name, reason=str(error))
        return JSONResponse({"ready": not missing, "missing": sorted(missing)}, status_code=503 if missing else 200)

    def metrics(_request: Request) -> Response:
        return Response(metrics_text(app), media_type=CONTENT_TYPE)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def metrics_text(app: App) -> str:
    """All numbers of this process, and those of the database if it answers."""
    from importlib.metadata import version

    app.metrics.set(BUILD, 1, version("twinbox"))
    try:
        gauges = database_gauges(app.db, app.clock())
    except TwinboxError:
        gauges = {DATABASE_UP: [Sample((), 0)]}
    return app.metrics.text(gauges)


class _Standstill:
    """Whether the scheduler's loop has stopped turning. By how long its mark stays the same, not by what the mark
    says: the wall clock may be set. A database that is away does not stop the loop, and a restart would not help it."""

    def __init__(self, app: App, monotonic: Callable[[], float]) -> None:
        self._app, self._monotonic = app, monotonic
        self._seen: tuple[float, float] = (-1.0, monotonic())

    def __call__(self) -> bool:
        turns, now = self._app.metrics.value(TURNS), self._monotonic()
        if turns != self._seen[0]:
            self._seen = (turns, now)
        return now - self._seen[1] > _STUCK_SECONDS
