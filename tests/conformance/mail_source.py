"""The servers on which every `MailSource` and the whole mail channel must behave alike, started when first needed.
What is expected of all of them is written in test_mail_source.py and test_mail_channel.py."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2

from core.ports import Access, MailSource
from core.provider import Endpoint
from core.secret import Secret
from core.types import Security
from providers.protocols.connect import Guard
from providers.protocols.imap import open_imap
from sandbox.gmail import GmailDouble, PlainProfile
from sandbox.google import Consent, GoogleDouble
from sync.access import PasswordAccess, TokenAccess
from tests.integration.google_flow import App as Application
from tests.support.app_factory import LOOPBACK
from tests.support.dovecot import Dovecot
from tests.support.mail_servers import DovecotBox, MailServer, gmail_box, plain_box
from tests.support.processes import require
from tests.support.tls import Tls, write_tls

_CLIENT = "conformance"


@dataclass(frozen=True, slots=True)
class Kind:
    """One server to pass the suite: a sandbox with a profile, or a Dovecot that hides some capabilities."""

    name: str
    profile: PlainProfile | None = None
    without: tuple[str, ...] = ()
    dovecot: bool = False
    token: bool = False
    condstore: bool = True
    qresync: bool = False
    esearch: bool = True

    @property
    def gmail(self) -> bool:
        """Whether the server is Gmail, or plays it."""
        return self.profile is None and not self.dovecot

    def __str__(self) -> str:
        return self.name


SANDBOXES = (
    Kind("gmail"),
    Kind("plain", PlainProfile()),
    Kind("plain-qresync", PlainProfile(qresync=True), qresync=True),
    Kind("plain-no-esearch", PlainProfile(esearch=False), esearch=False),
    Kind(
        "plain-bare",
        PlainProfile(condstore=False, esearch=False, uidplus=False, list_status=False, special_use=False),
        condstore=False,
        esearch=False,
    ),
)
DOVECOTS = (
    Kind("dovecot", dovecot=True, qresync=True),
    Kind("dovecot-token", dovecot=True, token=True, qresync=True),
    Kind("dovecot-no-qresync", dovecot=True, without=("QRESYNC",)),
    Kind("dovecot-bare", dovecot=True, without=("QRESYNC", "CONDSTORE", "ESEARCH"), condstore=False, esearch=False),
)


@dataclass
class Servers:
    """All servers of a test session. Every box belongs to a new user."""

    tls: Tls
    stack: ExitStack
    sandboxes: dict[str, GmailDouble] = field(default_factory=dict)
    dovecots: dict[tuple[str, ...], Dovecot] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @cached_property
    def google(self) -> GoogleDouble:
        """Who answers for OAuth tokens."""
        google = self.stack.enter_context(GoogleDouble())
        google.clients.add("desktop", client_id=_CLIENT, client_secret="a secret")
        return google

    @cached_property
    def guard(self) -> Guard:
        """A guard that lets loopback through and trusts the servers' certificates."""
        return Guard(LOOPBACK, self.tls.ca)

    def box(self, kind: Kind) -> MailServer:
        """A new user's mailbox on a server of this kind."""
        address = f"user{next(self.numbers)}@mail.example"
        if kind.dovecot:
            return DovecotBox(self.dovecot(kind), address)
        double = self.sandbox(kind)
        return gmail_box(double, address, "localhost") if kind.gmail else plain_box(double, address, "localhost")

    def sandbox(self, kind: Kind) -> GmailDouble:
        """The running sandbox of a kind."""
        if kind.name not in self.sandboxes:
            double = GmailDouble(profile=kind.profile or "gmail", certfile=self.tls.certificate, keyfile=self.tls.key)
            self.sandboxes[kind.name] = self.stack.enter_context(double)
        return self.sandboxes[kind.name]

    def dovecot(self, kind: Kind) -> Dovecot:
        """The running Dovecot of a kind; skips the test when there is none on this machine."""
        require("dovecot", "dovecot-imapd dovecot-submissiond dovecot-lmtpd")
        if kind.without not in self.dovecots:
            # One server takes passwords and tokens.
            url = "" if kind.without else f"{self.google.base_url}/introspect"
            server = Dovecot(self.tls, without=kind.without, introspection_url=url or None)
            self.dovecots[kind.without] = self.stack.enter_context(server)
        return self.dovecots[kind.without]

    def access(self, kind: Kind, box: MailServer) -> Access:
        """How to sign in to a box."""
        if kind.token:
            return TokenAccess(box.address, Secret(self.token(box.address)))
        return PasswordAccess(box.address, Secret(box.password))

    def token(self, address: str) -> str:
        """An access token of a Google user of this address, obtained as an application does."""
        if self.google.users.find(address) is None:
            self.google.users.add(address, "Somebody")
        client = self.google.clients.find(_CLIENT)
        assert client is not None
        with httpx2.Client(trust_env=False) as http:
            application = Application(self.google, client, http)
            self.google.auto_consent = Consent(user=address)
            answer = http.get(application.auth_url(login_hint=address))
            code = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]
            return str(application.exchange(code).json()["access_token"])

    def source(self, kind: Kind, box: MailServer) -> MailSource:
        """A signed-in connection to a box."""
        host, port, security = box.endpoint
        return open_imap(self.guard, Endpoint(host, port, Security(security)), self.access(kind, box))


@contextmanager
def running_servers(folder: Path) -> Iterator[Servers]:
    """Servers that end with the block."""
    with ExitStack() as stack:
        yield Servers(write_tls(folder), stack)
