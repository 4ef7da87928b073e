"""PRETENDS the operations on contact groups: list with tokens, get, create, rename, delete, members:modify.
The rules are those of google.md B.5; labels and members themselves are kept by the stores of the book."""

from __future__ import annotations

from typing import Any

from sandbox.google.api_wire import words
from sandbox.google.people_call import Call
from sandbox.google.people_input import members
from sandbox.google.people_pages import Result
from sandbox.google.people_records import MY_CONTACTS, OPEN_SYSTEM_LABELS, SYSTEM_LABELS, Label, stamp
from sandbox.google.people_schema import GROUP_READABLE, GROUP_WRITABLE
from sandbox.google.people_wire import ApiError, Json, invalid, not_found, stale

FEED = "groups"
BATCH_GET = 200
MODIFY = 1000
_USUAL = ("metadata", "groupType", "memberCount", "name")
_AFTER_WRITE = ("metadata", "groupType", "name")
_GROUP = words("clientData etag formattedName groupType memberCount memberResourceNames metadata name resourceName")


def list_groups(call: Call) -> Json:
    """contactGroups.list: all labels, or what changed since a sync token; members are never shown."""
    mask = _mask(call.text("groupFields"), "groupFields", _USUAL)
    size = call.number("pageSize", 30, 1000)
    pages = call.book.pages
    if call.text("pageToken"):
        result, start = pages.again(call.text("pageToken"), FEED, call.pairs)
        page = pages.cut(result, start, size)
    else:
        page = pages.cut(_opened(call), 0, size)
    answer: Json = {"contactGroups": [_shown(call, label, mask) for label in page.rows]} if page.rows else {}
    if page.next:
        answer["nextPageToken"] = page.next
    else:
        answer["nextSyncToken"] = page.result.token.pack()
    if page.result.rows:
        answer["totalItems"] = len(page.result.rows)
    return answer


def _opened(call: Call) -> Result:
    pages, feed = call.book.pages, call.book.labels.feed
    text = call.text("syncToken")
    old = pages.known_token(text, FEED, call.pairs, call.now, call.knobs) if text else None
    position = feed.advance(call.now)
    rows = feed.living() if old is None else feed.since(old.position)
    token = pages.new_token(FEED, position, call.pairs, call.now, call.knobs, old)
    return pages.open(rows, token, call.pairs, incremental=old is not None)


def get_group(call: Call) -> Json:
    """contactGroups.get: members only up to `maxMembers`, and none unless asked for."""
    mask = _mask(call.text("groupFields"), "groupFields", _USUAL)
    return _shown(call, _living(call, call.resource), mask, call.number("maxMembers", 0))


def batch_get_groups(call: Call) -> Json:
    """contactGroups.batchGet: one answer per name, in their order."""
    mask = _mask(call.text("groupFields"), "groupFields", _USUAL)
    most = call.number("maxMembers", 0)
    names = call.texts("resourceNames")
    if not 1 <= len(names) <= BATCH_GET:
        raise invalid(f"Between 1 and {BATCH_GET} resource names are required.")
    answers: list[Json] = []
    for name in names:
        label = call.book.labels.living.get(name)
        if label is None:
            answers.append({"requestedResourceName": name, "status": not_found().rpc()})
        else:
            shown = _shown(call, label, mask, most)
            answers.append({"requestedResourceName": name, "contactGroup": shown, "status": {}})
    return {"responses": answers}


def create_group(call: Call) -> Json:
    """contactGroups.create: the title must be new."""
    body = members(call.body, "", frozenset({"contactGroup", "readGroupFields"}))
    mask = _mask(body.get("readGroupFields", ""), "readGroupFields", _AFTER_WRITE)
    group = _group(body)
    title = _free_title(call, group)
    return _shown(call, call.book.labels.create(title, _client_data(group)), mask)


def update_group(call: Call) -> Json:
    """contactGroups.update: rename one of the user's own labels."""
    body = members(call.body, "", frozenset({"contactGroup", "readGroupFields", "updateGroupFields"}))
    mask = _mask(body.get("readGroupFields", ""), "readGroupFields", _AFTER_WRITE)
    wanted = _mask(body.get("updateGroupFields", ""), "updateGroupFields", ("name",), GROUP_WRITABLE)
    group = _group(body)
    label = _own(call)
    if group.get("etag") and group["etag"] != label.etag:
        raise stale()
    changes: dict[str, Any] = {}
    if "name" in wanted and group.get("name") != label.title:
        changes["title"] = _free_title(call, group)
    if "clientData" in wanted:
        changes["client_data"] = _client_data(group)
    return _shown(call, call.book.labels.put(label, **changes), mask)


def delete_group(call: Call) -> Json:
    """contactGroups.delete without its contacts; one left with no label is in My Contacts."""
    label = _own(call)
    contacts = call.book.contacts
    for name in list(contacts.members.get(label.name, ())):
        contact = contacts.living[name]
        left = tuple(one for one in contact.labels if one != label.name) or (MY_CONTACTS,)
        contacts.relabel(contact, left, "api")
    call.book.labels.put(label, deleted=True)
    return {}


def modify_members(call: Call) -> Json:
    """contactGroups.members.modify: idempotent; what could not be done is told in a 200."""
    body = members(call.body, "", frozenset({"resourceNamesToAdd", "resourceNamesToRemove"}))
    add, remove = (_names(body, name) for name in ("resourceNamesToAdd", "resourceNamesToRemove"))
    if len(add) + len(remove) > MODIFY:
        raise invalid(f"At most {MODIFY} resource names can be added and removed in one request.")
    label = _living(call, call.resource)
    if add and label.system and label.name not in OPEN_SYSTEM_LABELS:
        raise invalid("Members can be added only to contactGroups/myContacts and contactGroups/starred.")
    if label.usable is not None and label.usable > call.now:
        raise not_found()  # as good as absent for a moment after its creation (google.md, B.5)
    contacts = call.book.contacts
    unknown = [name for name in dict.fromkeys((*add, *remove)) if contacts.current(name) is None]
    stuck: list[str] = []
    for name in add:
        contact = contacts.current(name)
        if contact is not None and label.name not in contact.labels:
            contacts.relabel(contact, (*contact.labels, label.name), "api")
    for name in remove:
        contact = contacts.current(name)
        if contact is None or label.name not in contact.labels:
            continue
        if contact.labels == (label.name,):
            stuck.append(name)
        else:
            contacts.relabel(contact, (one for one in contact.labels if one != label.name), "api")
    answer = {"notFoundResourceNames": unknown, "canNotRemoveLastContactGroupResourceNames": stuck}
    return {name: names for name, names in answer.items() if names}


# -- reading what was sent


def _mask(text: Any, name: str, usual: tuple[str, ...], allowed: frozenset[str] = GROUP_READABLE) -> tuple[str, ...]:
    if not isinstance(text, str):
        raise invalid(f"Invalid value at '{name}'.")
    paths = tuple(path.strip() for path in text.split(",") if path.strip())
    for path in paths:
        if path not in allowed:
            raise invalid(f'Invalid {name} mask path: "{path}".')
    return paths or usual


def _group(body: Json) -> Json:
    return members(body.get("contactGroup", {}), "contact_group", _GROUP)


def _free_title(call: Call, group: Json) -> str:
    title = group.get("name", "")
    if not isinstance(title, str) or not title.strip():
        raise invalid("contactGroup.name must be set.")
    if call.book.labels.titled(title) is not None:
        # The documentation says 409, the old 400 is still seen (google.md, B.5).
        status = "ALREADY_EXISTS" if call.knobs.duplicate_group_status == 409 else "FAILED_PRECONDITION"
        raise ApiError(status, "Contact group name already exists")
    return title


def _client_data(group: Json) -> tuple[Json, ...]:
    given = group.get("clientData", [])
    if not isinstance(given, list):
        raise invalid("Invalid value at 'contact_group.client_data'.")
    return tuple(members(one, "contact_group.client_data", frozenset({"key", "value"})) for one in given)


def _names(body: Json, name: str) -> list[str]:
    given = body.get(name, [])
    if not isinstance(given, list) or not all(isinstance(one, str) and one.startswith("people/") for one in given):
        raise invalid(f"Invalid resource name in '{name}'.")
    return list(dict.fromkeys(given))


def _living(call: Call, name: str) -> Label:
    label = call.book.labels.living.get(name)
    if label is None:
        raise not_found()
    return label


def _own(call: Call) -> Label:
    label = _living(call, call.resource)
    if label.system:
        raise invalid("System contact groups cannot be changed.")
    return label


# -- showing


def _shown(call: Call, label: Label, mask: tuple[str, ...], most: int = 0) -> Json:
    # System groups carry neither etag nor metadata; zero and empty members are left out, as in all of protobuf's JSON.
    shown: Json = {"resourceName": label.name}
    if not label.system:
        shown["etag"] = label.etag
        if "metadata" in mask:
            deleted = {"deleted": True} if label.deleted else {}
            shown["metadata"] = {"updateTime": stamp(label.updated), **deleted}
    if label.deleted:
        return shown
    if "groupType" in mask:
        shown["groupType"] = "SYSTEM_CONTACT_GROUP" if label.system else "USER_CONTACT_GROUP"
    if "name" in mask:
        shown["name"] = label.title
        shown["formattedName"] = call.knobs.formatted_names.get(label.name, SYSTEM_LABELS.get(label.name, label.title))
    who = call.book.contacts.members.get(label.name, {})
    if "memberCount" in mask and who:
        shown["memberCount"] = len(who)
    if "clientData" in mask and label.client_data:
        shown["clientData"] = list(label.client_data)
    if most and who:
        shown["memberResourceNames"] = list(who)[:most]
    return shown
