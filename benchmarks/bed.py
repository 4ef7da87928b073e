"""A private Dovecot with TLS on loopback whose mailboxes hold the corpus, kept on disk between runs.
Which account a comparison uses, and what it does there, is decided in `cases.py`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from benchmarks import drain
from benchmarks.corpus import SEED, Mail, generate
from tests.support.dovecot import PASSWORD, Dovecot
from tests.support.mail_loading import StoredMail
from tests.support.processes import give, locate
from tests.support.tls import Tls, write_tls

HOST = "localhost"
DOMAIN = "bench.example"
# The private Dovecot makes these by itself; with four more an account has ten mailboxes.
TEN_MAILBOXES = ("INBOX", "Drafts", "Sent", "Trash", "Junk", "Archive", "Offers", "Invoices", "Team", "Travel")
MANY_ACCOUNTS = 20

# Without the zlib plugins of the test server: with them each FETCH of one message costs Dovecot 1.3 ms more,
# which made mbsync (a FETCH per message) three times slower than it is.
_SETTINGS = """
mail_plugins =
protocol imap {{
  mail_plugins =
}}
mail_home = {root}/mail/%u
imap_logout_format = in=%i out=%o
metric imap_commands {{
  filter = event=imap_command_finished
}}
"""


@dataclass(frozen=True, slots=True)
class Bed:
    """The running server; `messages` is the size of the big mailbox."""

    server: Dovecot
    tls: Tls
    root: Path
    messages: int
    generator: str
    """Identifies the corpus generator; accounts that another one filled are filled anew."""
    _warm: set[str] = field(default_factory=set)

    @property
    def port(self) -> int:
        """IMAP over TLS on `HOST`."""
        return self.server.imaps_port

    @property
    def password(self) -> str:
        """The password of every account."""
        return PASSWORD

    @property
    def log(self) -> Path:
        """Dovecot's log, which ends each session with the bytes that went in and out."""
        return self.server.root / "dovecot.messages"

    def first(self) -> str:
        """The account with all messages in its INBOX."""
        return self._account("first", {"INBOX": self.messages}, SEED)

    def halves(self) -> str:
        """The account with the same number of messages in two mailboxes, for two programs at once."""
        return self._account("halves", {"Half1": self.messages // 2, "Half2": self.messages // 2}, seed=2)

    def ten_mailboxes(self) -> str:
        """The account with ten mailboxes, together a tenth of all messages."""
        return self._account("ten", dict.fromkeys(TEN_MAILBOXES, max(1, self.messages // 100)), seed=3)

    def many(self) -> tuple[str, ...]:
        """Twenty accounts which hold all messages together."""
        each = max(1, self.messages // MANY_ACCOUNTS)
        return tuple(
            self._account(f"many{number:02d}", {"INBOX": each}, seed=100 + number)
            for number in range(1, MANY_ACCOUNTS + 1)
        )

    def _account(self, name: str, mailboxes: dict[str, int], seed: int) -> str:
        address = f"{name}@{DOMAIN}"
        marker, wanted = self.root / f"{name}.loaded", json.dumps([mailboxes, seed, self.generator])
        kept = (self.root / "mail" / address).exists() and marker.exists() and marker.read_text() == wanted
        if not kept:
            marker.unlink(missing_ok=True)
            self.forget(address)
            mails = generate(sum(mailboxes.values()), seed)
            for mailbox, count in mailboxes.items():
                self.server.load(address, mailbox, map(_stored, islice(mails, count)))
            marker.write_text(wanted)
        if address not in self._warm:
            # The first reader would otherwise pay for the server's caches, and the next ones gain by it.
            for mailbox in mailboxes:
                drain.drain(self.source(address), mailbox, drain.METADATA)
                drain.drain(self.source(address), mailbox, drain.WHOLE)
            self._warm.add(address)
        return address

    def source(self, address: str) -> drain.Source:
        """Where and as whom to sign in."""
        return drain.Source(HOST, self.port, str(self.tls.ca), address, PASSWORD)

    def forget(self, address: str) -> None:
        """Remove an account's mail from the server's disk."""
        shutil.rmtree(self.root / "mail" / address, ignore_errors=True)

    @contextmanager
    def copy(self, address: str, name: str) -> Iterator[str]:
        """A copy of an account that may be changed: the message files are shared, the indexes are its own."""
        target = f"{name}@{DOMAIN}"
        self.forget(target)
        shutil.copytree(
            self.root / "mail" / address, self.root / "mail" / target, copy_function=_link_message, symlinks=True
        )
        for folder, _, files in os.walk(self.root / "mail" / target):
            give(Path(folder))
            for file in files:
                if not file.startswith("u."):
                    give(Path(folder, file))
        try:
            yield target
        finally:
            self.forget(target)

    def change(self, address: str, round_number: int, *, new: int = 100, flags: int = 500) -> None:
        """Append `new` messages and turn the \\Flagged of `flags` older ones in INBOX over, seeded by the round."""
        mails = generate(new, 1000 + round_number, start=datetime.now(UTC))
        self.server.load(address, "INBOX", map(_stored, mails))
        chosen = set(random.Random(round_number).sample(range(1, self.messages + 1), min(flags, self.messages)))
        with self.server.connect(address) as client:
            client.select("INBOX")
            flagged = {int(uid) for uid in client.uid("SEARCH", "FLAGGED")[1][0].split()}
            for sign, uids in (("-", chosen & flagged), ("+", chosen - flagged)):
                if uids:
                    client.uid("STORE", ",".join(map(str, sorted(uids))), f"{sign}FLAGS.SILENT", r"(\Flagged)")


@contextmanager
def open_bed(directory: Path, messages: int) -> Iterator[Bed]:
    """Start the server over `directory`; accounts are loaded when first asked for. One run at a time per bed."""
    if locate("dovecot") is None:
        raise SystemExit("dovecot is not installed: apt-get install dovecot-imapd dovecot-submissiond dovecot-lmtpd")
    generator = _generator_hash()  # now: the files may be edited while accounts are being filled
    root = directory.resolve() / str(messages)
    (root / "mail").mkdir(parents=True, exist_ok=True)
    (root / "tls").mkdir(exist_ok=True)
    give(root / "mail")
    closed = [str(one) for one in (root, *root.parents) if not one.stat().st_mode & 0o001]
    if closed and os.geteuid() == 0:
        raise SystemExit(f"The mail server's account cannot enter {closed[-1]}: choose another --bed")
    with (root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"Another benchmark is using {root}: wait for it or choose another --bed") from None
        tls = write_tls(root / "tls")
        with Dovecot(tls, extra=_SETTINGS.format(root=root)) as server:
            yield Bed(server, tls, root, messages, generator)


def _stored(mail: Mail) -> StoredMail:
    return StoredMail(mail.raw, mail.flags, mail.internaldate)


def _link_message(source: str, target: str) -> str:
    # sdbox never changes a message file once it is written (doc.dovecot.org/2.3/admin_manual/mailbox_formats/dbox).
    if Path(source).name.startswith("u."):
        os.link(source, target)
        return target
    return shutil.copy2(source, target)


def _generator_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("corpus*.py")):
        if path.stem != "corpus_stats":
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
