"""What the service needs of a provider, as protocols. Adapters live in `providers`; they raise only `core.errors`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol, TypeVar

from core.replica import Delta, Done, Failed, Scope, Write
from core.secret import Secret
from core.types import Attachment, FetchedMessage, Mailbox, MailboxStatus, MessageHead
from core.uidset import UidSet

Clock = Callable[[], datetime]
T = TypeVar("T")


class Access(Protocol):
    """How to sign in to one account; the only way an adapter gets a secret."""

    @property
    def login(self) -> str:
        """The user name to send."""

    @property
    def uses_token(self) -> bool:
        """True: `secret()` is an OAuth 2.0 access token; False: a password."""

    def secret(self, *, refresh: bool = False) -> Secret:
        """The password or a valid access token; `refresh` forces a new token after the server refused one.

        Raises NeedsRelink, Misconfigured or Transient.
        """


@dataclass(frozen=True, slots=True)
class SourceTraits:
    """What the connected server can do (capabilities after sign-in)."""

    gmail: bool = False
    condstore: bool = False
    qresync: bool = False
    esearch: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed in a mailbox since a modification sequence (RFC 7162).

    `vanished` is None when the server cannot tell removals; then they must be found by listing.
    """

    heads: tuple[MessageHead, ...]
    vanished: UidSet | None


@dataclass(frozen=True, slots=True)
class Structure:
    """What BODYSTRUCTURE tells of a long message: its attachments and how far its text reaches.

    `text_end` is the estimated offset, in bytes after the message's own header, where its last text part ends;
    0 when it has none.
    """

    attachments: tuple[Attachment, ...]
    text_end: int


@dataclass(frozen=True, slots=True)
class FetchedWindow:
    """One window of UIDs as it came. `problem` says why the server broke it off, "" when it is complete; a UID of the
    window that has no message was removed meanwhile, or came without a body. `structures` has what the server told of
    messages that came cut, where it was asked.
    """

    uids: UidSet
    messages: tuple[FetchedMessage, ...]
    problem: str = ""
    structures: Mapping[int, Structure] = field(default_factory=dict)


class MailSource(Protocol):
    """One signed-in connection to a mailbox server. Not thread-safe: one thread owns it.

    Every method may raise Transient (connection lost, server busy), Throttled, NeedsRelink, and MailboxGone where
    a mailbox is named. `select` must be called before the methods that take UIDs.
    """

    @property
    def traits(self) -> SourceTraits: ...

    @property
    def bytes_read(self) -> int:
        """Bytes received since the connection was opened."""

    def mailboxes(self) -> Sequence[Mailbox]: ...

    def statuses(self, names: Sequence[str]) -> Mapping[str, MailboxStatus]:
        """STATUS of each mailbox, in one flight; a mailbox that fails is left out."""

    def select(self, name: str) -> MailboxStatus:
        """Open a mailbox read-only (EXAMINE)."""

    def search(self, *, since: date | None = None, above: int = 0) -> UidSet:
        """UIDs of the selected mailbox with an internal date on or after `since` and a UID greater than `above`."""

    def heads(self, uids: UidSet, *, identity: bool) -> Iterator[MessageHead]:
        """Flags (and labels, modseq); with `identity` also size, date, Gmail ids and identifying header lines.

        A message that is gone, or of which the server cannot give these, is left out.
        """

    def fetch(
        self, windows: Sequence[UidSet], *, first: int, outline: bool = False
    ) -> Generator[FetchedWindow, None, None]:
        """Heads with the first `first` bytes of each message, window by window as they complete; with `outline` also
        the structures of messages that are longer, as far as the server gives them.
        """

    def read(self, uid: int, section: str, offset: int, length: int) -> bytes:
        """A byte range of one body section ("" = the whole message); shorter at its end. Raises ItemRejected."""

    def structures(self, uids: UidSet) -> Mapping[int, Structure]:
        """BODYSTRUCTURE of each message; one that the server or we cannot make sense of is left out."""

    def changes(self, since_modseq: int, *, known: UidSet) -> Changes: ...

    def close(self) -> None: ...


class Replica(Protocol[T]):
    """One side's records of a channel, as the planner sees them; providers implement it, and so does the CRM side.

    Every method may raise Transient, Throttled, NeedsRelink or Misconfigured. Not thread-safe.
    """

    def changes(self, cursor: str | None) -> Delta[T]:
        """What changed since `cursor`; None: everything, with `complete` set. Raises CursorExpired."""

    def get(self, ids: Collection[str]) -> Delta[T]:
        """These records as they are now; those that do not exist are in `gone`."""

    def write(self, writes: Sequence[Write[T]]) -> Iterator[Done[T] | Failed]:
        """Carry out writes, in batches of the adapter's choice; one outcome each, in any order.

        Outcomes come as soon as they are known: an error raised in the middle leaves the rest not written, or, for
        those in the batch that broke off, unknown.
        """


@dataclass(frozen=True, slots=True)
class CalendarEntry:
    """A calendar the account can choose. `primary`: its own; `writable`: events in it can be changed."""

    id: str
    name: str
    primary: bool
    writable: bool
    zone: str


@dataclass(frozen=True, slots=True)
class WatchOrder:
    """A push channel to be opened: its id, the secret that comes with every notice, and where notices go."""

    channel: str
    token: Secret
    address: str


@dataclass(frozen=True, slots=True)
class Watched:
    """An open push channel: what the provider calls the thing watched, and when it ends by itself."""

    resource: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """What came over a push channel. `changed`: something happened; else it only says that the channel is open."""

    channel: str
    token: Secret
    resource: str
    changed: bool


class Calendars(Protocol):
    """The calendars of one account at its provider. Not thread-safe.

    Every method may raise Transient, Throttled, NeedsRelink, NotGranted or Misconfigured.
    """

    def calendars(self) -> Sequence[CalendarEntry]:
        """All that the account can choose among, its own first."""

    def watch(self, calendar: str, order: WatchOrder) -> Watched:
        """Have the provider tell an address of ours of every change of a calendar.

        After Transient nobody knows whether it does. Raises RecordGone for a calendar that does not exist, and
        ItemRejected when the provider does not want to.
        """

    def unwatch(self, channel: str, resource: str) -> None:
        """End that; what has ended already does no harm."""

    def close(self) -> None: ...


class RemoteReplica(Replica[T], Protocol[T]):
    """A provider's side: also knows the group that selects, and how far its clock is from ours."""

    @property
    def skew(self) -> float:
        """Seconds the provider's clock is ahead of ours, as last heard; 0 before any answer."""

    @property
    def batch(self) -> int:
        """How many records one call of the provider writes at most."""

    def make_scope(self, name: str) -> Scope:
        """Make the group, or take the one that has this name already; from then on it selects."""

    def close(self) -> None: ...
