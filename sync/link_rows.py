"""Reads and writes what two-sided synchronisation remembers: links, intents, records set aside, decisions.
Rows become the nouns of `core.replica` here; when they change is decided by the callers, in their transactions."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from core.match import Decisions
from core.policy import Policy
from core.replica import Item, Link, Sent, Side, Stamp
from models.bulk import insert_rows
from models.db import parts
from models.links import DecisionRow, LinkRow, RemoteKeyRow, SentRow, SetAsideRow

T = TypeVar("T")

FIRST_RETRY = timedelta(minutes=15)
LONGEST_RETRY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Aside:
    """A record to be set aside. `soon`: nothing is wrong with it, the next run after `wait` reads it again."""

    side: Side
    record_id: str
    reason: str
    advice: str = ""
    version: str = ""
    soon: bool = False
    wait: timedelta = timedelta(0)


class LinkStore(Generic[T]):
    """The memory of one account's channel. Every method works in the caller's session."""

    def __init__(self, account_id: str, channel: str, policy: Policy[T]) -> None:
        self.account_id = account_id
        self.channel = channel
        self._policy = policy

    def _mine(self, table: Any) -> tuple[Any, ...]:
        return table.account_id == self.account_id, table.channel == self.channel

    def _key(self) -> dict[str, Any]:
        return {"account_id": self.account_id, "channel": self.channel}

    # -- links

    def links(self, session: Session, local_ids: Iterable[str]) -> list[Link[T]]:
        """The links of these local records."""
        found: list[Link[T]] = []
        for some in parts(list(local_ids)):
            query = select(LinkRow).where(*self._mine(LinkRow), LinkRow.local_id.in_(some))
            found += [self._link(row) for row in session.scalars(query)]
        return found

    def _link(self, row: LinkRow) -> Link[T]:
        return Link(
            row.local_id,
            row.remote_id,
            Stamp(row.local_version, row.local_modified_at),
            Stamp(row.remote_version, row.remote_modified_at),
            self._policy.load(row.base),
            row.active,
            row.written_at,
            row.extra,
        )

    def active(self, session: Session) -> int:
        """How many pairs take part."""
        query = select(func.count()).select_from(LinkRow).where(*self._mine(LinkRow), LinkRow.active.is_(True))
        return session.scalar(query) or 0

    def save(self, session: Session, links: Collection[Link[T]]) -> None:
        """Write links over what is known of their local records."""
        self.forget(session, [link.local_id for link in links])
        insert_rows(session, LinkRow, [self._row(link) for link in links])

    def _row(self, link: Link[T]) -> dict[str, Any]:
        return self._key() | {
            "local_id": link.local_id,
            "remote_id": link.remote_id,
            "active": link.active,
            "local_version": link.local.version,
            "local_modified_at": link.local.modified_at,
            "remote_version": link.remote.version,
            "remote_modified_at": link.remote.modified_at,
            "written_at": link.written_at,
            "base": self._policy.dump(link.base),
            "extra": dict(link.extra),
        }

    def forget(self, session: Session, local_ids: Collection[str]) -> None:
        """Delete the links of these local records."""
        self._delete(session, LinkRow, local_ids)

    def _delete(self, session: Session, table: type[LinkRow | SentRow], local_ids: Collection[str]) -> None:
        for some in parts(list(local_ids)):
            session.execute(
                delete(table)
                .where(*self._mine(table), table.local_id.in_(some))
                .execution_options(synchronize_session=False)
            )

    # -- intents

    def sent(self, session: Session) -> dict[str, Sent[T]]:
        """All intents that were not answered yet, by local id."""
        return {row.local_id: self._sent(row) for row in session.scalars(select(SentRow).where(*self._mine(SentRow)))}

    def _sent(self, row: SentRow) -> Sent[T]:
        stamp = Stamp(row.local_version, row.local_modified_at)
        body = None if row.body is None else self._policy.load(row.body)
        return Sent(row.local_id, row.remote_id, stamp, body, row.selected, row.made_at)

    def intend(self, session: Session, intents: Sequence[tuple[Sent[T], dict[str, Any]]]) -> None:
        """Note what is about to be written, each with its line of the history."""
        self._delete(session, SentRow, [intent.local_id for intent, _ in intents])
        rows = [
            self._key()
            | {
                "local_id": intent.local_id,
                "remote_id": intent.remote_id,
                "local_version": intent.local.version,
                "local_modified_at": intent.local.modified_at,
                "body": None if intent.body is None else self._policy.dump(intent.body),
                "selected": intent.selected,
                "deed": deed,
                "made_at": intent.made_at,
            }
            for intent, deed in intents
        ]
        insert_rows(session, SentRow, rows)

    def intended_deeds(self, session: Session, local_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """The lines of the history that were noted with these intents, by local id."""
        found: dict[str, dict[str, Any]] = {}
        for some in parts(list(local_ids)):
            query = select(SentRow.local_id, SentRow.deed).where(*self._mine(SentRow), SentRow.local_id.in_(some))
            found.update((one, deed) for one, deed in session.execute(query))
        return found

    def answered(self, session: Session, local_ids: Collection[str]) -> None:
        """Forget these intents: their outcome is known."""
        self._delete(session, SentRow, local_ids)

    # -- set aside

    def aside(self, session: Session) -> list[SetAsideRow]:
        """Every record that is set aside."""
        return list(session.scalars(select(SetAsideRow).where(*self._mine(SetAsideRow))))

    def set_aside(self, session: Session, records: Iterable[Aside], now: datetime) -> None:
        """Set records aside, for longer each time; those that only have to wait are read again in the next run."""
        for one in {(record.side, record.record_id): record for record in records}.values():
            key = (self.account_id, self.channel, one.side.value, one.record_id)
            row = session.get(SetAsideRow, key)
            if row is None:
                row = SetAsideRow(**self._key(), side=one.side.value, record_id=one.record_id, attempts=0)
                session.add(row)
            row.attempts = 0 if one.soon else row.attempts + 1
            wait = one.wait if one.soon else min(FIRST_RETRY * (1 << min(row.attempts, 12)), LONGEST_RETRY)
            row.reason, row.advice, row.version = one.reason, one.advice, one.version
            row.next_try_at = now + wait
        session.flush()

    def clear_aside(self, session: Session, records: Iterable[tuple[Side, str]]) -> None:
        """These records were dealt with."""
        wanted: dict[str, list[str]] = {}
        for side, record_id in records:
            wanted.setdefault(side.value, []).append(record_id)
        for side_name, ids in wanted.items():
            for some in parts(ids):
                session.execute(
                    delete(SetAsideRow)
                    .where(*self._mine(SetAsideRow), SetAsideRow.side == side_name, SetAsideRow.record_id.in_(some))
                    .execution_options(synchronize_session=False)
                )

    # -- decisions

    def decisions(self, session: Session) -> list[DecisionRow]:
        """All decisions of the channel, taken and open."""
        return list(session.scalars(select(DecisionRow).where(*self._mine(DecisionRow))))

    # -- what finds remote records

    def find_remote(self, session: Session, keys: Iterable[str]) -> set[str]:
        """Ids of remote records, known from listings, that have one of these match keys."""
        found: set[str] = set()
        for some in parts([self.hashed(key) for key in keys]):
            query = select(RemoteKeyRow.remote_id).where(*self._mine(RemoteKeyRow), RemoteKeyRow.key.in_(some))
            found |= set(session.scalars(query))
        return found

    def listed(self, session: Session, ids: Collection[str]) -> set[str]:
        """Those of these remote records that are known from listings and were not listed as gone yet."""
        found: set[str] = set()
        for some in parts(sorted(ids)):
            query = select(RemoteKeyRow.remote_id).where(*self._mine(RemoteKeyRow), RemoteKeyRow.remote_id.in_(some))
            found |= set(session.scalars(query))
        return found

    def remember_remote(
        self, session: Session, items: Mapping[str, Item[T]], gone: Collection[str], *, everything: bool
    ) -> None:
        """Note what finds these remote records; with `everything`, all others are forgotten."""
        if everything:
            session.execute(delete(RemoteKeyRow).where(*self._mine(RemoteKeyRow)))
        else:
            for some in parts([*items, *gone]):
                session.execute(
                    delete(RemoteKeyRow)
                    .where(*self._mine(RemoteKeyRow), RemoteKeyRow.remote_id.in_(some))
                    .execution_options(synchronize_session=False)
                )
        rows = [
            self._key() | {"remote_id": item.id, "key": hashed}
            for item in items.values()
            for hashed in sorted({self.hashed(key) for keys in self._policy.match(item.body) for key in keys})
        ]
        insert_rows(session, RemoteKeyRow, rows)

    def hashed(self, key: str) -> str:
        """A match key as it is stored: bound to the account, so that equal keys of two accounts do not show."""
        return hashlib.blake2b(key.encode(), digest_size=16, key=self.account_id.encode()).hexdigest()


def taken(rows: Iterable[DecisionRow]) -> Decisions:
    """The decisions a person took, as the planner reads them."""
    return {(Side(row.side), row.record_id): row.choice for row in rows if row.choice is not None}
