"""What differs between the kinds of records that are synchronised, as data. The rules themselves are `core.plan`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core import event
from core.contact import LISTS, Contact, canonical, email_key, from_json, to_json
from core.event import Event, Moment
from core.replica import Item

T = TypeVar("T")

MatchKeys = tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Policy(Generic[T]):
    """How one kind of record is compared, merged, matched and kept.

    `name` is what to call a record for people. `lists` names the multi-valued fields with the key that makes two items
    one; all other fields have one value. `match` gives what makes two unlinked records the same, strongest first: sets
    of keys of which one in common is enough; `strengths` are the reasons that go with them (`core.actions.Reason`).
    `normal` is the normal form, in which equal records are equal. `has_range`: records take part by their time, so to
    leave is no removal, and what was edited on one side and removed on the other stays. `writable` tells whether the
    text of a provider's record may be changed. `private`: only its owner may know what is in a record, so neither
    history nor preview tells of it. `problem`: why a text of the provider's cannot be taken, "" if it can. `thing`:
    what several records are one of to people; "" for a record that stands for itself.
    """

    blank: T
    name: Callable[[T], str]
    lists: Mapping[str, Callable[[Any], str]]
    normal: Callable[[T], T]
    match: Callable[[T], MatchKeys]
    dump: Callable[[T], dict[str, Any]]
    load: Callable[[Mapping[str, Any]], T]
    strengths: tuple[str, ...] = ("same_email", "same_phone")
    has_range: bool = False
    writable: Callable[[Item[T]], bool] = field(default=lambda _: True)
    private: Callable[[T], bool] = field(default=lambda _: False)
    problem: Callable[[T], str] = field(default=lambda _: "")
    thing: Callable[[T], str] = field(default=lambda _: "")
    limit_share: float = field(default=0.2)
    limit_count: int = field(default=10)


def no_number(_written: str) -> str:
    """Phone numbers are not matched."""
    return ""


def contact_policy(phone: Callable[[str], str] = no_number) -> Policy[Contact]:
    """The policy for contacts. `phone` makes the international form (E.164) of a written number, "" if it has none:
    matching by phone needs it, and a table of all countries' numbers is no business of this package."""

    def match(contact: Contact) -> MatchKeys:
        emails = frozenset(f"mail:{email_key(entry)}" for entry in contact.emails)
        family = contact.family_name.casefold()
        numbers = (phone(entry.value) for entry in contact.phones) if family else ()
        return emails, frozenset(f"tel:{number}:{family}" for number in numbers if number)

    return Policy(Contact(), _name_of, LISTS, canonical, match, to_json, from_json)


def _name_of(contact: Contact) -> str:
    return contact.name


CONTACTS = contact_policy()


def _name_of_event(one: Event) -> str:
    if one.start == Moment():  # only which meeting it is, and nothing of it: another account decides its text
        return "(meeting of another account)" if not one.original else one.name
    return "(private)" if one.is_private else one.name


def _is_private(one: Event) -> bool:
    return one.is_private


def _same_meeting(one: Event) -> MatchKeys:
    """Everybody's copy of a meeting has this in common, and every copy of one occurrence of a series."""
    return (frozenset({f"uid:{one.uid}|{one.original}"} if one.uid else ()),)


def _event_problem(one: Event) -> str:
    return "" if one.status == "cancelled" else event.problem_of(one)


def _series_of(one: Event) -> str:
    return one.uid


def _may_change(item: Item[Event]) -> bool:
    return item.extra.get("writable") is not False


EVENTS = Policy(
    Event(),
    _name_of_event,
    event.LISTS,
    event.canonical,
    _same_meeting,
    event.to_json,
    event.from_json,
    strengths=("same_meeting",),
    has_range=True,
    writable=_may_change,
    private=_is_private,
    problem=_event_problem,
    thing=_series_of,
)
