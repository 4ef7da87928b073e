"""Reads windows of messages with several commands in flight, and the outline of long ones behind them.
What a FETCH response means is left to `imap_tokens` and `imap_structure`, when to ask for what to the callers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from core.errors import Transient, TwinboxError
from core.ports import FetchedWindow, Structure
from core.types import FetchedMessage, MessageHead
from core.uidset import UidSet
from providers.protocols.imap_commands import MAX_SET
from providers.protocols.imap_errors import as_imap_error, is_damage
from providers.protocols.imap_structure import read_structure
from providers.protocols.imap_tokens import Value
from providers.protocols.imap_wire import Tagged, Untagged, Wire

# Seconds a whole exchange may take. A bulk FETCH moves a few MB; even 20 KB/s is enough for that.
BULK = 300.0
PIPELINE = 2

Fetched = tuple[MessageHead, dict[bytes, Value]]


@dataclass(slots=True)
class _Asked:
    """A window on its way: first its bodies are asked for, then the structures of the messages named `long`."""

    uids: UidSet
    messages: list[FetchedMessage] = field(default_factory=list)
    problem: str = ""
    long: UidSet | None = None
    structures: dict[int, Structure] = field(default_factory=dict)

    def window(self) -> FetchedWindow:
        return FetchedWindow(self.uids, tuple(self.messages), self.problem, self.structures)

    def take(self, head: MessageHead, items: dict[bytes, Value]) -> bool:
        """Keep what belongs to this window; False when it does not."""
        if self.long is not None:
            if head.uid not in self.long or b"BODYSTRUCTURE" not in items:
                return False
            if structure := read_structure(items[b"BODYSTRUCTURE"]):
                self.structures[head.uid] = structure
            return True
        if head.uid not in self.uids:
            return False
        body = next((value for key, value in items.items() if key.startswith(b"BODY[]")), None)
        if isinstance(body, bytes) and body:
            self.messages.append(FetchedMessage(head, body))
            return True
        return False


class WindowReader:
    """One FETCH of many windows. `items` is what is asked for, `read` makes head and items of a response.

    With `outline` BODYSTRUCTURE of messages that came cut is asked for as soon as their window is there: the answers
    come behind the windows that are in flight already, so this costs no round trip of its own.
    """

    def __init__(self, wire: Wire, read: Callable[[Untagged], Fetched | None], items: bytes, *, outline: bool) -> None:
        self._wire, self._read, self._items, self._outline = wire, read, items, outline
        self._flight: dict[bytes, _Asked] = {}

    def windows(self, wanted: Sequence[UidSet]) -> Generator[FetchedWindow, None, None]:
        """The windows as they complete. Given up in the middle, it reads what is in flight to the end."""
        waiting = deque(wanted)
        try:
            while waiting or self._flight:
                while waiting and sum(asked.long is None for asked in self._flight.values()) < PIPELINE:
                    self._ask(waiting.popleft())
                if done := self._next_done(outline=self._outline):
                    yield done.window()
        except GeneratorExit:
            while self._flight:
                self._next_done(outline=False)
            raise
        except TwinboxError:
            # The bodies of these are whole; only a list of attachments is missing, and can be asked for later.
            for asked in self._flight.values():
                if asked.long is not None:
                    yield asked.window()
            raise

    def _ask(self, uids: UidSet) -> None:
        sets = list(uids.pieces(MAX_SET))
        if len(sets) > 1:
            raise ValueError("a window of more UIDs than one command can name")
        (tag,) = self._wire.send(b"UID FETCH %s (%s)" % (sets[0].encode(), self._items))
        self._flight[tag] = _Asked(uids)

    def _next_done(self, *, outline: bool) -> _Asked | None:
        """Read until a command is completed; what belongs to another window is put there. None: there is more to
        come for this window."""
        for response in self._wire.responses(list(self._flight), deadline=BULK):
            if isinstance(response, Tagged):
                asked = self._flight.pop(response.tag)
                _note_problem(asked, response)
                return None if outline and self._ask_structures(asked) else asked
            fetched = self._read(response)
            if fetched is not None:
                any(asked.take(*fetched) for asked in self._flight.values())
        raise Transient("the server ended a fetch without completing it")

    def _ask_structures(self, asked: _Asked) -> bool:
        """Ask for the structures of a window whose bodies are there; False when there is nothing to ask."""
        if asked.long is not None or asked.problem:
            return False
        long = UidSet.of(one.head.uid for one in asked.messages if one.head.size > len(one.data))
        sets = list(long.pieces(MAX_SET))
        if len(sets) != 1:
            return False
        asked.long = long
        (tag,) = self._wire.send(b"UID FETCH %s (BODYSTRUCTURE)" % sets[0].encode())
        self._flight[tag] = asked
        return True


def _note_problem(asked: _Asked, tagged: Tagged) -> None:
    """Why the server broke a window off. Raises what is about more than its messages."""
    if tagged.status == b"OK":
        return
    error = as_imap_error(tagged.text)
    if not is_damage(error):
        raise error
    if asked.long is None:  # a structure is a hint, and can be asked for again
        asked.problem = str(error)
