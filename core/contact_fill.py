"""Joins what a file says of a contact with what is known already: pure, and nothing known is ever taken away.
When two sides of a sync changed one contact, that is `core.merge`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from core.contact import LISTS, Contact, canonical

# Parts of one whole: a title is not that of another organization, a middle name not that of another person.
_WHOLES = (
    (("given_name", "family_name"), ("prefix", "given_name", "middle_name", "family_name", "suffix")),
    (("organization",), ("organization", "department", "title")),
)


def filled(present: Contact, given: Contact) -> Contact:
    """The present contact with its gaps filled: where both have a value, the present one stays."""
    return _joined(present, _fitting(present, given))


def updated(present: Contact, given: Contact) -> Contact:
    """The present contact with what is given written over it: where both have a value, the given one is taken."""
    return _joined(given, present)


def same_name(one: Contact, other: Contact) -> bool:
    """Whether nothing in the names of the two speaks against one person."""
    return not any(_differ(one, other, name) for name in ("given_name", "family_name"))


def other_person(one: Contact, other: Contact) -> bool:
    """Whether given and family name both differ: then they only share the mailbox. One of them alone may be another
    form (Bob, Robert) or a new one (after a marriage)."""
    return _differ(one, other, "given_name") and _differ(one, other, "family_name")


def _differ(one: Contact, other: Contact, name: str) -> bool:
    mine, theirs = getattr(one, name).casefold(), getattr(other, name).casefold()
    return bool(mine and theirs and mine != theirs)


def _fitting(present: Contact, given: Contact) -> Contact:
    for telling, whole in _WHOLES:
        if any(_differ(present, given, name) for name in telling):
            blank: dict[str, Any] = dict.fromkeys(whole, "")
            given = replace(given, **blank)
    return given


def _joined(first: Contact, second: Contact) -> Contact:
    values: dict[str, Any] = {}
    for item in fields(Contact):
        one, other = getattr(first, item.name), getattr(second, item.name)
        key = LISTS.get(item.name)
        values[item.name] = _items(one, other, key) if key else one or other
    return canonical(Contact(**values))


def _items(first: tuple[Any, ...], second: tuple[Any, ...], key: Callable[[Any], str]) -> tuple[Any, ...]:
    found = {key(item): item for item in first}
    for item in second:
        name = key(item)
        if name not in found:
            # Only one of them can be the primary one: the first list's.
            found[name] = replace(item, primary=False) if first and not isinstance(item, str) else item
        elif not isinstance(item, str) and not found[name].label:
            found[name] = replace(found[name], label=item.label)
    return tuple(found.values())
