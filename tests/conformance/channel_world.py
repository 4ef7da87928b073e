"""What the tests of the mail channel share: a server of some kind, an account linked to it, and the usual moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from sandbox.gmail import GmailDouble
from sync import mail, mail_fill
from tests.conformance.mail_source import DOVECOTS, SANDBOXES, Kind, Servers
from tests.support.mail_factory import make_mail
from tests.support.mail_servers import MailServer
from tests.support.mail_sync import Linked, Template

GMAIL, PLAIN, QRESYNC, _, BARE = SANDBOXES
KINDS = [*SANDBOXES, *(kind for kind in DOVECOTS if not kind.token)]
FOLDERS = [kind for kind in KINDS if not kind.gmail]
DAY = datetime(2026, 2, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """A server, an account linked to it, and the moves the tests make."""

    kind: Kind
    box: MailServer
    linked: Linked
    servers: Servers

    def add(self, count: int, start: int = 1, folder: str = "", **parts: object) -> list[int]:
        """Messages named <1@t>, <2@t>, ..., each a minute younger than the one before."""
        return [
            self.box.append(
                folder or self.box.main,
                make_mail(message_id=f"<{n}@t>", subject=f"Number {n}", **parts),  # type: ignore[arg-type]
                (),
                DAY.replace(minute=n % 60, hour=n // 60 % 24),
            )
            for n in range(start, start + count)
        ]

    @property
    def double(self) -> GmailDouble:
        return self.servers.sandbox(self.kind)

    def bodies(self) -> int:
        """How many message bodies the sandbox has sent to this user."""
        counters = self.double.counters(self.box.address)
        return sum(count for (_, _, item), count in counters.fetched.items() if item.startswith("BODY[]<0."))

    def bytes_used(self) -> int:
        return self.linked.channel().bytes_used


def make_world(kind: Kind, servers: Servers, template: Template, **options: object) -> Iterator[World]:
    box = servers.box(kind)
    linked = template.link(box, ca_file=servers.tls.ca, **{"slice_seconds": 600, **options})
    yield World(kind, box, linked, servers)
    template.drop(linked)


def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("FIRST_WINDOW", 2), ("WINDOW", 3), ("GROUP", 2)):
        monkeypatch.setattr(mail_fill, name, size)
    monkeypatch.setattr(mail, "FIRST_WINDOW", 2)
