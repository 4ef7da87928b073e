"""Worker threads and the scheduler loop of a process, until it is told to stop.
What a job does is `sync.jobs`; when one is due `sync.scheduler`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import dramatiq
import structlog
from dramatiq.brokers.stub import StubBroker

from core.errors import TwinboxError
from core.metrics import LAST_TICK, TURNS
from sync.app import App
from sync.jobs import Wake, declare_jobs, open_broker
from sync.scheduler import finish_removals, tick

TICK_SECONDS = 1.0
POLL_MS = 200
log = structlog.get_logger()


def serve(app: App) -> None:
    """Scheduler and workers in this process."""
    with _working(app) as (broker, wake), _stopped_by_signals(app):
        _schedule(app, broker, wake)


def work(app: App) -> None:
    """Workers only; needs a broker that other processes reach."""
    with _working(app), _stopped_by_signals(app):
        app.stopping.wait()


def schedule(app: App) -> None:
    """The scheduler only."""
    broker = open_broker(app.settings)
    with _stopped_by_signals(app):
        _schedule(app, broker, declare_jobs(app, broker))
    broker.close()


@contextmanager
def _working(app: App) -> Iterator[tuple[dramatiq.Broker, Wake]]:
    broker = open_broker(app.settings)
    wake = declare_jobs(app, broker)
    worker = dramatiq.Worker(broker, worker_threads=app.settings.worker_threads, worker_timeout=POLL_MS)
    app.parsers.warm()
    worker.start()
    try:
        yield broker, wake
    finally:
        # Running slices end at their next step; what they committed stays.
        app.stopping.set()
        worker.stop()
        broker.close()


def _schedule(app: App, broker: dramatiq.Broker, wake: Wake) -> None:
    log.info("scheduler started")
    removals_looked_at = False
    while not app.stopping.is_set():
        app.metrics.count(TURNS)
        try:
            if not removals_looked_at:
                finish_removals(app)
                removals_looked_at = True
            tick(app, wake)
            app.metrics.set(LAST_TICK, app.clock().timestamp())
        except TwinboxError as error:
            # A database or broker that restarts, a full disk: a later tick finds everything still due.
            log.warning("nothing could be scheduled", reason=str(error), advice=error.advice)
        if isinstance(broker, StubBroker):
            # It keeps every failed message with its traceback for ever.
            broker.dead_letters_by_queue.clear()
        app.stopping.wait(TICK_SECONDS)


@contextmanager
def _stopped_by_signals(app: App) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        app.stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
