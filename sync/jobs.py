"""The job that brokers carry: it holds ids only, may arrive twice or never, and is one call into a use case.
When it is sent is decided by `sync.scheduler`; there is no retry here, the schedule in the database is the only one."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import UTC, datetime

import dramatiq
import structlog
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import BrokerConnectionError

from core.errors import Misconfigured, Transient, TwinboxError
from core.metrics import BROKEN_OFF, QUEUE_AGE, WAKEUPS
from core.settings import Settings
from core.types import Channel
from sync.app import App
from sync.run import run_sync
from sync.watches import trigger_of

QUEUE = "sync"
_FRAMES = 20
log = structlog.get_logger()

Wake = Callable[[str, Channel], None]


def open_broker(settings: Settings) -> dramatiq.Broker:
    """The broker the settings name: in-process, RabbitMQ or Redis. Raises Misconfigured.

    No middleware of its own: attempts, delays and time limits are rows and slices, never the broker's.
    """
    url = settings.broker_url
    if not url:
        return StubBroker(middleware=[])
    try:
        if url.startswith(("amqp://", "amqps://")):
            from dramatiq.brokers.rabbitmq import RabbitmqBroker

            return RabbitmqBroker(url=url, middleware=[], confirm_delivery=True)
        if url.startswith(("redis://", "rediss://")):
            from dramatiq.brokers.redis import RedisBroker

            return RedisBroker(url=url, middleware=[])  # type: ignore[no-untyped-call]  # its __init__ lacks hints
    except ValueError:
        pass  # its text would show the URL, which may hold a password
    raise Misconfigured(
        "TWINBOX_BROKER_URL names no broker that is known",
        advice="Write it as amqp://user:password@host/ or redis://host/, or leave it empty.",
    )


def declare_jobs(app: App, broker: dramatiq.Broker) -> Wake:
    """Declare the actors on a broker; gives the function that sends a wake-up.

    That one raises Transient when the broker is not reachable.
    """
    unreachable = _unreachable(broker)
    broker.add_middleware(_Ages(app))

    @dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sync_channel")
    def sync_channel(account_id: str, channel: str) -> None:
        if sync_now(app, account_id, channel) == "continued" and not app.stopping.is_set():
            # The next slice goes to the end of the queue, so that a giant mailbox starves nobody.
            sync_channel.send(account_id, channel)

    def wake(account_id: str, channel: Channel) -> None:
        try:
            sync_channel.send(account_id, channel.value)
            app.metrics.count(WAKEUPS, channel.value)
        except unreachable as error:
            # The text of the driver's error may show the URL with its password.
            raise Transient(
                f"the job broker cannot be reached ({type(error).__name__})",
                advice="Start it, or check TWINBOX_BROKER_URL; what is due stays due.",
            ) from None

    return wake


class _Ages(dramatiq.Middleware):
    """Measures how long messages lie in the queue. By the wall clocks of two machines, so it is good to a second."""

    def __init__(self, app: App) -> None:
        self._app = app

    def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        """Called by a worker's thread with the message it took."""
        del broker
        sent = datetime.fromtimestamp(message.message_timestamp / 1000, UTC)
        self._app.metrics.observe(QUEUE_AGE, (self._app.clock() - sent).total_seconds())


def _unreachable(broker: dramatiq.Broker) -> tuple[type[Exception], ...]:
    """What sending raises when a broker is down. The Redis one lets its driver's errors through."""
    if isinstance(broker, StubBroker):
        return ()
    from redis.exceptions import RedisError

    return (BrokerConnectionError, RedisError)


def sync_now(app: App, account_id: str, channel: str) -> str:
    """Run one slice and tell its outcome; never raises: a message that fails must not come back by itself."""
    try:
        trigger = trigger_of(app, account_id, Channel(channel))
        return run_sync(app, account_id, Channel(channel), trigger=trigger).outcome
    except TwinboxError as error:
        # Running elsewhere, paused, removed, relink needed: the row says so, and who is to act.
        log.info("no run", account=account_id, channel=channel, reason=str(error))
    except Exception as error:  # noqa: BLE001  # a bug in one run must not end the worker
        app.metrics.count(BROKEN_OFF, channel)
        told = {"error": type(error).__name__, "at": _place(error)}
        log.error("a run broke off", account=account_id, channel=channel, **told)  # noqa: TRY400  # would add the text
    return "failed"


def _place(error: Exception) -> list[str]:
    """The way to a bug, the innermost call last. No messages and no source lines: they may quote mail."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-_FRAMES:]]
