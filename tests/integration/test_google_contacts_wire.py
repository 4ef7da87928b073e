"""The Google adapter on real sockets: the guard, one request per write, renewal of tokens, capped answers."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httplib2
import pytest

from core.contact import Contact
from core.errors import NeedsRelink, Refused, Transient
from core.ports import Access
from core.replica import Scope, Write
from core.secret import Secret
from providers.google import open_google_contacts
from providers.google.contacts import GoogleContacts
from providers.protocols.connect import Guard
from providers.protocols.httplib import GuardedHttp
from tests.support.app_factory import LOOPBACK

OPEN = Guard(allow_networks=LOOPBACK)
TOKEN = "ya29.planted-secret"
GROUP = {"resourceName": "contactGroups/1", "name": "CRM", "groupType": "USER_CONTACT_GROUP"}
OK = {"contactGroups": [GROUP], "nextSyncToken": "t", "connections": []}


@dataclass
class Tokens:
    """An `Access` that hands out numbered tokens."""

    login: str = "ann@example.com"
    uses_token: bool = True
    asked: list[bool] = field(default_factory=list)
    problem: Exception | None = None

    def secret(self, *, refresh: bool = False) -> Secret:
        self.asked.append(refresh)
        if refresh and self.problem is not None:
            raise self.problem
        return Secret(f"{TOKEN}-{len(self.asked)}")


@dataclass
class Server:
    """A server that reads whole requests and answers as told; None hangs up without an answer."""

    port: int
    requests: list[tuple[str, str]] = field(default_factory=list)  # request line, authorization
    connections: int = 0

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def contacts(self, access: Access | None = None, guard: Guard = OPEN) -> GoogleContacts:
        replica = open_google_contacts(
            guard,
            access or Tokens(),
            root=self.root,
            scope=Scope("contactGroups/1", "CRM"),
            now=lambda: datetime.now(UTC),
            wait=lambda _seconds: None,
        )
        assert isinstance(replica, GoogleContacts)
        return replica


Answer = Callable[[str, int], bytes | None]


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    """`answer` gets the request line and its number."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listener, server, answer), daemon=True)
        thread.start()
        yield server
        socket.create_connection(("127.0.0.1", server.port)).close()  # wakes it up to end
        thread.join()


def _serve(listener: socket.socket, server: Server, answer: Answer) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            first = True
            while line := stream.readline().decode().strip():
                server.connections += first
                first = False
                headers = dict(_headers(stream))
                stream.read(int(headers.get("content-length", 0)))
                server.requests.append((line, headers.get("authorization", "")))
                reply = answer(line, len(server.requests))
                if reply is None:
                    break
                connection.sendall(reply)
                if b"connection: close" in reply.lower():
                    break
            if first:
                return


def _headers(stream: Any) -> Iterator[tuple[str, str]]:
    while line := stream.readline().decode().strip():
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def reply(content: Any, status: str = "200 OK", **headers: str) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def creation() -> list[Write[Contact]]:
    return [Write("k", "", "", Contact(given_name="Ann"), True, origin="k")]


# ---- one request per write -------------------------------------------------------------------------------


def test_a_write_whose_answer_is_lost_is_sent_once() -> None:
    with serving(lambda _line, _number: None) as server:
        contacts = server.contacts()
        with pytest.raises(Transient):
            list(contacts.write(creation()))
        contacts.close()
    assert [line.partition("?")[0] for line, _ in server.requests] == ["POST /v1/people:batchCreateContacts"]


def test_httplib2_itself_would_send_it_twice() -> None:
    """Why `GuardedHttp` exists; if this ever fails, its own sending may go."""
    with serving(lambda _line, _number: None) as server:
        http = httplib2.Http(timeout=5)
        with pytest.raises(ConnectionError):
            http.request(f"{server.root}/x", "POST", body="x")
        http.close()
    assert len(server.requests) == 2


def test_a_write_gets_a_connection_of_its_own() -> None:
    """A server may close an idle connection just as we write on it; then nobody would know what became of the write."""
    with serving(lambda line, _number: reply(OK) if line.startswith("GET") else reply({}, "503 Busy")) as server:
        contacts = server.contacts()
        contacts.changes(None)
        with pytest.raises(Transient):
            list(contacts.write(creation()))
        contacts.close()
    assert len(server.requests) == 3
    assert server.connections == 2


def test_a_read_on_a_kept_connection_that_was_closed_is_sent_again() -> None:
    with serving(lambda _line, number: None if number == 3 else reply(OK)) as server:
        contacts = server.contacts()
        contacts.changes(None)
        contacts.changes(None)
        contacts.close()
    assert len(server.requests) == 5
    assert server.connections == 2


def test_a_read_on_a_new_connection_is_not_sent_again() -> None:
    with serving(lambda _line, _number: None) as server:
        contacts = server.contacts()
        with pytest.raises(Transient):
            contacts.changes(None)
        contacts.close()
    assert len(server.requests) == 1


# ---- the guard -------------------------------------------------------------------------------------------


def test_every_connection_goes_through_the_guard() -> None:
    with serving(lambda _line, _number: reply(OK)) as server:
        contacts = server.contacts(guard=Guard())
        with pytest.raises(Refused):
            contacts.changes(None)
        contacts.close()
    assert server.requests == []


def test_no_redirect_is_followed() -> None:
    with serving(lambda _line, _number: reply({}, "302 Found", location="http://127.0.0.1:1/")) as server:
        contacts = server.contacts()
        with pytest.raises(Transient):
            contacts.changes(None)
        contacts.close()
    assert len(server.requests) == 1


def test_the_environment_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "elsewhere.example")
    monkeypatch.setenv("GOOGLE_API_USE_MTLS_ENDPOINT", "always")
    monkeypatch.setenv("GOOGLE_API_USE_CLIENT_CERTIFICATE", "true")
    with serving(lambda _line, _number: reply(OK)) as server:
        contacts = server.contacts()
        contacts.changes(None)
        contacts.close()
    assert len(server.requests) == 2


# ---- tokens ----------------------------------------------------------------------------------------------


def test_a_refused_token_is_renewed_once_and_the_request_repeated() -> None:
    access = Tokens()
    with serving(lambda _line, number: reply({}, "401 No") if number == 1 else reply(OK)) as server:
        contacts = server.contacts(access)
        contacts.changes(None)
        contacts.close()
    assert access.asked == [False, True]
    assert [token[-1] for _, token in server.requests] == ["1", "2", "2"]


def test_a_token_refused_after_renewal_needs_the_user() -> None:
    access = Tokens()
    with serving(lambda _line, _number: reply({}, "401 No")) as server:
        contacts = server.contacts(access)
        with pytest.raises(NeedsRelink) as caught:
            contacts.changes(None)
        contacts.close()
    assert access.asked == [False, True]
    assert len(server.requests) == 2
    assert TOKEN not in repr(caught.value) + repr(contacts)


def test_what_access_says_of_a_dead_grant_comes_through_as_it_is() -> None:
    access = Tokens(problem=NeedsRelink("the permission was taken back"))
    with serving(lambda _line, _number: reply({}, "401 No")) as server:
        contacts = server.contacts(access)
        with pytest.raises(NeedsRelink, match="taken back"):
            contacts.changes(None)
        contacts.close()


# ---- answers ---------------------------------------------------------------------------------------------


def test_packed_answers_are_unpacked() -> None:
    packed = gzip.compress(json.dumps(OK).encode(), mtime=0)
    with serving(lambda _line, _number: reply(packed, content_encoding="gzip")) as server:
        contacts = server.contacts()
        assert contacts.changes(None).complete
        contacts.close()


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"x" * 2000),
        reply(gzip.compress(b"x" * 2000, mtime=0), content_encoding="gzip"),
        reply(b"no gzip", content_encoding="gzip"),
    ],
    ids=["too long", "too long when unpacked", "not packed at all"],
)
def test_too_long_and_damaged_answers_are_cut_off(answer: bytes) -> None:
    with serving(lambda _line, _number: answer) as server:
        http = GuardedHttp(OPEN, limit=1000)
        with pytest.raises(Transient):
            http.request(f"{server.root}/x")
        http.close()


def test_an_answer_that_breaks_off_is_a_broken_connection() -> None:
    cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{"
    with serving(lambda _line, _number: cut) as server:
        contacts = server.contacts()
        with pytest.raises(Transient, match="IncompleteRead"):
            contacts.changes(None)
        contacts.close()
