"""Tables of two-sided synchronisation: links with their base, intents, what is set aside, decisions, history.
Written for contacts, and for any other record that is kept in step the same way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.accounts import Id
from models.columns import Base, Int64, Json, UtcDateTime


class LinkRow(Base):
    """The pairing of one CRM record with one remote record in one account; mirrors `core.replica.Link`.

    `base` is the last text both sides agreed on. `extra` is what the provider's adapter needs to write the record.
    """

    __tablename__ = "links"
    __table_args__ = (UniqueConstraint("account_id", "channel", "remote_id"), Index(None, "local_id"))
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)
    local_id: Mapped[str] = mapped_column(Id, primary_key=True)
    remote_id: Mapped[str] = mapped_column(String(200))
    active: Mapped[bool] = mapped_column()
    local_version: Mapped[str] = mapped_column(String(40))
    local_modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    remote_version: Mapped[str] = mapped_column(String(200))
    remote_modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    written_at: Mapped[datetime] = mapped_column(UtcDateTime)
    base: Mapped[dict[str, Any]] = mapped_column(Json)
    extra: Mapped[dict[str, Any]] = mapped_column(Json)


class SentRow(Base):
    """Intent: what was about to be written to the provider, committed before it is (`core.replica.Sent`).

    `deed` is the line of the history that is due once it turns out to have been written.
    """

    __tablename__ = "sent"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)
    local_id: Mapped[str] = mapped_column(Id, primary_key=True)
    remote_id: Mapped[str] = mapped_column(String(200))
    local_version: Mapped[str] = mapped_column(String(40))
    local_modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    body: Mapped[dict[str, Any] | None] = mapped_column(Json)
    selected: Mapped[bool | None] = mapped_column()
    deed: Mapped[dict[str, Any]] = mapped_column(Json)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SetAsideRow(Base):
    """A record that could not be processed, with the reason; tried again at `next_try_at`, or when it changes.

    `side` says whose id `record_id` is. `version` is that of the CRM record it was refused for, "" if none.
    """

    __tablename__ = "set_aside"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)
    side: Mapped[str] = mapped_column(String(6), primary_key=True)
    record_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    version: Mapped[str] = mapped_column(String(40), default="")
    reason: Mapped[str] = mapped_column(Text)
    advice: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=1)
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DecisionRow(Base):
    """An ambiguous match, and once a person took it, the choice: the id on the other side, or "" for somebody new.

    `candidates` are ids on the other side; `label` names the record for people.
    """

    __tablename__ = "decisions"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)
    side: Mapped[str] = mapped_column(String(6), primary_key=True)
    record_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    label: Mapped[str] = mapped_column(Text, default="")
    candidates: Mapped[list[dict[str, str]]] = mapped_column(Json)
    choice: Mapped[str | None] = mapped_column(String(200))
    run_id: Mapped[str] = mapped_column(Id)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RemoteKeyRow(Base):
    """Finds a remote record by what makes two records the same person: `key` is a keyed hash, since most of these
    records take no part and are none of the CRM's business."""

    __tablename__ = "remote_keys"
    __table_args__ = (Index(None, "account_id", "channel", "key"), {"sqlite_with_rowid": False})
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)
    remote_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    key: Mapped[str] = mapped_column(String(32), primary_key=True)


class HistoryRow(Base):
    """What a run (or an undo) did to one record on one side, and why. The record of the run, and what an undo reverses.

    `action`: create, update, select, deselect, adopt. `changes` maps a field to [before, after]; `lost` lists values
    that gave way in a conflict: {field, side, value, kept}. `version` is that of the CRM record afterwards. `private`:
    what it tells is for the user of the account alone.
    """

    __tablename__ = "history"
    __table_args__ = (Index(None, "local_id", "id"), Index(None, "run_id", "id"), Index(None, "account_id"))
    id: Mapped[int] = mapped_column(Int64, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    account_id: Mapped[str] = mapped_column(Id)
    channel: Mapped[str] = mapped_column(String(10))
    run_id: Mapped[str] = mapped_column(Id)
    local_id: Mapped[str] = mapped_column(Id)
    remote_id: Mapped[str] = mapped_column(String(200), default="")
    side: Mapped[str] = mapped_column(String(6))
    action: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(String(30))
    label: Mapped[str] = mapped_column(Text, default="")
    changes: Mapped[dict[str, list[Any]]] = mapped_column(Json)
    lost: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    private: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(BigInteger, default=0)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
