"""Reads what a scene of calendars holds on both sides, for `calendar_oracle` to judge: records by name, pages, pairs,
what the history keeps; and what may not be read by others. Nothing is changed here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from core.event import from_json
from core.occurrences import Window
from models.activities import ActivityRow
from models.activity_queries import Wanted, agenda, list_activities
from models.deed_records import run_deeds
from models.links import DecisionRow, HistoryRow, LinkRow, SetAsideRow
from models.syncing import ChannelRow, RunRow
from tests.support.calendar_oracle import FIRST, LAST, End, Known, Shown, key_of, lost_facts, read_crm, read_google
from tests.support.calendar_scene import ZONES, MachineScene
from tests.support.calendar_world import ELSEWHERE
from tests.support.ledger import Flat

EVERYBODY = (*ZONES, ELSEWHERE)


class Reading:
    """Looks at a scene."""

    def __init__(self, scene: MachineScene) -> None:
        self.scene = scene
        self._seen: tuple[int, dict[str, dict[str, Known]]] = (-1, {})

    # -- Google's side

    def copies(self) -> dict[str, dict[str, Known]]:
        """Everybody's events by address and id, deleted ones too; read anew when anything was written."""
        written = self.scene.google._world._number
        if self._seen[0] != written:
            self._seen = written, {address: self._copies(address) for address in EVERYBODY}
        return self._seen[1]

    def _copies(self, address: str) -> dict[str, Known]:
        raws = self.scene.book(address).events(deleted=True)
        found: dict[str, Known] = {}
        for one, raw in sorted(raws.items(), key=lambda pair: "recurringEventId" in pair[1]):
            series = found.get(raw.get("recurringEventId", ""))
            if "iCalUID" not in raw and series is None:
                continue  # a copy that was taken back, of which nothing more is known
            found[one] = _copy(raw, series)
        return found

    def google(self) -> dict[str, Known]:
        """What the organizers hold, by name. A meeting whose organizer did not link is there as long as anybody who
        linked has it."""
        copies = self.copies()
        found: dict[str, Known] = {}
        for address in EVERYBODY:
            for one in copies[address].values():
                if one.whose == address and (one.key not in found or one.living):
                    found[one.key] = one
        for key, one in found.items():
            if one.whose not in self.scene.accounts:
                others = [copies[address] for address in self.scene.accounts]
                living = any(other.key == key and other.living for some in others for other in some.values())
                found[key] = _with_living(one, living if not one.original else one.living)
        return found

    def versions(self) -> dict[tuple[str, str], str]:
        """The version of every event in every calendar."""
        agendas = self.scene.google._world.agendas
        return {(address, one.id): one.etag for address in EVERYBODY for one in agendas[address].events.values()}

    def pages(self) -> dict[str, tuple[Shown, ...]]:
        """What the linked calendars show, occurrence by occurrence."""
        return {address: tuple(map(_shown, self._expanded(address))) for address in self.scene.accounts}

    def _expanded(self, address: str) -> list[dict[str, Any]]:
        return self.scene.book(address).expanded(FIRST, LAST)

    # -- the CRM's side

    def rows(self) -> list[Known]:
        """All activities."""
        rows = self.scene.rows()
        addresses = {account: address for address, account in self.scene.accounts.items()}
        people = {person.user_id: address for address, person in self.scene.people.items()}
        tags = {row.uid: _tag(row.title) for row in rows if row.title and row.uid}
        return [_row(row, tags, addresses, people) for row in rows]

    def crm(self) -> dict[str, Known]:
        """Activities by name; of two of one name a living one."""
        found: dict[str, Known] = {}
        for one in self.rows():
            if one.key not in found or one.living:
                found[one.key] = one
        return found

    def end(self) -> End:
        """Everything, to be judged."""
        with self.scene.app.db.reading() as session:
            links = list(session.scalars(select(LinkRow).where(LinkRow.active.is_(True))))
            history = list(session.scalars(select(HistoryRow)))
            aside = frozenset(session.scalars(select(SetAsideRow.record_id).where(SetAsideRow.attempts > 0)))
        lost: dict[str, frozenset[tuple[str, str, Any]]] = {}
        for entry in history:
            lost[entry.local_id] = lost.get(entry.local_id, frozenset()) | set().union(*map(lost_facts, entry.lost))
        pairs = {
            address: {row.local_id: row.remote_id for row in links if row.account_id == account}
            for address, account in self.scene.accounts.items()
        }
        return End(self.crm(), tuple(self.rows()), self.google(), self.copies(), self.pages(), pairs, lost, aside)

    # -- what others may not read

    def check_words(self, lines: Iterable[Any], hushed: Mapping[str, str]) -> None:
        """None of these words is in there."""
        text = json.dumps(list(lines), default=str)
        told = sorted(word for word in hushed if word in text)
        assert not told, f"said of private events: {told}\n{text}"

    def check_leaks(self, hushed: Mapping[str, str]) -> None:
        """What was said of private events is nowhere but in their own text, and shown to their owner alone."""
        with self.scene.app.db.reading() as session:
            for table in (DecisionRow, SetAsideRow, RunRow, ChannelRow):
                rows = session.execute(select(table.__table__)).all()
                self.check_words(map(tuple, rows), hushed)
            for run, workspace in session.execute(select(HistoryRow.run_id, HistoryRow.workspace_id).distinct()):
                self.check_words(run_deeds(session, workspace, run), hushed)
            owners = {row.id: row.owner_id for row in session.scalars(select(ActivityRow))}
            window = Window(FIRST - timedelta(days=60), datetime(2026, 6, 1, tzinfo=UTC))
            for person in self.scene.people.values():
                seen = list_activities(session, person.workspace_id, Wanted(person.user_id), limit=500)
                self.check_words((one for one in seen if owners[one["id"]] != person.user_id), hushed)
            self.check_words(agenda(session, person.workspace_id, Wanted(), window, limit=500), hushed)


def derived(one: Known, before: Mapping[str, Known]) -> Flat:
    """What an occurrence said before it had a record of its own; nothing for anything else."""
    series = before.get(one.tag)
    if not one.original or series is None:
        return {}
    facts = {name: value for name, value in series.facts.items() if name[0] != "recurrence"}
    start, _, zone = facts["start", ""].partition(" ")
    until, _, _ = facts["end", ""].partition(" ")
    length = _instant(until) - _instant(start)
    ends = _instant(one.original) + length
    text = str(ends.date()) if "T" not in one.original else f"{ends:%Y-%m-%dT%H:%M:%SZ}"
    return facts | {("start", ""): f"{one.original} {zone}".strip(), ("end", ""): f"{text} {zone}".strip()}


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _tag(title: str) -> str:
    return title.partition(" ")[0]


def _original(raw: Mapping[str, Any]) -> str:
    when = raw.get("originalStartTime", {})
    if "date" in when:
        return str(when["date"])
    return f"{datetime.fromisoformat(when['dateTime']).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if when else ""


def _copy(raw: Mapping[str, Any], series: Known | None) -> Known:
    original = _original(raw)
    living = raw["status"] != "cancelled"
    organizer = raw.get("organizer", {}).get("email") or (series.whose if series else "")
    tag = _tag(raw["summary"]) if raw.get("summary") else series.tag if series else str(raw["id"])
    key = key_of(tag, original)
    facts = read_google(raw)
    if original and not living and series is not None:
        bare = Known(key, {}, False, "", "", original=original)
        facts = derived(bare, {series.key: series}) | {("status", ""): "cancelled"}
    uid = str(raw.get("iCalUID") or (series.uid if series else ""))
    return Known(key, facts, living, str(raw["id"]), organizer, uid, original, str(raw.get("updated", raw["etag"])))


def _with_living(one: Known, living: bool) -> Known:
    return replace(one, living=living)


def _shown(raw: Mapping[str, Any]) -> Shown:
    facts = read_google(raw)
    start, until = (facts[name, ""].partition(" ")[0] for name in ("start", "end"))
    return Shown(raw["iCalUID"], _original(raw), raw.get("summary", ""), start, until)


def _row(row: ActivityRow, tags: Mapping[str, str], addresses: Mapping[str, str], people: Mapping[str, str]) -> Known:
    body = from_json(row.body)
    tag = _tag(row.title) if row.title else tags.get(row.uid, row.id)
    removed = row.deleted_at is not None or not row.show_in_calendar
    living = not removed and row.cancelled_at is None and body.status != "cancelled"
    owner = people[row.owner_id]
    main = addresses.get(row.main_account, owner)
    whose = body.organizer or owner
    at = str(row.version)
    key, facts = key_of(tag, row.original), read_crm(body)
    return Known(key, facts, living, row.id, whose, row.uid, row.original, at, body, main, removed)
