"""The users' mailboxes behind one lock, with change notices for open sessions and the tests' counters.

Decides who may touch the state and when listeners hear of it; meaning of a change: labels.py, folders.py.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sandbox.gmail.faults import Faults
from sandbox.gmail.model import Mailbox, add_folder
from sandbox.gmail.names import INBOX, LANGUAGES, NOSELECT, FolderNames
from sandbox.gmail.profile import Profile


class Clock(Protocol):
    """The time of the sandbox."""

    def now(self) -> datetime:
        """The present moment, aware."""
        ...


@dataclass(slots=True)
class Counters:
    """What one user's sessions did: for assertions on traffic.

    `fetched` counts (folder, uid, item), an item being e.g. `BODY[]`, `BODY[]<0.32768>` or `ENVELOPE`.
    `commands` are command lines without their tag, literals as `{n}`, credentials as `***`.
    """

    bytes_sent: int = 0
    sessions: list[int] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    fetched: Counter[tuple[str, int, str]] = field(default_factory=Counter)


@dataclass(slots=True)
class Quota:
    """A daily allowance; `reply` is NO or BYE."""

    max_bytes: int | None
    max_commands: int | None
    reply: str
    since: datetime
    base_bytes: int
    base_commands: int


class Store:
    """All users of one double. Every access holds `lock`; `changing` also tells the listeners."""

    def __init__(self, profile: Profile, clock: Clock, seed: int) -> None:
        self.profile = profile
        self.clock = clock
        self.seed = seed
        self.lock = threading.RLock()
        self.listeners: list[Callable[[str], None]] = []
        self.faults = Faults()
        self.clear()

    def clear(self) -> None:
        """Forget everything, as new: same seed, same numbers."""
        with self.lock:
            self.random = random.Random(self.seed)
            self.boxes: dict[str, Mailbox] = {}
            self.counters: defaultdict[str, Counters] = defaultdict(Counters)
            self.quotas: dict[str, Quota] = {}
            self.faults.clear()

    def add_user(
        self,
        user: str,
        *,
        app_password: str = "",
        password: str = "",
        language: str | FolderNames = "en",
        hidden: frozenset[str] = frozenset(),
        aliases: frozenset[str] = frozenset(),
    ) -> Mailbox:
        """Create a user with the folders a new account has.

        `language` picks the names of Gmail's special folders; `hidden` names roles that LIST leaves out;
        `aliases` are further addresses the user may send from.
        """
        names = LANGUAGES[language] if isinstance(language, str) else language
        with self.lock:
            box = Mailbox(
                user=user,
                next_uidvalidity=self.random.randrange(1, 1000),
                app_password=app_password,
                password=password,
                hidden=hidden,
                aliases=aliases,
                expunge_bumps_modseq=self.profile.plain.expunge_bumps_modseq,
            )
            self.boxes[user.lower()] = box
            if self.profile.gmail:
                _gmail_folders(box, names)
            else:
                for name, role in self.profile.plain.folders:
                    add_folder(box, name, role)
            return box

    def box(self, user: str) -> Mailbox:
        """The user's mailbox, created when first asked for."""
        with self.lock:
            return self.boxes.get(user.lower()) or self.add_user(user)

    def known(self, user: str) -> Mailbox | None:
        """The user's mailbox if there is one."""
        with self.lock:
            return self.boxes.get(user.lower())

    @contextmanager
    def changing(self, user: str) -> Iterator[Mailbox]:
        """The user's mailbox under the lock; open sessions hear of it afterwards."""
        with self.lock:
            yield self.box(user)
        self.notify(user)

    def notify(self, user: str) -> None:
        """Wake the user's open sessions."""
        for listener in tuple(self.listeners):
            listener(user.lower())

    def new_msgid(self, when: datetime) -> int:
        """A 64-bit id shaped like Gmail's: milliseconds in the high bits, above 2^53."""
        with self.lock:
            return (int(when.timestamp() * 1000) << 20) | self.random.getrandbits(20)


def _gmail_folders(box: Mailbox, names: FolderNames) -> None:
    add_folder(box, "INBOX", INBOX)
    add_folder(box, names.root, NOSELECT)
    for role, leaf in names.leaves.items():
        add_folder(box, f"{names.root}/{leaf}", role)
