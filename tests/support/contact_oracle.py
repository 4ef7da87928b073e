"""What the two sides must look like after a history: a ledger of what people did, in dicts, and the rules a user was
promised. Written apart from the engine, of which it imports nothing but the form of a contact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any

from core.contact import Contact

Flat = dict[tuple[str, str], Any]  # (field, key of the item) -> what it says
Record = tuple[str, str]  # ("crm" or "provider", id)
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
class Edit:
    """A person changed one fact of one record. None: it is not there."""

    record: Record
    fact: tuple[str, str]
    before: Any
    after: Any
    at: datetime
    number: int
    only_with: Record | None = None  # said about one that was merged away: tells of those who had that one

    def __str__(self) -> str:
        return f"#{self.number} {self.at:%H:%M:%S} {self.record} {self.fact}: {self.before!r} -> {self.after!r}"


@dataclass(slots=True)
class Ledger:
    """Everything people did, in the order they did it."""

    edits: list[Edit] = field(default_factory=list)
    texts: dict[Record, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    places: list[tuple[Record, int]] = field(default_factory=list)  # +1 takes part, -1 does not any more
    deleted: set[str] = field(default_factory=set)  # provider's records a person deleted or merged away
    agreements: list[int] = field(default_factory=list)  # how many of `edits` there were whenever both sides agreed
    agreed: int = 0  # how many of `places` both sides agreed about, when they last agreed
    together: frozenset[Record] = frozenset()  # the records that took part then
    chosen: bool = False  # tag or group was chosen anew: who takes part is not told by single acts any more

    def wrote(
        self, record: Record, before: Contact | None, after: Contact, at: datetime, only_with: Record | None = None
    ) -> None:
        """A person wrote a record."""
        old, new = flat(before), flat(after)
        self.texts[record].append(at)
        for fact in sorted(old.keys() | new.keys()):
            if old.get(fact) != new.get(fact):
                self.edits.append(Edit(record, fact, old.get(fact), new.get(fact), at, len(self.edits), only_with))

    def placed(self, record: Record, direction: int) -> None:
        """A person put a record in or took it out."""
        self.places.append((record, direction))

    def agree(self, together: Iterable[Record]) -> None:
        """Both sides are known to agree."""
        self.agreements.append(len(self.edits))
        self.agreed, self.together, self.chosen = len(self.places), frozenset(together), False


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
                _check_fact(record, linked, now.get(fact), told, lost, ledger, cluster)


def _check_fact(
    record: Record,
    linked: bool,
    now: Any,
    told: list[Edit],
    lost: frozenset[tuple[str, str, Any]],
    ledger: Ledger,
    cluster: set[Record],
) -> None:
    story = "\n".join(map(str, told))
    sources = [edit for edit in told if edit.after == now]
    if not sources:
        assert now is None, f"{record}: nobody ever said {now!r}\n{story}"
        # Never there on this record: then what was said of it is accounted for like any other loss.
    last = max(sources, key=_order) if sources else None
    for edit in told:
        if edit.after == now or not (linked or edit.record == record):
            continue
        if any(other.before == edit.after and other.number > edit.number for other in told):
            continue  # somebody saw it and said something else
        if _taken_back(edit, told, ledger):
            continue  # nobody but the person ever knew
        if edit.record[1] in ledger.deleted:
            continue  # the person deleted the record, before or after it travelled
        assert (*edit.fact, edit.after) in lost, f"{record} says {now!r}: lost without a trace\n{edit}\nof\n{story}"
        if last is not None and _order(last) < _order(edit):
            later = [at for one in cluster if one[0] != edit.record[0] for at in ledger.texts.get(one, ())]
            beaten = any(at > edit.at or (at == edit.at and edit.record[0] == "provider") for at in later)
            assert beaten, f"{record} says {now!r}: an older edit won over a newer one\n{edit}\nof\n{story}"


def _taken_back(edit: Edit, told: list[Edit], ledger: Ledger) -> bool:
    """Whether a record only got back what it had said when both sides agreed last: that is no change."""
    since = max((number for number in ledger.agreements if number <= edit.number), default=0)
    mine = [other for other in told if other.record == edit.record and since <= other.number < edit.number]
    return any(other.before == edit.after for other in mine)


def _order(edit: Edit) -> tuple[datetime, bool, int]:
    return edit.at, edit.record[0] == "crm", edit.number
