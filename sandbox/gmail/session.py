"""One IMAP session: its state, the selected folder as this client knows it, and the loop over commands.

Decides order and state checks, and when faults and quotas strike; each command is left to its module.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sandbox.gmail import changes, names
from sandbox.gmail.faults import COMMAND_FAULTS, Fault
from sandbox.gmail.grammar import BadCommand, Parser
from sandbox.gmail.model import Folder, Mailbox
from sandbox.gmail.store import Store
from sandbox.gmail.wire import ConnectionCut, Wire

EXPIRED = "Session expired, please login again."


class No(Exception):
    """The command failed; the text goes after NO."""


class Bad(Exception):
    """The command is wrong here; the text goes after BAD."""


class Bye(Exception):
    """The server ends the session; the text goes after BYE."""


@dataclass(slots=True)
class Selected:
    """The open folder as told to the client: its UIDs by sequence number, and up to which modseq."""

    folder: Folder
    uidvalidity: int
    read_only: bool
    uids: list[int]
    horizon: int
    told: dict[int, int] = field(default_factory=dict)
    version: int = -1
    lag: int | None = None
    saved: list[int] = field(default_factory=list)


Handler = Callable[["Session", Parser], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its handler and the least state it needs (0 none, 1 logged in, 2 folder open).

    `quiet` commands must not report expunges before their end (RFC 3501 7.4.1).
    """

    handler: Handler
    state: int = 1
    quiet: bool = False


class Session:
    """The state of one connection. `box` is None before login, `selected` None without an open folder."""

    def __init__(self, store: Store, wire: Wire, commands: Mapping[str, Command]) -> None:
        self.store = store
        self.wire = wire
        self.commands = commands
        self.profile = store.profile
        self.user = ""
        self.box: Mailbox | None = None
        self.selected: Selected | None = None
        self.expires_at: datetime | None = None
        self.enabled: set[str] = set()
        self.tag = ""
        self.by_uid = False
        self.bytes_sent = 0
        self.changed = asyncio.Event()
        self.busy = False
        self.login: Callable[[Session, str, datetime | None], None] = lambda *_: None
        self.check_token: Callable[[str], tuple[str, datetime] | None] = lambda _: None

    @property
    def mailbox(self) -> Mailbox:
        """The user's mailbox; only for commands that need a login."""
        if self.box is None:
            raise Bad("Unknown command")
        return self.box

    @property
    def opened(self) -> Selected:
        """The open folder; only for commands that need one."""
        if self.selected is None:
            raise Bad("SELECT or EXAMINE first")
        return self.selected

    @property
    def utf8(self) -> bool:
        """Whether names go out as UTF-8."""
        return "UTF8=ACCEPT" in self.enabled

    def count(self, size: int) -> None:
        """Book bytes sent."""
        self.bytes_sent += size
        if self.user:
            self.store.counters[self.user].bytes_sent += size

    def put(self, line: bytes) -> None:
        """Queue one untagged or tagged line."""
        self.wire.put(line + b"\r\n")

    def name(self, folder: Folder) -> bytes:
        """The folder's name as this client expects it."""
        return names.mailbox(folder.name, self.utf8)

    def sequence(self, uid: int) -> int | None:
        """The sequence number under which the client knows the UID."""
        index = bisect_left(self.opened.uids, uid)
        found = index < len(self.opened.uids) and self.opened.uids[index] == uid
        return index + 1 if found else None

    async def run(self, greeting: str) -> None:
        """Serve until the end; the connection is closed afterwards."""
        try:
            self.put(f"* OK {greeting}".encode())
            await self.wire.flush()
            while not self.wire.closed:
                raw = await self.wire.read_command()
                self.busy = True
                await self._answer(raw)
                self.busy = False
        except Bye as bye:
            await self.say_bye(str(bye))
        except ConnectionCut:
            pass
        finally:
            self.wire.close()

    async def say_bye(self, text: str) -> None:
        """Send BYE and close."""
        self.put(f"* BYE {text}".encode())
        try:
            await self.wire.flush()
        except ConnectionCut:
            return
        self.wire.close()

    async def _answer(self, raw: bytes) -> None:
        parser = Parser(raw)
        try:
            self.tag = parser.atom()
            parser.space()
            name = parser.keyword()
            self.by_uid = name == "UID"
            if self.by_uid:
                parser.space()
                name = "UID " + parser.keyword()
        except BadCommand:
            self.put((self.tag or "*").encode() + b" BAD Could not parse command")
            await self.wire.flush()
            return
        if self.user:
            log_command(self.store, self.user, name, raw)
        try:
            status = "OK " + await self._execute(name, parser)
        except No as no:
            status = f"NO {no}"
        except Bad as bad:
            status = f"BAD {bad}"
        except BadCommand:
            status = "BAD Could not parse command"
        self._announce(self.commands.get(name))
        self.put(f"{self.tag} {status}".encode())
        await self.wire.flush()

    async def _execute(self, name: str, parser: Parser) -> str:
        command = self.commands.get(name)
        if command is None:
            raise Bad("Unknown command")
        if command.state >= 1:
            _ = self.mailbox
        if self.user:
            await self._trouble(name)
        if command.state >= 2:
            _ = self.opened
            self._check_folder()
        with self.store.lock:
            self._advance()
        return await command.handler(self, parser)

    async def _trouble(self, name: str) -> None:
        """Session expiry, quota and armed faults, in this order."""
        if self.expires_at is not None and self.store.clock.now() >= self.expires_at:
            raise Bye(EXPIRED)
        if name != "LOGOUT":
            check_quota(self.store, self.user)
        while (fault := self.store.faults.take(self.user, COMMAND_FAULTS, name)) is not None:
            await self.suffer(fault)

    async def suffer(self, fault: Fault) -> None:
        """Carry out a command fault."""
        match fault.kind:
            case "cut":
                self.wire.cut_left = fault.number
            case "pace":
                self.wire.packet, self.wire.pause = fault.number, fault.pause
            case "delay":
                await asyncio.sleep(fault.pause)
            case "no":
                raise No(fault.text)
            case "bye":
                raise Bye(fault.text)
            case "raw":
                self.wire.put(fault.payload)
            case "endless":
                await self.flood(b"* OK ", fault.number)

    async def flood(self, head: bytes, total: int) -> None:
        """Send `total` bytes of filler after the head, then close."""
        self.wire.put(head)
        left = total
        while left > 0:
            self.wire.put(b"x" * min(left, 1 << 16))
            left -= 1 << 16
            await self.wire.flush()
        raise ConnectionCut

    def _check_folder(self) -> None:
        selected = self.selected
        if selected is not None and selected.folder.uidvalidity != selected.uidvalidity:
            # The UIDs this client knows are void; no RFC lets a server say so in an open session.
            raise Bye("[UNAVAILABLE] Mailbox was rebuilt, please reconnect")

    def _advance(self) -> None:
        """Let the session see what happened, or stay behind while late visibility is on."""
        selected, box = self.selected, self.box
        if selected is None or box is None or selected.horizon == box.visible():
            return
        if box.late_commands and selected.horizon < box.visible():
            selected.lag = box.late_commands if selected.lag is None else selected.lag - 1
            if selected.lag > 0:
                return
        selected.lag = None
        selected.horizon = box.visible()
        selected.version = -1

    def _announce(self, command: Command | None) -> None:
        """Queue what changed in the open folder."""
        if self.selected is None or self.box is None:
            return
        if self.selected.folder.uidvalidity != self.selected.uidvalidity:
            return
        with self.store.lock:
            if not self.box.late_commands:
                self._advance()
            expunges = command is None or not command.quiet
            for line in changes.pending(self.selected, self.enabled, expunges=expunges):
                self.put(line)

    async def push(self) -> None:
        """Send changes now, outside a command's answer (IDLE)."""
        self._check_folder()
        with self.store.lock:
            self._advance()
        self._announce(None)
        await self.wire.flush()


def log_command(store: Store, user: str, name: str, raw: bytes) -> None:
    """Write the command line to the user's log, without literals and credentials."""
    line = raw.partition(b" ")[2]
    if name in ("LOGIN", "AUTHENTICATE"):
        line = b" ".join(line.split(b" ")[: 1 if name == "LOGIN" else 2]) + b" ***"
    store.counters[user].commands.append(changes.mask_literals(line).decode("utf-8", "replace"))


def check_quota(store: Store, user: str) -> None:
    """Raise No or Bye with Gmail's text when the user's daily allowance is used up."""
    quota = store.quotas.get(user)
    if quota is None:
        return
    counters = store.counters[user]
    now = store.clock.now()
    if (now - quota.since).total_seconds() >= 86400:
        quota.since, quota.base_bytes, quota.base_commands = now, counters.bytes_sent, len(counters.commands)
    over_bytes = quota.max_bytes is not None and counters.bytes_sent - quota.base_bytes >= quota.max_bytes
    count = len(counters.commands) - quota.base_commands
    if over_bytes or (quota.max_commands is not None and count > quota.max_commands):
        text = "[OVERQUOTA] Account exceeded command or bandwidth limits."
        if quota.reply == "BYE":
            raise Bye(text)
        raise No(f"{text} (Failure)")
