"""Makes contacts, 200 a call, inside the group and with our id on them.
Nothing is sent twice without an answer: what became of a creation nobody heard of is found out by its id."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from core.contact import Contact
from core.errors import Transient
from core.replica import Done, Failed, Item, Write
from providers.google.client import PeopleClient
from providers.google.edits import new_person
from providers.google.errors import Json, Refusal
from providers.google.groups import Wait, settling
from providers.google.listing import SOURCES
from providers.google.mapping import PERSON_FIELDS
from providers.google.persons import MY_CONTACTS, ORIGIN_KEY
from providers.google.updating import read_result


def create(
    client: PeopleClient, group: str, writes: list[Write[Contact]], wait: Wait
) -> Iterator[Done[Contact] | Failed]:
    """One outcome for each write, of which there are at most 200."""
    queue = deque([writes])
    while queue:
        batch = queue.popleft()
        answer = _sent(client, group, batch, wait)
        if not isinstance(answer, Refusal):
            yield from _made(batch, answer, group)
            continue
        # A refused batch made nothing. Google names the culprits; if it names none, halves show where they are.
        errors = answer.item_errors()
        if len(batch) == 1:
            errors = {"0": errors.get("0", answer)}
        refused = {index for index in range(len(batch)) if str(index) in errors}
        for index in sorted(refused):
            yield Failed(batch[index].key, errors[str(index)].error())
        rest = [write for index, write in enumerate(batch) if index not in refused]
        half = 0 if refused else len(rest) // 2
        queue.extendleft(part for part in (rest[half:], rest[:half]) if part)


def _sent(client: PeopleClient, group: str, batch: Sequence[Write[Contact]], wait: Wait) -> Json | Refusal:
    body = {
        "contacts": [{"contactPerson": _person(write, group)} for write in batch],
        "readMask": PERSON_FIELDS,
        "sources": list(SOURCES),
    }
    for _ in settling(wait):
        answer = client.attempt(client.people.batchCreateContacts(body=body))
        if not isinstance(answer, Refusal) or not _is_about_group(answer):
            return answer
    raise AssertionError("settling ends with an error")


def _person(write: Write[Contact], group: str) -> Json:
    person = new_person(write.body or Contact())
    groups = (MY_CONTACTS, group) if write.selected else (MY_CONTACTS,)
    person["memberships"] = [{"contactGroupMembership": {"contactGroupResourceName": name}} for name in groups]
    if write.origin:
        person["clientData"] = [{"key": ORIGIN_KEY, "value": write.origin}]
    return person


def _is_about_group(refusal: Refusal) -> bool:
    """Whether it was the group that was refused: then nothing is wrong with the contacts."""
    messages = [refusal.message, *(error.message for error in refusal.item_errors().values())]
    return all("membership" in message.lower() for message in messages)


def _made(batch: Sequence[Write[Contact]], answer: Json, group: str) -> Iterator[Done[Contact] | Failed]:
    made = answer.get("createdPeople")
    results = [read_result(one, group) for one in made] if isinstance(made, list) else []
    if len(results) != len(batch) or None in results:
        raise Transient("Google did not say which contacts it made")
    # The order is not promised, our ids are told.
    by_origin = {item.origin: item for item in results if isinstance(item, Item) and item.origin}
    for write, result in zip(batch, results, strict=True):
        outcome = by_origin.get(write.origin, result) if write.origin else result
        if isinstance(outcome, Item):
            yield Done(write.key, outcome)
        elif outcome is not None:
            yield Failed(write.key, outcome)
