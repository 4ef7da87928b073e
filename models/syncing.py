"""Tables of the machinery: channels with their schedule and lease, runs, mailboxes with their cursors, quarantine."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Date, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.accounts import Id
from models.columns import Base, Int64, Json, UtcDateTime


class ChannelRow(Base):
    """What one account syncs of one kind: switch, schedule, lease, settings, last outcome.

    `fence` grows with each lease taken (fencing token). `bytes_used` counts downloads of the UTC day `bytes_day`.
    `cursor` is where the next incremental run of contacts or calendar goes on; `held` says what a person must decide
    before the channel writes again: {run_id, kind, keys, approved}.
    """

    __tablename__ = "channels"
    __table_args__ = (Index(None, "next_run_at"),)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    granted: Mapped[bool] = mapped_column(default=True)
    auto: Mapped[bool] = mapped_column(default=True)
    period_s: Mapped[int] = mapped_column()
    settings: Mapped[dict[str, Any]] = mapped_column(Json)
    next_run_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fence: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    run_id: Mapped[str | None] = mapped_column(Id)
    last_success_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_outcome: Mapped[str] = mapped_column(String(20), default="")
    cursor: Mapped[str] = mapped_column(Text, default="")
    held: Mapped[dict[str, Any] | None] = mapped_column(Json)
    bytes_day: Mapped[date | None] = mapped_column(Date)
    bytes_used: Mapped[int] = mapped_column(BigInteger, default=0)


class RunRow(Base):
    """One execution of a channel: trigger, progress, counts by reason, outcome."""

    __tablename__ = "runs"
    __table_args__ = (Index(None, "account_id", "channel", "started_at"),)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    channel: Mapped[str] = mapped_column(String(10))
    trigger: Mapped[str] = mapped_column(String(10))  # manual | schedule | push | undo
    outcome: Mapped[str] = mapped_column(String(20))  # running, or as sync.run tells
    phase: Mapped[str] = mapped_column(Text, default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    counts: Mapped[dict[str, int]] = mapped_column(Json)
    error: Mapped[str] = mapped_column(Text, default="")
    advice: Mapped[str] = mapped_column(Text, default="")
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WatchRow(Base):
    """A push channel by which a provider tells of changes in one calendar; `id` is the channel's, and no secret.

    `token_hash` is of the secret that comes with every notice. `resource` is what the provider calls the calendar
    there, "" before it said so. `pushed_at` is the last notice of a change, `problem` why the channel was not opened:
    then `expires_at` is when that is tried again.
    """

    __tablename__ = "watches"
    __table_args__ = (Index(None, "account_id"),)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    calendar: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    token_hash: Mapped[str] = mapped_column(String(64))
    resource: Mapped[str] = mapped_column(Text, default="")
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    pushed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    problem: Mapped[str] = mapped_column(Text, default="")


class MailboxRow(Base):
    """One IMAP folder of an account and its cursor; the fields mirror `core.mailbox.MailboxState`."""

    __tablename__ = "mailboxes"
    __table_args__ = (UniqueConstraint("account_id", "name"),)
    id: Mapped[int] = mapped_column(Int64, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(20), default="")
    uidvalidity: Mapped[int] = mapped_column(BigInteger, default=0)
    uidnext: Mapped[int] = mapped_column(BigInteger, default=0)
    exists: Mapped[int] = mapped_column(BigInteger, default=0)
    modseq: Mapped[int] = mapped_column(BigInteger, default=0)
    seen_modseq: Mapped[int] = mapped_column(BigInteger, default=0)
    confirmed: Mapped[int] = mapped_column(default=0)
    done: Mapped[str] = mapped_column(Text, default="")
    since: Mapped[date | None] = mapped_column(Date)
    choice: Mapped[str] = mapped_column(Text, default="")
    resyncs: Mapped[int] = mapped_column(default=0)
    swept_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    problem: Mapped[str] = mapped_column(Text, default="")


class QuarantineRow(Base):
    """A message the server would not give us or we could not store: set aside with its reason, tried again later."""

    __tablename__ = "quarantine"
    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailboxes.id"), primary_key=True, autoincrement=False)
    uid: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=1)
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime)
