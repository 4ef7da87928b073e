"""Looks an installation over and tells what is wrong and what to do. Nothing is made, upgraded or mended here.
Each check stands for itself, so that one failure does not hide the next."""

from __future__ import annotations

import enum
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text

from core.errors import Misconfigured, TwinboxError
from core.settings import Settings
from models.health_queries import account_states, channel_states, due, ending_grants, stale_channels
from models.syncing import RunRow
from sync.app import App, build_app
from sync.keys import keys_path
from sync.readiness import check_broker, check_database
from sync.vault import key_usage, sealed_and_unopened

# Free space: below the first, runs fail soon; below the second it is time to look.
_DISK_PROBLEM, _DISK_WARNING = 200_000_000, 2_000_000_000
# Leases of all machines are told by their own clocks.
_CLOCK_WARNING, _CLOCK_PROBLEM = timedelta(seconds=5), timedelta(seconds=30)
_GRANT_WARNING = timedelta(days=7)


class Level(enum.StrEnum):
    """How bad a finding is. A warning is for a person to look at; a problem keeps Twinbox from its work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `advice` says what to do about it."""

    check: str
    level: Level
    text: str
    advice: str = ""


def examine(settings: Settings, *, build: Callable[[Settings], App] = build_app) -> Iterator[Finding]:
    """All findings, in the order in which they should be mended."""
    folder = _data_folder(settings)
    yield folder
    yield _free_disk(settings)
    yield _told("broker", lambda: check_broker(settings), _broker_text(settings))
    missing = _not_made_yet(settings)
    if missing is not None or folder.level is Level.PROBLEM:
        if missing is not None:
            yield missing
        return
    try:
        app = build(settings)
    except TwinboxError as error:
        yield _failed("start", error)
        return
    try:
        yield from _of_database(app)
    finally:
        app.close()


def _of_database(app: App) -> Iterator[Finding]:
    database = _told("database", lambda: check_database(app), "reachable, in the layout of this version")
    yield database
    if database.level is Level.PROBLEM:
        return
    for name, check in (
        ("integrity", _integrity),
        ("keys", _keys),
        ("clock", _clock),
        ("schedule", _schedule),
        ("freshness", _freshness),
    ):
        try:
            yield check(app)
        except TwinboxError as error:
            yield _failed(name, error)
    yield from _accounts(app)


def _told(check: str, act: Callable[[], None], text: str) -> Finding:
    try:
        act()
    except TwinboxError as error:
        return _failed(check, error)
    return Finding(check, Level.OK, text)


def _failed(check: str, error: TwinboxError) -> Finding:
    return Finding(check, Level.PROBLEM, str(error), error.advice)


def _broker_text(settings: Settings) -> str:
    return "reachable" if settings.broker_url else "in-process: `twinbox serve` needs no other"


# ---- before the database is opened -----------------------------------------------------------------------


def _data_folder(settings: Settings) -> Finding:
    path = settings.data_dir
    if not path.is_dir():
        needed = not (settings.database_url and settings.keys)
        advice = "Run `twinbox init`." if needed else ""
        return Finding("data folder", Level.PROBLEM if needed else Level.OK, f"{path} does not exist", advice)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            "data folder", Level.PROBLEM, f"{path} cannot be read and written by this user", "Check its owner."
        )
    if path.stat().st_mode & 0o077:
        return Finding("data folder", Level.WARNING, f"{path} is open to other users", f"Run `chmod 700 {path}`.")
    return Finding("data folder", Level.OK, str(path))


def _free_disk(settings: Settings) -> Finding:
    if settings.database_url or not settings.data_dir.is_dir():
        return Finding("disk", Level.OK, "nothing is stored here")
    free = shutil.disk_usage(settings.data_dir).free
    level = Level.PROBLEM if free < _DISK_PROBLEM else Level.WARNING if free < _DISK_WARNING else Level.OK
    advice = "" if level is Level.OK else "Free space; nothing is lost meanwhile, but nothing is stored either."
    return Finding("disk", level, f"{free // 1_000_000} MB are free", advice)


def _not_made_yet(settings: Settings) -> Finding | None:
    """What building the app would create: a check must not."""
    if not settings.keys and not keys_path(settings).exists():
        return Finding(
            "keys", Level.PROBLEM, "there is no key ring", "Run `twinbox init`, or restore keys.txt from your backup."
        )
    if not settings.database_url and not (settings.data_dir / "twinbox.db").exists():
        return Finding("database", Level.PROBLEM, "there is no database yet", "Run `twinbox init`.")
    return None


# ---- in the database -------------------------------------------------------------------------------------


def _integrity(app: App) -> Finding:
    if app.db.engine.dialect.name != "sqlite":
        return Finding("integrity", Level.OK, "left to the database server")
    with app.db.reading() as session:
        said = session.scalars(text("PRAGMA quick_check(3)")).all()
        orphan = session.execute(text("PRAGMA foreign_key_check")).first()
    if said != ["ok"]:
        raise Misconfigured(f"the database file is damaged: {said[0]}", advice="Restore a backup: `twinbox restore`.")
    if orphan is not None:
        raise Misconfigured(f"rows of {orphan[0]} belong to nothing", advice="Please report this.")
    return Finding("integrity", Level.OK, "the database file is whole")


def _keys(app: App) -> Finding:
    sealed, unopened = sealed_and_unopened(app.db, app.vault)
    if unopened:
        named = ", ".join(f"{count} with {key}" for key, count in sorted(unopened.items()))
        raise Misconfigured(
            f"{sum(unopened.values())} of {sealed} stored secrets do not open ({named})",
            advice="Put the missing key back behind the first one, or restore database and keys of one backup.",
        )
    old = sealed - key_usage(app.db).get(app.vault.sealing_key, 0)
    if old:
        return Finding("keys", Level.OK, f"all {sealed} stored secrets open, {old} still with an older key")
    return Finding("keys", Level.OK, f"all {sealed} stored secrets open")


def _clock(app: App) -> Finding:
    with app.db.reading() as session:
        other = session.scalar(select(func.max(RunRow.started_at)))
        name = "the latest run"
        if app.db.engine.dialect.name == "postgresql":
            other, name = session.scalar(text("SELECT clock_timestamp()")), "the database server"
    now = app.clock()
    apart = _apart(now, other, both_ways=name != "the latest run")
    level = Level.PROBLEM if apart > _CLOCK_PROBLEM else Level.WARNING if apart > _CLOCK_WARNING else Level.OK
    if level is Level.OK:
        return Finding("clock", level, f"{now:%Y-%m-%d %H:%M:%S} UTC")
    said = f"this machine's clock is {apart.total_seconds():.0f} s {'behind' if other and other > now else 'ahead of'}"
    return Finding("clock", level, f"{said} {name}", "Let the machines keep time by NTP: leases depend on it.")


def _apart(now: datetime, other: datetime | None, *, both_ways: bool) -> timedelta:
    if other is None:
        return timedelta()
    return abs(other - now) if both_ways else max(timedelta(), other - now)


def _schedule(app: App) -> Finding:
    with app.db.reading() as session:
        number, lag = due(session, app.clock())
    # A claim moves the time on by two leases, so what is older than that was seen by no scheduler.
    if lag > 2 * app.settings.lease_seconds:
        raise Misconfigured(
            f"{number} channels are due, the first since {lag / 60:.0f} minutes: no scheduler is at work",
            advice="Start `twinbox serve` or `twinbox scheduler`, and look at its log.",
        )
    said = f"{number} due, the first since {lag:.0f} s" if number else "nothing is due"
    return Finding("schedule", Level.OK, said)


def _freshness(app: App) -> Finding:
    with app.db.reading() as session:
        stale = {channel: count for channel, count in stale_channels(session, app.clock()).items() if count}
    if not stale:
        return Finding("freshness", Level.OK, "every channel had a success within three periods")
    named = ", ".join(f"{channel}: {count}" for channel, count in stale.items())
    return Finding(
        "freshness",
        Level.WARNING,
        f"channels without success for three periods ({named})",
        "See `twinbox runs list`: it says why; if there are no new runs, look whether workers run.",
    )


# What a person has to do for an account or channel that waits. `paused` is somebody's wish, and no finding.
_PARKED = {
    "needs_relink": ("accounts must be linked again by their owners", "`twinbox status` names them and says why."),
    "removing": (
        "accounts are being removed",
        "If it stays so, restart the scheduler: it goes on with what was interrupted.",
    ),
    "misconfigured": ("channels wait for an administrator", "`twinbox runs list` says what is wrong."),
    "held": ("channels wait for a person to decide", "`twinbox status` names them; see `twinbox runs confirm`."),
    "not_granted": ("channels lack their permission", "Their owners link again and tick the box, or leave it so."),
}


def _accounts(app: App) -> Iterator[Finding]:
    with app.db.reading() as session:
        accounts = account_states(session)
        channels = channel_states(session)
        ending = ending_grants(session, app.clock() + _GRANT_WARNING)
    counts = {name: accounts.get(name, 0) for name in ("needs_relink", "removing")}
    for (_, state), number in channels.items():
        if state in _PARKED:
            counts[state] = counts.get(state, 0) + number
    for state, (what, advice) in _PARKED.items():
        if counts.get(state):
            yield Finding("accounts", Level.WARNING, f"{counts[state]} {what}", advice)
    if ending:
        yield Finding(
            "accounts",
            Level.WARNING,
            f"the permission of {ending} accounts ends within {_GRANT_WARNING.days} days",
            "Their owners should link again before that.",
        )
    if not ending and not any(counts.values()):
        yield Finding("accounts", Level.OK, f"{accounts['linked']} linked, nobody waits for anybody")
