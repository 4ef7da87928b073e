"""PRETENDS what Google keeps per event and calendar: immutable versions of copies, letters sent, as plain values.
How they come to be is decided by `calendar_meetings`, how they look by `calendar_render`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sandbox.google.api_wire import Json

Origin = Literal["api", "hand"]
Role = Literal["none", "freeBusyReader", "reader", "writerWithoutPrivateAccess", "writer", "owner"]
Notify = Literal["all", "externalOnly", "none"]
MailKind = Literal["invitation", "update", "cancellation", "response"]
ROLES: tuple[Role, ...] = ("none", "freeBusyReader", "reader", "writerWithoutPrivateAccess", "writer", "owner")


def at_least(role: Role, wanted: Role) -> bool:
    """Whether a role allows what another one allows."""
    return ROLES.index(role) >= ROLES.index(wanted)


@dataclass(frozen=True, slots=True)
class Copy:
    """One version of one event on one calendar. `shared` is seen by all guests, `own` belongs to this calendar.

    `shared` and `own` hold members of an Event in Google's names and in normal form, and are never changed in place.
    """

    calendar: str
    id: str
    number: int
    meeting: str  # the same on all copies, whatever their ids and iCalUIDs are
    uid: str
    organizer: str  # a calendar's id or, for people outside, an address
    creator: str
    shared: Json
    own: Json
    status: str
    created: datetime
    updated: datetime
    sequence: int = 0
    master: str = ""  # recurringEventId
    original: Json | None = None  # the start by the rule, of an occurrence
    key: str = ""  # the same as it is written in ids; "" for series and single events
    removed: bool = False  # taken off by its guest, who may put it back
    orphan: bool = False  # an occurrence whose series is gone, or no longer has it
    alone: bool = False  # imported or private: no other copy follows it
    visible_from: datetime | None = None  # 404 before
    deleted: bool = field(default=False, init=False)  # the feed keeps cancelled events

    def __deepcopy__(self, _memo: object) -> Copy:
        return self

    @property
    def name(self) -> str:
        """What the feed calls it."""
        return self.id

    @property
    def cancelled(self) -> bool:
        """Whether it is shown as cancelled."""
        return self.orphan or self.status == "cancelled"

    @property
    def organized_here(self) -> bool:
        """Whether this copy is the one all others follow."""
        return self.organizer == self.calendar

    @property
    def etag(self) -> str:
        """The version as a header says it."""
        return f'"{3_500_000_000_000_000 + self.number * 2000}"'

    @property
    def is_series(self) -> bool:
        """Whether it recurs."""
        return bool(self.shared.get("recurrence"))


@dataclass(frozen=True, slots=True)
class Mail:
    """A letter Google would have sent: to whom, about which event of which calendar, why, caused by what."""

    to: str
    kind: MailKind
    event: str
    calendar: str
    summary: str
    cause: str  # the operation, or "hand"


def stamp(moment: datetime) -> str:
    """A time as the Calendar API writes it: UTC with milliseconds."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
