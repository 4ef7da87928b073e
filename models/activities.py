"""The tables of the CRM side of the calendar: activities, which are meetings, series, and occurrences that differ; and
what of them is personal to somebody who only takes part."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.accounts import Id
from models.columns import Base, Json, UtcDateTime


class ActivityRow(Base):
    """One meeting of a workspace, however many calendars show it. `body` is `core.event.to_json` of its normal form;
    `uid`, `original`, `title` and the times repeat of it what finds and sorts it.

    `owner_id` is the user who organizes it; with `stand_in` that is only who synced it first, since the organizer does
    not sync. `main_account` is the account whose calendar decides its text, "" before it is in any; the reminders in
    the text are those of its copy. `ends_at` is None
    for a series, whose end nobody computed. `cancelled_at`: it was deleted at the provider; its data stays.
    """

    __tablename__ = "activities"
    __table_args__ = (
        UniqueConstraint("workspace_id", "external_id"),
        Index(None, "workspace_id", "uid", "original"),
        Index(None, "workspace_id", "starts_at"),
        Index(None, "owner_id"),
        Index(None, "origin_account"),
    )
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    external_id: Mapped[str | None] = mapped_column(String(200))
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    stand_in: Mapped[bool] = mapped_column(default=False)
    main_account: Mapped[str] = mapped_column(Id, default="")
    origin_account: Mapped[str] = mapped_column(Id, default="")
    uid: Mapped[str] = mapped_column(Text, default="")
    original: Mapped[str] = mapped_column(String(40), default="")
    title: Mapped[str] = mapped_column(Text, default="")
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    show_in_calendar: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ParticipationRow(Base):
    """What of an activity is one account's own while another account decides its text: the answer and the reminders of
    that copy. `body` is `core.event.to_json` of `core.event_parts.own_part`, `version` counts its changes."""

    __tablename__ = "participations"
    __table_args__ = (Index(None, "account_id"),)
    activity_id: Mapped[str] = mapped_column(ForeignKey("activities.id"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    version: Mapped[int] = mapped_column(default=1)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)
