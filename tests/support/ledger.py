"""A ledger of what people did to the records of two sides, as single facts, and the rule for a fact: what was said last
is there, or the history keeps what was said. Written apart from the engine, of which it imports nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Flat = dict[tuple[str, str], Any]  # (field, key of the item) -> what it says
Record = tuple[str, str]  # ("crm" or "provider", id)


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
class Facts:
    """Everything people did, in the order they did it."""

    edits: list[Edit] = field(default_factory=list)
    texts: dict[Record, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    places: list[tuple[Record, int]] = field(default_factory=list)  # +1 takes part, -1 does not any more
    deleted: set[str] = field(default_factory=set)  # provider's records a person deleted or merged away
    given_up: dict[Record, int] = field(default_factory=dict)  # how many of `edits` there were when it was deleted
    runs: list[tuple[int, int]] = field(default_factory=list)  # `edits` and `places` when one began or ended
    late: bool = False  # the provider showed something late
    agreements: list[int] = field(default_factory=list)  # how many of `edits` there were whenever both sides agreed
    agreed: int = 0  # how many of `places` both sides agreed about, when they last agreed
    together: frozenset[Record] = frozenset()  # the records that took part then
    chosen: bool = False  # tag or group was chosen anew: who takes part is not told by single acts any more

    def told(self, record: Record, old: Flat, new: Flat, at: datetime, only_with: Record | None = None) -> None:
        """A person wrote a record."""
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


def check_fact(
    record: Record,
    linked: bool,
    now: Any,
    told: list[Edit],
    lost: frozenset[tuple[str, str, Any]],
    ledger: Facts,
    cluster: set[Record],
) -> None:
    """Fails when a fact of a record is none that was said, or hides one that was, without a trace."""
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
        if edit.number < ledger.given_up.get(edit.record, 0):
            continue  # it was deleted with what it said
        assert (*edit.fact, edit.after) in lost, f"{record} says {now!r}: lost without a trace\n{edit}\nof\n{story}"
        if last is not None and _order(last) < _order(edit):
            later = [at for one in cluster if one[0] != edit.record[0] for at in ledger.texts.get(one, ())]
            beaten = any(at > edit.at or (at == edit.at and edit.record[0] == "provider") for at in later)
            assert beaten, f"{record} says {now!r}: an older edit won over a newer one\n{edit}\nof\n{story}"


def _taken_back(edit: Edit, told: list[Edit], ledger: Facts) -> bool:
    """Whether a record only got back what it had said when both sides agreed last: that is no change."""
    since = max((number for number in ledger.agreements if number <= edit.number), default=0)
    mine = [other for other in told if other.record == edit.record and since <= other.number < edit.number]
    return any(other.before == edit.after for other in mine)


def _order(edit: Edit) -> tuple[datetime, bool, int]:
    return edit.at, edit.record[0] == "crm", edit.number
