"""What the two sides must look like after a history of contacts: the rules a user was promised, by the ledger of what
people did. Written apart from the engine, of which it imports nothing but the form of a contact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any

from core.contact import Contact
from tests.support.ledger import Facts, Flat, Record, check_fact

LISTS = ("nicknames", "emails", "phones", "addresses", "urls")


def flat(body: Contact | None) -> Flat:
    """A contact as single facts. Which item is the primary one is left out."""
    found: Flat = {}
    for item in fields(Contact) if body is not None else ():
        value = getattr(body, item.name)
        if item.name in LISTS:
            found |= {(item.name, item_key(one)): item_text(one) for one in value}
        elif value:
            found[item.name, ""] = repr(value)
    return found


def item_key(item: Any) -> str:
    """What makes two items of a list one."""
    text = item if isinstance(item, str) else str(_parts(item).get("value") or _parts(item).get("street"))
    return text.lower().replace(" ", "")


def item_text(item: Any) -> str:
    """What an item says."""
    if isinstance(item, str):
        return item
    return repr(sorted((name, text) for name, text in _parts(item).items() if name != "primary" and text))


def _parts(item: Any) -> Mapping[str, Any]:
    if isinstance(item, Mapping):
        return item
    assert is_dataclass(item)
    return {one.name: getattr(item, one.name) for one in fields(item)}


@dataclass(slots=True)
class Ledger(Facts):
    """Everything people did to contacts."""

    def wrote(
        self, record: Record, before: Contact | None, after: Contact, at: datetime, only_with: Record | None = None
    ) -> None:
        """A person wrote a record."""
        self.told(record, flat(before), flat(after), at, only_with)


@dataclass(frozen=True, slots=True)
class End:
    """How it ended. `pairs` are all pairs of records that ever belonged together; `lost` are the facts the history
    keeps, by CRM id: (field, key, what it said)."""

    crm: Mapping[str, Contact]
    provider: Mapping[str, Contact]
    tagged: frozenset[str]
    members: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    linked: Mapping[str, str]
    lost: Mapping[str, frozenset[tuple[str, str, Any]]]


def check_agreement(end: End) -> None:
    """Who takes part is the same on both sides, one to one, with the same text."""
    assert set(end.linked) == end.tagged, f"tagged {sorted(end.tagged)}, linked {end.linked}"
    assert set(end.linked.values()) == end.members, f"members {sorted(end.members)}, linked {end.linked}"
    for mine, theirs in end.linked.items():
        assert end.crm[mine] == end.provider[theirs], f"{mine} and {theirs} differ"


def clusters(end: End) -> list[set[Record]]:
    """The records that are one person, as the pairs tell."""
    joined: dict[Record, set[Record]] = {}
    for one in end.crm:
        joined[("crm", one)] = {("crm", one)}
    for one in end.provider:
        joined[("provider", one)] = {("provider", one)}
    for mine, theirs in sorted(end.pairs):
        a, b = ("crm", mine), ("provider", theirs)
        both = joined.get(a, {a}) | joined.get(b, {b})
        for record in both:
            joined[record] = both
    return list({id(some): some for some in joined.values()}.values())


def check_places(end: End, ledger: Ledger) -> None:
    """Who was put in or taken out last, and only that, since both sides agreed, is in or out now."""
    if ledger.chosen:
        return
    for cluster in clusters(end):
        signs = {sign for record, sign in ledger.places[ledger.agreed :] if record in cluster}
        now = bool({("crm", one) for one in end.tagged} & cluster or {("provider", o) for o in end.members} & cluster)
        if len(signs) == 1:
            assert now == (1 in signs), f"{sorted(cluster)} should {'' if 1 in signs else 'not '}take part"
        elif not signs and cluster & ledger.together:
            assert now, f"{sorted(cluster)} took part, and nobody took it out"
        elif not signs and ledger.agreed:
            assert not now, f"{sorted(cluster)} did not take part, and nobody put it in"


def check_edits(end: End, ledger: Ledger) -> None:
    """Every fact is what was said last, or the history keeps what was said."""
    for cluster in clusters(end):
        edits = [edit for edit in ledger.edits if edit.record in cluster and edit.only_with in {None, *cluster}]
        lost = frozenset().union(*(end.lost.get(one, frozenset()) for side, one in cluster if side == "crm"))
        alive = [one for one in cluster if one[1] in (end.crm if one[0] == "crm" else end.provider)]
        for record in alive:
            body = end.crm[record[1]] if record[0] == "crm" else end.provider[record[1]]
            linked = record[1] in (end.linked if record[0] == "crm" else end.linked.values())
            now = flat(body)
            for fact in sorted({edit.fact for edit in edits} | now.keys()):
                told = [edit for edit in edits if edit.fact == fact]
                check_fact(record, linked, now.get(fact), told, lost, ledger, cluster)
