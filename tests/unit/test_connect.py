"""The connection guard: which spellings and addresses it lets through, and that what it checked is what it uses.
Certificates, STARTTLS and sign-in are in the integration tests."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import Misconfigured, Refused, Transient
from core.settings import Network
from providers.protocols.connect import Guard
from providers.protocols.http import exchange
from providers.protocols.networks import checked_host

PUBLIC = "93.184.215.14"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class Names:
    """A name server of ours: what it answers, one list per question, and what it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def literal(host: str, port: int) -> Sequence[str]:
    """What getaddrinfo does with an address: gives it back."""
    return [host]


def never(host: str, port: int) -> Sequence[str]:
    raise AssertionError(f"{host!r} must be refused before anybody is asked for it")


def guard(resolver: object = literal, allowed: tuple[Network, ...] = ()) -> Guard:
    return Guard(allow_networks=allowed, resolver=resolver)  # type: ignore[arg-type]  # several callables


ODD = (
    # other spellings of 127.0.0.1
    "2130706433", "017700000001", "0177.0.0.1", "0x7f000001", "0x7f.0.0.1", "0x7F.1", "127.1", "127.0.1", "0",
    "127.0.0.01", "127.0.0.1.", "00127.0.0.1", "0x", "127.0.0.0x1", "1.2.3.4.5", "256.1.1.1", "1.2.3.-4",
    # of 169.254.169.254
    "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "0xA9.0xFE.0xA9.0xFE", "169.16689662",
    # dots, digits and letters of other scripts
    "127\u30020\u30020\u30021", "127\uff0e0\uff0e0\uff0e1", "127\uff610\uff610\uff611", "\u2460\u2461\u2466.0.0.1",
    "\uff11\uff12\uff17.0.0.1", "\u24dbocalhost", "\uff4c\uff4f\uff43\uff41\uff4chost", "example\u3002com",
    # brackets, zones, ports, user names, paths
    "[::1]", "[127.0.0.1]", "fe80::1%eth0", "::1%lo", "127.0.0.1:993", "imap.example.com:993", "user@127.0.0.1",
    "imap.example.com@127.0.0.1", "imap.example.com/", "imap.example.com?x", "imap.example.com#x", "a\\b.example",
    "http://127.0.0.1", "//127.0.0.1", "127.0.0.1/8", "imap%2eexample.com", "%31%32%37.0.0.1",
    # control characters and blanks
    "imap.example.com\r\n", "imap.example.com\nA1 LOGOUT", "imap\0.example.com", "imap.example.com\t", " 127.0.0.1",
    "127.0.0.1 ", "imap example.com", "\x7f.example.com", "imap\u200b.example.com", "\u202eexample.com", "a\u2028b",
    # labels that are none
    "", ".", "..", ".example.com", "imap..example.com", "imap.example.com.", "localhost.", "-a.example.com",
    "a-.example.com", "a" * 64 + ".example.com", ".".join(["a" * 60] * 5), "*.example.com", "a,b.example", "a;b",
    "a&b", "$(id)", "`id`", "'a'", '"a"', "<a>", "a|b", "~", "!", "é" * 80,
)  # fmt: skip


@pytest.mark.parametrize("host", ODD)
def test_an_odd_spelling_is_refused_before_a_name_server_is_asked(host: str) -> None:
    with pytest.raises(Refused) as caught:
        guard(never, LOOPBACK).resolve(host, 993)
    assert caught.value.advice
    assert str(caught.value).isprintable()


SPECIAL = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8",
    "168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1",
    "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::FFFF:7F00:1",
    "0:0:0:0:0:ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "2001:db8::1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254",
    "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1",
)  # fmt: skip


@pytest.mark.parametrize("address", SPECIAL)
@pytest.mark.parametrize("how", ["written as it is", "behind a name"])
def test_an_address_that_is_not_public_is_refused(address: str, how: str) -> None:
    host, resolver = (address, literal) if how == "written as it is" else ("imap.example.com", Names([address]))
    with pytest.raises(Refused) as caught:
        guard(resolver).resolve(host, 993)
    assert "TWINBOX_ALLOW_NETWORKS" in caught.value.advice


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.215.14", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::6d"],
)
def test_a_public_address_is_let_through(address: str) -> None:
    assert [peer.ip for peer in guard().resolve(address, 993)] == [address]


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "redis", "metadata.google.internal", "localtest.example"])
def test_a_name_is_judged_by_its_address_and_not_by_its_look(name: str) -> None:
    with pytest.raises(Refused):
        guard(Names(["127.0.0.1"])).resolve(name, 993)
    assert guard(Names(["127.0.0.1"]), LOOPBACK).resolve(name, 993)


def test_a_refusal_does_not_tell_the_address_behind_a_name() -> None:
    with pytest.raises(Refused) as caught:
        guard(Names(["10.20.30.40"])).resolve("crm-db.example.com", 993)
    assert "10.20.30.40" not in str(caught.value) + caught.value.advice


@pytest.mark.parametrize("answers", [[PUBLIC, "127.0.0.1"], ["::1", PUBLIC], [PUBLIC, "10.0.0.1", PUBLIC]])
def test_one_bad_answer_among_good_ones_is_enough_to_refuse(answers: list[str]) -> None:
    with pytest.raises(Refused):
        guard(Names(answers)).resolve("imap.example.com", 993)


def test_what_is_no_address_at_all_is_refused() -> None:
    with pytest.raises(Refused):
        guard(Names(["imap.example.net"])).resolve("imap.example.com", 993)


def test_an_international_name_is_asked_for_in_its_ascii_form() -> None:
    names = Names([PUBLIC])
    guard(names).resolve("Bücher.Example", 993)
    assert names.asked == ["xn--bcher-kva.example"]


@pytest.mark.parametrize("port", [143, 443, 465, 587, 993])
def test_mail_and_https_ports_are_open(port: int) -> None:
    assert guard().resolve(PUBLIC, port)


@pytest.mark.parametrize("port", [1, 22, 25, 80, 3306, 5432, 6379, 65535])
def test_other_ports_are_refused_unless_the_network_is_allowed(port: int) -> None:
    with pytest.raises(Refused):
        guard().resolve(PUBLIC, port)
    assert guard(literal, (ipaddress.ip_network("93.184.215.0/24"),)).resolve(PUBLIC, port)


@pytest.mark.parametrize("port", [0, -1, 65536, 10**9])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(Refused):
        guard(never, LOOPBACK).resolve("127.0.0.1", port)


def test_an_allowed_network_opens_nothing_else() -> None:
    narrow = (ipaddress.ip_network("10.1.0.0/16"),)
    assert guard(literal, narrow).resolve("10.1.2.3", 993)
    for other in ("10.2.0.1", "127.0.0.1", "::ffff:10.1.2.3"):
        with pytest.raises(Refused):
            guard(literal, narrow).resolve(other, 993)


@pytest.mark.parametrize("failure", [socket.gaierror(socket.EAI_NONAME, "?"), socket.gaierror(socket.EAI_AGAIN, "?")])
def test_a_name_without_answer_is_a_passing_fault_with_advice(failure: OSError) -> None:
    def resolver(host: str, port: int) -> Sequence[str]:
        raise failure

    with pytest.raises(Transient) as caught:
        guard(resolver).resolve("imap.example.com", 993)
    assert caught.value.advice


def test_an_empty_answer_is_a_passing_fault() -> None:
    with pytest.raises(Transient):
        guard(Names([])).resolve("imap.example.com", 993)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server


def test_a_name_that_changes_its_address_is_asked_once_and_used_as_checked(listener: socket.socket) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"], ["10.0.0.1"])
    port = listener.getsockname()[1]
    with closing(guard(names, LOOPBACK).open_socket("rebind.example.com", port, 5)) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    assert names.asked == ["rebind.example.com"]


def test_http_asks_once_too_and_keeps_the_name_as_host(listener: socket.socket) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    seen: list[bytes] = []

    def serve() -> None:
        with listener.accept()[0] as sock:
            seen.append(sock.recv(65_536))
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")

    thread = threading.Thread(target=serve)
    thread.start()
    with guard(names, LOOPBACK).http_client() as http:
        reply = exchange(http, "GET", f"http://rebind.example.com:{listener.getsockname()[1]}/x")
    thread.join()
    assert (reply.status, reply.body) == (200, b"hi")
    assert names.asked == ["rebind.example.com"]
    assert b"Host: rebind.example.com" in seen[0]


def test_http_to_a_refused_address_never_connects() -> None:
    with guard(Names(["169.254.169.254"])).http_client() as http, pytest.raises(Refused):
        exchange(http, "GET", "http://metadata.google.internal/computeMetadata/v1/")


def test_http_follows_no_redirect_and_no_proxy(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    def serve() -> None:
        with listener.accept()[0] as sock:
            sock.recv(65_536)
            sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    with guard(literal, LOOPBACK).http_client() as http:
        reply = exchange(http, "GET", f"http://127.0.0.1:{listener.getsockname()[1]}/")
    thread.join()
    assert reply.status == 302


@pytest.mark.parametrize("framing", [b"Content-Length: 10000000\r\n", b"Connection: close\r\n"])
def test_an_answer_that_is_too_long_is_cut_off(listener: socket.socket, framing: bytes) -> None:
    def serve() -> None:
        with listener.accept()[0] as sock:
            sock.recv(65_536)
            try:
                sock.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + b"x" * 10_000_000)
            except OSError:  # the client hung up, as it should
                return

    thread = threading.Thread(target=serve)
    thread.start()
    with guard(literal, LOOPBACK).http_client() as http, pytest.raises(Transient):
        exchange(http, "GET", f"http://127.0.0.1:{listener.getsockname()[1]}/")
    thread.join()


def test_an_answer_that_drips_its_header_is_cut_off(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.protocols.http.DEADLINE", 0.3)
    enough = threading.Event()

    def serve() -> None:
        with listener.accept()[0] as sock:
            sock.recv(65_536)
            try:
                sock.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not enough.wait(0.02):
                    sock.sendall(b"x")
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with guard(literal, LOOPBACK).http_client() as http, pytest.raises(Transient):
            exchange(http, "GET", f"http://127.0.0.1:{listener.getsockname()[1]}/")
    finally:
        enough.set()
        thread.join()


def test_the_next_address_is_tried_when_the_first_is_closed(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with closing(guard(Names(["127.0.0.9", "127.0.0.1"]), LOOPBACK).open_socket("two.example.com", port, 5)) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"


def test_a_closed_port_is_named_with_advice(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(Transient, match=rf"refuses connections on port {port}") as caught:
        guard(literal, LOOPBACK).open_socket("127.0.0.1", port, 5)
    assert caught.value.advice


def test_denied_addresses_look_the_same_whether_open_or_closed(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    texts = set()
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            guard().open_socket("127.0.0.1", port, 5)
        texts.add(str(caught.value))
        listener.close()
    assert len(texts) == 1


def test_the_tls_context_is_one_and_verifies(tmp_path: Path) -> None:
    context = guard().tls_context
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert context.minimum_version.name == "TLSv1_2"
    one = guard()
    assert one.tls_context is one.tls_context


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_an_unusable_ca_file_is_named_with_its_setting(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Misconfigured, match=r"ca\.pem") as caught:
        _ = Guard(ca_file=path).tls_context
    assert "TWINBOX_CA_FILE" in caught.value.advice


@pytest.mark.parametrize("host", ["imap.gmail.com", "IMAP.Gmail.COM", "a_b.example", "8.8.8.8", "2606:4700::1111"])
def test_an_ordinary_host_keeps_its_name_in_lower_case(host: str) -> None:
    assert checked_host(host) == host.lower()
