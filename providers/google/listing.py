"""Reading persons: all of them or what changed, page by page, and some by name.
What an answer means for the group that selects, and the cursor over both lists, is left to `contacts`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from core.errors import CursorExpired, Misconfigured, Transient
from providers.google.client import PeopleClient
from providers.google.errors import Json, Refusal, item_refusal
from providers.google.mapping import PERSON_FIELDS
from providers.google.persons import Seen, may_be_cut

GET_MOST = 200  # people.getBatchGet
SOURCES = ("READ_SOURCE_TYPE_CONTACT",)  # without it, values of a profile are mixed in
# With a sync token every parameter must be what it was in the first call.
LIST_PARAMETERS: Mapping[str, object] = {
    "resourceName": "people/me",
    "pageSize": 1000,
    "personFields": PERSON_FIELDS,
    "sources": list(SOURCES),  # the library repeats a parameter for a list only
    "requestSyncToken": True,
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing; `token` is the sync token, "" on all but the last page."""

    answer: Json
    token: str

    def items(self, name: str) -> list[Json]:
        """The rows of the page. Raises Transient for anything that is no list of objects."""
        rows = self.answer.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Transient("Google sent a list that cannot be read")
        return rows


def pages(client: PeopleClient, call: Callable[..., Any], parameters: Json, cursor: str) -> Iterator[Page]:
    """The pages of a listing. Raises CursorExpired, also for any other 400 that a sync token may have caused."""
    if cursor:
        parameters = {**parameters, "syncToken": cursor}
    met: set[str] = set()
    while True:
        answer = client.attempt(call(**parameters))
        if isinstance(answer, Refusal):
            raise _list_error(answer, cursor=cursor, paging=bool(met))
        follow, token = answer.get("nextPageToken"), answer.get("nextSyncToken")
        yield Page(answer, token if isinstance(token, str) and not follow else "")
        if not follow:
            return
        if not isinstance(follow, str) or follow in met:
            raise Transient("Google's pages lead in a circle")
        met.add(follow)
        parameters = {**parameters, "pageToken": follow}


def list_people(client: PeopleClient, cursor: str, group: str) -> tuple[Seen, str]:
    """Everybody, or with a cursor who changed; and the sync token to go on with. Raises CursorExpired."""
    seen, token = Seen(), ""
    cut: list[str] = []
    for page in pages(client, client.connections.list, dict(LIST_PARAMETERS), cursor):
        token = page.token
        for person in page.items("connections"):
            seen.take(person, group)
            if may_be_cut(person) and person.get("resourceName") in seen.items:
                cut.append(str(person["resourceName"]))
    if cut:
        whole = get_people(client, cut, group)
        seen.items.update(whole.items)
    return seen, token


def get_people(client: PeopleClient, names: Collection[str], group: str) -> Seen:
    """These persons as they are now; unknown ones are `gone`, and names that lead to another one `renamed`."""
    seen = Seen()
    for chunk in chunked(sorted(names), GET_MOST):
        answer = client.call(
            client.people.getBatchGet(resourceNames=chunk, personFields=PERSON_FIELDS, sources=list(SOURCES))
        )
        responses = Page(answer, "").items("responses")
        for response in responses:
            _take(response, seen, group)
    missing = set(names) - seen.items.keys() - seen.gone - seen.renamed.keys()
    if missing:
        raise Transient("Google left out contacts that were asked for")
    return seen


def chunked(items: Collection[T], most: int) -> Iterator[list[T]]:
    """Items in lists of at most `most`."""
    source = iter(items)
    while chunk := list(islice(source, most)):
        yield chunk


def _take(response: Json, seen: Seen, group: str) -> None:
    asked, person = response.get("requestedResourceName"), response.get("person")
    if not isinstance(person, dict):
        refusal = item_refusal(response.get("status"))
        if isinstance(asked, str) and (refusal.state == "NOT_FOUND" or response.get("httpStatusCode") == 404):
            seen.gone.add(asked)
            return
        raise refusal.error() if refusal.status >= 500 else Transient("Google sent a contact that cannot be read")
    seen.take(person, group)
    name = person.get("resourceName")
    if isinstance(asked, str) and asked != name and isinstance(name, str):
        seen.renamed[asked] = name
    elif isinstance(asked, str) and asked not in seen.items:
        seen.gone.add(asked)


def _list_error(refusal: Refusal, *, cursor: str, paging: bool) -> Exception:
    error = refusal.error()
    if isinstance(error, CursorExpired) or (cursor and refusal.status in (400, 410)):
        # A garbage token gets no more than "Request contains an invalid argument."
        return error if isinstance(error, CursorExpired) else CursorExpired("Google does not take our sync token")
    if paging or refusal.status != 400:
        return Transient(f"Google broke off a listing (HTTP {refusal.status})")
    return Misconfigured(f"Google refuses to list contacts ({error})", advice="Please report this as a bug.")
