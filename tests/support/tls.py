"""A throw-away certificate authority and one server certificate for loopback names, as files.
Which server presents it, and which client trusts it, is decided by the callers."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files: what a client trusts (`ca`) and what a server presents (`certificate`, `key`)."""

    ca: Path
    certificate: Path
    key: Path

    def client_context(self) -> ssl.SSLContext:
        """A verifying client context that trusts only this authority."""
        return ssl.create_default_context(cafile=str(self.ca))

    def server_context(self) -> ssl.SSLContext:
        """A server context for in-process servers (aiosmtpd, the sandbox)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def write_tls(directory: Path, *names: str) -> Tls:
    """Make an authority and a certificate for localhost, 127.0.0.1, ::1 and any further `names`."""
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1", "::1", *names)
    tls = Tls(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    authority.cert_pem.write_to_path(tls.ca)
    tls.certificate.write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))
    server.private_key_pem.write_to_path(tls.key)
    return tls
