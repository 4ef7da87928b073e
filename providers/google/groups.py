"""Contact groups (labels) of one address book: what changed among them, making one, and who is in it.
Which group selects, and what its absence means, is left to `contacts`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from core.errors import Conflict, Misconfigured, Transient
from core.replica import Scope
from providers.google.client import PeopleClient
from providers.google.errors import Json, Refusal
from providers.google.listing import pages
from providers.google.persons import MY_CONTACTS

Wait = Callable[[float], None]

GROUP_FIELDS = "name,groupType,metadata"
GROUP_PARAMETERS: Mapping[str, object] = {"pageSize": 1000, "groupFields": GROUP_FIELDS}
MODIFY_MOST = 1000  # contactGroups.members.modify: names to add and to remove, together
# A new group is not usable for a second or so (seen in the field); a deleted one never is again.
SETTLING = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Groups:
    """The user's own groups by resource name, as a listing reports them; `cursor` goes on from there."""

    names: Mapping[str, str]
    gone: frozenset[str]
    cursor: str

    def titled(self, name: str) -> Scope | None:
        """The group of this name: written exactly so, else but for upper and lower case."""
        exact = (Scope(one, title) for one, title in self.names.items() if title == name)
        near = (Scope(one, title) for one, title in self.names.items() if title.casefold() == name.casefold())
        return next(exact, None) or next(near, None)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a change of members did not do: contacts that do not exist, and those whose last group this is."""

    unknown: frozenset[str] = field(default_factory=frozenset)
    stuck: frozenset[str] = field(default_factory=frozenset)


def list_groups(client: PeopleClient, cursor: str = "") -> Groups:
    """Every group, or with a cursor those that changed. Raises CursorExpired."""
    names: dict[str, str] = {}
    gone: set[str] = set()
    token = ""
    for page in pages(client, client.groups.list, dict(GROUP_PARAMETERS), cursor):
        token = page.token
        for group in page.items("contactGroups"):
            name, title = group.get("resourceName"), group.get("name")
            metadata = group.get("metadata")
            if not isinstance(name, str):
                continue
            if isinstance(metadata, dict) and metadata.get("deleted") is True:
                gone.add(name)
            elif group.get("groupType") == "USER_CONTACT_GROUP" and isinstance(title, str):
                names[name] = title
    return Groups(names, frozenset(gone), token)


def make_group(client: PeopleClient, name: str) -> Scope:
    """Make a group, or take the one of this name. Raises Misconfigured when the name cannot be had."""
    body = {"contactGroup": {"name": name}, "readGroupFields": GROUP_FIELDS}
    answer = client.attempt(client.groups.create(body=body))
    if not isinstance(answer, Refusal):
        made, title = answer.get("resourceName"), answer.get("name")
        if not isinstance(made, str) or not made:
            raise Transient("Google did not say which group it made")
        return Scope(made, title if isinstance(title, str) and title else name)
    # 409 by the documentation, 400 as still seen; a name in other letters may count as the same one.
    if answer.status not in (400, 409):
        raise Transient(f"Google did not make the contact group (HTTP {answer.status})")
    found = list_groups(client).titled(name)
    if found is not None:
        return found
    if isinstance(answer.error(), Conflict):
        raise Transient("Google has a contact group of this name, but does not list it yet")
    raise Misconfigured("Google refuses this name for a contact group", advice="Choose another name for the group.")


def move(client: PeopleClient, group: str, add: Collection[str], remove: Collection[str], wait: Wait) -> Moved:
    """Put contacts into a group and take others out, at most `MODIFY_MOST` together; harmless when they are there or
    not there already. One that would be left without any group gets into My Contacts first."""
    moved = _modify(client, group, add, remove, wait)
    if not moved.stuck:
        return moved
    _modify(client, MY_CONTACTS, moved.stuck, (), wait)
    again = _modify(client, group, (), moved.stuck, wait)
    return Moved(moved.unknown | again.unknown, again.stuck)


def settling(wait: Wait) -> Iterator[None]:
    """Tries of something a new group may refuse for a moment: pauses between them, Transient after the last."""
    for pause in SETTLING:
        yield
        wait(pause)
    yield
    raise Transient("the contact group is not usable; it may just have been made or deleted")


def _modify(client: PeopleClient, group: str, add: Collection[str], remove: Collection[str], wait: Wait) -> Moved:
    body = {"resourceNamesToAdd": sorted(add), "resourceNamesToRemove": sorted(remove)}
    body = {key: names for key, names in body.items() if names}
    for _ in settling(wait):
        answer = client.attempt(client.members.modify(resourceName=group, body=body))
        if not isinstance(answer, Refusal):
            return Moved(
                _names(answer, "notFoundResourceNames"), _names(answer, "canNotRemoveLastContactGroupResourceNames")
            )
        if answer.status != 404:
            raise Misconfigured(f"Google refuses to change the members of the contact group (HTTP {answer.status})")
    raise AssertionError("settling ends with an error")


def _names(answer: Json, key: str) -> frozenset[str]:
    found = answer.get(key)
    return frozenset(one for one in found if isinstance(one, str)) if isinstance(found, list) else frozenset()
