"""IMAP and SMTP servers on loopback that play a script, with good and bad certificates, and note all they hear.
What a client must make of them is left to the tests."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import trustme

from core.secret import Secret
from providers.protocols.connect import Guard

HOST = "localhost"
LOGIN, PASSWORD, TOKEN = "ann@example.com", "canary-password", "canary-token"
CAPABILITIES = "IMAP4rev1 SASL-IR STARTTLS AUTH=PLAIN AUTH=XOAUTH2 ID"
CHALLENGE = base64.b64encode(json.dumps({"status": "401", "schemes": "bearer", "scope": "mail"}).encode()).decode()


def only_loopback(host: str, port: int) -> Sequence[str]:
    """localhost without ::1, where the scripted servers do not listen."""
    assert host == HOST
    return ["127.0.0.1"]


@dataclass(frozen=True)
class Certificates:
    """A trusted server, and three that are not."""

    ca: Path
    good: ssl.SSLContext
    other_name: ssl.SSLContext
    expired: ssl.SSLContext
    unknown: ssl.SSLContext

    @property
    def guard(self) -> Guard:
        networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
        return Guard(allow_networks=networks, ca_file=self.ca, resolver=only_loopback)


def make_certificates(directory: Path) -> Certificates:
    """The certificates of a trusted authority and of an unknown one; `directory` gets the trusted one's file."""
    ours, foreign = trustme.CA(), trustme.CA()
    path = directory / "ca.pem"
    ours.cert_pem.write_to_path(path)

    def context(authority: trustme.CA, name: str, not_after: datetime | None = None) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        since = None if not_after is None else not_after - timedelta(days=10)
        authority.issue_cert(name, not_before=since, not_after=not_after).configure_cert(made)
        return made

    return Certificates(
        path,
        context(ours, HOST),
        context(ours, "elsewhere.example"),
        context(ours, HOST, datetime.now(UTC) - timedelta(days=1)),
        context(foreign, HOST),
    )


class Talk:
    """One connection at the server's end; `heard` is every byte that came before or after TLS, in lines."""

    def __init__(self, sock: socket.socket, heard: list[bytes]) -> None:
        self.sock, self.heard = sock, heard
        self.file = sock.makefile("rb")

    def say(self, *lines: str) -> None:
        self.sock.sendall("".join(line + "\r\n" for line in lines).encode())

    def hear(self) -> str:
        line = self.file.readline()
        if not line:
            raise ConnectionError
        self.heard.append(line)
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def secure(self, context: ssl.SSLContext) -> None:
        self.file.close()
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.file = self.sock.makefile("rb")

    def close(self) -> None:
        self.file.close()
        self.sock.close()


Script = Callable[[Talk], None]


@dataclass
class Server:
    """Where a scripted server listens, and what it heard."""

    port: int
    heard: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        return b"".join(self.heard).decode("utf-8", "replace")

    def tells_no_secret(self) -> bool:
        """No password or token came, in whatever form the two protocols send it."""
        return "canary" not in self.text and "LOGIN" not in self.text and "AUTH" not in self.text


@contextmanager
def serving(script: Script, implicit: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Play `script` on every connection, over TLS if `implicit` is given, one connection after the other."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener.getsockname()[1])
    over = threading.Event()

    def play() -> None:
        while True:
            sock = listener.accept()[0]
            if over.is_set():
                sock.close()
                return
            sock.settimeout(10)
            talk = Talk(sock, server.heard)
            try:
                if implicit is not None:
                    talk.secure(implicit)
                script(talk)
            except (OSError, ValueError):  # the client hung up, or never spoke TLS
                pass
            finally:
                talk.close()

    thread = threading.Thread(target=play, name="scripted-server")
    thread.start()
    try:
        yield server
    finally:
        over.set()
        socket.create_connection(("127.0.0.1", server.port)).close()
        thread.join()
        listener.close()


@dataclass
class Account:
    """Access as a test gives it; `tokens` are handed out one after the other."""

    login: str = LOGIN
    password: str = PASSWORD
    tokens: list[str] = field(default_factory=list)
    asked: list[bool] = field(default_factory=list)

    @property
    def uses_token(self) -> bool:
        return bool(self.tokens)

    def secret(self, *, refresh: bool = False) -> Secret:
        self.asked.append(refresh)
        return Secret(self.tokens[len(self.asked) - 1] if self.tokens else self.password)


def imap(
    answers: Mapping[str, Sequence[str]] | None = None,
    *,
    greeting: str = "* OK ready",
    capabilities: str = CAPABILITIES,
    upgrade: ssl.SSLContext | None = None,
    token: str = TOKEN,
) -> Script:
    """An IMAP server. `answers` by verb; a line that begins with `#` is completed with the command's tag."""

    def script(talk: Talk) -> None:
        talk.say(greeting)
        while True:
            tag, _, rest = talk.hear().partition(" ")
            verb = rest.partition(" ")[0].upper()
            if answers and verb in answers:
                talk.say(*(tag + line[1:] if line.startswith("#") else line for line in answers[verb]))
            elif verb == "CAPABILITY":
                talk.say(f"* CAPABILITY {capabilities}", f"{tag} OK done")
            elif verb == "AUTHENTICATE":
                authenticate(talk, tag, token)
            else:
                talk.say(f"{tag} OK done")
            if verb == "STARTTLS" and upgrade is not None:
                talk.secure(upgrade)

    return script


def authenticate(talk: Talk, tag: str, token: str) -> None:
    """As Gmail does: a challenge with the reason, an empty line from the client, then NO."""
    talk.say("+ ")
    if f"Bearer {token}\x01".encode() in base64.b64decode(talk.hear()):
        talk.say(f"{tag} OK [CAPABILITY IMAP4rev1 IDLE MOVE] signed in")
        return
    talk.say(f"+ {CHALLENGE}")
    assert talk.hear() == ""
    talk.say(f"{tag} NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)")


def smtp(
    answers: Mapping[str, Sequence[str]] | None = None,
    *,
    greeting: str = "220 ready",
    extensions: Sequence[str] = ("STARTTLS", "AUTH PLAIN LOGIN XOAUTH2", "SIZE 35882577"),
    upgrade: ssl.SSLContext | None = None,
    token: str = TOKEN,
) -> Script:
    """An SMTP submission server; `answers` by verb."""

    def script(talk: Talk) -> None:
        talk.say(greeting)
        while True:
            verb, _, rest = talk.hear().partition(" ")
            if answers and verb.upper() in answers:
                talk.say(*answers[verb.upper()])
            elif verb.upper() == "EHLO":
                lines = ["hello", *extensions]
                talk.say(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")
            elif verb.upper() == "STARTTLS":
                talk.say("220 go on")
            elif verb.upper() == "AUTH" and rest.startswith("XOAUTH2"):
                _smtp_token(talk, rest, token)
            elif verb.upper() == "AUTH":
                talk.say("235 2.7.0 Accepted")
            else:
                talk.say("250 ok")
            if verb.upper() == "STARTTLS" and upgrade is not None:
                talk.secure(upgrade)

    return script


def _smtp_token(talk: Talk, rest: str, token: str) -> None:
    payload = base64.b64decode(rest.split()[1])
    if payload == f"user={LOGIN}\x01auth=Bearer {token}\x01\x01".encode():
        talk.say("235 2.7.0 Accepted")
        return
    talk.say(f"334 {CHALLENGE}")
    assert talk.hear() == ""
    talk.say("535-5.7.8 Username and Password not accepted.", "535 5.7.8 gsmtp")
