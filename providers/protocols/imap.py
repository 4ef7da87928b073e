"""A mailbox server over IMAP as a `core.ports.MailSource`: bulk reading with an own FETCH reader on imapclient's
connection. What to read is decided by `core.mailbox`; storing it is left to `sync.mail`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import date

from core.errors import ItemRejected, MailboxGone, Transient, TwinboxError
from core.ports import Access, Changes, FetchedWindow, SourceTraits, Structure
from core.provider import Endpoint
from core.types import Mailbox, MailboxStatus, MessageHead
from core.uidset import UidSet
from providers.protocols.connect import Guard
from providers.protocols.imap_commands import (
    IDENTITY_FIELDS,
    MAX_SET,
    mailbox_argument,
    mailbox_name,
    read_examine,
    read_mailboxes,
    read_search,
    read_status,
    read_vanished,
    search_criteria,
)
from providers.protocols.imap_connection import GuardedIMAPClient, sign_in
from providers.protocols.imap_errors import as_imap_error, is_damage
from providers.protocols.imap_fetch import BULK, Fetched, WindowReader
from providers.protocols.imap_structure import read_structure
from providers.protocols.imap_tokens import Malformed, Value, fetch_items, head_of, usual_items
from providers.protocols.imap_wire import Tagged, Untagged, Wire

# Seconds a whole exchange may take.
QUICK = 60.0
STATUS_FLIGHT = 50
# How often one call cuts a set in two around a message the server cannot give: enough for a few of them.
MAX_SPLITS = 100


def open_imap(guard: Guard, endpoint: Endpoint, access: Access) -> ImapSource:
    """Connect and sign in. Raises what `GuardedIMAPClient` and `sign_in` raise."""
    client = GuardedIMAPClient(guard, endpoint)
    try:
        sign_in(client, access)
        return ImapSource(client)
    except TwinboxError:
        client.shutdown()
        raise


class ImapSource:
    """One signed-in IMAP connection."""

    def __init__(self, client: GuardedIMAPClient) -> None:
        self._client = client
        capabilities = {bytes(name).upper() for name in client.capabilities()}
        self._wire = Wire(client.socket(), client.server_file, heard=client.heard)
        try:
            self._qresync = b"QRESYNC" in capabilities and b"CONDSTORE" in capabilities and self._enable_qresync()
        except TwinboxError:
            self._wire.close()  # nobody else could end its thread
            raise
        self._traits = SourceTraits(
            gmail=b"X-GM-EXT-1" in capabilities,
            condstore=b"CONDSTORE" in capabilities,
            qresync=self._qresync,
            esearch=b"ESEARCH" in capabilities,
        )
        self._modseqs = self._traits.condstore

    def _enable_qresync(self) -> bool:
        tagged, untagged = self._run(b"ENABLE QRESYNC")
        return tagged.status == b"OK" and any(b"QRESYNC" in item.parts[0].upper() for item in untagged)

    @property
    def traits(self) -> SourceTraits:
        return self._traits

    @property
    def bytes_read(self) -> int:
        return self._wire.bytes_read

    @property
    def round_trips(self) -> int:
        """Flights of commands sent since sign-in."""
        return self._wire.round_trips

    def close(self) -> None:
        """Drop the connection; waiting for the answer to LOGOUT would only cost time."""
        self._wire.close()
        self._client.shutdown()

    def mailboxes(self) -> Sequence[Mailbox]:
        tagged, untagged = self._run(b'LIST "" "*"')
        self._check(tagged)
        return read_mailboxes(item.parts for item in untagged)

    def statuses(self, names: Sequence[str]) -> Mapping[str, MailboxStatus]:
        items = b"MESSAGES UIDNEXT UIDVALIDITY" + (b" HIGHESTMODSEQ" if self._traits.condstore else b"")
        found: dict[str, MailboxStatus] = {}
        for start in range(0, len(names), STATUS_FLIGHT):
            flight = names[start : start + STATUS_FLIGHT]
            tags = self._wire.send(*(b"STATUS %s (%s)" % (mailbox_argument(name), items) for name in flight))
            for response in self._wire.responses(tags, deadline=QUICK):
                if isinstance(response, Untagged) and response.parts[0][2:9].upper() == b"STATUS ":
                    entry = read_status(response.parts)
                    if entry is not None:
                        found[entry[0]] = entry[1]
        return found

    def select(self, name: str) -> MailboxStatus:
        command = b"EXAMINE " + mailbox_argument(name) + (b" (CONDSTORE)" if self._traits.condstore else b"")
        tagged, untagged = self._run(command)
        if tagged.status != b"OK":
            error = as_imap_error(tagged.text)
            if is_damage(error):
                raise MailboxGone(f"the folder {name!r} cannot be opened: {error}")
            raise error
        status = read_examine(item.parts[0] for item in untagged)
        self._modseqs = status.highest_modseq > 0
        if status.uidnext and status.uidvalidity:
            return status
        told = self.statuses([name]).get(name, status)
        return MailboxStatus(
            status.uidvalidity or told.uidvalidity,
            status.uidnext or told.uidnext or self.search().highest + 1,
            status.exists,
            status.highest_modseq,
        )

    def search(self, *, since: date | None = None, above: int = 0) -> UidSet:
        criteria = search_criteria(since, above)
        verb = b"UID SEARCH RETURN (ALL) " if self._traits.esearch else b"UID SEARCH "
        tagged, untagged = self._run(verb + criteria)
        self._check(tagged)
        found = UidSet()
        for item in untagged:
            if item.parts[0][2:8].upper() in (b"SEARCH", b"ESEARC"):
                found |= _readable(read_search, item)
        # `n:*` names the last message even when its UID is below n (RFC 9051 9, seq-range).
        return found - UidSet.span(1, above)

    def heads(self, uids: UidSet, *, identity: bool) -> Iterator[MessageHead]:
        sets = [UidSet.parse(piece) for piece in uids.pieces(MAX_SET)]
        for _, fetched in self._answers(sets, self._head_items(identity=identity)):
            if fetched is not None and fetched[0].uid in uids:
                yield fetched[0]

    def _answers(
        self, sets: Sequence[UidSet], items: bytes, modifier: bytes = b""
    ) -> Iterator[tuple[Untagged, Fetched | None]]:
        """What the server says to FETCH of each set, and as what it was read; see `_damaged`."""
        splits = iter(range(MAX_SPLITS))
        waiting = list(reversed(sets))
        while waiting:
            asked = waiting.pop()
            came: list[int] = []
            tags = self._wire.send(b"UID FETCH %s (%s)%s" % (str(asked).encode(), items, modifier))
            for response in self._wire.responses(tags, deadline=BULK):
                if isinstance(response, Tagged):
                    rest = self._damaged(response, asked, came)
                    if rest and next(splits, None) is None:
                        raise as_imap_error(response.text)
                    waiting += rest
                    continue
                fetched = self._fetched(response)
                if fetched is not None:
                    came.append(fetched[0].uid)
                yield response, fetched

    def _damaged(self, tagged: Tagged, asked: UidSet, came: Sequence[int]) -> list[UidSet]:
        """What to ask again, in halves, after the server gave up on a set because of some message in it; a single
        message that it cannot give is left out. Raises every other error."""
        if tagged.status == b"OK":
            return []
        error = as_imap_error(tagged.text)
        if not is_damage(error):
            raise error
        rest = asked - UidSet.of(came)
        middle = (rest.lowest + rest.highest) // 2
        halves = (rest & UidSet.span(middle + 1, rest.highest), rest & UidSet.span(rest.lowest, middle))
        return [half for half in halves if half] if len(rest) > 1 else []

    def _head_items(self, *, identity: bool) -> bytes:
        items = [b"FLAGS"]
        if self._modseqs:
            items.append(b"MODSEQ")
        if self._traits.gmail:
            items.append(b"X-GM-LABELS")
        if identity:
            items += [b"INTERNALDATE", b"RFC822.SIZE"]
            # Gmail's own id tells copies apart; elsewhere some header lines do.
            items += [b"X-GM-MSGID", b"X-GM-THRID"] if self._traits.gmail else [IDENTITY_FIELDS]
        return b" ".join(items)

    def fetch(
        self, windows: Sequence[UidSet], *, first: int, outline: bool = False
    ) -> Generator[FetchedWindow, None, None]:
        """Windows are asked for ahead of being read: see `WindowReader`."""
        items = self._head_items(identity=True).removesuffix(b" " + IDENTITY_FIELDS) + b" BODY.PEEK[]<0.%d>" % first
        return WindowReader(self._wire, self._fetched, items, outline=outline).windows(windows)

    def read(self, uid: int, section: str, offset: int, length: int) -> bytes:
        name = section.encode("ascii")
        if name and not all(part.isdigit() for part in name.split(b".")):
            raise ItemRejected(f"no such section: {section}")
        tagged, untagged = self._run(b"UID FETCH %d (BODY.PEEK[%s]<%d.%d>)" % (uid, name, offset, length), BULK)
        self._check(tagged)
        prefix = b"BODY[%s]" % name
        for item in untagged:
            fetched = self._fetched(item)
            if fetched is None or fetched[0].uid != uid:
                continue
            for key, value in fetched[1].items():
                if key.startswith(prefix):
                    # Some servers ignore the range and send everything.
                    data = value if isinstance(value, bytes) else b""
                    return data[offset : offset + length] if len(data) > length else data
        raise ItemRejected("the server did not give this part of the message")

    def structures(self, uids: UidSet) -> Mapping[int, Structure]:
        found: dict[int, Structure] = {}
        for piece in uids.pieces(MAX_SET):
            tags = self._wire.send(b"UID FETCH %s (BODYSTRUCTURE)" % piece.encode())
            for response in self._wire.responses(tags, deadline=BULK):
                if isinstance(response, Tagged):
                    if response.status != b"OK" and not is_damage(error := as_imap_error(response.text)):
                        raise error
                elif (fetched := self._fetched(response)) is not None:
                    structure = read_structure(fetched[1].get(b"BODYSTRUCTURE"))
                    if structure is not None:
                        found[fetched[0].uid] = structure
        return found

    def changes(self, since_modseq: int, *, known: UidSet) -> Changes:
        modifier = b" (CHANGEDSINCE %d%s)" % (since_modseq, b" VANISHED" if self._traits.qresync else b"")
        everything = UidSet.span(1, max(known.highest, 1))
        heads: dict[int, MessageHead] = {}
        gone = UidSet()
        for response, fetched in self._answers([everything], self._head_items(identity=False), modifier):
            if fetched is not None:
                heads[fetched[0].uid] = fetched[0]
            elif response.parts[0][2:11].upper() == b"VANISHED ":
                gone |= _readable(read_vanished, response)
        return Changes(tuple(heads.values()), gone & known if self._traits.qresync else None)

    def _fetched(self, response: Untagged) -> Fetched | None:
        """The head and items of a FETCH response; None for anything else, and for one that names no UID:
        a server may push flags of a sequence number at any time, which must never be taken for a UID."""
        if b" FETCH (" not in response.parts[0][:24].upper():
            return None
        items = usual_items(response.parts)
        if items is None:
            try:
                items = fetch_items(response.parts)
            except Malformed:
                return None
        head = head_of(items, _labels(items.get(b"X-GM-LABELS")) if self._traits.gmail else None)
        return (head, items) if head.uid else None

    def _run(self, command: bytes, deadline: float = QUICK) -> tuple[Tagged, list[Untagged]]:
        tags = self._wire.send(command)
        untagged: list[Untagged] = []
        for response in self._wire.responses(tags, deadline=deadline):
            if isinstance(response, Tagged):
                return response, untagged
            untagged.append(response)
        raise Transient("the server did not complete the command")

    def _check(self, tagged: Tagged) -> None:
        if tagged.status != b"OK":
            raise as_imap_error(tagged.text)


def _readable(read: Callable[[bytes], UidSet], item: Untagged) -> UidSet:
    """What `read` makes of a line; a line that is not what it should be is a fault of the server."""
    try:
        return read(item.parts[0])
    except (ValueError, IndexError) as error:
        raise Transient("the server sent a list of messages that cannot be read") from error


def _labels(value: Value) -> frozenset[str] | None:
    """Gmail labels as text: modified UTF-7 decoded; an unquoted NIL is a label of that name."""
    if not isinstance(value, list):
        return None
    return frozenset(
        mailbox_name(item) if isinstance(item, bytes) else "NIL" for item in value if not isinstance(item, list)
    )
