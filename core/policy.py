"""What differs between the kinds of records that are synchronised, as data. The rules themselves are `core.plan`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core import event, event_parts
from core.contact import LISTS, Contact, canonical, email_key, from_json, to_json
from core.event import Event, Moment
from core.replica import Item

T = TypeVar("T")

MatchKeys = tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Policy(Generic[T]):
    """How one kind of record is compared, merged, matched and kept.

    `name` is what to call a record for people. `lists` names the multi-valued fields with the key that makes two items
    one; all other fields have one value, and those of `units` are one value together. `match` gives what makes two
    unlinked records the same, strongest first: sets of keys of which one in common is enough; `strengths` are the
    reasons that go with them (`core.actions.Reason`). `normal` is the normal form, in which equal records are equal.
    `has_range`: records take part by their time, so to leave is no removal, and what was edited on one side and removed
    on the other stays. `writable` tells whether the text of a provider's record may be changed; where it may not,
    `personal` gives a text with that in it which is the account's own to change, as another text of the same record has
    it. `partial`: a provider's record that holds no more than what is personal, so that it can be joined and no new one
    be made of it. `weighed` is a text without what may change in many records at once and means no harm. `private`:
    only its owner may know what is in a record; `title` is what they call it, whatever others see. `problem`: why a
    text of a provider's record cannot be taken, "" if it can. `thing`: what several records are one of to people; ""
    for a record that stands for itself.
    """

    blank: T
    name: Callable[[T], str]
    lists: Mapping[str, Callable[[Any], str]]
    normal: Callable[[T], T]
    match: Callable[[T], MatchKeys]
    dump: Callable[[T], dict[str, Any]]
    load: Callable[[Mapping[str, Any]], T]
    strengths: tuple[str, ...] = ("same_email", "same_phone")
    units: tuple[tuple[str, ...], ...] = ()
    has_range: bool = False
    writable: Callable[[Item[T]], bool] = field(default=lambda _: True)
    personal: Callable[[T, T, Item[T]], T] = field(default=lambda text, _own, _item: text)
    weighed: Callable[[T], T] = field(default=lambda text: text)
    private: Callable[[T], bool] = field(default=lambda _: False)
    title: Callable[[T], str] = field(default=lambda _: "")
    partial: Callable[[Item[T]], bool] = field(default=lambda _: False)
    problem: Callable[[T, Item[T]], str] = field(default=lambda _text, _item: "")
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

OF_OTHERS = "(meeting of another account)"  # of which only what is personal is known here


def _name_of_event(one: Event) -> str:
    if one.start == Moment():
        return OF_OTHERS
    return "(private)" if one.is_private else one.name


def _is_private(one: Event) -> bool:
    return one.is_private


def _same_meeting(one: Event) -> MatchKeys:
    """Everybody's copy of a meeting has this in common, and every copy of one occurrence of a series."""
    return (frozenset({f"uid:{one.uid}|{one.original}"} if one.uid else ()),)


def _is_own_part(item: Item[Event]) -> bool:
    return bool(item.extra.get("own_only"))


def _event_problem(one: Event, item: Item[Event]) -> str:
    return "" if one.status == "cancelled" or _is_own_part(item) else event.problem_of(one)


def _series_of(one: Event) -> str:
    return one.uid


def _may_change(item: Item[Event]) -> bool:
    return item.extra.get("writable") is not False and not item.extra.get("own_only")


def _personal(text: Event, own: Event, item: Item[Event]) -> Event:
    """`own` in an item's `extra` is the address under which the account is invited, "" if it is not; without it
    nothing of the event may be changed, not even what is personal."""
    address = item.extra.get("own")
    return text if address is None else event_parts.with_own_part(text, own, address)


def _title_of_event(one: Event) -> str:
    return one.title


EVENTS = Policy(
    Event(),
    _name_of_event,
    event.LISTS,
    event.canonical,
    _same_meeting,
    event.to_json,
    event.from_json,
    strengths=("same_meeting",),
    units=(("start", "end"),),
    has_range=True,
    writable=_may_change,
    personal=_personal,
    weighed=event_parts.without_answers,
    private=_is_private,
    title=_title_of_event,
    partial=_is_own_part,
    problem=_event_problem,
    thing=_series_of,
)
