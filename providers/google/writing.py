"""Carries out the writes of one call in the order in which they can: texts, members of the group, new contacts.
How each is done is `updating`, `groups` and `creating`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from core.contact import Contact
from core.errors import ItemRejected, RecordGone, TwinboxError
from core.replica import Done, Failed, Item, Write
from providers.google.client import PeopleClient
from providers.google.creating import create
from providers.google.groups import MODIFY_MOST, Wait, move
from providers.google.listing import chunked
from providers.google.updating import BATCH, Edit, Updater

Outcome = Done[Contact] | Failed


def outcomes(client: PeopleClient, group: str, writes: Sequence[Write[Contact]], wait: Wait) -> Iterator[Outcome]:
    """One outcome for each write; see `GoogleContacts.write`.

    Texts come before members, because a change of members makes another version of the contact. New contacts come
    last: a full address book refuses them and nothing else.
    """
    if not group and any(write.selected for write in writes):
        raise RuntimeError("there is no group yet: make_scope comes first")
    moving: list[tuple[Edit, Item[Contact]]] = []
    for edit, result in Updater(client, group).results([write for write in writes if write.id]):
        if isinstance(result, TwinboxError):
            yield Failed(edit.write.key, result)
        elif edit.write.selected is None or not group:
            yield Done(edit.write.key, result)
        else:
            moving.append((edit, result))
            if len(moving) == MODIFY_MOST:
                yield from _moved(client, group, moving, wait)
                moving = []
    if moving:
        yield from _moved(client, group, moving, wait)
    for chunk in chunked([write for write in writes if not write.id], BATCH):
        yield from create(client, group, chunk, wait)


def _moved(
    client: PeopleClient, group: str, moving: Sequence[tuple[Edit, Item[Contact]]], wait: Wait
) -> Iterator[Outcome]:
    add = {item.id for edit, item in moving if edit.write.selected}
    remove = {item.id for edit, item in moving if not edit.write.selected}
    moved = move(client, group, add, remove, wait)
    for edit, item in moving:
        if item.id in moved.unknown:
            yield Failed(edit.write.key, RecordGone("the contact does not exist at Google any more"))
        elif item.id in moved.stuck:
            yield Failed(edit.write.key, ItemRejected("Google does not take the contact out of its last group"))
        else:
            yield Done(edit.write.key, replace(item, selected=bool(edit.write.selected)))
