"""Stores who takes part in a message: one row per address of a workspace, one per address and message.
Matching addresses to contacts reads these tables; normalising addresses is `core.addresses`."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Insert, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session

from core.packs import ParsedItem
from models.bulk import insert_values
from models.content import CorrespondentRow, ParticipantRow
from models.db import parts
from sync.ids import next_message_ids


def store_people(session: Session, workspace_id: str, items: Mapping[int, ParsedItem], cache: dict[str, int]) -> None:
    unknown = {key for item in items.values() for key in item.roles if key not in cache}
    _learn(session, workspace_id, sorted(unknown), cache)
    rows = [(cache[key], message_id, roles) for message_id, item in items.items() for key, roles in item.roles.items()]
    # In the order of the key: neighbours go to the same page.
    insert_values(session, ParticipantRow, ("correspondent_id", "message_id", "roles"), sorted(rows))


def _learn(session: Session, workspace_id: str, keys: list[str], cache: dict[str, int]) -> None:
    """Put the ids of these addresses into the cache, making the ones that are new. Sorted keys: two accounts of a
    workspace that meet the same new addresses must lock them in the same order."""
    _look_up(session, workspace_id, keys, cache)
    new = [key for key in keys if key not in cache]
    if not new:
        return
    ids = next_message_ids(len(new))
    rows = [{"id": number, "workspace_id": workspace_id, "key": key} for number, key in zip(ids, new, strict=True)]
    session.execute(_insert_ignoring(session, CorrespondentRow), rows)
    _look_up(session, workspace_id, new, cache)


def _look_up(session: Session, workspace_id: str, keys: list[str], cache: dict[str, int]) -> None:
    for part in parts(keys):
        rows = session.execute(
            select(CorrespondentRow.key, CorrespondentRow.id).where(
                CorrespondentRow.workspace_id == workspace_id, CorrespondentRow.key.in_(part)
            )
        )
        cache.update((key, number) for key, number in rows)


def _insert_ignoring(session: Session, table: type[CorrespondentRow]) -> Insert:
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # not small, and SQLite has no use for it

        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
