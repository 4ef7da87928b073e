"""The People double against Google's own discovery document: every method, parameter, field and answer is one it knows.
Also the world the other tests of the double stand in: the real client library, in this process, all answers checked."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient
import pytest
from googleapiclient import discovery as client_library
from googleapiclient.errors import HttpError

from sandbox.clock import SandboxClock
from sandbox.google import Book, InProcessHttp, PeopleApi, PeopleKnobs, access_token
from sandbox.google.people_call import STANDARD
from sandbox.google.people_operations import OPERATIONS
from sandbox.google.people_schema import GROUP_READABLE, GROUP_WRITABLE, KINDS, READABLE, SOURCES, WRITABLE
from sandbox.google.store import Store

ANN = "ann@example.com"
ALL_FIELDS = ",".join(READABLE)
USUAL = "names,emailAddresses,memberships,metadata"
Json = dict[str, Any]
build_from_document: Any = vars(client_library)["build_from_document"]  # unknown to the stubs


@cache
def discovery_text() -> str:
    """Google's description of the API, as shipped with its client library."""
    folder = Path(str(googleapiclient.__file__)).parent
    return (folder / "discovery_cache/documents/people.v1.json").read_text(encoding="utf-8")


@cache
def discovery() -> Json:
    """The description, to be looked at."""
    return fresh_discovery()


def fresh_discovery() -> Json:
    """The description, to be changed: the client library writes into what it is given."""
    document: Json = json.loads(discovery_text())
    return document


def document_at(root: str) -> Json:
    """The description with its root elsewhere (google.md, E)."""
    return {name: value for name, value in fresh_discovery().items() if name != "mtlsRootUrl"} | {"rootUrl": root}


@cache
def methods() -> dict[tuple[str, str], Json]:
    """Google's methods by HTTP method and flat path."""

    def walk(resources: Json) -> Iterator[Json]:
        for resource in resources.values():
            yield from resource.get("methods", {}).values()
            yield from walk(resource.get("resources", {}))

    return {(one["httpMethod"], one["flatPath"]): one for one in walk(discovery()["resources"])}


def method_of(http: str, path: str) -> Json:
    """The method a request is for."""
    for (verb, flat), method in methods().items():
        if verb == http and re.fullmatch("/" + re.sub(r"\{\w+\}", "[^/:]+", flat), path):
            return method
    raise AssertionError(f"Google has no {http} {path}")


def check(schema: Json, value: Any, where: str = "answer") -> None:
    """Hold a value against a schema of the discovery document; an unknown member or enum value is a failure."""
    if "$ref" in schema:
        check(discovery()["schemas"][schema["$ref"]], value, where)
    elif schema.get("type") == "array":
        assert isinstance(value, list), where
        assert value, f"{where}: empty lists are left out of protobuf's JSON"
        for index, item in enumerate(value):
            check(schema["items"], item, f"{where}[{index}]")
    elif schema.get("type") == "object":
        assert isinstance(value, dict), where
        for name, member in value.items():
            known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            assert known, f"{where}.{name} is unknown to Google"
            check(known, member, f"{where}.{name}")
    else:
        kinds: dict[str, type] = {"string": str, "integer": int, "boolean": bool}
        assert type(value) is kinds[schema["type"]], f"{where}: {value!r}"
        assert value in schema.get("enum", [value]), f"{where}: {value!r}"
        if schema.get("format") == "google-datetime":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?Z", str(value)), where


@dataclass(frozen=True)
class CheckedHttp:
    """An httplib2-like object that holds every good answer against the discovery document."""

    inner: InProcessHttp

    def request(self, uri: str, method: str = "GET", **rest: Any) -> Any:
        answer, content = self.inner.request(uri, method, **rest)
        if answer.status == 200:
            verb = (rest.get("headers") or {}).get("x-http-method-override", method)
            check(
                method_of(verb, uri.partition("?")[0].removeprefix("http://people.example"))["response"],
                json.loads(content),
            )
        return answer, content

    def close(self) -> None:
        self.inner.close()


@dataclass(frozen=True)
class World:
    """One user with an empty address book, and the client library signed in as that user."""

    clock: SandboxClock
    store: Store
    api: PeopleApi
    book: Book
    client: Any

    @property
    def knobs(self) -> PeopleKnobs:
        return self.api.knobs

    def page(self, **params: Any) -> Json:
        """One page of connections.list, with a sync token asked for unless told otherwise."""
        usual = {"resourceName": "people/me", "personFields": USUAL, "requestSyncToken": True}
        answer: Json = self.client.people().connections().list(**usual | params).execute()
        return answer

    def names(self, **params: Any) -> list[str]:
        """The resource names on one page."""
        return [person["resourceName"] for person in self.page(**params).get("connections", [])]

    def get(self, name: str, fields: str = ALL_FIELDS, **params: Any) -> Json:
        answer: Json = self.client.people().get(resourceName=name, personFields=fields, **params).execute()
        return answer

    def create(self, **body: Any) -> Json:
        answer: Json = self.client.people().createContact(body=body, personFields=ALL_FIELDS).execute()
        return answer

    def update(self, person: Json, mask: str, **changes: Any) -> Json:
        """updateContact with the etags of `person`."""
        body = {"etag": person.get("etag"), "metadata": person.get("metadata"), **changes}
        call = self.client.people().updateContact(
            resourceName=person["resourceName"], updatePersonFields=mask, body=body
        )
        answer: Json = call.execute()
        return answer

    def group(self, title: str = "CRM") -> str:
        """A label made through the API."""
        return str(self.client.contactGroups().create(body={"contactGroup": {"name": title}}).execute()["resourceName"])

    def modify(self, group: str, add: list[str] | None = None, remove: list[str] | None = None) -> Json:
        body = {"resourceNamesToAdd": add or [], "resourceNamesToRemove": remove or []}
        answer: Json = self.client.contactGroups().members().modify(resourceName=group, body=body).execute()
        return answer

    def signed_in(self, *scopes: str) -> Any:
        """The client library with a token of other scopes."""
        http = CheckedHttp(InProcessHttp(self.api, access_token(self.store, ANN, *scopes)))
        return build_from_document(document_at("http://people.example/"), http=http)


def new_world() -> World:
    clock = SandboxClock(datetime(2026, 5, 4, 10, 0, 0, tzinfo=UTC))
    store = Store(clock.now, random.Random(3))
    store.users.add(ANN, "Ann Example")
    api = PeopleApi(store, clock.now, 3)
    http = CheckedHttp(InProcessHttp(api, lambda: access_token(store, ANN)))
    return World(
        clock, store, api, api.book(ANN), build_from_document(document_at("http://people.example/"), http=http)
    )


def refused(call: Callable[[], object]) -> tuple[int, str, str]:
    """HTTP code, status name and text of a refusal."""
    with pytest.raises(HttpError) as caught:
        call()
    error = json.loads(caught.value.content)["error"]
    assert error["code"] == caught.value.resp.status
    return error["code"], error["status"], error["message"]


def details(call: Callable[[], object]) -> list[Json]:
    """The `details` of a refusal."""
    with pytest.raises(HttpError) as caught:
        call()
    found: list[Json] = json.loads(caught.value.content)["error"]["details"]
    return found


@pytest.fixture
def world() -> World:
    return new_world()


# ---- the tables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_operation_is_a_method_of_google_with_the_same_parameters(operation: Any) -> None:
    path = operation.path.pattern.replace("\\", "").replace("(people/[^/:]+)", "people/c1")
    method = method_of(operation.method, path.replace("(contactGroups/[^/:]+)", "contactGroups/a1"))
    assert operation.params == set(method["parameters"]) - {"resourceName"}


def test_the_parameters_taken_by_every_method_are_googles() -> None:
    assert set(discovery()["parameters"]) == STANDARD


def test_the_fields_of_a_person_are_googles_member_by_member() -> None:
    schemas = discovery()["schemas"]
    person = schemas["Person"]["properties"]
    for name, kind in KINDS.items():
        members = schemas[person[name]["items"]["$ref"]]["properties"]
        ours = kind.texts | kind.output | kind.dates | kind.flags | kind.numbers | set(kind.choices)
        # An age range is never set by a client; its one member is an enum only in the description.
        assert ours == set(members) - {"metadata"}, name
        assert kind.output == {member for member, one in members.items() if one.get("readOnly")}, name
        for member, choices in kind.choices.items():
            assert choices == set(members[member]["enum"])


def test_the_masks_are_those_of_the_documentation() -> None:
    params = methods()["GET", "v1/people/{peopleId}"]["parameters"]
    assert set(READABLE) == listed_paths(params["personFields"]["description"])
    assert set(SOURCES) == set(params["sources"]["enum"])
    update = methods()["PATCH", "v1/people/{peopleId}:updateContact"]["parameters"]["updatePersonFields"]
    assert listed_paths(update["description"]) == WRITABLE
    groups = methods()["GET", "v1/contactGroups"]["parameters"]["groupFields"]
    assert listed_paths(groups["description"]) == GROUP_READABLE
    rename = discovery()["schemas"]["UpdateContactGroupRequest"]["properties"]["updateGroupFields"]
    assert listed_paths(rename["description"]) == GROUP_WRITABLE


def listed_paths(description: str) -> set[str]:
    return set(re.findall(r"\* (\w+)", description))


# ---- answers with everything in them ---------------------------------------------------------------------

FULL: Json = {
    "addresses": [{"streetAddress": "1 Road", "city": "Town", "postalCode": "123", "country": "Land", "type": "work"}],
    "biographies": [{"value": "A note"}],
    "birthdays": [{"date": {"year": 0, "month": 2, "day": 29}}],
    "calendarUrls": [{"url": "https://cal.example/x", "type": "freeBusy"}],
    "clientData": [{"key": "crm", "value": "1"}, {"key": "crm", "value": "1"}],
    "emailAddresses": [{"value": "bob@example.com", "type": "work"}, {"value": "b@example.com", "type": "Private"}],
    "events": [{"date": {"year": 2020, "month": 1, "day": 2}, "type": "anniversary"}],
    "externalIds": [{"value": "4711", "type": "customer"}],
    "genders": [{"value": "male"}],
    "imClients": [{"username": "bob", "protocol": "jabber", "type": "home"}],
    "interests": [{"value": "Chess"}],
    "locales": [{"value": "de"}],
    "locations": [{"value": "Desk 4", "type": "desk", "current": True}],
    "miscKeywords": [{"value": "x", "type": "OUTLOOK_KEYWORD"}],
    "names": [{"honorificPrefix": "Dr.", "givenName": "Bob", "familyName": "Smith", "honorificSuffix": "Jr."}],
    "nicknames": [{"value": "Bobby", "type": "DEFAULT"}],
    "occupations": [{"value": "Baker"}],
    "organizations": [{"name": "ACME", "title": "Boss", "current": True, "startDate": {"year": 2001}}],
    "phoneNumbers": [{"value": "+49 (30) 123-4567", "type": "homeFax"}, {"value": "110", "type": "Panic"}],
    "relations": [{"person": "Eve", "type": "spouse"}],
    "sipAddresses": [{"value": "sip:bob@example.com", "type": "work"}],
    "urls": [{"value": "https://bob.example", "type": "homePage"}],
    "userDefined": [{"key": "Shoe size", "value": "44"}],
}


def test_a_person_with_every_field_comes_back_whole_and_fits_the_schema(world: World) -> None:
    assert set(FULL) | {"memberships"} == WRITABLE
    made = world.create(**FULL)
    for name, items in FULL.items():
        for sent, shown in zip(items, made[name], strict=True):
            known = {key: value for key, value in shown.items() if key in sent}
            assert known == sent | ({"date": {"month": 2, "day": 29}} if name == "birthdays" else {})
    assert world.get(made["resourceName"]) == made
    (listed,) = world.page(personFields=ALL_FIELDS)["connections"]
    assert {k: v for k, v in listed.items() if k != "etag"} == {k: v for k, v in made.items() if k != "etag"}


def test_what_google_derives_is_derived(world: World) -> None:
    made = world.create(**FULL)
    (name,) = made["names"]
    assert name["displayName"] == name["unstructuredName"] == "Dr. Bob Smith, Jr."
    assert name["displayNameLastFirst"] == "Smith, Dr. Bob, Jr."
    assert [phone["formattedType"] for phone in made["phoneNumbers"]] == ["Home Fax", "Panic"]
    assert [phone.get("canonicalForm") for phone in made["phoneNumbers"]] == ["+49301234567", None]
    assert made["addresses"][0]["formattedValue"] == "1 Road\nTown, 123\nLand"
    assert made["biographies"][0]["contentType"] == "TEXT_PLAIN"
    assert made["photos"][0]["default"] is True


def test_a_name_given_as_a_whole_is_split(world: World) -> None:
    (name,) = world.create(names=[{"unstructuredName": "Anna Maria Jones"}])["names"]
    assert (name["givenName"], name["familyName"], name["displayName"]) == ("Anna Maria", "Jones", "Anna Maria Jones")


def test_every_answer_of_a_person_linked_to_a_profile_fits_the_schema(world: World) -> None:
    name = world.create(**FULL)["resourceName"]
    world.book.link_profile(name, "private@example.com", "Robert Smith")
    person = world.get(name)
    assert [source["type"] for source in person["metadata"]["sources"]] == ["CONTACT", "PROFILE"]
    for field in ("names", "emailAddresses", "photos"):
        assert [item["metadata"].get("primary") for item in person[field]].count(True) == 1


def test_the_same_seed_gives_the_same_names_and_etags() -> None:
    assert new_world().create(**FULL) == new_world().create(**FULL)
