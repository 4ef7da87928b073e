"""The nouns of two-sided synchronisation as frozen data: what a side holds, what changed, what is to be written.
Generic over the record (contact, later event); deciding is `core.plan`, talking and storing are left to adapters."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from core.errors import TwinboxError

T = TypeVar("T")

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Side(enum.StrEnum):
    """`local` is the CRM, `remote` the provider."""

    LOCAL = "local"
    REMOTE = "remote"

    @property
    def other(self) -> Side:
        return Side.REMOTE if self is Side.LOCAL else Side.LOCAL


class Stamp(NamedTuple):
    """The version of a record (etag or row version; "" for none known) and when its text was changed last, on the
    clock of its side."""

    version: str
    modified_at: datetime


UNKNOWN = Stamp("", LONG_AGO)


def later_side(local: Stamp, remote: Stamp, skew: float) -> Side:
    """Whose text was changed later; at equal times the CRM's. `skew` is how many seconds the provider's clock is ahead
    of ours."""
    ahead = (remote.modified_at - local.modified_at).total_seconds() - skew
    return Side.REMOTE if ahead > 0 else Side.LOCAL


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """A record as one side holds it now.

    `selected`: it takes part (has the tag, is in the group). `origin` is our id as stored on the remote record when
    we made it. `extra` is what the adapter needs to write the record again without reading it first: opaque here.
    `deleted`: it does not take part because it was deleted, in a way that can be taken back.
    """

    id: str
    stamp: Stamp
    selected: bool
    body: T
    origin: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False, repr=False)
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """The group (or calendar) that selects remote records. `id` is "" while it is known by name only."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Delta(Generic[T]):
    """What a side reports. `complete`: these are all its records, so absence means something.

    `renamed` maps former ids to present ones (merged or re-keyed by the provider). `cursor` is where the next call
    goes on; it may be stored once everything reported here was. `scope` is the group as it is now, None when there is
    none.
    """

    items: Mapping[str, Item[T]]
    gone: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False
    cursor: str = ""
    scope: Scope | None = None


@dataclass(frozen=True, slots=True)
class Link(Generic[T]):
    """The pairing of a local and a remote record of one account.

    `base` is the last text both agreed on, `local` and `remote` the stamps it was read or written with. `active`:
    both take part; a parted link (not active) remembers the pair, so that it can join again.
    `written_at` is when we last changed, or saw change, whether the remote record takes part: what the provider lists
    shortly after may be older than that.
    """

    local_id: str
    remote_id: str
    local: Stamp
    remote: Stamp
    base: T
    active: bool
    written_at: datetime = LONG_AGO
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sent(Generic[T]):
    """Intent, committed before a remote write: what was about to be written for `local_id`, decided on its version
    `local`. `remote_id` is "" for a record that was to be created. None for `selected` or `body`: not touched."""

    local_id: str
    remote_id: str
    local: Stamp
    body: T | None
    selected: bool | None
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Write(Generic[T]):
    """One change to one record of a side. `key` is the caller's name for it, given back with the outcome.

    `id` "" creates. `expect` is the version it was decided on. None leaves text or membership as they are.
    `modified_at` is the time the text counts as changed at (the CRM side keeps it; a provider sets its own).
    """

    key: str
    id: str
    expect: str
    body: T | None
    selected: bool | None
    origin: str = ""
    modified_at: datetime = LONG_AGO
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A write took effect; `item` is the record as it is now."""

    key: str
    item: Item[T]


@dataclass(frozen=True, slots=True)
class Failed:
    """A write did not take effect, or nobody knows (`error` is then Transient).

    VersionConflict: the record changed since it was read. RecordGone: it does not exist (any more). ItemRejected: this
    record cannot be written as it is. The other writes of the same call are not affected.
    """

    key: str
    error: TwinboxError
