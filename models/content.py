"""Tables of what was synced: messages, where they lie, who they are from and to, and their bytes in packs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.columns import Base, Bytes, Int64, Json, UtcDateTime


class PackRow(Base):
    """The compressed bytes of one window of messages; a message names its slices. One big row writes several times
    faster than a row per body, and lists of messages never read it.
    """

    __tablename__ = "packs"
    id: Mapped[int] = mapped_column(Int64, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    data: Mapped[bytes] = mapped_column(Bytes)


class MessageRow(Base):
    """One message of an account, stored once however many folders show it.

    `identity` is `core.identity.message_identity`, or made of the Gmail message id. The first `have` of the `size`
    octets are in pack `raw_pack` and in `fragments`, the text in `text_pack`; each slice is one zstd frame.
    `unplaced_at` is the time since when no folder of the account shows the message.
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("account_id", "identity"),
        Index(None, "account_id", "received_at"),
        Index(None, "account_id", "message_id"),
    )
    id: Mapped[int] = mapped_column(Int64, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    identity: Mapped[bytes] = mapped_column(Bytes)
    gm_msgid: Mapped[int | None] = mapped_column(BigInteger)
    thread: Mapped[str | None] = mapped_column(Text)
    message_id: Mapped[str] = mapped_column(Text, default="")
    refs: Mapped[list[str]] = mapped_column(Json)
    subject: Mapped[str] = mapped_column(Text, default="")
    sender: Mapped[str] = mapped_column(Text, default="")
    people: Mapped[list[list[str]]] = mapped_column(Json)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    snippet: Mapped[str] = mapped_column(Text, default="")
    attachments: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    calendar: Mapped[dict[str, Any] | None] = mapped_column(Json)
    marks: Mapped[list[str]] = mapped_column(Json)
    defects: Mapped[list[str]] = mapped_column(Json)
    size: Mapped[int] = mapped_column(BigInteger)
    have: Mapped[int] = mapped_column(BigInteger)
    raw_pack: Mapped[int] = mapped_column(BigInteger)
    raw_offset: Mapped[int] = mapped_column()
    raw_length: Mapped[int] = mapped_column()
    text_pack: Mapped[int] = mapped_column(BigInteger)
    text_offset: Mapped[int] = mapped_column()
    text_length: Mapped[int] = mapped_column()
    unplaced_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)


class LocationRow(Base):
    """A message shown in a folder, with the flags (and Gmail labels) it has there."""

    __tablename__ = "locations"
    __table_args__ = {"sqlite_with_rowid": False}
    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailboxes.id"), primary_key=True, autoincrement=False)
    uid: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"), index=True)
    flags: Mapped[list[str]] = mapped_column(Json)
    labels: Mapped[list[str] | None] = mapped_column(Json)


class CorrespondentRow(Base):
    """A mail address seen in a workspace; `key` is its normalised form (`core.addresses.address_key`)."""

    __tablename__ = "correspondents"
    __table_args__ = (UniqueConstraint("workspace_id", "key"),)
    id: Mapped[int] = mapped_column(Int64, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    key: Mapped[str] = mapped_column(Text)


class ParticipantRow(Base):
    """Which messages an address takes part in: what matching mail to contacts reads."""

    __tablename__ = "participants"
    __table_args__ = (Index(None, "message_id"), {"sqlite_with_rowid": False})
    correspondent_id: Mapped[int] = mapped_column(
        ForeignKey("correspondents.id"), primary_key=True, autoincrement=False
    )
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"), primary_key=True, autoincrement=False)
    roles: Mapped[str] = mapped_column(String(60))


class FragmentRow(Base):
    """Bytes of a message fetched after its first pass, from `offset` of the message on: the rest of a long text, or
    everything. The fragments of a message follow each other without gap from where its first slice ends.
    """

    __tablename__ = "fragments"
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"), primary_key=True, autoincrement=False)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger)
    pack_id: Mapped[int] = mapped_column(BigInteger)
    pack_offset: Mapped[int] = mapped_column()
    pack_length: Mapped[int] = mapped_column()


class UnfinishedRow(Base):
    """A message whose first bytes are stored while its text or its list of attachments is not whole yet."""

    __tablename__ = "unfinished"
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"), primary_key=True, autoincrement=False)
    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailboxes.id"), index=True)
    uid: Mapped[int] = mapped_column(BigInteger)
    header_size: Mapped[int] = mapped_column()
    text_whole: Mapped[bool] = mapped_column()
