"""PRETENDS the reading operations on persons: connections.list with its tokens, get, batchGet.
What a person looks like is left to `people_render`, tokens to `people_pages`."""

from __future__ import annotations

import re

from sandbox.google.people_call import Call, source_kinds
from sandbox.google.people_pages import Result
from sandbox.google.people_records import Contact
from sandbox.google.people_render import View, render, render_profile
from sandbox.google.people_schema import SORT_ORDERS
from sandbox.google.people_wire import Json, bad_field, invalid, not_found

FEED = "people"
BATCH_GET = 200
_PERSON = re.compile(r"people/[^/:]+")


def list_connections(call: Call) -> Json:
    """connections.list: full, by page, or what changed since a sync token (google.md, B.1)."""
    if call.resource != "people/me":
        raise invalid('Invalid resource name. Only "people/me" is valid.')
    view = View(
        call.fields(),
        source_kinds(call.texts("sources")),
        listed=True,
        synced=bool(call.text("syncToken")),
        shuffle=call.knobs.shuffle_seed,
    )
    order = _sort_order(call)
    size = call.number("pageSize", 100, 1000)
    pages = call.book.pages
    if call.text("pageToken"):
        result, start = pages.again(call.text("pageToken"), FEED, call.pairs)
        page = pages.cut(result, start, size)
    else:
        page = pages.cut(_opened(call, order), 0, size)
    answer: Json = {"connections": [render(contact, view) for contact in page.rows]} if page.rows else {}
    if page.next:
        answer["nextPageToken"] = page.next
    elif call.flag("requestSyncToken"):
        answer["nextSyncToken"] = page.result.token.pack()
    if page.result.rows and not page.result.incremental:
        answer["totalPeople"] = answer["totalItems"] = len(page.result.rows)
    return answer


def _sort_order(call: Call) -> str:
    order = call.text("sortOrder") or "LAST_MODIFIED_ASCENDING"
    if order not in SORT_ORDERS:
        raise bad_field("sort_order", f"Invalid value at 'sort_order' (TYPE_ENUM), \"{order}\"")
    if order == "LAST_MODIFIED_DESCENDING" and (call.flag("requestSyncToken") or call.text("syncToken")):
        raise invalid()  # google.md, B.1
    return order


def _opened(call: Call, order: str) -> Result:
    book, knobs = call.book, call.knobs
    pages, feed = book.pages, book.contacts.feed
    text = call.text("syncToken")
    old = pages.known_token(text, FEED, call.pairs, call.now, knobs) if text else None
    if old is None:
        call.quotas.full_sync(book.sub, call.now, knobs.full_syncs_per_minute)
    position = feed.advance(call.now)
    rows = _sorted(feed.living() if old is None else feed.since(old.position), order)
    token = pages.new_token(FEED, position, call.pairs, call.now, knobs, old)
    return pages.open(rows, token, call.pairs, incremental=old is not None)


def _sorted(contacts: list[Contact], order: str) -> list[Contact]:
    # Sorting is stable: what was written last stays last among equals.
    contacts.sort(key=lambda one: (one.updated, one.number), reverse=order == "LAST_MODIFIED_DESCENDING")
    if order == "FIRST_NAME_ASCENDING":
        contacts.sort(key=lambda one: _name(one, "givenName"))
    elif order == "LAST_NAME_ASCENDING":
        contacts.sort(key=lambda one: _name(one, "familyName"))
    return contacts


def _name(contact: Contact, part: str) -> str:
    names = contact.fields.get("names", ())
    return str(names[0].get(part, "")).casefold() if names else ""


def get_person(call: Call) -> Json:
    """people.get"""
    view = View(call.fields(), source_kinds(call.texts("sources")), shuffle=call.knobs.shuffle_seed)
    if call.resource == "people/me":
        return render_profile(call.me, view)
    contact = call.book.contacts.as_of_lag(call.resource)
    if contact is None:
        raise not_found()
    return render(contact, view)


def batch_get(call: Call) -> Json:
    """people.getBatchGet: one answer per name, in their order, unknown ones with a status."""
    view = View(call.fields(), source_kinds(call.texts("sources")), shuffle=call.knobs.shuffle_seed)
    names = call.texts("resourceNames")
    if not names or len(names) > BATCH_GET:
        raise invalid(f"Between 1 and {BATCH_GET} resource names are required.")
    for name in names:
        if not _PERSON.fullmatch(name):
            raise invalid(f'Invalid resource name: "{name}".')
    return {"responses": [_response(call, name, view) for name in names]}


def _response(call: Call, name: str, view: View) -> Json:
    if name == "people/me":
        return person_response(name, render_profile(call.me, view))
    contact = call.book.contacts.as_of_lag(name)
    if contact is None:
        return {"requestedResourceName": name, "httpStatusCode": 404, "status": not_found().rpc()}
    return person_response(name, render(contact, view))


def person_response(name: str, person: Json) -> Json:
    """The PersonResponse of a success."""
    return {"httpStatusCode": 200, "person": person, "requestedResourceName": name, "status": {}}
