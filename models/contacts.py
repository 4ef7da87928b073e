"""Tables of the CRM side of contacts: the contacts themselves, what finds them, and the tags they bear."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.accounts import Id
from models.columns import Base, Json, UtcDateTime


class ContactRow(Base):
    """A contact of a workspace. `body` is `core.contact.to_json` of its normal form; `name`, `email` and `organization`
    repeat of it what lists show and sort by.

    `version` grows by one with each change of the text (optimistic locking). `modified_at` is when the text was changed
    last, as the writer gave it. `origin_account` is the account a run made it from, "" when the CRM did.
    """

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("workspace_id", "external_id"),
        Index(None, "workspace_id", "name"),
        Index(None, "origin_account"),
    )
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    external_id: Mapped[str | None] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(Text, default="")
    email: Mapped[str] = mapped_column(Text, default="")
    organization: Mapped[str] = mapped_column(Text, default="")
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    version: Mapped[int] = mapped_column(default=1)
    origin_account: Mapped[str] = mapped_column(Id, default="")
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ContactKeyRow(Base):
    """What finds a contact: `mail:` and a normalised address, or `tel:` with an E.164 number and a family name, as
    `core.policy.Policy.match` gives them."""

    __tablename__ = "contact_keys"
    __table_args__ = (Index(None, "workspace_id", "key"), {"sqlite_with_rowid": False})
    contact_id: Mapped[str] = mapped_column(ForeignKey("contacts.id"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))


class TagRow(Base):
    """A tag. `kind` is `personal` (then `owner_id` is the user it belongs to), `corporate` or `public`."""

    __tablename__ = "tags"
    __table_args__ = (Index(None, "workspace_id", "name"),)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    name: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(10))
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ContactTagRow(Base):
    """A contact bears a tag."""

    __tablename__ = "contact_tags"
    __table_args__ = ({"sqlite_with_rowid": False},)
    tag_id: Mapped[str] = mapped_column(ForeignKey("tags.id"), primary_key=True)
    contact_id: Mapped[str] = mapped_column(ForeignKey("contacts.id"), primary_key=True, index=True)
