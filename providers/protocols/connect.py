"""The one guarded way out: resolves once, checks every answer, connects to a checked address, keeps the name for TLS.
What is said over the connection is left to the protocol modules."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import Misconfigured, Refused, Transient, TwinboxError
from core.settings import Network
from providers.protocols.counting import Heard, unheard
from providers.protocols.networks import check_address, checked_host, is_allowed

if TYPE_CHECKING:
    import httpx2

Resolver = Callable[[str, int], Sequence[str]]

# IMAP, HTTPS, submissions, submission, IMAPS. Port 25 is for servers among themselves (RFC 8314 3).
DEFAULT_PORTS = frozenset({143, 443, 465, 587, 993})
CONNECT_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """An address the guard has checked."""

    ip: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.ip else socket.AF_INET


def system_resolver(host: str, port: int) -> tuple[str, ...]:
    """Every address the operating system knows for `host`, without duplicates. Raises socket.gaierror."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))


@dataclass(frozen=True)
class Guard:
    """Which networks may be reached, and what is trusted there. Build one per process and pass it on.

    `allow_networks` are let through on any port although they are loopback, private or link-local; `ca_file` is
    trusted in addition to the system's authorities. `heard` is told of each answer that comes over its connections.
    """

    allow_networks: tuple[Network, ...] = ()
    ca_file: Path | None = None
    resolver: Resolver = system_resolver
    ports: frozenset[int] = DEFAULT_PORTS
    heard: Heard = unheard

    @cached_property
    def tls_context(self) -> ssl.SSLContext:
        """The shared client context: TLS 1.2 or later, certificate and host name verified (RFC 8314 4).

        Raises Misconfigured when the CA file cannot be used.
        """
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file is not None:
            try:
                context.load_verify_locations(cafile=self.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise Misconfigured(
                    f"the CA file {self.ca_file} cannot be used: {error.strerror or 'no PEM certificate in it'}",
                    advice="Let TWINBOX_CA_FILE name a readable file of PEM certificates, or unset it.",
                ) from error
        return context

    def resolve(self, host: str, port: int) -> tuple[PeerAddress, ...]:
        """Look `host` up once and return every address of it, all checked.

        Raises Refused if the spelling is odd or any one answer is not allowed, Transient if there is no answer.
        """
        name = checked_host(host)
        if not 0 < port < 65536:
            raise Refused(f"{port} is not a port number", advice="Use 993 for IMAP, 465 or 587 for SMTP.")
        try:
            answers = self.resolver(name, port)
        except (socket.gaierror, UnicodeError) as error:
            raise Transient(
                f"the name {name} cannot be resolved",
                advice="Check the host name, and the name server of this machine.",
            ) from error
        if not answers:
            raise Transient(f"the name {name} has no address", advice="Check the host name.")
        for answer in answers:
            check_address(_parsed(answer), port, name, self.allow_networks, self.ports)
        return tuple(PeerAddress(answer, port) for answer in answers)

    def open_socket(self, host: str, port: int, timeout: float = CONNECT_TIMEOUT) -> socket.socket:
        """A TCP connection to the first checked address that answers; `timeout` seconds in all.

        The socket keeps `timeout` for reads and writes. Raises Refused or Transient.
        """
        return self.connect(self.resolve(host, port), host, timeout)

    def connect(self, addresses: Sequence[PeerAddress], host: str, timeout: float) -> socket.socket:
        """Connect to the first of these `resolve`d addresses that answers; see `open_socket`."""
        deadline = time.monotonic() + timeout
        failure: OSError = TimeoutError()
        for address in addresses:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                return _connected(address, left, timeout)
            except OSError as error:
                failure = error
        raise _unreachable(host, addresses[0].port, failure) from failure

    def is_trusted(self, sock: socket.socket) -> bool:
        """Whether the other end lies in `allow_networks`: only there may passwords travel without TLS."""
        return is_allowed(_parsed(sock.getpeername()[0]), self.allow_networks)

    def wrap_tls(self, sock: socket.socket, host: str) -> ssl.SSLSocket:
        """TLS on an open connection, with `host` for SNI and the certificate check; closes `sock` on failure.

        Raises Misconfigured for a certificate or protocol that will not get better by itself, else Transient.
        """
        try:
            return self.tls_context.wrap_socket(sock, server_hostname=checked_host(host))
        except (OSError, ssl.SSLError) as error:
            sock.close()
            raise tls_error(error, host) from error
        except TwinboxError:
            sock.close()
            raise

    def http_client(self, timeout: float = CONNECT_TIMEOUT) -> httpx2.Client:
        """An HTTP client whose every connection goes through this guard: no proxy, no redirects.

        Its requests raise Refused, Misconfigured and Transient of the guard as well as `httpx2.HTTPError`; read
        answers with `providers.protocols.http.exchange`, which caps them.
        """
        from providers.protocols.http import guarded_client  # heavy, and mail alone needs no HTTP

        return guarded_client(self, timeout)


def tls_error(error: OSError, host: str) -> TwinboxError:
    """What a failed handshake means: Misconfigured with advice, or Transient if it may pass."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_error(error, host)
    reason = error.reason or "" if isinstance(error, ssl.SSLError) else ""
    # OpenSSL has named the same event differently over its releases.
    if reason in ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
        return Misconfigured(
            f"{host} does not speak TLS on this port",
            advice="Check port and security: TLS on 993 and 465, STARTTLS on 143 and 587.",
        )
    if "UNSUPPORTED_PROTOCOL" in reason or "PROTOCOL_VERSION" in reason or "NO_SHARED_CIPHER" in reason:
        return Misconfigured(
            f"{host} offers only outdated TLS", advice="The server must support TLS 1.2 or later; ask its operator."
        )
    return Transient(
        f"the TLS handshake with {host} failed ({reason or type(error).__name__})",
        advice="Try again; if it stays, a firewall or proxy between may be breaking TLS.",
    )


def _certificate_error(error: ssl.SSLCertVerificationError, host: str) -> Misconfigured:
    text = error.verify_message or "certificate not trusted"
    if error.verify_code in (62, 63, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, _EMAIL_, _IP_ADDRESS_
        advice = "Use the host name that the certificate is issued for."
    elif error.verify_code in (9, 10):  # X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED
        advice = "The server needs a valid certificate; check the clock of this machine too."
    else:
        advice = "If you trust this server, put the certificate of its authority in the file TWINBOX_CA_FILE names."
    return Misconfigured(f"the certificate of {host} is not accepted: {text}", advice=advice)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise Refused(f"the name server answered {text[:80]!r}, which is no address") from error


def _connected(address: PeerAddress, connect_timeout: float, timeout: float) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(connect_timeout)
        sock.connect((address.ip, address.port))
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError:
        sock.close()
        raise
    return sock


def _unreachable(host: str, port: int, error: OSError) -> Transient:
    if isinstance(error, ConnectionRefusedError):
        text = f"{host} refuses connections on port {port}"
    elif isinstance(error, TimeoutError):
        text = f"{host} does not answer on port {port}"
    else:
        text = f"{host} cannot be reached on port {port} ({error.strerror or type(error).__name__})"
    return Transient(text, advice="Check host and port; if both are right, the server or a firewall is closed.")
