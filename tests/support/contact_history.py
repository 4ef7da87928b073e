"""A history of a CRM and an address book, step by step: what people do on both sides, runs that break, and what is
promised about the end. A step is a name and two numbers, so that random ones shrink and a bad one can be kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from core.contact import Birthday, Contact, Entry, PostalAddress, canonical, from_json
from core.errors import Conflict, Held
from core.replica import Write
from models.contacts import ContactRow, TagRow
from models.links import DecisionRow, HistoryRow, LinkRow
from sync.contact_channel import ContactsChange, change_contacts
from sync.ids import new_id
from sync.record_channels import opened_contacts
from sync.record_plan import make_plan
from sync.run import RunReport
from sync.undo import undo_run
from tests.support.contact_crash import Frozen, Scene
from tests.support.contact_oracle import (
    LISTS,
    End,
    Ledger,
    check_agreement,
    check_edits,
    check_places,
    item_key,
    item_text,
)
from tests.support.contact_world import person
from tests.support.crash import KINDS
from tests.support.memory_replica import Card

Step = tuple[str, int, int]
MUDDLED = ("looked at again later", "changed meanwhile", "set aside", "needs a decision")
SHARED = "shared@example.com"


@dataclass(frozen=True, slots=True)
class Start:
    """A moment to begin from, with what is known of how it came about."""

    frozen: Frozen
    ledger: Ledger
    made: int


@dataclass(slots=True)
class History:
    """What happens to a scene. Every rule is a method that takes two numbers."""

    scene: Scene
    ledger: Ledger = field(default_factory=Ledger)
    made: int = 0
    steps: list[Step] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    merged: dict[str, dict[str, Contact]] = field(default_factory=dict)  # survivor -> those merged into it

    # ---- beginning and end ----

    @classmethod
    def begin(cls, scene: Scene, start: Start) -> History:
        scene.thaw(start.frozen)
        history = cls(scene, deepcopy(start.ledger), start.made)
        scene.book.watch = history.look
        return history

    def start(self) -> Start:
        """This moment, to begin from."""
        return Start(self.scene.freeze(), deepcopy(self.ledger), self.made)

    def play(self, steps: Iterable[Step]) -> None:
        for name, a, b in steps:
            self.steps.append((name, a, b))
            getattr(self, name)(a, b)
            assert not self.wrong, self.wrong

    def nothing(self, _a: int, _b: int) -> None:
        """What other steps shrink to."""

    # ---- what people do in the CRM ----

    def _mine(self, pick: int, *, alive: bool = True, tagged: bool | None = None) -> str | None:
        """One of the contacts of the CRM: of those that are deleted, or of those that are not."""
        with self.scene.app.db.reading() as session:
            wanted = ContactRow.deleted_at.is_(None) if alive else ContactRow.deleted_at.is_not(None)
            query = select(ContactRow.id).where(wanted).order_by(ContactRow.created_at, ContactRow.name)
            ids = list(session.scalars(query))
        if tagged is not None:
            have = self.scene.tagged()
            ids = [one for one in ids if (one in have) == tagged]
        return ids[pick % len(ids)] if ids else None

    def _fresh(self, a: int, b: int) -> Contact:
        self.made += 1
        number = self.made
        email = SHARED if b % 2 == 0 else f"p{number}@example.com"
        # The suffix tells who it is for ever: no rule edits it.
        same = {"phone": "+49 30 1234567", "family": "Same"} if b % 4 == 1 else {"phone": "", "family": f"F{number}"}
        return person(f"G{number}", same["family"], email=email, phone=same["phone"], suffix=f"t{number}")

    def crm_add(self, a: int, b: int) -> None:
        self._crm_add(self._fresh(a, b), tagged=a % 4 != 3)
        self._tick(a)

    def _crm_add(self, body: Contact, *, tagged: bool) -> None:
        body = canonical(body)
        one = self.scene.crm_add(body, tagged=tagged)
        self.ledger.wrote(("crm", one), None, body, self.scene.clock.now)
        if tagged:
            self.ledger.placed(("crm", one), +1)

    def same_person(self, a: int, b: int) -> None:
        """Both sides get a contact with the same address; perhaps the provider two."""
        emails = (Entry(f"same{self.made}@example.com"),)
        self._crm_add(replace(self._fresh(a, 3), emails=emails), tagged=a % 2 == 0)
        self._tick(b)
        for _ in range(1 + a // 4 % 2):
            self._add(replace(self._fresh(a, 3), emails=emails), inside=a // 2 % 2 == 0)
        self._tick(a)

    def crm_edit(self, a: int, b: int) -> None:
        if one := self._mine(a):
            self._crm_edit(one, b)
            self._tick(a + b)

    def _crm_edit(self, one: str, kind: int) -> None:
        before = self.scene.contact(one)
        self.scene.crm_edit(one, **self._change(before, kind))
        self.ledger.wrote(("crm", one), before, self.scene.contact(one), self.scene.clock.now)

    def crm_tag(self, a: int, b: int) -> None:
        self._crm_place(a, b, tag=True)

    def crm_untag(self, a: int, b: int) -> None:
        self._crm_place(a, b, tag=False)

    def _crm_place(self, a: int, b: int, *, tag: bool) -> None:
        one = self._mine(a, tagged=not tag)
        if one is None:
            return
        (self.scene.crm_tag if tag else self.scene.crm_untag)(one)
        self.ledger.placed(("crm", one), 1 if tag else -1)
        self._tick(a + b)

    def crm_delete(self, a: int, b: int) -> None:
        if one := self._mine(a):
            if one in self.scene.tagged():
                self.ledger.placed(("crm", one), -1)
            self.scene.crm_delete(one)
            self._tick(a + b)

    def crm_restore(self, a: int, b: int) -> None:
        one = self._mine(a, alive=False)
        if one is None:
            return
        self.scene.crm_restore(one)
        if one in self.scene.tagged():
            self.ledger.placed(("crm", one), +1)
        self._tick(a + b)

    def clash(self, a: int, b: int) -> None:
        """Both sides of one pair change the same field, or two different ones."""
        with self.scene.app.db.reading() as session:
            query = select(LinkRow).join(ContactRow, ContactRow.id == LinkRow.local_id)
            rows = session.scalars(query.where(ContactRow.deleted_at.is_(None)).order_by(ContactRow.name)).all()
        rows = [row for row in rows if row.remote_id in self.scene.book.cards]
        if not rows:
            return
        row = rows[a % len(rows)]
        edits = (self._crm_edit, self._edit) if a % 2 else (self._edit, self._crm_edit)
        for number, edit in enumerate(edits):
            edit(row.local_id if edit == self._crm_edit else row.remote_id, b + number * (a // 8 % 2))
            self._tick(a // 2 % 4)

    # ---- what people do at the provider ----

    def _theirs(self, pick: int, *, inside: bool | None = None) -> Card | None:
        """One of the provider's contacts, of all or of those in or out of the group."""
        group, cards = self.scene.group if inside is not None else "", list(self.scene.book.cards.values())
        cards = [card for card in cards if inside is None or (group in card.groups) == inside]
        return cards[pick % len(cards)] if cards else None

    def add(self, a: int, b: int) -> None:
        self._add(self._fresh(a, b), inside=a % 4 != 3)
        self._tick(a)

    def _add(self, body: Contact, *, inside: bool) -> None:
        body, group = canonical(body), self.scene.group
        inside = inside and group in self.scene.book.groups
        one = self.scene.book.add(body, *((group,) if inside else ()))
        self.ledger.wrote(("provider", one), None, body, self.scene.clock.now)
        if inside:
            self.ledger.placed(("provider", one), +1)

    def edit(self, a: int, b: int) -> None:
        if card := self._theirs(a):
            self._edit(card.id, b)
            self._tick(a + b)

    def _edit(self, one: str, kind: int) -> None:
        card = self.scene.book.cards[one]
        before = card.body
        self.scene.book.edit(one, **self._change(before, kind))
        self.ledger.wrote(("provider", one), before, card.body, self.scene.clock.now)

    def touch(self, a: int, b: int) -> None:
        if card := self._theirs(a):
            self.scene.book.touch(card.id)
            self.ledger.texts["provider", card.id].append(self.scene.clock.now)
            self._tick(a + b)

    def join(self, a: int, b: int) -> None:
        card, group = self._theirs(a, inside=False), self.scene.group
        if card is not None and group in self.scene.book.groups:
            self.scene.book.join(card.id, group)
            self._moved(card.id, +1)
            self._tick(a + b)

    def leave(self, a: int, b: int) -> None:
        card, group = self._theirs(a, inside=True), self.scene.group
        if card is not None:
            self.scene.book.leave(card.id, group)
            self._moved(card.id, -1)
            self._tick(a + b)

    def _moved(self, one: str, sign: int) -> None:
        self.ledger.placed(("provider", one), sign)
        if self.scene.book.moves_touch:
            self.ledger.texts["provider", one].append(self.scene.clock.now)

    def delete(self, a: int, b: int) -> None:
        if card := self._theirs(a):
            self._gone(card)
            self.scene.book.delete(card.id)
            self._tick(a + b)

    def _gone(self, card: Card) -> None:
        self.ledger.deleted.add(card.id)
        if self.scene.group in card.groups:
            self.ledger.placed(("provider", card.id), -1)

    def merge(self, a: int, b: int) -> None:
        gone, survivor = self._theirs(a), self._theirs(a + 1 + b)
        if gone is None or survivor is None or gone is survivor:
            return
        self._gone(gone)
        before, joins = survivor.body, self.scene.group in gone.groups - survivor.groups
        self.scene.book.merge(gone.id, survivor.id)
        record = ("provider", survivor.id)
        self.ledger.wrote(record, before, survivor.body, self.scene.clock.now)
        # Who merges two chooses the values of the one that stays, also for those that had been merged into the other.
        self.merged[survivor.id] = {
            **self.merged.get(survivor.id, {}),
            **self.merged.get(gone.id, {}),
            gone.id: gone.body,
        }
        for one, body in self.merged[survivor.id].items():
            self.ledger.wrote(record, body, survivor.body, self.scene.clock.now, ("provider", one))
        if joins:
            self.ledger.placed(record, +1)
        self._tick(a + b)

    def rename_group(self, a: int, _b: int) -> None:
        if self.scene.group in self.scene.book.groups:
            self.scene.book.rename_group(self.scene.group, f"Group {a}")

    def delete_group(self, _a: int, _b: int) -> None:
        if self.scene.group in self.scene.book.groups:
            self.scene.book.delete_group(self.scene.group)

    def choose_group(self, a: int, _b: int) -> None:
        """The user chooses another group, or has the old one made again."""
        self._choose(ContactsChange(group=f"Chosen {a % 3}"))

    def choose_tag(self, a: int, _b: int) -> None:
        """The user chooses another tag."""
        scene, name = self.scene, f"Other {a % 2}"
        with scene.app.db.transaction() as session:
            if session.scalar(select(TagRow.id).where(TagRow.name == name)) is None:
                tag = TagRow(id=new_id(), workspace_id=scene.who.workspace_id, name=name, created_at=scene.clock.now)
                tag.kind, tag.owner_id = "personal", scene.who.user_id
                session.add(tag)
        self._choose(ContactsChange(tag=name))

    def _choose(self, change: ContactsChange) -> None:
        self.ledger.chosen = True
        change_contacts(self.scene.app, self.scene.who.workspace_id, self.scene.account, change)

    def undo(self, a: int, b: int) -> None:
        """A person takes back what one of the last runs did."""
        with self.scene.app.db.reading() as session:
            query = select(HistoryRow.run_id).group_by(HistoryRow.run_id).order_by(func.max(HistoryRow.id).desc())
            runs = session.scalars(query).all()
        before, tagged = self.end().crm, self.scene.tagged().keys()
        if not runs:
            return
        with suppress(Conflict):
            undo_run(self.scene.app, self.scene.who.workspace_id, runs[a % len(runs) % 3])
        for one, body in self.end().crm.items():
            if body != before[one]:
                self.ledger.wrote(("crm", one), before[one], body, self.scene.clock.now)
        for one in tagged ^ self.scene.tagged().keys():
            self.ledger.placed(("crm", one), -1 if one in tagged else 1)
        self._tick(a + b)

    # ---- what the provider does ----

    def expire(self, _a: int, _b: int) -> None:
        self.scene.book.expire_cursors()

    def lag(self, a: int, b: int) -> None:
        book = self.scene.book
        book.lag = timedelta(minutes=(0, 3, 10)[a % 3])
        book.get_lag = None if b % 2 else timedelta(minutes=(0, 3, 10)[b % 3])

    def refuse(self, a: int, _b: int) -> None:
        """It does not take one of the people, for now."""
        suffix = f"t{1 + a % max(1, self.made)}"
        self.scene.book.refuse = lambda body: body.suffix == suffix

    # ---- runs ----

    def _tick(self, number: int) -> None:
        self.scene.clock.advance(seconds=number % 3)

    def wait(self, a: int, _b: int) -> None:
        self.scene.clock.advance(minutes=(1, 4, 11, 11, 30, 1500)[a % 6])

    def run(self, _a: int, _b: int) -> None:
        self._after(self.scene.broken_run())

    def break_run(self, a: int, b: int) -> None:
        report = self.scene.broken_run(1 + a, KINDS[b % len(KINDS)])
        if report is not None and not self.scene.faults.fired:
            self._after(report)

    def meddle(self, a: int, b: int) -> None:
        """Somebody does something between two steps of the run."""
        name, pick, what = MEDDLERS[b % len(MEDDLERS)]
        seen = [0]
        book = self.scene.book

        def hook(_name: str, when: str) -> None:
            if when == "before":
                seen[0] += 1
            if (seen[0], when) == (1 + a // 2 % 4, ("before", "after")[a % 2]):
                counting, self.scene.faults.counting = self.scene.faults.counting, False
                getattr(self, name)(pick + a // 8, what)
                self.scene.faults.counting = counting

        usual, book.hook = book.hook, hook
        try:
            self.scene.broken_run()
        finally:
            book.hook = usual

    def _after(self, report: RunReport | None) -> None:
        """A run that nothing disturbed, of all there is to see, leaves both sides in agreement."""
        if report is None or report.outcome != "ok" or any(report.counts.get(word) for word in MUDDLED):
            return
        book = self.scene.book
        if book.lag or book.get_lag or self.scene.unread():
            return
        end = self.end()
        check_agreement(end)
        check_places(end, self.ledger)
        self.ledger.agree([*(("crm", one) for one in end.tagged), *(("provider", one) for one in end.members)])

    def preview(self, _a: int, _b: int) -> None:
        """A plan alone writes nothing anywhere."""
        scene = self.scene
        before = (scene.database.dump(), scene.book.freeze()[:4])
        try:
            with opened_contacts(scene.app, scene.account) as run:
                make_plan(run)
        except Held:
            pass
        assert (scene.database.dump(), scene.book.freeze()[:4]) == before, "a plan wrote something"

    def confirm(self, _a: int, _b: int) -> None:
        """A person confirms what is held."""
        held = self.scene.channel().held
        if held is not None and held["keys"]:
            self.scene.approve()

    def decide(self, a: int, b: int) -> None:
        """A person takes a decision: one of the candidates, or somebody new."""
        with self.scene.app.db.transaction() as session:
            rows = session.scalars(select(DecisionRow).order_by(DecisionRow.label)).all()
            rows = [row for row in rows if row.choice is None]
            if rows:
                row = rows[a % len(rows)]
                ids = sorted(one["id"] for one in row.candidates)
                row.choice = ["", *ids][b % (1 + len(ids))]
                row.decided_at = self.scene.clock.now

    # ---- what is promised ----

    def look(self, writes: Sequence[Write[Contact]]) -> None:
        """What is about to be written at the provider: of whom, and may it be."""
        if self.scene.book.moves_touch:
            for one in (one for one in writes if one.id and one.selected is not None):
                self.ledger.texts["provider", one.id].append(self.scene.clock.now)
        counting, self.scene.faults.counting = self.scene.faults.counting, False
        try:
            with self.scene.app.db.reading() as session:
                linked = {row.remote_id: row.local_id for row in session.scalars(select(LinkRow))}
            tagged = self.scene.tagged()
            for one in writes:
                local = one.origin if not one.id else linked.get(one.id, "?")
                if (one.body is not None or one.selected) and local not in tagged:
                    self.wrong.append(f"{local} has no tag, and {one} is written")
                elif one.id and one.selected is False and local in tagged:
                    self.wrong.append(f"{local} has the tag, and {one} is taken out")
        finally:
            self.scene.faults.counting = counting

    def end(self) -> End:
        """The present state, to be judged."""
        scene = self.scene
        with scene.app.db.reading() as session:
            rows = session.scalars(select(ContactRow)).all()
            links = session.scalars(select(LinkRow)).all()
            history = session.scalars(select(HistoryRow)).all()
        pairs = {(row.local_id, row.remote_id) for row in links}
        pairs |= {(row.local_id, row.remote_id) for row in history if row.remote_id and row.local_id}
        pairs |= {(card.origin, card.id) for card in scene.book.cards.values() if card.origin}
        lost: dict[str, frozenset[tuple[str, str, Any]]] = {}
        for entry in history:
            found = frozenset(map(_lost_fact, entry.lost))
            lost[entry.local_id] = lost.get(entry.local_id, frozenset()) | found
        return End(
            {row.id: from_json(row.body) for row in rows},
            {one: card.body for one, card in scene.book.cards.items()},
            frozenset(scene.tagged()),
            frozenset(scene.members()),
            frozenset(pairs),
            {row.local_id: row.remote_id for row in links if row.active},
            lost,
        )

    def settle(self, most: int = 4) -> None:
        """Everything is well again; then the sides agree after a few runs, and one more changes nothing."""
        book = self.scene.book
        book.lag, book.get_lag, book.refuse = timedelta(0), None, lambda _body: False
        self.preview(0, 0)
        quiet = self.scene.broken_run
        for number in range(most + 3):
            self.scene.clock.advance(minutes=11 if number < 3 else 1500)
            report = quiet()
            assert report is not None, "a run broke off although nothing was broken"
            assert report.outcome in ("ok", "partial", "held"), report
            assert not self.wrong, self.wrong
            if report.held is not None:
                (self.confirm if report.held["keys"] else self.choose_group)(0, 0)
            elif report.counts.get("needs a decision"):
                for one in range(9):
                    self.decide(0, one)
            elif report.outcome == "ok" and not report.counts:
                break
        else:
            raise AssertionError(f"still not quiet: {self.scene.reports[-1]}")
        self.check()

    def check(self) -> None:
        """All that is promised of a settled state."""
        end = self.end()
        check_agreement(end)
        check_places(end, self.ledger)
        self._nothing_deleted(end)
        self._no_twins(end)
        self._no_strangers()
        check_edits(end, self.ledger)
        self._silence()

    def _nothing_deleted(self, end: End) -> None:
        known = set(self.ledger.texts)
        gone = {one for side, one in known if side == "crm"} - end.crm.keys()
        gone |= {one for side, one in known if side == "provider"} - end.provider.keys() - self.ledger.deleted
        assert not gone, f"deleted: {gone}"
        assert self.scene.book.deleted_by_us == 0

    def _no_twins(self, end: End) -> None:
        made = [card.origin for card in self.scene.book.cards.values() if card.origin]
        assert len(set(made)) == len(made), f"made more than once at the provider: {made}"
        for bodies in (end.crm, end.provider):
            whose = [body.suffix for body in bodies.values()]
            assert len(set(whose)) == len(whose), f"more than one record of one person: {sorted(whose)}"

    def _no_strangers(self) -> None:
        """Only who was in the group came into the CRM."""
        inside = {one for one, seen in self.scene.book.log if seen.card is not None and seen.card.groups}
        with self.scene.app.db.reading() as session:
            query = select(HistoryRow.remote_id).where(HistoryRow.action == "create", HistoryRow.side == "local")
            assert set(session.scalars(query)) <= inside

    def _silence(self) -> None:
        """One more run writes nothing and asks once."""
        before, cards, calls = self.scene.memory(), self.scene.book.freeze()[:3], dict(self.scene.book.calls)
        self.scene.clock.advance(minutes=11)
        report = self.scene.broken_run()
        assert report is not None
        assert (report.outcome, report.counts) == ("ok", {})
        assert self.scene.memory() == before, "a run without changes wrote something"
        assert self.scene.book.freeze()[:3] == cards
        done = {name: count - calls.get(name, 0) for name, count in self.scene.book.calls.items()}
        assert {name for name, count in done.items() if count} == {"list"}, done

    # ---- texts ----

    def _change(self, body: Contact, kind: int) -> dict[str, Any]:
        """A change of one field to something never said before, or a removal."""
        self.made += 1
        new = f"v{self.made}"
        phones, emails = list(body.phones), list(body.emails)
        match kind % 12:
            case 0:
                return {"title": new}
            case 1:
                return {"notes": new if body.title != "" or not body.notes else ""}
            case 2:
                return {"given_name": f"G{new}"}
            case 3:
                return {"phones": (*phones, Entry(f"+49 30 {self.made:07}", new))}
            case 4:
                return {"phones": tuple(phones[1:])}
            case 5:
                return {"phones": tuple(replace(one, label=new) for one in phones[:1]) + tuple(phones[1:])}
            case 6:
                return {"emails": (*emails, Entry(f"{new}@example.com", "work"))}
            case 7:
                return {"emails": tuple(emails[1:])}
            case 8:
                turned = [replace(one, primary=number == len(emails) - 1) for number, one in enumerate(emails)]
                return {"emails": tuple(reversed(turned))}
            case 9:
                return {"addresses": (PostalAddress(street=f"Street {new}", city="Bonn", label="home"),)}
            case 10:
                return {"birthday": Birthday(1 + self.made % 12, 1 + self.made % 28, 1900 + self.made % 90)}
            case _:
                return {"nicknames": (*body.nicknames, f"N{new}"), "urls": (Entry(f"https://{new}.example"),)}


MEDDLERS = (
    ("crm_edit", 0, 0),
    ("crm_edit", 1, 3),
    ("edit", 0, 0),
    ("edit", 1, 5),
    ("crm_untag", 0, 0),
    ("crm_untag", 2, 0),
    ("leave", 0, 0),
    ("delete", 1, 0),
    ("crm_delete", 1, 0),
    ("merge", 0, 0),
    ("crm_tag", 2, 0),
    ("join", 2, 0),
    ("touch", 0, 0),
    ("choose_group", 0, 0),
    ("clash", 2, 0),
    ("clash", 0, 3),
)


def _lost_fact(lost: dict[str, Any]) -> tuple[str, str, Any]:
    name, value, kept = lost["field"], lost["value"], lost["kept"]
    if name in LISTS:
        known = value if value is not None else kept
        return name, item_key(known), None if value is None else item_text(value)
    return name, "", None if value is None else _said(name, value)


def _said(name: str, value: Any) -> str:
    return repr(Birthday(**value) if name == "birthday" else value)
