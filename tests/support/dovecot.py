"""A private Dovecot: IMAP, IMAPS, submission and LMTP on free loopback ports, any user, password `pw`.
What is stored in it and which faults stand in front of it is left to the tests.

Settings: doc.dovecot.org/2.3/settings/core. Runs as an ordinary user; root is swapped for `nobody`,
because Dovecot refuses by construction to serve mail as uid 0.
"""

from __future__ import annotations

import imaplib
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.mail_loading import StoredMail, append_all
from tests.support.ports import free_ports
from tests.support.processes import (
    ServerProcess,
    account_name,
    give,
    group_name,
    listening,
    locate,
    private_directory,
    run_tool,
)
from tests.support.tls import Tls

PASSWORD = "pw"

# What Dovecot 2.3 offers after login when `imap_capability` is left empty.
CAPABILITIES = (
    "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS "
    "THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS "
    "LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH "
    "LIST-STATUS BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY "
    "SPECIAL-USE COMPRESS=DEFLATE"
)

_MAILBOXES = ("Drafts", "Sent", "Trash", "Junk", "Archive")

_CONFIG = """
base_dir = {root}/run
state_dir = {root}/state
instance_name = {root}
log_path = {root}/dovecot.messages
listen = 127.0.0.1
protocols = imap submission lmtp
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
default_vsz_limit = 1G
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
mail_home = {root}/mail/%u
mail_location = sdbox:~/dbox
mail_fsync = never
mail_max_userip_connections = 100
mail_plugins = zlib
verbose_proctitle = no
shutdown_clients = yes

ssl = yes
ssl_cert = <{root}/server.pem
ssl_key = <{root}/server.key

disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2 oauthbearer
auth_failure_delay = 0
imap_capability = {capability}

passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
{oauth}
userdb {{
  driver = static
  args = allow_all_users=yes
}}

service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service submission-login {{
  chroot =
  service_count = 0
  inet_listener submission {{
    port = {submission}
  }}
  inet_listener submissions {{
    port = {submissions}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}

namespace inbox {{
  inbox = yes
  separator = /
{mailboxes}
}}
protocol imap {{
  mail_plugins = zlib imap_zlib
}}
{extra}
"""

_OAUTH = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {root}/oauth2.conf
}}
"""

# The token goes as form field `token` to the URL, which answers {{"active": true, "email": "..."}} (RFC 7662).
_INTROSPECTION = """
introspection_mode = post
introspection_url = {url}
username_attribute = email
active_attribute = active
active_value = true
"""


@dataclass(frozen=True, slots=True)
class DovecotOptions:
    """What one Dovecot differs in.

    `without` names capabilities to hide, for instance ("CONDSTORE", "QRESYNC"): the server still knows
    the commands, but a client must not use what is not advertised (RFC 3501 7.2.1).
    `introspection_url` answers for opaque OAuth tokens (RFC 7662); None leaves password logins only.
    `relay_port` is the loopback SMTP port that submission hands mail to; None: every submission fails.
    `extra` is configuration text appended last; one setting per line, later lines win.
    """

    without: Sequence[str] = ()
    introspection_url: str | None = None
    relay_port: int | None = None
    extra: str = ""

    def capability(self) -> str:
        """The `imap_capability` setting: empty (Dovecot's own list) unless something is hidden."""
        hidden = {name.upper() for name in self.without}
        return " ".join(name for name in CAPABILITIES.split() if name not in hidden) if hidden else ""


@dataclass(frozen=True, slots=True)
class DovecotPorts:
    """The loopback ports of one Dovecot; `relay` is kept free when no relay was given."""

    imap: int
    imaps: int
    submission: int
    submissions: int
    lmtp: int
    relay: int


class Dovecot:
    """A running Dovecot, to be used as a context manager. Every user name exists, its password is `pw`."""

    def __init__(
        self,
        tls: Tls,
        *,
        without: Sequence[str] = (),
        introspection_url: str | None = None,
        relay_port: int | None = None,
        extra: str = "",
    ) -> None:
        self.tls = tls
        self._options = DovecotOptions(tuple(without), introspection_url, relay_port, extra)
        ports = DovecotPorts(*free_ports(6))
        self._ports = ports if relay_port is None else replace(ports, relay=relay_port)
        self._stack = ExitStack()

    @property
    def imap_port(self) -> int:
        """IMAP in the clear, with STARTTLS offered."""
        return self._ports.imap

    @property
    def imaps_port(self) -> int:
        """IMAP over TLS."""
        return self._ports.imaps

    @property
    def submission_port(self) -> int:
        """SMTP submission in the clear, with STARTTLS offered."""
        return self._ports.submission

    @property
    def submissions_port(self) -> int:
        """SMTP submission over TLS."""
        return self._ports.submissions

    @property
    def lmtp_port(self) -> int:
        """LMTP: what is delivered here lands in the INBOX of the recipient."""
        return self._ports.lmtp

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.root = stack.enter_context(private_directory("dovecot"))
            self.write_configuration()
            command = [locate("dovecot") or "dovecot", "-F", "-c", str(self._config)]
            self.process = ServerProcess("dovecot", command, self.root)
            # Nobody needs its mail any more, and an orderly end takes a second.
            stack.callback(self.process.kill)
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start (again, after `process.stop()` or `process.kill()`) on the same ports and mail."""
        # A kill leaves the lock of the previous life behind; Dovecot then waits to see if it is alive.
        (self.root / "run" / "master.pid").unlink(missing_ok=True)
        self.process.start(lambda: listening(self.imap_port))
        # The first login starts auth, config and imap; nobody should measure that.
        with self.connect("warm-up@example.org"):
            pass

    def connect(self, user: str, password: str = PASSWORD) -> imaplib.IMAP4:
        """A logged-in plain imaplib connection, for arranging and checking; it logs out as a context manager."""
        client = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=60)
        try:
            client.login(user, password)
        except imaplib.IMAP4.error:
            client.shutdown()
            raise
        return client

    def doveadm(self, *arguments: str) -> str:
        """Run `doveadm` (for instance "kick", user) and return what it printed; ServerFailed if it fails."""
        command = [locate("doveadm") or "doveadm", "-c", str(self._config), *arguments]
        return run_tool(command, self.root).decode()

    def append(
        self,
        user: str,
        mailbox: str,
        raw: bytes,
        flags: Sequence[str] = (),
        internaldate: datetime | None = None,
    ) -> int:
        """Store one message and return its UID; the mailbox is made if it does not exist."""
        return self.load(user, mailbox, [StoredMail(raw, tuple(flags), internaldate)])[0]

    def load(self, user: str, mailbox: str, mails: Iterable[StoredMail]) -> list[int]:
        """Store many messages fast (one MULTIAPPEND per few thousand) and return their UIDs in order."""
        with self.connect(user) as client:
            return append_all(client, mailbox, mails)

    @property
    def _config(self) -> Path:
        return self.root / "dovecot.conf"

    def write_configuration(self) -> None:
        """Write every file the server reads, owned by the account it runs under."""
        for source, name in ((self.tls.certificate, "server.pem"), (self.tls.key, "server.key")):
            shutil.copyfile(source, self.root / name)
            give(self.root / name, mode=0o600)
        oauth = ""
        if self._options.introspection_url is not None:
            conf = self.root / "oauth2.conf"
            conf.write_text(_INTROSPECTION.format(url=self._options.introspection_url))
            give(conf)
            oauth = _OAUTH.format(root=self.root)
        self._config.write_text(self._settings(oauth))
        give(self._config)

    def _settings(self, oauth: str) -> str:
        special = "  mailbox {0} {{\n    auto = subscribe\n    special_use = \\{0}\n  }}"
        ports = self._ports
        return _CONFIG.format(
            root=self.root,
            user=account_name(),
            group=group_name(),
            password=PASSWORD,
            capability=self._options.capability(),
            oauth=oauth,
            imap=ports.imap,
            imaps=ports.imaps,
            submission=ports.submission,
            submissions=ports.submissions,
            lmtp=ports.lmtp,
            relay=ports.relay,
            mailboxes="\n".join(special.format(name) for name in _MAILBOXES),
            extra=self._options.extra,
        )
