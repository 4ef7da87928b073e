"""A history of a CRM and three people's calendars, step by step: what people do on both sides, and runs that break. A
step is a name and two numbers, so that random ones shrink and a bad one can be kept. What is promised of the end is
`calendar_oracle`; how a state is read for it `calendar_reading`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass

from sqlalchemy import update

from models.syncing import ChannelRow
from sync.activity_book import delete_activity, restore_activity
from sync.record_channels import opened_calendar
from sync.records import plan_records
from sync.run import RunReport
from tests.support.calendar_crash import Frozen
from tests.support.calendar_oracle import (
    End,
    Known,
    check_agreement,
    check_edits,
    check_places,
    check_twins,
)
from tests.support.calendar_scene import CYD, MachineScene
from tests.support.calendar_steps_crm import CrmSteps
from tests.support.calendar_steps_google import GoogleSteps
from tests.support.calendar_telling import Step
from tests.support.crash import FAULTS
from tests.support.ledger import Facts


@dataclass(frozen=True, slots=True)
class Start:
    """A moment to begin from, with what is known of how it came about."""

    frozen: Frozen
    ledger: Facts
    made: int
    private: frozenset[str]
    hushed: dict[str, str]


class History(GoogleSteps, CrmSteps):
    """What happens to a scene. Every rule is a method that takes two numbers."""

    # ---- beginning and end ----

    @classmethod
    def begin(cls, scene: MachineScene, start: Start) -> History:
        scene.thaw(start.frozen)
        return cls(scene, deepcopy(start.ledger), start.made, [], set(start.private), dict(start.hushed))

    def start(self) -> Start:
        """This moment, to begin from."""
        ledger = deepcopy(self.ledger)
        return Start(self.scene.freeze(), ledger, self.made, frozenset(self.private), dict(self.hushed))

    def play(self, steps: Iterable[Step]) -> None:
        for name, a, b in steps:
            self.steps.append((name, a, b))
            getattr(self, name)(a, b)

    def nothing(self, _a: int, _b: int) -> None:
        """What other steps shrink to."""

    def _both(self, pick: int) -> tuple[Known, Known] | None:
        """A meeting as both sides have it."""
        rows = {one.key: one for one in self.reading.rows() if one.living and one.uid and not one.original}
        both = [(rows[key], one) for key, one in self.reading.google().items() if one.living and key in rows]
        return both[pick % len(both)] if both else None

    def contest(self, a: int, b: int) -> None:
        """One side changes a meeting, the other one takes it out."""
        if (found := self._both(a)) is None:
            return
        mine, theirs = found
        if b % 2:
            self._crm_edit(mine, b // 2 % 4)
            with self._told("provider"):
                self._book(theirs).delete(theirs.place)
        else:
            self._edit(theirs, theirs.place, "all", b // 2 % 4)
            self._crm_mark(delete_activity, mine, a)
        self._tick(a)

    def clash(self, a: int, b: int) -> None:
        """Both sides of one meeting change the same thing, or two different ones."""
        if (found := self._both(a)) is None:
            return
        mine, theirs = found
        acts: list[Callable[[int], None]] = [
            lambda kind: self._crm_edit(mine, kind),
            lambda kind: self._edit(theirs, theirs.place, "all", kind),
        ]
        for number, act in enumerate(acts if a % 2 else reversed(acts)):
            act(b + number * (a // 8 % 2))
            self._tick(a // 2 % 4)

    # ---- what the provider does ----

    def expire(self, _a: int, _b: int) -> None:
        self.scene.google.expire_sync_tokens()

    def lag(self, a: int, b: int) -> None:
        """What is written at Google shows late."""
        knobs, self.ledger.late = self.scene.knobs, True
        knobs.list_lag_api, knobs.list_lag_hand = (0.0, 90.0, 400.0)[a % 3], (0.0, 90.0, 400.0)[b % 3]
        knobs.insert_settle = (0.0, 20.0)[a // 3 % 2]

    # ---- runs ----

    def _who(self, number: int) -> str:
        return list(self.scene.accounts)[number % len(self.scene.accounts)]

    def link_later(self, _a: int, _b: int) -> None:
        """Cyd links a calendar."""
        if CYD not in self.scene.accounts:
            before = self.reading.google()
            self.scene.link(CYD)
            self._note("provider", before, self.reading.google())
            for one in self.reading.google().values():
                if one.whose == CYD and one.living:  # what was done without Cyd's calendar is not held against it
                    self.ledger.placed(("provider", one.key), 1)

    def wait(self, a: int, _b: int) -> None:
        self.scene.clock.advance(minutes=(1, 4, 11, 11, 30, 1500)[a % 6])

    def run(self, a: int, _b: int) -> None:
        self._run(self._who(a))

    def _run(self, address: str, at: int = 0, kind: str = "") -> RunReport | None:
        before = self.reading.google()
        self.ledger.runs.append((len(self.ledger.edits), len(self.ledger.places)))
        try:
            return self.scene.broken_run(address, at, kind)
        finally:
            self.ledger.runs.append((len(self.ledger.edits), len(self.ledger.places)))
            for key, one in self.reading.google().items():  # our own writing moves the time of a change, too
                if key not in before or before[key].at != one.at:
                    self.ledger.texts["provider", key].append(self.scene.clock.now)

    def break_run(self, a: int, b: int) -> None:
        self._run(self._who(a), 1 + (a // 3 + b) % 16, FAULTS[b % len(FAULTS)])

    def meddle(self, a: int, b: int) -> None:
        """Somebody does something between two calls of a run."""
        name, pick, what = MEDDLERS[b % len(MEDDLERS)]
        seen = [0]

        def hook(_method: str, when: str) -> None:
            seen[0] += when == "before"
            if (seen[0], when) == (1 + a // 2 % 4, ("before", "after")[a % 2]):
                getattr(self, name)(pick + a // 8, what)

        self.scene.hook = hook
        try:
            self._run(self._who(b))
        finally:
            self.scene.hook = lambda _method, _when: None

    def crm_back(self, a: int, b: int) -> None:
        """Somebody deletes an activity, and brings it back once everybody has seen that."""
        # No series with occurrences that differ: what Google yet tells of the old one's can be taken for the new one's.
        one = self._mine(a, lambda one: one.living and one.whose == one.main and not self._replaced(one))
        if one is None or one.original:
            return
        self._crm_mark(delete_activity, one, a)
        for _ in range(1 + b % 2):
            self.scene.clock.advance(minutes=11)
            if one.main in self.scene.accounts:
                self._run(one.main)
        self._crm_mark(restore_activity, one, b)

    def google_back(self, a: int, b: int) -> None:
        """Somebody deletes an event at Google, and puts it back once their own calendar has run."""
        one = self._theirs(a)
        if one is None or one.whose not in self.scene.accounts:
            return
        with self._told("provider"):
            self._book(one).delete(one.place)
        self.scene.clock.advance(minutes=11)
        self._run(one.whose)
        if not self.reading.google()[one.key].living:  # else it was made anew, since the CRM had changed it
            with self._told("provider"), suppress(ValueError):
                self._book(one).restore(one.place)
        self._tick(b)

    def all_run(self, _a: int, _b: int) -> None:
        """Everybody's calendar runs, twice. If nothing disturbed that, the sides agree."""
        if self.scene.knobs.list_lag_api or self.scene.knobs.list_lag_hand:
            return
        reports = []
        for _ in range(2):
            self.scene.clock.advance(minutes=11)
            reports = [self._run(address) for address in self.scene.accounts]
        if all(report is not None and report.outcome == "ok" and not report.counts for report in reports):
            self.agreed()

    def agreed(self) -> None:
        """Both sides hold the same; that is what later changes are measured by."""
        end = self.end()
        check_agreement(end)
        check_twins(end)
        check_places(end, self.ledger)
        self.ledger.agree(("any" if one.living else "away", one.key) for one in end.crm.values())

    def preview(self, a: int, _b: int) -> None:
        """A plan alone writes nothing anywhere, and tells nothing private."""
        scene = self.scene
        before = scene.memory(), self.reading.versions()
        with opened_calendar(scene.app, scene.accounts[self._who(a)]) as run:
            lines = plan_records(run).lines
        assert (scene.memory(), self.reading.versions()) == before, "a plan wrote something"
        self.reading.check_words(lines, self.hushed)

    def confirm(self, a: int, _b: int) -> None:
        """A person confirms what is held."""
        self._confirm(self._who(a))

    def _confirm(self, address: str) -> None:
        held = self.scene.channel(address).held
        if held is not None and held["keys"]:
            with self.scene.app.db.transaction() as session:
                wanted = (ChannelRow.account_id == self.scene.accounts[address]) & (ChannelRow.channel == "calendar")
                session.execute(update(ChannelRow).where(wanted).values(held={**held, "approved": True}))

    # ---- what is promised ----

    def end(self) -> End:
        """The present state, to be judged."""
        return self.reading.end()

    def settle(self, most: int = 8) -> None:
        """Everything is well again; then nobody has anything left to do after a few rounds, and all agree."""
        scene = self.scene
        scene.knobs.list_lag_api = scene.knobs.list_lag_hand = scene.knobs.insert_settle = 0.0
        self.preview(len(self.steps), 0)
        for number in range(most):
            scene.clock.advance(minutes=11 if number < 4 else 1500)
            written, before, calls = self.reading.versions(), scene.memory(), scene.google.calls.copy()
            reports = [self._round(address) for address in scene.accounts]
            if all(report.outcome in ("ok", "partial") and not report.counts for report in reports):
                assert self.reading.versions() == written, "a run without changes wrote something"
                if scene.memory() == before:
                    break  # else what they wrote themselves came back to them
        else:
            raise AssertionError(f"still not quiet: {scene.reports[-len(scene.accounts) :]}")
        # What they wrote themselves may have come back: of a cancelled occurrence the series must be asked for.
        assert (scene.google.calls - calls).keys() <= {"events.list", "events.get"}, scene.google.calls - calls
        self.check()

    def _round(self, address: str) -> RunReport:
        report = self._run(address)
        assert report is not None, "a run broke off although nothing was broken"
        assert report.outcome in ("ok", "partial", "held"), report
        if report.held is not None:
            self._confirm(address)
        return report

    def check(self) -> None:
        """All that is promised of a settled state."""
        end = self.end()
        check_agreement(end)
        check_twins(end)
        check_places(end, self.ledger)
        check_edits(end, self.ledger, self.private)
        self.reading.check_leaks(self.hushed)
        assert self.scene.google.violations == []
        assert self.scene.google.mails == []


MEDDLERS = (
    ("crm_edit", 0, 0),
    ("crm_edit", 1, 3),
    ("edit", 0, 0),
    ("edit", 1, 5),
    ("crm_delete", 0, 0),
    ("delete", 1, 0),
    ("delete_this", 0, 1),
    ("edit_this", 0, 4),
    ("crm_this", 0, 1),
    ("clash", 0, 3),
    ("clash", 2, 4),
    ("touch", 0, 0),
    ("answer", 0, 1),
    ("take_off", 0, 0),
    ("edit_following", 0, 0),
    ("crm_hide", 1, 0),
)
