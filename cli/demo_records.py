"""What the steps of `twinbox demo` about contacts and calendar share: a run told in words, what the service keeps.
The hands on both sides are `cli.demo_book` for contacts and `cli.demo_agenda` for the calendar."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from typing import Any

from cli.demo_story import CheckFailed, Record, Stage, sync
from core.types import Channel
from models.deed_records import run_deeds
from sync.records import Preview
from sync.run import RunReport

# A run by itself comes every ten minutes, and so long Google's lists may lag behind what was written.
TURN = timedelta(minutes=11)

_TABLES = (
    *("contacts", "contact_tags", "tags", "activities", "links", "sent", "decisions", "set_aside", "history"),
    *("runs", "channels"),
)
_WORDS = {
    (Channel.CONTACTS, "select", "local"): "tagged in the CRM",
    (Channel.CONTACTS, "select", "remote"): "put under the label",
    (Channel.CONTACTS, "deselect", "local"): "untagged in the CRM",
    (Channel.CONTACTS, "deselect", "remote"): "taken out of the label",
    (Channel.CALENDAR, "select", "local"): "brought back in the CRM",
    (Channel.CALENDAR, "select", "remote"): "put into the calendar",
    (Channel.CALENDAR, "deselect", "local"): "gone from the calendar",
    (Channel.CALENDAR, "deselect", "remote"): "taken off the calendar",
}
_SAME_WORDS = {
    ("create", "local"): "made in the CRM",
    ("create", "remote"): "made at Google",
    ("update", "local"): "updated in the CRM",
    ("update", "remote"): "updated at Google",
}


# ---- what the service keeps --------------------------------------------------------------------------------


def crm_now(stage: Stage) -> dict[str, list[Any]]:
    """Every row the service keeps about contacts, activities, runs and channels."""
    return {name: _read(stage, f"select * from {name}") for name in _TABLES}  # noqa: S608


def rows_of(stage: Stage, *tables: str) -> dict[str, list[Any]]:
    """The rows of some of these tables."""
    now = crm_now(stage)
    return {name: sorted(now[name], key=str) for name in tables}


def pairs(stage: Stage, channel: Channel) -> dict[str, str]:
    """The pairs of Anna's account that are in step: who is who, by the id in the CRM and the one at Google."""
    query = "select local_id, remote_id from links where active and channel = ? and account_id = ?"
    return dict(_read(stage, query, channel.value, stage.account_id))


def _read(stage: Stage, query: str, *values: str) -> list[Any]:
    file = stage.world.app.settings.data_dir / "twinbox.db"
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        return database.execute(query, values).fetchall()


# ---- runs --------------------------------------------------------------------------------------------------


def told_sync(stage: Stage, channel: Channel, outcome: str = "ok", *, account: str = "") -> RunReport:
    """Let eleven minutes pass, sync an account (default: Anna's), tell what was done to whom and why, and insist on the
    outcome."""
    stage.world.clock.advance(TURN.total_seconds())
    report = sync(stage, channel, account=account)
    done = [(deed_in_words(channel, one), one["why"], one["name"]) for one in deeds(stage, report.run_id)]
    _tell_all(stage, "did", done)
    if report.outcome != outcome:
        raise CheckFailed(f"the run ends as {outcome}", outcome, f"{report.outcome} {report.error} {report.advice}")
    return report


def tell_plan(stage: Stage, made: Preview) -> None:
    """Tell what the next run would do, by what and why."""
    _tell_all(stage, "would", [(line["action"], line["why"], line["name"]) for line in made.lines])


def deeds(stage: Stage, run_id: str) -> list[Record]:
    """What a run did, in order."""
    with stage.world.app.db.reading() as session:
        return run_deeds(session, stage.world.workspace, run_id)


def deed_in_words(channel: Channel, one: Record) -> str:
    """What was done to a record, and where."""
    return _SAME_WORDS.get((one["action"], one["side"])) or _WORDS[channel, one["action"], one["side"]]


def _tell_all(stage: Stage, who: str, done: Iterable[tuple[str, str, str]]) -> None:
    """One line for all to whom the same was done for the same reason."""
    names: dict[tuple[str, str], list[str]] = {}
    for what, why, name in done:
        names.setdefault((what, why), []).append(name)
    for (what, why), some in names.items():
        stage.screen.tell(who, f"{what}: {', '.join(sorted(some))} ({why})")
        who = ""
