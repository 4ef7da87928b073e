"""Whether this process has what it needs to work: database in the layout of this version, broker. For /readyz and
`twinbox doctor`; whether it gets anywhere with that is told by `sync.metrics`."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable

from core.errors import Misconfigured, Transient, TwinboxError
from core.settings import Settings
from sync.app import App

_SECONDS = 5


def check_database(app: App) -> None:
    """Reach the database and compare its layout with that of this version. Raises Transient or Misconfigured."""
    from sync.migrate import needed

    if needed(app):
        raise Misconfigured("the database has the layout of an older version", advice="Run `twinbox migrate`.")


def check_broker(settings: Settings) -> None:
    """Sign in to the broker that the settings name, if any. Raises Transient or Misconfigured."""
    from sync.jobs import open_broker

    if not settings.broker_url:
        return
    open_broker(settings).close()  # refuses an address of an unknown kind; connects to nothing yet
    scheme = urllib.parse.urlsplit(settings.broker_url).scheme
    if scheme.startswith("amqp"):
        _ask_rabbitmq(settings.broker_url)
    else:
        _ask_redis(settings.broker_url)


def _ask_rabbitmq(url: str) -> None:
    import pika
    from pika.exceptions import AMQPError

    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = _SECONDS
    try:
        pika.BlockingConnection(parameters).close()
    except (AMQPError, OSError) as error:
        raise _unreachable(error) from None


def _ask_redis(url: str) -> None:
    from redis import Redis
    from redis.exceptions import RedisError

    try:
        with Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS) as client:
            client.ping()
    except (RedisError, OSError) as error:
        raise _unreachable(error) from None


def _unreachable(error: Exception) -> Transient:
    # The text of the driver's error may show the URL with its password.
    return Transient(
        f"the job broker cannot be used ({type(error).__name__})",
        advice="Start it, or check TWINBOX_BROKER_URL; what is due stays due.",
    )


def unready(app: App) -> dict[str, TwinboxError]:
    """What is missing, by the name of the check; empty when this process can work."""
    missing: dict[str, TwinboxError] = {}
    checks: dict[str, Callable[[], None]] = {
        "database": lambda: check_database(app),
        "broker": lambda: check_broker(app.settings),
    }
    for name, check in checks.items():
        try:
            check()
        except TwinboxError as error:
            missing[name] = error
    return missing
