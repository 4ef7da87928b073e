"""Runs one channel of one account once: lease, work, outcome. The whole story of a run on one screen.
What a run does is `sync.mail` and `sync.records`; when runs happen is `sync.scheduler`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from core.errors import (
    Held,
    LeaseLost,
    Misconfigured,
    NeedsRelink,
    NotGranted,
    Refused,
    Throttled,
    Transient,
    TwinboxError,
)
from core.mail_settings import MailSettings
from core.metrics import LEASE_LOSSES, RUN_SECONDS, RUNS
from core.schedule import next_run
from core.types import Channel
from models.accounts import AccountRow
from models.db import table_of
from models.syncing import ChannelRow, RunRow
from sync.app import App
from sync.lease import Lease, kept_alive, take_lease
from sync.mail import run_mail
from sync.mail_quarantine import any_set_aside
from sync.mail_run import MailRun, SliceEnded
from sync.record_channels import opened_calendar, opened_contacts
from sync.record_run import RecordRun, told
from sync.records import any_refused, run_records
from sync.sources import open_mail
from sync.watches import PAUSE, keep_watches, pushed_meanwhile

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended.

    `outcome`: ok, partial (something was set aside or a folder failed), continued (the slice is over, more to do),
    throttled, held (a person must decide, `held` says what), needs_relink, not_granted (this channel alone),
    misconfigured, failed, stopped (overtaken, paused or removed).
    """

    run_id: str
    outcome: str
    counts: dict[str, int]
    error: str = ""
    advice: str = ""
    problems: tuple[str, ...] = field(default=())
    held: dict[str, Any] | None = None


# Called with the run in progress, which is at least a `sync.record_run.Progress`; tests look deeper.
Watch = Callable[[Any], None]


def _unwatched(_run: Any) -> None:
    return


def run_sync(
    app: App, account_id: str, channel: Channel, *, trigger: str = "schedule", watch: Watch = _unwatched
) -> RunReport:
    """Run a channel now. Expected failures become the outcome of the run; anything else is a bug and escapes.

    `watch` is called after each commit.

    Raises SkipRun when it is running already, NotFound when there is no such channel.
    """
    lease = take_lease(app, account_id, channel, trigger=trigger)
    began = app.clock()
    report = RunReport(lease.run_id, "failed", {}, error="the run broke off")
    retry_after: float | None = None
    runs: list[MailRun] = []
    try:
        report = _CHANNELS[channel](app, lease, watch, runs)
    except Held as error:
        report = _held(lease, error)
    except TwinboxError as error:
        outcome = next(outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind))
        report = RunReport(lease.run_id, outcome, {}, str(error), error.advice)
        retry_after = error.retry_after if isinstance(error, Transient) else None
    finally:
        app.metrics.count(RUNS, channel.value, report.outcome)
        app.metrics.observe(RUN_SECONDS, (app.clock() - began).total_seconds(), channel.value)
        _finish(app, lease, report, retry_after, runs)
    return report


# The first kind that fits. The last one: a provider row that was deleted, a record that cannot be read; told on the
# run, tried again later.
_OUTCOMES: dict[type[TwinboxError], str] = {
    LeaseLost: "stopped",
    NeedsRelink: "needs_relink",
    NotGranted: "not_granted",
    Misconfigured: "misconfigured",
    Refused: "misconfigured",
    Throttled: "throttled",
    TwinboxError: "failed",
}


def _held(lease: Lease, error: Held) -> RunReport:
    held = {"run": lease.run_id, "kind": error.kind, "text": str(error), "keys": list(error.keys)}
    advice = error.advice or (
        f"Nothing was written. `twinbox runs show {lease.run_id[:8]}` lists it; `twinbox runs confirm` does it, "
        "`twinbox runs discard` does not."
    )
    more = {"lines": error.lines, "approved": False, "discarded": False}
    return RunReport(lease.run_id, "held", {}, str(error), advice, held=held | more)


def _contacts(app: App, lease: Lease, watch: Watch, _runs: list[MailRun]) -> RunReport:
    with kept_alive(lease), opened_contacts(app, lease.account_id, lease=lease, watch=watch) as run:
        return _records(app, lease, run)


def _calendar(app: App, lease: Lease, watch: Watch, _runs: list[MailRun]) -> RunReport:
    with kept_alive(lease), opened_calendar(app, lease.account_id, lease=lease, watch=watch) as run:
        report = _records(app, lease, run)
        keep_watches(app, lease)
        return report


def _records(app: App, lease: Lease, run: RecordRun[T]) -> RunReport:
    run_records(run)
    counts = told(run.counts)
    if run.paused is not None:  # everything was read, so the next run need not wait that long
        return RunReport(lease.run_id, "throttled", counts, str(run.paused), run.paused.advice)
    with app.db.reading() as session:
        outcome = "partial" if any_refused(session, lease.account_id, lease.channel.value) else "ok"
    return RunReport(lease.run_id, outcome, counts)


def _mail(app: App, lease: Lease, watch: Watch, runs: list[MailRun]) -> RunReport:
    """Do the work. The run, once it has begun, is put into `runs`: what it counted holds however it ends."""
    with app.db.reading() as session:
        channel = session.get_one(ChannelRow, (lease.account_id, lease.channel.value))
        today = channel.bytes_used if channel.bytes_day == app.clock().date() else 0
        settings = MailSettings.read(channel.settings)
    if channel.last_success_at is None:
        app.parsers.warm()  # a first sync will need it; it starts while we connect
    ends = app.clock() + timedelta(seconds=app.settings.slice_seconds)
    source = open_mail(app, lease.account_id)
    with app.parsers.borrow() as parser:
        run = MailRun(app, lease, source, parser, settings, today, ends, watch)
        runs.append(run)
        try:
            run_mail(run, lambda: open_mail(app, lease.account_id))
            outcome = "partial" if run.problems or _has_aside(app, lease) else "ok"
        except SliceEnded:
            outcome = "continued"
        finally:
            run.source.close()
    return RunReport(lease.run_id, outcome, told(run.counts), problems=tuple(run.problems))


_CHANNELS = {Channel.MAIL: _mail, Channel.CONTACTS: _contacts, Channel.CALENDAR: _calendar}


def _has_aside(app: App, lease: Lease) -> bool:
    with app.db.reading() as session:
        return any_set_aside(session, lease.account_id)


def _finish(app: App, lease: Lease, report: RunReport, retry_after: float | None, runs: Sequence[MailRun]) -> None:
    now = app.clock()
    with app.db.transaction() as session:
        values: dict[str, object] = {
            "outcome": report.outcome,
            "finished_at": now,
            "error": report.error or "; ".join(report.problems),
            "advice": report.advice,
            "phase": "",
        }
        session.execute(update(table_of(RunRow)).where(RunRow.id == lease.run_id).values(**values))
        if not lease.release(session, **_schedule(session, lease, report, now, retry_after)):
            app.metrics.count(LEASE_LOSSES, lease.channel.value)
            return
        for run in runs:
            run.phase = ""
            run.save(session)
        if report.outcome == "needs_relink":
            _park(session, lease.account_id, report)
    log.info("run finished", run=lease.run_id, account=lease.account_id, outcome=report.outcome, **report.counts)


def _schedule(
    session: Session, lease: Lease, report: RunReport, now: datetime, retry_after: float | None
) -> dict[str, object]:
    """When the channel is due again: at once for the next slice, after its period, or after a growing wait."""
    channel = session.get_one(ChannelRow, (lease.account_id, lease.channel.value))
    values: dict[str, object] = {"last_outcome": report.outcome}
    if report.held is not None:
        values["held"] = report.held
    if report.outcome == "continued":
        return values | {"next_run_at": now}
    if report.outcome == "not_granted":
        values["granted"] = False  # until the account is linked again with that box ticked
    if report.outcome in ("needs_relink", "not_granted", "stopped"):
        return values | {"next_run_at": None}
    healthy = report.outcome in ("ok", "partial")
    failures = 0 if healthy or report.outcome in ("throttled", "held") else channel.failures + 1
    # Spread by the id, so that accounts linked together do not run together.
    jitter = int(lease.account_id[:4], 16) / 0xFFFF / 10
    due = next_run(now, timedelta(seconds=channel.period_s), failures, jitter)
    if healthy and pushed_meanwhile(session, lease):
        due = now + PAUSE
    if retry_after is not None:
        due = max(due, now + timedelta(seconds=retry_after))
    values |= {"failures": failures, "next_run_at": due if channel.auto else None}
    return values | ({"last_success_at": now} if healthy else {})


def _park(session: Session, account_id: str, report: RunReport) -> None:
    """Only the owner can mend this: no more tries until the account is linked again."""
    session.execute(
        update(AccountRow)
        .where(AccountRow.id == account_id, AccountRow.state == "linked")
        .values(state="needs_relink", reason=report.error, advice=report.advice)
    )
