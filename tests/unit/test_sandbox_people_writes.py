"""The People double's reads and writes of persons: masks, etags, batches, refusals, limits, sign-in.
The world and the check of every answer are in test_sandbox_people_fidelity."""

from __future__ import annotations

import json
import threading
from http.client import RemoteDisconnected
from typing import Any

import pytest
from googleapiclient.errors import HttpError

from sandbox.faults import Faults
from sandbox.google import InProcessHttp, PeopleAnswer, PeopleRequest, access_token
from tests.unit.test_sandbox_people_fidelity import (
    ANN,
    World,
    build_from_document,
    details,
    document_at,
    new_world,
    refused,
)

BOB = {"names": [{"givenName": "Bob"}], "emailAddresses": [{"value": "bob@example.com"}]}
ETAG_MISSING = "Request must set person.etag or person.metadata.sources.etag for the source that is being updated."
STALE = (
    400,
    "FAILED_PRECONDITION",
    "Request person.etag is different than the current person.etag. Clear local cache and get the latest person.",
)
GONE = (404, "NOT_FOUND", "Requested entity was not found.")


@pytest.fixture
def world() -> World:
    return new_world()


def values(person: dict[str, Any], field: str) -> list[str]:
    return [item["value"] for item in person.get(field, [])]


def batch_update(world: World, contacts: dict[str, Any], mask: str = "names", **more: Any) -> dict[str, Any]:
    body = {"contacts": contacts, "updateMask": mask, "readMask": "names,metadata"} | more
    answer: dict[str, Any] = world.client.people().batchUpdateContacts(body=body).execute()
    return answer


def raw(world: World, method: str, target: str, body: Any = None, token: str | None = "") -> PeopleAnswer:
    """A request the client library would not make."""
    path, _, query = target.partition("?")
    bearer = access_token(world.store, ANN) if token == "" else token
    pairs = tuple((name, value) for name, _, value in (one.partition("=") for one in query.split("&") if one))
    headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return world.api.handle(PeopleRequest(method, path, pairs, headers, content))


def error(answer: PeopleAnswer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)["error"]
    return found


# ---- create and read -------------------------------------------------------------------------------------


def test_creating_twice_gives_two_contacts_in_my_contacts(world: World) -> None:
    one, two = world.create(**BOB), world.create(**BOB)
    assert one["resourceName"] != two["resourceName"]
    assert world.book.members("contactGroups/myContacts") == [one["resourceName"], two["resourceName"]]
    assert world.book.created_by_api == 2
    assert world.api.calls["people.createContact"] == 2


def test_a_contact_created_with_memberships_is_in_those_groups_alone(world: World) -> None:
    group = world.group()
    made = world.create(**BOB, memberships=[{"contactGroupMembership": {"contactGroupResourceName": group}}])
    assert world.book.members(group) == [made["resourceName"]]
    assert world.book.members("contactGroups/myContacts") == []


def test_a_contact_cannot_be_created_in_an_unknown_group(world: World) -> None:
    membership = [{"contactGroupMembership": {"contactGroupResourceName": "contactGroups/none"}}]
    assert refused(lambda: world.create(memberships=membership))[0] == 400
    assert world.book.persons() == {}


def test_the_top_level_etag_depends_on_the_mask_and_the_source_etag_does_not(world: World) -> None:
    name = world.create(**BOB)["resourceName"]
    one, two = world.get(name, "names,metadata"), world.get(name, "emailAddresses,metadata")
    assert one["etag"] != two["etag"]
    assert one["metadata"]["sources"] == two["metadata"]["sources"]


def test_profile_values_are_mixed_in_unless_only_the_contact_is_asked_for(world: World) -> None:
    name = world.book.add(BOB)
    world.book.link_profile(name, "private@example.com")
    assert values(world.get(name), "emailAddresses") == ["bob@example.com", "private@example.com"]
    assert values(world.get(name, sources="READ_SOURCE_TYPE_CONTACT"), "emailAddresses") == ["bob@example.com"]
    assert values(world.get(name, sources="READ_SOURCE_TYPE_PROFILE"), "emailAddresses") == ["private@example.com"]


def test_values_of_other_sources_are_ignored_when_sent_back(world: World) -> None:
    name = world.book.add(BOB)
    world.book.link_profile(name, "private@example.com")
    person = world.get(name)
    world.update(person, "emailAddresses", emailAddresses=person["emailAddresses"])
    assert [one["value"] for one in world.book.stored()[name]["emailAddresses"]] == ["bob@example.com"]


def test_people_me_is_the_account_itself(world: World) -> None:
    me = world.get("people/me", "names,emailAddresses,metadata")
    assert values(me, "emailAddresses") == [ANN]
    assert me["metadata"]["sources"][0]["type"] == "PROFILE"


def test_a_batch_get_of_200_goes_through_the_method_override_of_the_client_library(world: World) -> None:
    names = [world.book.add(BOB) for _ in range(200)]
    answer = world.client.people().getBatchGet(resourceNames=names, personFields="names,metadata").execute()
    assert [one["person"]["resourceName"] for one in answer["responses"]] == names
    assert refused(
        lambda: world.client.people().getBatchGet(resourceNames=[*names, names[0]], personFields="names").execute()
    )[:2] == (400, "INVALID_ARGUMENT")


def test_a_batch_get_tells_which_names_are_unknown(world: World) -> None:
    known = world.book.add(BOB)
    answer = world.client.people().getBatchGet(resourceNames=[known, "people/c1"], personFields="names").execute()
    assert [one["status"].get("code", 0) for one in answer["responses"]] == [0, 5]
    assert "person" not in answer["responses"][1]


def test_the_shuffle_knob_changes_the_order_of_items_but_not_which_is_primary(world: World) -> None:
    name = world.book.add({"emailAddresses": [{"value": f"{number}@example.com"} for number in range(9)]})
    plain = values(world.get(name), "emailAddresses")
    world.knobs.shuffle_seed = 1
    person = world.get(name)
    assert person == world.get(name)
    assert plain != values(person, "emailAddresses")
    assert plain == sorted(values(person, "emailAddresses"))
    (primary,) = [item for item in person["emailAddresses"] if item["metadata"].get("primary")]
    assert primary["value"] == "0@example.com"


def test_the_item_marked_as_primary_of_its_source_stays_primary(world: World) -> None:
    person = world.create(emailAddresses=[{"value": "a@example.com"}, {"value": "b@example.com"}])
    items = [{"value": "a@example.com"}, {"value": "b@example.com", "metadata": {"sourcePrimary": True}}]
    updated = world.update(person, "emailAddresses", emailAddresses=items)
    (primary,) = [item for item in updated["emailAddresses"] if item["metadata"].get("primary")]
    assert primary["value"] == "b@example.com"


# ---- update ----------------------------------------------------------------------------------------------


def test_a_field_in_the_mask_is_replaced_as_a_whole_and_others_stay(world: World) -> None:
    person = world.create(**BOB, phoneNumbers=[{"value": "1"}, {"value": "2", "type": "Boat"}])
    updated = world.update(person, "phoneNumbers", phoneNumbers=[{"value": "3"}], names=[{"givenName": "Ignored"}])
    assert values(updated, "phoneNumbers") == ["3"]
    assert updated["names"][0]["givenName"] == "Bob"
    assert "phoneNumbers" not in world.update(updated, "phoneNumbers")


def test_an_update_moves_etag_and_time_and_its_answer_can_be_built_upon(world: World) -> None:
    person = world.create(**BOB)
    world.clock.advance(1.5)
    second = world.update(person, "names", names=[{"givenName": "Rob"}])
    assert second["metadata"]["sources"][0]["updateTime"] == "2026-05-04T10:00:01.500Z"
    third = world.update(second, "names", names=[{"givenName": "Bert"}])
    assert third["names"][0]["displayName"] == "Bert"
    assert refused(lambda: world.update(person, "names", **BOB)) == STALE


@pytest.mark.parametrize("sent", [{"etag": True}, {"metadata": True}])
def test_either_etag_is_enough_and_either_may_be_stale(world: World, sent: dict[str, bool]) -> None:
    person = world.create(**BOB)
    partly = {"resourceName": person["resourceName"], **{name: person[name] for name in sent}}
    world.update(partly, "names", **BOB)
    assert refused(lambda: world.update(partly, "names", **BOB)) == STALE


def test_a_stale_source_etag_is_refused_beside_a_good_top_level_one(world: World) -> None:
    person = world.create(**BOB)
    fresh = world.update(person, "names", **BOB)
    assert refused(lambda: world.update({**fresh, "metadata": person["metadata"]}, "names", **BOB)) == STALE


def test_a_source_etag_in_the_place_of_the_top_level_one_is_refused(world: World) -> None:
    person = world.create(**BOB)
    wrong = {"resourceName": person["resourceName"], "etag": person["metadata"]["sources"][0]["etag"]}
    assert refused(lambda: world.update(wrong, "names", **BOB)) == STALE


def test_a_knob_refuses_etags_that_come_from_a_list(world: World) -> None:
    world.knobs.list_etags_refused = True
    name = world.create(**BOB)["resourceName"]
    (listed,) = world.page()["connections"]
    assert refused(lambda: world.update(listed, "names", **BOB)) == STALE
    world.update(world.get(name), "names", **BOB)


def test_an_update_without_any_etag_is_refused(world: World) -> None:
    person = {"resourceName": world.create(**BOB)["resourceName"]}
    assert refused(lambda: world.update(person, "names", **BOB)) == (400, "INVALID_ARGUMENT", ETAG_MISSING)


def test_an_update_of_a_deleted_or_merged_contact_finds_nothing(world: World) -> None:
    one, two, three = (world.create(**BOB) for _ in range(3))
    world.book.delete(one["resourceName"])
    world.book.merge(three["resourceName"], two["resourceName"])
    assert refused(lambda: world.update(one, "names", **BOB)) == GONE
    assert refused(lambda: world.update(two, "names", **BOB)) == GONE


def test_memberships_in_the_mask_replace_all_labels_and_may_not_be_empty(world: World) -> None:
    group, person = world.group(), world.create(**BOB)
    assert refused(lambda: world.update(person, "memberships"))[:2] == (400, "INVALID_ARGUMENT")
    membership = [{"contactGroupMembership": {"contactGroupResourceName": group}}]
    world.update(person, "memberships", memberships=membership)
    assert world.book.stored()[person["resourceName"]]["labels"] == [group]


@pytest.mark.parametrize("field", ["names", "birthdays", "biographies", "genders"])
def test_two_values_of_a_singleton_are_refused(world: World, field: str) -> None:
    one = {"names": {"givenName": "A"}, "birthdays": {"date": {"day": 1, "month": 1}}}.get(field, {"value": "x"})
    assert refused(lambda: world.create(**{field: [one, one]}))[:2] == (400, "INVALID_ARGUMENT")
    person = world.create(**BOB)
    assert refused(lambda: world.update(person, field, **{field: [one, one]}))[:2] == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("mask", ["", "photos", "metadata", "nope", "names.givenName"])
def test_a_bad_update_mask_is_refused(world: World, mask: str) -> None:
    person = world.create(**BOB)
    code, status, text = refused(lambda: world.update(person, mask, **BOB))
    assert (code, status) == (400, "INVALID_ARGUMENT")
    assert "updatePersonFields mask" in text


@pytest.mark.parametrize("mask", ["", "etag", "names,nope"])
def test_a_bad_read_mask_is_refused(world: World, mask: str) -> None:
    name = world.create(**BOB)["resourceName"]
    assert "personFields mask" in refused(lambda: world.get(name, mask))[2]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"nope": []}, 'Unknown name "nope"'),
        ({"names": [{"nope": "x"}]}, "at 'person.names[0]'"),
        ({"names": {"givenName": "x"}}, "person.names"),
        ({"names": [{"givenName": 5}]}, "person.names[0].given_name"),
        ({"nicknames": [{"value": "x", "type": "NOPE"}]}, "TYPE_ENUM"),
        ({"birthdays": [{"date": {"year": 2023, "month": 2, "day": 29}}]}, "Invalid date"),
        ({"birthdays": [{"date": {"day": 3}}]}, "Invalid date"),
        ({"organizations": [{"name": "x", "current": "yes"}]}, "TYPE_BOOL"),
    ],
)
def test_a_body_that_does_not_fit_the_schema_is_refused(world: World, body: dict[str, Any], said: str) -> None:
    code, status, text = refused(lambda: world.create(**body))
    assert (code, status) == (400, "INVALID_ARGUMENT")
    assert said in text


def test_items_without_content_are_dropped_and_null_is_nothing(world: World) -> None:
    made = world.create(phoneNumbers=[{"value": "", "type": "work"}, {"value": "1", "type": None}], urls=None)
    assert values(made, "phoneNumbers") == ["1"]
    assert "urls" not in made


# ---- batches ---------------------------------------------------------------------------------------------


def test_a_batch_creates_up_to_200(world: World) -> None:
    body = {"contacts": [{"contactPerson": BOB}] * 200, "readMask": "names"}
    answer = world.client.people().batchCreateContacts(body=body).execute()
    assert len(answer["createdPeople"]) == len(world.book.persons()) == 200
    body["contacts"] = [{"contactPerson": BOB}] * 201
    assert refused(lambda: world.client.people().batchCreateContacts(body=body).execute())[0] == 400


def test_a_batch_with_one_bad_contact_creates_none(world: World) -> None:
    bad = {"names": [{"givenName": "A"}, {"givenName": "B"}]}
    body = {"contacts": [{"contactPerson": BOB}, {"contactPerson": bad}]}
    (detail,) = details(lambda: world.client.people().batchCreateContacts(body=body).execute())
    assert detail["contactErrors"].keys() == {"1"}
    assert world.book.persons() == {}


def test_a_batch_updates_with_one_mask_for_all(world: World) -> None:
    people = [world.create(**BOB) for _ in range(2)]
    contacts = {one["resourceName"]: {"etag": one["etag"], "names": [{"givenName": "Rob"}]} for one in people}
    answer = batch_update(world, contacts)
    assert {one["person"]["names"][0]["givenName"] for one in answer["updateResult"].values()} == {"Rob"}
    assert all(one["emailAddresses"] for one in world.book.persons().values())


def test_a_batch_update_with_an_empty_read_mask_answers_nothing(world: World) -> None:
    person = world.create(**BOB)
    contacts = {person["resourceName"]: {"metadata": person["metadata"], "names": []}}
    assert batch_update(world, contacts, readMask="") == {}
    assert "names" not in world.book.person(person["resourceName"])


def test_one_stale_etag_fails_the_whole_batch_and_is_named(world: World) -> None:
    good, bad = world.create(**BOB), world.create(**BOB)
    world.book.touch(bad["resourceName"])
    contacts = {one["resourceName"]: {"etag": one["etag"], "names": [{"givenName": "Rob"}]} for one in (good, bad)}
    contacts["people/c1"] = {"etag": good["etag"]}
    assert refused(lambda: batch_update(world, contacts)) == STALE
    (detail,) = details(lambda: batch_update(world, contacts))
    assert detail["@type"] == "type.googleapis.com/google.people.v1.BatchUpdateContactsErrorDetails"
    assert {name: one["code"] for name, one in detail["contactErrors"].items()} == {
        bad["resourceName"]: 9,
        "people/c1": 5,
    }
    assert world.book.person(good["resourceName"])["names"][0]["givenName"] == "Bob"


def test_a_batch_update_needs_a_mask_and_at_most_200_contacts(world: World) -> None:
    assert refused(lambda: batch_update(world, {"people/c1": {}}, mask=""))[0] == 400
    assert refused(lambda: batch_update(world, {f"people/c{number}": {} for number in range(201)}))[0] == 400
    assert refused(lambda: batch_update(world, {}))[0] == 400


# ---- limits and things nobody may do ---------------------------------------------------------------------


def test_the_limit_of_contacts_counts_30_days_of_trash(world: World) -> None:
    world.knobs.contact_limit = 2
    first = world.create(**BOB)["resourceName"]
    world.create(**BOB)
    world.book.delete(first)
    code, _, text = refused(lambda: world.create(**BOB))
    assert code == 429
    assert "MY_CONTACTS_OVERFLOW_COUNT" in text
    world.knobs.contact_limit_status = "FAILED_PRECONDITION"
    assert refused(lambda: world.create(**BOB))[0] == 400
    world.clock.advance(31 * 86_400)
    world.create(**BOB)


def test_an_attempt_to_delete_a_contact_is_refused_and_recorded(world: World) -> None:
    name, group = world.book.add(BOB), world.book.add_label("CRM")
    people, groups = world.client.people(), world.client.contactGroups()
    assert refused(lambda: people.deleteContact(resourceName=name).execute())[0] == 403
    assert refused(lambda: people.batchDeleteContacts(body={"resourceNames": [name]}).execute())[0] == 403
    assert refused(lambda: groups.delete(resourceName=group, deleteContacts=True).execute())[0] == 403
    assert len(world.api.violations) == 3
    assert list(world.book.persons()) == [name]
    assert list(world.book.groups()) == [group]


def test_two_writes_of_one_user_at_the_same_time_are_a_violation(world: World) -> None:
    world.store.users.add("eve@example.com")
    inside, go = threading.Event(), threading.Event()

    def wait(operation: str, email: str) -> None:
        if operation == "people.createContact":
            inside.set()
            go.wait(20)

    other = new_world_client(world)
    slow = threading.Thread(target=lambda: world.create(**BOB))
    world.knobs.on_call = wait
    slow.start()
    try:
        assert inside.wait(20)
        world.page()
        assert world.api.violations == []
        other.contactGroups().create(body={"contactGroup": {"name": "CRM"}}).execute()
    finally:
        go.set()
        slow.join()
    assert world.api.violations == [
        f"contactGroups.create of {ANN} while people.createContact was under way",
    ]
    assert len(world.book.persons()) == 1


def new_world_client(world: World) -> Any:
    return world.signed_in("https://www.googleapis.com/auth/contacts")


def test_the_hook_can_edit_the_book_between_reading_and_writing(world: World) -> None:
    person = world.create(**BOB)
    world.knobs.on_call = lambda operation, _email: (
        world.book.touch(person["resourceName"]) if operation == "people.updateContact" else None
    )
    assert refused(lambda: world.update(person, "names", **BOB)) == STALE
    assert world.api.violations == []


# ---- sign-in and addresses -------------------------------------------------------------------------------


def test_a_dead_token_and_no_token_are_answered_with_401(world: World) -> None:
    for token, said in (("ya29.dead", "invalid authentication"), (None, "missing required authentication")):
        answer = raw(world, "GET", "/v1/people/me/connections?personFields=names", token=token)
        assert answer.status == 401
        assert error(answer)["status"] == "UNAUTHENTICATED"
        assert said in error(answer)["message"]
        assert error(answer)["errors"][0]["reason"] == "authError"
        assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_a_token_without_the_contacts_scope_is_answered_with_403(world: World) -> None:
    client = world.signed_in("https://www.googleapis.com/auth/calendar.events")
    (info,) = details(lambda: client.people().get(resourceName="people/c1", personFields="names").execute())
    assert (info["reason"], info["metadata"]["method"]) == (
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        "google.people.v1.PeopleService.GetPerson",
    )


def test_the_read_only_scope_reads_and_does_not_write(world: World) -> None:
    client = world.signed_in("https://www.googleapis.com/auth/contacts.readonly")
    client.contactGroups().list().execute()
    with pytest.raises(HttpError, match="insufficient authentication scopes"):
        client.people().createContact(body=BOB).execute()


def test_a_disabled_api_is_answered_with_403_for_everybody(world: World) -> None:
    world.knobs.service_disabled = True
    (info,) = details(world.page)
    assert info["reason"] == "SERVICE_DISABLED"


def test_an_unknown_parameter_is_refused_and_the_standard_ones_are_taken(world: World) -> None:
    answer = raw(world, "GET", "/v1/people/me/connections?personFields=names&nope=1")
    assert error(answer)["message"].startswith('Invalid JSON payload received. Unknown name "nope"')
    standard = "alt=json&prettyPrint=false&fields=*&quotaUser=x&key=k"
    assert raw(world, "GET", f"/v1/people/me/connections?personFields=names&{standard}").status == 200


def test_the_older_mask_is_understood(world: World) -> None:
    name = world.book.add(BOB)
    answer = raw(world, "GET", f"/v1/{name}?requestMask.includeField=person.names")
    assert json.loads(answer.body).keys() == {"resourceName", "etag", "names"}


@pytest.mark.parametrize("target", ["GET /v1/people", "PUT /v1/people/c1", "GET /v1/people/c1:nope", "GET /v1/other"])
def test_an_unknown_address_is_a_page_of_404(world: World, target: str) -> None:
    answer = raw(world, *target.split())
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=UTF-8")


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(world: World, body: bytes) -> None:
    answer = raw(world, "POST", "/v1/people:createContact", body)
    assert (answer.status, error(answer)["status"]) == (400, "INVALID_ARGUMENT")


# ---- trouble without a socket ----------------------------------------------------------------------------


def test_scripted_faults_are_played_without_a_socket(world: World) -> None:
    faults = Faults()
    http = InProcessHttp(world.api, access_token(world.store, ANN), faults)
    people = build_from_document(document_at("http://people.example/"), http=http).people()
    create = "POST /v1/people:createContact"
    faults.next(create, drop="before")
    faults.next(create, drop="after")
    faults.next(create, status=503, html="<html>busy</html>")
    faults.next(create, status=500, json={}, apply=True)
    for _ in range(2):
        with pytest.raises(RemoteDisconnected):
            people.createContact(body=BOB).execute()
    for status in (503, 500):
        with pytest.raises(HttpError) as caught:
            people.createContact(body=BOB).execute()
        assert caught.value.resp.status == status
    people.createContact(body=BOB).execute()
    assert (len(world.book.persons()), faults.pending()) == (3, 0)
