"""PRETENDS the writing operations on persons: create and update, one and many, with every refusal of google.md B.4.
Everything is checked before anything is stored; deletions are not among them, since nobody may ask for one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sandbox.google.people_call import Call, source_kinds
from sandbox.google.people_input import members, read_person
from sandbox.google.people_reads import person_response
from sandbox.google.people_records import MY_CONTACTS, Contact, Fields
from sandbox.google.people_render import View, render
from sandbox.google.people_schema import READABLE, WRITABLE, person_mask
from sandbox.google.people_tokens import read_person_etag
from sandbox.google.people_wire import ETAG_MISSING, ApiError, Json, invalid, not_found, stale

BATCH_WRITE = 200
_DETAILS = "type.googleapis.com/google.people.v1."
_PERSON = re.compile(r"people/[^/:]+")


@dataclass(frozen=True, slots=True)
class _Update:
    contact: Contact
    fields: Fields
    labels: tuple[str, ...]


def create_contact(call: Call) -> Json:
    """people.createContact: a new contact every time, whatever exists already."""
    view = _view(call, call.fields(required=False) or READABLE, call.texts("sources"))
    fields, labels = _new_contact(call, call.body, "person")
    _room_for(call, 1)
    return render(_created(call, fields, labels), view)


def batch_create(call: Call) -> Json:
    """people.batchCreateContacts: all or none."""
    body = members(call.body, "", frozenset({"contacts", "readMask", "sources"}))
    wanted = _listed(body.get("contacts", []), "contacts", BATCH_WRITE)
    view = _body_view(call, body)
    new: list[tuple[Fields, tuple[str, ...]]] = []
    errors: dict[str, ApiError] = {}
    for index, raw in enumerate(wanted):
        holder = members(raw, f"contacts[{index}]", frozenset({"contactPerson"}))
        try:
            new.append(_new_contact(call, holder.get("contactPerson", {}), f"contacts[{index}].contact_person"))
        except ApiError as error:
            errors[str(index)] = error
    if errors:
        raise _batch_error("BatchCreateContactsErrorDetails", errors)
    _room_for(call, len(new))
    made = [_created(call, *one) for one in new]
    if view is None:
        return {}
    return {"createdPeople": [person_response(one.name, render(one, view)) for one in made]}


def update_contact(call: Call) -> Json:
    """people.updateContact: every field of the mask is replaced as a whole."""
    mask = person_mask(call.text("updatePersonFields"), "updatePersonFields", WRITABLE)
    view = _view(call, call.fields(required=False) or READABLE, call.texts("sources"))
    update = _checked(call, call.resource, call.body, "person", mask)
    return render(_applied(call, update), view)


def batch_update(call: Call) -> Json:
    """people.batchUpdateContacts: one mask for all; one bad contact fails the whole call with its reason."""
    body = members(call.body, "", frozenset({"contacts", "readMask", "sources", "updateMask"}))
    mask = person_mask(_text(body, "updateMask"), "updateMask", WRITABLE)
    view = _body_view(call, body)
    wanted = body.get("contacts", {})
    if not isinstance(wanted, dict) or not 1 <= len(wanted) <= BATCH_WRITE:
        raise invalid(f"Between 1 and {BATCH_WRITE} contacts are required.")
    updates: dict[str, _Update] = {}
    errors: dict[str, ApiError] = {}
    for name, raw in wanted.items():
        try:
            updates[name] = _checked(call, name, raw, "person", mask)
        except ApiError as error:
            errors[name] = error
    if errors:
        raise _batch_error("BatchUpdateContactsErrorDetails", errors)
    made = {name: _applied(call, update) for name, update in updates.items()}
    if view is None:
        return {}
    return {"updateResult": {name: person_response(name, render(one, view)) for name, one in made.items()}}


# -- checking


def _new_contact(call: Call, raw: Any, where: str) -> tuple[Fields, tuple[str, ...]]:
    fields, labels = read_person(raw, where)
    _check_labels(call, labels or (), ())
    return fields, labels or (MY_CONTACTS,)


def _checked(call: Call, name: str, raw: Any, where: str, mask: tuple[str, ...]) -> _Update:
    if not _PERSON.fullmatch(name):
        raise invalid(f'Invalid resource name: "{name}".')
    fields, labels = read_person(raw, where)
    contact = call.book.contacts.current(name)
    if contact is None:
        raise not_found()
    _check_version(contact, raw, list_refused=call.knobs.list_etags_refused)
    kept = contact.labels
    if "memberships" in mask:
        if not labels:
            raise invalid("person.memberships must be set: a contact needs at least one contact group membership.")
        _check_labels(call, labels, contact.labels)
        kept = labels
    stay = {field: items for field, items in contact.fields.items() if field not in mask}
    return _Update(contact, {**stay, **{field: fields[field] for field in mask if field in fields}}, kept)


def _check_version(contact: Contact, raw: Json, *, list_refused: bool) -> None:
    """Every etag that is sent must be the current one; google.md, B.3 tells why both forms are looked at."""
    top = raw.get("etag")
    metadata = raw.get("metadata")
    sources = metadata.get("sources", []) if isinstance(metadata, dict) else []
    theirs = [one for one in sources if isinstance(one, dict) and one.get("type") == "CONTACT"]
    source = theirs[0].get("etag") if theirs else None
    if not top and not source:
        raise invalid(ETAG_MISSING)
    if source and source != contact.etag:
        raise stale()
    if top:
        known = read_person_etag(str(top))
        if known is None or known[0] != contact.etag or (known[1] and list_refused):
            raise stale()


def _check_labels(call: Call, labels: tuple[str, ...], held: tuple[str, ...]) -> None:
    for label in labels:
        if label not in held and not call.book.labels.accepts(label):
            raise invalid(f'Invalid contact group membership: "{label}".')


def _room_for(call: Call, more: int) -> None:
    if call.book.contacts.counted() + more > call.knobs.contact_limit:
        text = "MY_CONTACTS_OVERFLOW_COUNT: the limit of contacts is reached."  # google.md, B.6
        raise ApiError(call.knobs.contact_limit_status, text)


def _batch_error(kind: str, errors: dict[str, ApiError]) -> ApiError:
    first = next(iter(errors.values()))
    detail = {"@type": _DETAILS + kind, "contactErrors": {name: error.rpc() for name, error in errors.items()}}
    return ApiError(first.status, first.message, details=(detail,))


# -- storing and showing


def _created(call: Call, fields: Fields, labels: tuple[str, ...]) -> Contact:
    call.book.created_by_api += 1
    return call.book.contacts.create(fields, labels, "api")


def _applied(call: Call, update: _Update) -> Contact:
    return call.book.contacts.put(update.contact, "api", fields=update.fields, labels=update.labels)


def _view(call: Call, mask: tuple[str, ...], sources: tuple[Any, ...]) -> View:
    return View(mask, source_kinds(sources), shuffle=call.knobs.shuffle_seed)


def _body_view(call: Call, body: Json) -> View | None:
    mask = _text(body, "readMask")
    sources = _listed(body.get("sources", []), "sources", None)
    if not mask:
        return None  # skips the read after the write: the answer is then empty (discovery document)
    view = _view(call, person_mask(mask, "readMask"), tuple(sources))
    call.count_read()
    return view


def _text(body: Json, name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise invalid(f"Invalid value at '{name}'.")
    return value


def _listed(value: Any, name: str, most: int | None) -> list[Any]:
    if not isinstance(value, list) or (most is not None and not 1 <= len(value) <= most):
        raise invalid(f"Invalid value at '{name}': a list" + (f" of 1 to {most} is required." if most else "."))
    return value
