"""Push channels for calendars: opens, renews and closes them at the provider, and takes the notices that come.
A notice only makes the channel due; what is to be opened or closed is decided in `core.watching`."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

import providers
from core.calendar_settings import OWN, CalendarSettings
from core.errors import LeaseLost, Transient, TwinboxError
from core.ports import Calendars, Notice, WatchOrder
from core.secret import Secret
from core.types import Channel
from core.watching import Watch, WatchPlan, plan_watches
from models.syncing import ChannelRow, RunRow, WatchRow
from sync.app import App
from sync.ids import new_id
from sync.lease import Lease
from sync.link_attempts import digest
from sync.sources import open_calendars, spec_of

HOOKS = "/hooks"  # below the public address; what follows is the name of the service that calls
PAUSE = timedelta(seconds=5)  # from a notice to the run: they come in bursts
UNANSWERED = timedelta(hours=1)  # a channel of whose opening no answer came is replaced after this
AGAIN = timedelta(minutes=30)
AGAIN_REFUSED = timedelta(hours=6)
_CHANNEL = re.compile(r"[0-9a-f]{32}")
_NOBODY = "0" * 64  # no hash: what a token is compared with that comes for no channel
_HEALTHY = ("", "ok", "partial")

log = structlog.get_logger()


# ---- opening and closing -----------------------------------------------------------------------------------


def keep_watches(app: App, lease: Lease) -> None:
    """Have the provider watch exactly the calendars that are followed, if there is a public address and the channel
    runs by itself. Whatever goes wrong is logged and tried again: periodic runs do without it. Raises LeaseLost."""
    account_id = lease.account_id
    with app.db.reading() as session:
        row = session.get_one(ChannelRow, (account_id, Channel.CALENDAR.value))
        known = _known(session, account_id)
        calendars = [one.id or OWN for one in CalendarSettings.read(row.settings).calendars] if row.auto else []
    address = _address(app, account_id)
    calendars = calendars if address else []
    plan = plan_watches(known, calendars, address, app.clock())
    if plan == WatchPlan((), ()):
        return
    try:
        with _opened(app, account_id) as provider:
            for calendar in plan.open:
                _open(app, lease, provider, calendar, address)
            with app.db.reading() as session:
                known = _known(session, account_id)
            for watch in plan_watches(known, calendars, address, app.clock()).stop:
                if _stopped(app, provider, watch):
                    with app.db.transaction() as session:
                        lease.renew(session)
                        _forget(session, watch)
    except LeaseLost:
        raise
    except TwinboxError as error:
        log.warning("push channels could not be looked after", account=account_id, reason=str(error))


def end_watches(app: App, account_id: str) -> None:
    """Close and forget all push channels of an account that is removed or does not run by itself any more. One that
    cannot be closed ends by itself within days; its notices are not known any more."""
    with app.db.reading() as session:
        known = _known(session, account_id)
    if not known:
        return
    try:
        with _opened(app, account_id) as provider:
            for watch in known:
                _stopped(app, provider, watch)
    except TwinboxError as error:
        log.warning("push channels could not be closed", account=account_id, reason=str(error))
    with app.db.transaction() as session:
        for watch in known:
            _forget(session, watch)


def _open(app: App, lease: Lease, provider: Calendars, calendar: str, address: str) -> None:
    """The row comes first: the provider's first notice may be quicker than its answer."""
    now = app.clock()
    order = WatchOrder(new_id(), Secret(secrets.token_urlsafe(32)), address)
    with app.db.transaction() as session:
        lease.renew(session)
        row = WatchRow(
            id=order.channel,
            workspace_id=lease.workspace_id,
            account_id=lease.account_id,
            calendar=calendar,
            address=address,
            token_hash=digest(order.token.reveal()),
            made_at=now,
            expires_at=now + UNANSWERED,
        )
        session.add(row)
    try:
        watched = provider.watch(calendar, order)
    except TwinboxError as error:
        wait = AGAIN if isinstance(error, Transient) else AGAIN_REFUSED
        values: dict[str, object] = {"problem": str(error), "expires_at": now + wait}
        log.warning("a push channel was not opened", account=lease.account_id, reason=str(error), advice=error.advice)
    else:
        values = {"resource": watched.resource, "expires_at": watched.expires_at}
    try:
        with app.db.transaction() as session:
            lease.renew(session)
            session.execute(update(WatchRow).where(WatchRow.id == order.channel).values(**values))
    except LeaseLost:
        if resource := values.get("resource"):
            provider.unwatch(order.channel, str(resource))  # nobody else can: only we were told its name
        raise


def _stopped(app: App, provider: Calendars, watch: Watch) -> bool:
    """Whether a channel need not be remembered: it is closed, cannot be named, or has ended."""
    if not watch.resource:
        return True
    try:
        provider.unwatch(watch.channel, watch.resource)
    except TwinboxError as error:
        log.warning("a push channel was not closed", channel=watch.channel, reason=str(error))
        return watch.expires_at <= app.clock()
    return True


@contextmanager
def _opened(app: App, account_id: str) -> Iterator[Calendars]:
    provider = (app.open_calendars or open_calendars)(app, account_id)
    try:
        yield provider
    finally:
        provider.close()


def _address(app: App, account_id: str) -> str:
    """Where the provider of an account is to call, "" for nowhere."""
    if not app.settings.public_url:
        return ""
    return f"{app.settings.public_url}{HOOKS}/{spec_of(app, account_id).oauth_provider}"


def _known(session: Session, account_id: str) -> list[Watch]:
    rows = session.scalars(select(WatchRow).where(WatchRow.account_id == account_id).order_by(WatchRow.id))
    return [
        Watch(row.id, row.calendar, row.address, row.resource, row.made_at, row.expires_at, bool(row.problem))
        for row in rows
    ]


def _forget(session: Session, watch: Watch) -> None:
    session.execute(delete(WatchRow).where(WatchRow.id == watch.channel))


# ---- notices -----------------------------------------------------------------------------------------------


def take_notice(app: App, service: str, headers: Mapping[str, str]) -> bool:
    """Take what a service sent to our public address; `headers` by lower-case name. The calendar is due soon after.

    False for anything that is not of a channel of ours with its secret: which of it was wrong is nobody's business.
    """
    notice = providers.read_notice(service, headers)
    if notice is None or not _CHANNEL.fullmatch(notice.channel):
        return False
    with app.db.reading() as session:
        row = session.get(WatchRow, notice.channel)
    known = hmac.compare_digest(digest(notice.token.reveal()) or _NOBODY, row.token_hash if row else _NOBODY)
    if row is None or not known or (row.resource and row.resource != notice.resource):
        return False
    with app.db.transaction() as session:
        _note(session, row, notice, app.clock())
    return True


def _note(session: Session, row: WatchRow, notice: Notice, now: datetime) -> None:
    mine = update(WatchRow).where(WatchRow.id == row.id)
    if not row.resource:
        session.execute(mine.values(resource=notice.resource))
    if not notice.changed:
        return
    session.execute(mine.values(pushed_at=now))
    # Never earlier than a wait after a failure, a pause the provider asked for, or what a person must decide.
    session.execute(
        update(ChannelRow)
        .where(ChannelRow.account_id == row.account_id, ChannelRow.channel == Channel.CALENDAR.value)
        .where(ChannelRow.auto.is_(True), ChannelRow.failures == 0, ChannelRow.last_outcome.in_(_HEALTHY))
        .where(ChannelRow.next_run_at > now + PAUSE)
        .values(next_run_at=now + PAUSE)
    )


def trigger_of(app: App, account_id: str, channel: Channel) -> str:
    """Why a channel that is due is due: `push` after a notice of which no run was the answer yet, else `schedule`."""
    if channel is not Channel.CALENDAR:
        return "schedule"
    with app.db.reading() as session:
        row = session.get(ChannelRow, (account_id, channel.value))
        query = select(WatchRow.id).where(WatchRow.account_id == account_id)
        if row is not None and row.last_success_at is not None:
            query = query.where(WatchRow.pushed_at >= row.last_success_at)
        pushed = session.scalar(query.where(WatchRow.pushed_at.is_not(None)).limit(1))
    return "schedule" if pushed is None else "push"


def pushed_meanwhile(session: Session, lease: Lease) -> bool:
    """Whether a notice came while the run of this lease was in progress, which may have listed before that."""
    started = session.scalar(select(RunRow.started_at).where(RunRow.id == lease.run_id))
    query = select(WatchRow.id).where(WatchRow.account_id == lease.account_id, WatchRow.pushed_at >= started)
    return lease.channel is Channel.CALENDAR and session.scalar(query.limit(1)) is not None
