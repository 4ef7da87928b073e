"""Decides which host spellings and addresses the connection guard may use.
Resolving names and opening sockets is left to `connect`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from core.errors import Refused
from core.settings import Network

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# IANA special-purpose registries (RFC 6890) and cloud metadata addresses. Listed here instead of using
# `ipaddress.is_global`, whose answer differs between Python releases.
_DENIED_V4 = (
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "metadata"),  # Azure's platform address, although public
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmark"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
_DENIED_V6 = (
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "IPv4-compatible"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "NAT64"),
    ("2001::/32", "Teredo"),
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_GLOBAL_UNICAST = "2000::/3"  # RFC 4291 2.4: everything else is special or unassigned

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def checked_host(host: str) -> str:
    """The host in the one spelling that is used for DNS, TLS and certificates: ASCII, lower case.

    Raises Refused for anything a resolver and a reader could understand differently: octal, decimal or hexadecimal
    IPv4, zone ids, brackets, trailing dots, user names, control characters, look-alike dots and digits.
    """
    if _is_address(host):
        return host.lower()
    labels = [_ascii_label(label, host) for label in host.split(".")]
    name = ".".join(labels).lower()
    # The rule of URL parsers (WHATWG URL 3.5): a host whose last label is a number is an IPv4 address. Resolvers
    # read 127.1, 2130706433 and 0x7f.1 as 127.0.0.1, so only the strict form above may be a number.
    if len(name) > 253 or _NUMBER.fullmatch(labels[-1]):
        raise _odd(host)
    return name


def check_address(address: IpAddress, port: int, host: str, allowed: Iterable[Network], ports: frozenset[int]) -> None:
    """Raise Refused unless the address is public and the port usual, or its network is allowed by name."""
    if is_allowed(address, allowed):
        return
    kind = special_kind(address)
    if kind:
        raise Refused(
            f"{host} is not a public address ({kind})",
            advice="Correct the host name; if this server is meant, an administrator adds its network to "
            "TWINBOX_ALLOW_NETWORKS.",
        )
    if port not in ports:
        known = ", ".join(str(one) for one in sorted(ports))
        raise Refused(
            f"port {port} of {host} is not a mail or HTTPS port",
            advice=f"Use one of {known}, or let an administrator add the server's network to TWINBOX_ALLOW_NETWORKS.",
        )


def is_allowed(address: IpAddress, allowed: Iterable[Network]) -> bool:
    """Whether an administrator has named a network that holds this address."""
    return any(address.version == network.version and address in network for network in allowed)


def special_kind(address: IpAddress) -> str:
    """What makes this address not public, "" if it is public."""
    table = _DENIED_V4 if address.version == 4 else _DENIED_V6
    for text, kind in table:
        if address in ipaddress.ip_network(text):
            return kind
    if address.version == 6 and address not in ipaddress.ip_network(_GLOBAL_UNICAST):
        return "reserved"
    return ""


def _is_address(host: str) -> bool:
    if "%" in host:  # a zone id: only link-local addresses have one
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ascii_label(label: str, host: str) -> str:
    if not label.isascii():
        try:
            encoded = label.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise _odd(host) from error
        # Full-width letters, circled digits and foreign dots become plain ASCII here: somebody is hiding a name.
        if not encoded.startswith("xn--"):
            raise _odd(host)
        label = encoded
    if not _LABEL.fullmatch(label):
        raise _odd(host)
    return label


def _odd(host: str) -> Refused:
    return Refused(
        f"{host[:80]!r} is not a host name or address",
        advice="Give a plain host name such as imap.example.com, or an address such as 198.51.100.7.",
    )
