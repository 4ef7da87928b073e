"""Commands before and around login: CAPABILITY, ID, LOGIN, AUTHENTICATE, ENABLE, NOOP, LOGOUT.

Decides who gets in and with which words Gmail refuses; token validity is left to the caller's `check_token`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sandbox.gmail.faults import LOGIN_FAULTS, TRANSPORT_FAULTS
from sandbox.gmail.grammar import Parser
from sandbox.gmail.session import Bad, Command, No, Session
from sandbox.gmail.store import Store
from sandbox.gmail.wire import ConnectionCut

CheckToken = Callable[[str], tuple[str, datetime] | None]
SCOPE = "https://mail.google.com/"
INVALID = "[AUTHENTICATIONFAILED] Invalid credentials (Failure)"
APP_PASSWORD = (
    "[ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)"
)
MAX_CONNECTIONS = 15


@dataclass(frozen=True, slots=True)
class Admitted:
    """A login whose credentials are right; `expires_at` is set for tokens."""

    user: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A login refused: 400 malformed, expired or other user's token, 401 invalid token."""

    status: int = 401
    app_password_needed: bool = False

    def challenge(self) -> bytes:
        """The JSON that XOAUTH2 and OAUTHBEARER send before failing."""
        schemes = "bearer mac" if self.status == 401 else "Bearer"
        return json.dumps({"status": str(self.status), "schemes": schemes, "scope": SCOPE}).encode()


def by_token(payload: bytes, store: Store, check_token: CheckToken) -> Admitted | Refused:
    """Judge an XOAUTH2 (or OAUTHBEARER) initial response."""
    user = token = ""
    for piece in payload.decode("utf-8", "replace").split("\x01"):
        if piece.startswith("user="):
            user = piece[5:]
        elif piece.startswith("n,a="):
            user = piece[4:].rstrip(",")
        elif piece.lower().startswith("auth=bearer "):
            token = piece[12:].strip()
    if not user or not token:
        return Refused(400)
    known = check_token(token)
    if known is None:
        return Refused(401)
    email, expires_at = known
    if email.lower() != user.lower() or store.clock.now() >= expires_at:
        return Refused(400)
    return Admitted(email.lower(), expires_at)


def by_password(user: str, password: str, store: Store) -> Admitted | Refused:
    """Judge a password. The server does not strip the blanks that Google shows in app passwords."""
    box = store.known(user)
    if box is None:
        return Refused()
    if box.app_password and hmac.compare_digest(password.encode(), box.app_password.encode()):
        return Admitted(box.user.lower())
    if box.password and hmac.compare_digest(password.encode(), box.password.encode()):
        return Refused(app_password_needed=True) if store.profile.gmail else Admitted(box.user.lower())
    return Refused()


def decode_base64(line: bytes) -> bytes:
    """One line of a SASL exchange; raises Bad."""
    try:
        return base64.b64decode(line.strip(), validate=True)
    except binascii.Error as error:
        raise Bad("Invalid SASL argument.") from error


async def capability(session: Session, args: Parser) -> str:
    """CAPABILITY."""
    args.end()
    listed = session.profile.after_login if session.box else session.profile.before_login
    session.put(("* CAPABILITY " + " ".join(listed)).encode())
    return "Thats all she wrote! (Success)"


async def authenticate(session: Session, args: Parser) -> str:
    """AUTHENTICATE XOAUTH2, OAUTHBEARER or PLAIN, with or without an initial response."""
    if session.box is not None:
        raise Bad("Already logged in")
    args.space()
    mechanism = args.keyword()
    first: bytes | None = None
    if args.take(b" "):
        if "SASL-IR" not in session.profile.before_login:
            raise Bad("Could not parse command")
        rest = args.data[args.pos :]
        first = b"" if rest == b"=" else rest
    if f"AUTH={mechanism}" not in session.profile.before_login:
        raise No(f"Unsupported authentication mechanism: {mechanism} (Failure)")
    payload = decode_base64(first if first is not None else await _challenge(session, b""))
    if mechanism == "PLAIN":
        pieces = payload.split(b"\0")
        if len(pieces) != 3:
            raise Bad("Invalid SASL argument.")
        user, password = (piece.decode("utf-8", "replace") for piece in pieces[1:])
        return await _admit(session, by_password(user, password, session.store))
    verdict = by_token(payload, session.store, session.check_token)
    if isinstance(verdict, Refused):
        answer = (await _challenge(session, base64.b64encode(verdict.challenge()))).strip()
        # XOAUTH2 wants an empty line here, OAUTHBEARER the single byte 0x01 (RFC 7628 3.2.3).
        if answer not in (b"", b"AQ==") or (mechanism == "XOAUTH2" and answer):
            raise Bad("Invalid SASL argument.")
    return await _admit(session, verdict)


async def _challenge(session: Session, text: bytes) -> bytes:
    session.wire.put(b"+ " + text + b"\r\n")
    await session.wire.flush()
    line = await session.wire.read_line()
    if line.strip() == b"*":
        raise Bad("Authentication cancelled")
    return line


async def login(session: Session, args: Parser) -> str:
    """LOGIN with an app password."""
    if session.box is not None:
        raise Bad("Already logged in")
    args.space()
    user = args.astring().decode("utf-8", "replace")
    args.space()
    password = args.astring().decode("utf-8", "replace")
    args.end()
    return await _admit(session, by_password(user, password, session.store))


async def _admit(session: Session, verdict: Admitted | Refused) -> str:
    if isinstance(verdict, Refused):
        raise No(APP_PASSWORD if verdict.app_password_needed else INVALID)
    fault = session.store.faults.take(verdict.user, LOGIN_FAULTS)
    if fault is not None:
        raise No(fault.text)
    session.login(session, verdict.user, verdict.expires_at)
    while (fault := session.store.faults.take(verdict.user, TRANSPORT_FAULTS, "LOGIN")) is not None:
        await session.suffer(fault)
    session.put(("* CAPABILITY " + " ".join(session.profile.after_login)).encode())
    return f"{verdict.user} authenticated (Success)"


async def identify(session: Session, args: Parser) -> str:
    """ID (RFC 2971); Google asks clients to send it."""
    args.space()
    if not args.take(b"NIL"):
        args.listed(lambda: None if args.take(b"NIL") else args.string())
    args.end()
    who = b'"GImap" "vendor" "Google, Inc."' if session.profile.gmail else b'"Plain"'
    session.put(b'* ID ("name" %s)' % who)
    return "Success"


async def enable(session: Session, args: Parser) -> str:
    """ENABLE (RFC 5161)."""
    wanted: list[str] = []
    while args.take(b" "):
        wanted.append(args.keyword())
    args.end()
    able = {name for name in ("CONDSTORE", "QRESYNC", "UTF8=ACCEPT") if session.profile.has(name)}
    on = [name for name in wanted if name in able]
    session.enabled.update(on)
    if "QRESYNC" in on:
        session.enabled.add("CONDSTORE")
    session.put(("* ENABLED " + " ".join(on)).rstrip().encode())
    return "Success"


async def compress(_session: Session, args: Parser) -> str:
    """COMPRESS (RFC 4978) is announced as Gmail does but always refused; clients must go on without it."""
    args.space()
    args.keyword()
    args.end()
    raise No("[CANNOT] Compression is not available. (Failure)")


async def noop(_session: Session, args: Parser) -> str:
    """NOOP and CHECK."""
    args.end()
    return "Success"


async def logout(session: Session, args: Parser) -> str:
    """LOGOUT."""
    args.end()
    session.put(b"* BYE LOGOUT Requested")
    session.selected = None
    session.put(f"{session.tag} OK 73 good day (Success)".encode())
    await session.wire.flush()
    session.wire.close()
    raise ConnectionCut


COMMANDS = {
    "CAPABILITY": Command(capability, 0),
    "AUTHENTICATE": Command(authenticate, 0),
    "LOGIN": Command(login, 0),
    "ID": Command(identify, 0),
    "NOOP": Command(noop, 0),
    "LOGOUT": Command(logout, 0),
    "CHECK": Command(noop, 2),
    "ENABLE": Command(enable),
    "COMPRESS": Command(compress),
}
