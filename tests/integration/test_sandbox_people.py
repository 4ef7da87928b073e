"""The People double over its socket, with Google's client library, httplib2 and google-auth as they are.
Its rules are tested without a socket in tests/unit/test_sandbox_people_*."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import google.oauth2.credentials
import httplib2
import pytest
from googleapiclient.errors import HttpError

from sandbox.clock import SandboxClock
from sandbox.google import GoogleDouble, SigningKey, access_token, new_signing_key
from tests.unit.test_sandbox_people_fidelity import ALL_FIELDS, FULL, build_from_document, check, document_at, method_of

ANN = "ann@example.com"
google_auth_httplib2: Any = importlib.import_module("google_auth_httplib2")  # untyped upstream
BOB = {"names": [{"givenName": "Bob"}]}


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(SandboxClock().now())


@dataclass(frozen=True)
class Linked:
    """A running double and what talks to it; `open` closes the connections at the end of the test."""

    google: GoogleDouble
    open: ExitStack

    @property
    def client(self) -> Any:
        return self.signed_in()

    def signed_in(self, *scopes: str) -> Any:
        """The client library with a new token."""
        make: Any = google.oauth2.credentials.Credentials  # untyped upstream
        token = access_token(self.google.store, ANN, *scopes)
        http = google_auth_httplib2.AuthorizedHttp(make(token), http=self.http())
        return build_from_document(document_at(f"{self.google.base_url}/"), http=http)

    def http(self) -> httplib2.Http:
        http = httplib2.Http(timeout=30, proxy_info=None)
        self.open.callback(http.close)
        return http

    def page(self, **params: Any) -> dict[str, Any]:
        usual = {"resourceName": "people/me", "personFields": "names,metadata", "requestSyncToken": True}
        answer: dict[str, Any] = self.client.people().connections().list(**usual | params).execute()
        return answer


@pytest.fixture
def linked(key: SigningKey) -> Iterator[Linked]:
    with GoogleDouble(key=key, seed=5) as double, ExitStack() as stack:
        double.users.add(ANN, "Ann Example")
        yield Linked(double, stack)


def test_create_list_update_and_group_work_as_at_google(linked: Linked) -> None:
    people, groups = linked.client.people(), linked.client.contactGroups()
    made = people.createContact(body=FULL, personFields=ALL_FIELDS).execute()
    check(method_of("POST", "/v1/people:createContact")["response"], made)
    group = groups.create(body={"contactGroup": {"name": "CRM ä"}}).execute()
    assert group["name"] == "CRM ä"
    name = made["resourceName"]
    assert (
        groups.members().modify(resourceName=group["resourceName"], body={"resourceNamesToAdd": [name]}).execute() == {}
    )
    person = people.get(resourceName=name, personFields=ALL_FIELDS).execute()
    body = {"etag": person["etag"], "metadata": person["metadata"], **BOB}
    updated = people.updateContact(resourceName=name, updatePersonFields="names", body=body).execute()
    assert updated["names"][0]["displayName"] == "Bob"
    (listed,) = linked.page()["connections"]
    assert listed["metadata"] == updated["metadata"]
    assert linked.google.people.book(ANN).members(group["resourceName"]) == [name]
    assert linked.google.people.violations == []


def test_pages_and_sync_tokens_survive_the_way_through_an_address(linked: Linked) -> None:
    book = linked.google.people.book(ANN)
    names = [book.add(BOB) for _ in range(3)]
    first = linked.page(pageSize=2)
    last = linked.page(pageSize=2, pageToken=first["nextPageToken"])
    book.touch(names[0])
    changed = linked.page(pageSize=2, syncToken=last["nextSyncToken"])
    assert [person["resourceName"] for person in changed["connections"]] == names[:1]
    assert linked.google.people.calls == {"connections.list": 3}


def test_a_long_batch_get_arrives_as_a_post_that_means_get(linked: Linked) -> None:
    book = linked.google.people.book(ANN)
    names = [book.add(BOB) for _ in range(200)]
    answer = linked.client.people().getBatchGet(resourceNames=names, personFields="names").execute()
    assert [one["person"]["resourceName"] for one in answer["responses"]] == names


def test_an_answer_lost_after_the_write_leaves_the_contact_and_a_repetition_makes_a_second(linked: Linked) -> None:
    # httplib2 sends even a POST again when the connection ends without an answer (google.md, E).
    linked.google.faults.next("POST /v1/people:createContact", drop="after")
    linked.client.people().createContact(body=BOB).execute()
    assert len(linked.google.people.book(ANN).persons()) == 2
    assert linked.google.people.calls["people.createContact"] == 2


def test_refusals_reach_the_client_library_with_code_and_reason(linked: Linked) -> None:
    with pytest.raises(HttpError) as caught:
        linked.client.people().get(resourceName="people/c1", personFields="names").execute()
    assert (caught.value.resp.status, caught.value.reason) == (404, "Requested entity was not found.")
    with pytest.raises(HttpError, match="insufficient authentication scopes"):
        linked.signed_in("openid").contactGroups().list().execute()
    delete = linked.client.people().deleteContact(resourceName="people/c1")
    with pytest.raises(HttpError):
        delete.execute()
    assert len(linked.google.people.violations) == 1


def test_a_token_that_died_is_answered_with_401(linked: Linked) -> None:
    linked.google.expire_access_tokens()
    answer, content = linked.http().request(
        f"{linked.google.base_url}/v1/contactGroups", headers={"Authorization": "Bearer x"}
    )
    assert (answer.status, json.loads(content)["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert answer["www-authenticate"].startswith("Bearer ")


def test_two_writers_at_the_same_time_are_noticed_over_sockets_too(linked: Linked) -> None:
    both = threading.Barrier(2, timeout=20)

    def meet(_operation: str, _email: str) -> None:
        both.wait()

    linked.google.people.knobs.on_call = meet
    clients = [linked.signed_in() for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(one.people().createContact(body=BOB).execute) for one in clients]:
            done.result(30)
    assert len(linked.google.people.violations) == 1
    assert len(linked.google.people.book(ANN).persons()) == 2


def test_an_unknown_address_below_people_is_a_page(linked: Linked) -> None:
    answer, content = linked.http().request(f"{linked.google.base_url}/v1/people/c1/nothing", method="PATCH", body="{}")
    assert (answer.status, b"404" in content) == (404, True)
