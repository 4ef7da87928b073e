"""Tries a provider step by step - name, connection, TLS, capabilities, sign-in - and says which step fails and why.
Each step uses the same code as a sync, so that a green test means something."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from core.errors import TwinboxError
from core.ports import Access
from core.provider import Endpoint, ProviderSpec
from core.types import Security
from providers.protocols.connect import CONNECT_TIMEOUT, Guard
from providers.protocols.imap_connection import GuardedIMAPClient, sign_in
from providers.protocols.smtp import open_smtp

WANTED = ("IDLE", "CONDSTORE", "QRESYNC", "ESEARCH", "UIDPLUS", "MOVE", "SPECIAL-USE", "X-GM-EXT-1")
Talk = Callable[[Guard, Endpoint, Access | None], str]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the test. `protocol` is imap or smtp; `advice` says what to do when it failed."""

    protocol: str
    name: str
    ok: bool
    detail: str
    advice: str = ""


def probe(guard: Guard, spec: ProviderSpec, access: Access | None) -> Iterator[Step]:
    """Walk IMAP, then each SMTP endpoint; each stops at its first failing step. Without `access` nobody signs in."""
    yield from _walk("imap", guard, spec.imap, access, _imap)
    for endpoint in (spec.smtp, *spec.smtp_alternatives):
        yield from _walk("smtp", guard, endpoint, access, _smtp)


def _walk(protocol: str, guard: Guard, endpoint: Endpoint, access: Access | None, talk: Talk) -> Iterator[Step]:
    step = Step(protocol, "DNS", True, "")
    try:
        addresses = guard.resolve(endpoint.host, endpoint.port)
        yield replace(step, detail=f"{endpoint.host} is {', '.join(address.ip for address in addresses)}")
        step = replace(step, name="TCP")
        sock = guard.connect(addresses, endpoint.host, CONNECT_TIMEOUT)
        yield replace(step, detail=f"port {endpoint.port} is open")
        if endpoint.security is Security.TLS:
            step = replace(step, name="TLS")
            secured = guard.wrap_tls(sock, endpoint.host)
            yield replace(step, detail=_tls_detail(secured))
            sock = secured
        sock.close()
        if endpoint.security is Security.STARTTLS:
            step = replace(step, name="TLS")
            talk(guard, endpoint, None)
            yield replace(step, detail="STARTTLS, certificate valid")
        step = replace(step, name="sign-in" if access else "capabilities")
        yield replace(step, detail=talk(guard, endpoint, access))
    except TwinboxError as error:
        yield replace(step, ok=False, detail=str(error), advice=error.advice)


def _tls_detail(sock: ssl.SSLSocket) -> str:
    return f"{sock.version()}, certificate valid"


def _imap(guard: Guard, endpoint: Endpoint, access: Access | None) -> str:
    client = GuardedIMAPClient(guard, endpoint)
    try:
        if access is not None:
            sign_in(client, access)
        offered = {name.decode("ascii", "replace").upper() for name in client.capabilities()}
    finally:
        client.shutdown()
    found = ", ".join(name for name in WANTED if name in offered) or "plain IMAP4rev1"
    return f"signed in; {found}" if access else f"before sign-in: {found}"


def _smtp(guard: Guard, endpoint: Endpoint, access: Access | None) -> str:
    smtp = open_smtp(guard, endpoint, access)
    try:
        size = smtp.esmtp_features.get("size", "")
        limit = f", messages up to {int(size) // 1_000_000} MB" if size.isdigit() else ""
        protection = {Security.TLS: "TLS", Security.STARTTLS: "STARTTLS"}.get(endpoint.security, "no protection")
        return f"{'signed in' if access else 'ready'} on port {endpoint.port} with {protection}{limit}"
    finally:
        smtp.close()
