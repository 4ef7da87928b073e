"""What a plan consists of: one action per record or pair, each with the reason a person can be shown.
Actions are decided in `core.plan` and carried out in `sync`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.merge import Lost
from core.replica import Item, Link, Side

T = TypeVar("T")


class Reason(enum.StrEnum):
    """Why an action is taken, as a code; `in_words` says it to people."""

    NEW_IN_CRM = "new_in_crm"
    NEW_AT_PROVIDER = "new_at_provider"
    CHANGED_IN_CRM = "changed_in_crm"
    CHANGED_AT_PROVIDER = "changed_at_provider"
    CHANGED_ON_BOTH = "changed_on_both"
    NEWER_IN_CRM = "newer_in_crm"
    NEWER_AT_PROVIDER = "newer_at_provider"
    UNTAGGED = "untagged"
    DELETED_IN_CRM = "deleted_in_crm"
    LEFT_GROUP = "left_group"
    DELETED_AT_PROVIDER = "deleted_at_provider"
    LEFT_BOTH = "left_both"
    TAGGED_AGAIN = "tagged_again"
    GROUPED_AGAIN = "grouped_again"
    MADE_BY_US = "made_by_us"
    SAME_EMAIL = "same_email"
    SAME_PHONE = "same_phone"
    SAME_MEETING = "same_meeting"
    OUT_OF_RANGE = "out_of_range"
    NOT_CHOSEN = "not_chosen"
    DECIDED = "decided"
    AMBIGUOUS = "ambiguous"
    EQUAL = "equal"
    TOO_SOON = "too_soon"
    IN_FLIGHT = "in_flight"
    IN_DOUBT = "in_doubt"
    PAIRED_STILL = "paired_still"
    UNDONE = "undone"


_TEXTS = {
    Reason.NEW_IN_CRM: "has the tag in the CRM and is not at the provider yet",
    Reason.NEW_AT_PROVIDER: "is in the group at the provider and not in the CRM yet",
    Reason.CHANGED_IN_CRM: "changed in the CRM",
    Reason.CHANGED_AT_PROVIDER: "changed at the provider",
    Reason.CHANGED_ON_BOTH: "changed on both sides, in different fields",
    Reason.NEWER_IN_CRM: "changed on both sides; newer in the CRM",
    Reason.NEWER_AT_PROVIDER: "changed on both sides; newer at the provider",
    Reason.UNTAGGED: "lost the tag in the CRM",
    Reason.DELETED_IN_CRM: "was deleted in the CRM",
    Reason.LEFT_GROUP: "was taken out of the group at the provider",
    Reason.DELETED_AT_PROVIDER: "was deleted at the provider",
    Reason.LEFT_BOTH: "takes part on neither side any more",
    Reason.TAGGED_AGAIN: "got the tag in the CRM again",
    Reason.GROUPED_AGAIN: "was put into the group at the provider again",
    Reason.MADE_BY_US: "was made by an earlier run",
    Reason.SAME_EMAIL: "is there already: same e-mail address",
    Reason.SAME_PHONE: "is there already: same phone number and family name",
    Reason.SAME_MEETING: "is there already: the same meeting",
    Reason.OUT_OF_RANGE: "lies before the day from which on is synced",
    Reason.NOT_CHOSEN: "lies in a calendar that is not followed any more; stays as it is on both sides",
    Reason.DECIDED: "as a person decided",
    Reason.AMBIGUOUS: "may be one of several: needs a decision",
    Reason.EQUAL: "is equal on both sides",
    Reason.TOO_SOON: "was written so recently that the provider may still list the old state; looked at again later",
    Reason.IN_FLIGHT: "may be there already, only not told of yet; looked at again before it is made",
    Reason.IN_DOUBT: "was not in a full listing, and not said to be gone either; looked at again later",
    Reason.PAIRED_STILL: "its meeting is paired with another event still, which is going; looked at again later",
    Reason.UNDONE: "a person took back what a run did",
}
# Records that take part by their time have neither tag nor group.
_TEXTS_BY_TIME = {
    Reason.NEW_IN_CRM: "is to be shown in the calendar and is not there yet",
    Reason.NEW_AT_PROVIDER: "is in the calendar and not in the CRM yet",
    Reason.DELETED_IN_CRM: "was deleted, cancelled or hidden in the CRM",
    Reason.TAGGED_AGAIN: "is to be shown in the calendar again",
    Reason.GROUPED_AGAIN: "is in the calendar again",
}


def in_words(reason: Reason, *, by_time: bool) -> str:
    """A reason as the end of a sentence about a record. `by_time`: of one without tag and group
    (`core.policy.Policy.has_range`)."""
    return (_TEXTS_BY_TIME.get(reason) if by_time else None) or _TEXTS[reason]


_DONE = {
    ("create", Side.LOCAL): "created in the CRM",
    ("create", Side.REMOTE): "created at the provider",
    ("update", Side.LOCAL): "updated in the CRM",
    ("update", Side.REMOTE): "updated at the provider",
    ("select", Side.LOCAL): "tagged",
    ("select", Side.REMOTE): "put into the group",
    ("deselect", Side.LOCAL): "untagged",
    ("deselect", Side.REMOTE): "taken out of the group",
}
_DONE_BY_TIME = {
    ("select", Side.LOCAL): "back in the CRM",
    ("select", Side.REMOTE): "back at the provider",
    ("deselect", Side.LOCAL): "gone from the calendar",
    ("deselect", Side.REMOTE): "taken out of the calendar",
}


def done_in_words(action: str, side: Side, *, by_time: bool) -> str:
    """What was done to a record on one side, as it is counted and told; `by_time` as for `in_words`."""
    return (_DONE_BY_TIME.get((action, side)) if by_time else None) or _DONE[action, side]


LATER = "it was changed again later"  # why something is not taken back


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """What one side of a pair shall get: a new text, membership, or both (None: stays). `expect` is the version it
    was decided on."""

    body: T | None
    selected: bool | None
    expect: str


def change_for(item: Item[T], body: T) -> Change[T] | None:
    """What a record lacks to take part with this text; None when it has it all."""
    text, selected = (body if body != item.body else None), (None if item.selected else True)
    return None if text is None and selected is None else Change(text, selected, item.stamp.version)


@dataclass(frozen=True, slots=True)
class Create(Generic[T]):
    """Make the counterpart of `source` on `side`. `replaces` is a link whose record on that side is gone for good."""

    side: Side
    source: Item[T]
    reason: Reason
    replaces: Link[T] | None = None

    @property
    def key(self) -> str:
        return f"create:{self.side}:{self.source.id}"


@dataclass(frozen=True, slots=True)
class Update(Generic[T]):
    """Write the merged text (`body`) and membership to whichever side lacks it; both take part afterwards. `local` and
    `remote` are the records as they are now; one that was not reported is as the link remembers it."""

    link: Link[T]
    local: Item[T]
    remote: Item[T]
    body: T
    to_local: Change[T] | None
    to_remote: Change[T] | None
    lost: tuple[Lost, ...]
    reason: Reason
    overwrites: bool = False

    @property
    def key(self) -> str:
        return f"update:{self.link.local_id}:{self.link.remote_id}"


@dataclass(frozen=True, slots=True)
class Deselect(Generic[T]):
    """Take the record on `side` out (tag or group); it stays. None: both sides let go already. `forget`: the pair can
    never join again, one record is gone for good."""

    link: Link[T]
    side: Side | None
    forget: bool
    reason: Reason

    @property
    def key(self) -> str:
        return f"deselect:{self.side or 'none'}:{self.link.local_id}:{self.link.remote_id}"


@dataclass(frozen=True, slots=True)
class Adopt(Generic[T]):
    """Two records that are the same person become a pair; `body` is both texts merged, each side gets what it lacks."""

    local: Item[T]
    remote: Item[T]
    body: T
    to_local: Change[T] | None
    to_remote: Change[T] | None
    lost: tuple[Lost, ...]
    reason: Reason

    @property
    def key(self) -> str:
        return f"adopt:{self.local.id}:{self.remote.id}"


@dataclass(frozen=True, slots=True)
class Rebase(Generic[T]):
    """Nothing travels; the link notes what both sides hold now."""

    link: Link[T]
    now: Link[T]
    reason: Reason = Reason.EQUAL

    @property
    def key(self) -> str:
        return f"rebase:{self.link.local_id}:{self.link.remote_id}"


@dataclass(frozen=True, slots=True)
class Wait(Generic[T]):
    """Cannot be decided yet: read the record again in the next run. `id` is local or remote as `side` says."""

    side: Side
    id: str
    reason: Reason

    @property
    def key(self) -> str:
        return f"wait:{self.side}:{self.id}"


@dataclass(frozen=True, slots=True)
class Decide(Generic[T]):
    """A person must say which of `candidates` (ids on the other side) `item` is, or that it is somebody new."""

    side: Side
    item: Item[T]
    candidates: tuple[str, ...]
    reason: Reason = Reason.AMBIGUOUS

    @property
    def key(self) -> str:
        return f"decide:{self.side}:{self.item.id}"


Action = Create[T] | Update[T] | Deselect[T] | Adopt[T] | Rebase[T] | Wait[T] | Decide[T]
