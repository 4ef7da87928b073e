"""The job that brokers carry: it holds ids only, may arrive twice or never, and is one call into a use case.
When it is sent is decided by `sync.scheduler`; there is no retry here, the schedule in the database is the only one."""

from __future__ import annotations

from collections.abc import Callable

import dramatiq
import structlog
from dramatiq.brokers.stub import StubBroker

from core.errors import Misconfigured, TwinboxError
from core.settings import Settings
from core.types import Channel
from sync.app import App
from sync.run import run_sync

QUEUE = "sync"
log = structlog.get_logger()

Wake = Callable[[str, Channel], None]


def open_broker(settings: Settings) -> dramatiq.Broker:
    """The broker the settings name: in-process, RabbitMQ or Redis. Raises Misconfigured.

    No middleware: attempts, delays and time limits are rows and slices, never the broker's.
    """
    url = settings.broker_url
    if not url:
        return StubBroker(middleware=[])
    if url.startswith(("amqp://", "amqps://")):
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        return RabbitmqBroker(url=url, middleware=[], confirm_delivery=True)
    if url.startswith(("redis://", "rediss://")):
        from dramatiq.brokers.redis import RedisBroker

        return RedisBroker(url=url, middleware=[])  # type: ignore[no-untyped-call]  # its __init__ lacks hints
    raise Misconfigured(
        "TWINBOX_BROKER_URL names no broker that is known",
        advice="Write it as amqp://user:password@host/ or redis://host/, or leave it empty.",
    )


def declare_jobs(app: App, broker: dramatiq.Broker) -> Wake:
    """Declare the actors on a broker; gives the function that sends a wake-up."""

    @dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sync_channel")
    def sync_channel(account_id: str, channel: str) -> None:
        if sync_now(app, account_id, channel) == "continued" and not app.stopping.is_set():
            # The next slice goes to the end of the queue, so that a giant mailbox starves nobody.
            sync_channel.send(account_id, channel)

    def wake(account_id: str, channel: Channel) -> None:
        sync_channel.send(account_id, channel.value)

    return wake


def sync_now(app: App, account_id: str, channel: str) -> str:
    """Run one slice and tell its outcome; never raises: a message that fails must not come back by itself."""
    try:
        return run_sync(app, account_id, Channel(channel)).outcome
    except TwinboxError as error:
        # Running elsewhere, paused, removed, relink needed: the row says so, and who is to act.
        log.info("no run", account=account_id, channel=channel, reason=str(error))
    except Exception as error:
        # The type and place only: the message of an unknown error may quote mail.
        log.error("a run broke off", account=account_id, channel=channel, error=type(error).__name__, exc_info=True)
    return "failed"
