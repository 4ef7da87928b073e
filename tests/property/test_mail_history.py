"""A random history of a mailbox, with cut connections and dying processes, ends with the store equal to the server.
Each message is stored once, and its bytes travel once unless a connection or a process broke off meanwhile."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from sandbox.gmail import Fault, GmailDouble, PlainProfile
from sync import mail, mail_fill
from sync.mail_run import MailRun
from tests.support.mail_factory import make_mail
from tests.support.mail_servers import GmailBox, PlainBox, Shown, count_bodies, gmail_box, marker, plain_box
from tests.support.mail_sync import Crash, Template

PROFILES: dict[str, PlainProfile | None] = {
    "gmail": None,
    "condstore": PlainProfile(),
    "qresync": PlainProfile(qresync=True),
    "modseq without expunges": PlainProfile(expunge_bumps_modseq=False),
    "plain": PlainProfile(condstore=False, esearch=False, special_use=False),
}
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "$Forwarded", "\\Deleted")
NAMES = ("Work", "2024", "Zoë & Söhne", 'a "quoted" \\ name', "Work/Old")
START = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
# Windows so small that a mailbox of a dozen messages has many.
FIRST_WINDOW, WINDOW, GROUP = 2, 3, 2
# What may be fetched again after one break: what was on the wire, with the parser, and being stored.
IN_FLIGHT = 5 * WINDOW

picks = st.integers(0, 10_000)
flag_sets = st.frozensets(st.sampled_from(FLAGS), max_size=3)


class Clock:
    """The server's clock: every message arrives a minute after the one before."""

    def __init__(self) -> None:
        self.minutes = itertools.count()

    def now(self) -> datetime:
        return START + timedelta(minutes=next(self.minutes))


class History(RuleBasedStateMachine):
    """Somebody works with the mailbox, the service runs now and then, and things break."""

    def __init__(self, double: GmailDouble, template: Template, number: int) -> None:
        super().__init__()
        self.double, self.template = double, template
        user = f"user{number}@mail.example"
        self.box: GmailBox | PlainBox = (
            gmail_box(double, user) if double.store.profile.gmail else plain_box(double, user)
        )
        self.sent = count_bodies(double, user)
        self.linked = template.link(self.box)
        self.made = 0
        self.breaks = 0

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.template.drop(self.linked)
            self.double.store.counters.pop(self.box.address, None)

    def settle(self) -> None:
        """The server is well again; after three undisturbed runs the store must equal it."""
        self.double.faults.clear(self.box.address)
        box = self.double.box(self.box.address)
        box.late_commands, box.held_at, box.modseq_offset = 0, None, 0
        self.linked.settle()
        again = sum(count - 1 for count in self.sent.values())
        assert again <= self.breaks * IN_FLIGHT, f"{again} messages fetched again after {self.breaks} breaks"

    # helpers of the rules

    def folders(self) -> list[str]:
        return sorted(self.box.contents())

    def some_message(self, pick: int) -> tuple[str, int, Shown] | None:
        everything = [
            (name, uid, shown)
            for name, inside in sorted(self.box.contents().items())
            for uid, shown in sorted(inside.items())
        ]
        return everything[pick % len(everything)] if everything else None

    def sync(self, watch: Callable[[MailRun], None] | None = None) -> None:
        with suppress(Crash):
            self.linked.run(watch)
        if self.linked.database.dead:
            self.linked.reboot()

    @initialize(counts=st.tuples(st.integers(0, 9), st.integers(0, 4)), seen=st.booleans())
    def there_is_mail_already(self, counts: tuple[int, int], seen: bool) -> None:
        for folder, count in zip((self.box.main, self.box.other), counts, strict=True):
            for _ in range(count):
                self.one_mail_arrives(folder, frozenset())
        if seen:
            self.sync()

    def one_mail_arrives(self, folder: str, flags: frozenset[str]) -> None:
        self.made += 1
        raw = make_mail(message_id=f"<{self.made}@history.example>", subject=f"Number {self.made}")
        self.box.append(folder, raw, flags)

    # what people do

    @rule(pick=picks, flags=flag_sets, count=st.integers(1, 9))
    def mail_arrives(self, pick: int, flags: frozenset[str], count: int) -> None:
        names = self.folders()
        for _ in range(count):
            self.one_mail_arrives(names[pick % len(names)], flags)

    @rule(pick=picks, flags=flag_sets)
    def flags_change(self, pick: int, flags: frozenset[str]) -> None:
        if found := self.some_message(pick):
            self.box.set_flags(found[0], found[1], flags)

    @rule(pick=picks, where=picks, keep=st.booleans())
    def a_message_moves(self, pick: int, where: int, keep: bool) -> None:
        found = self.some_message(pick)
        if found is None:
            return
        name, uid, shown = found
        to = self.folders()[where % len(self.folders())]
        # Two copies in one folder are one message to us but two to the wire.
        if to == name or marker(shown.raw) in {marker(one.raw) for one in self.box.contents()[to].values()}:
            return
        if keep and not self.box.gmail:
            self.box.copy(name, uid, to)
        else:
            self.box.move(name, uid, to)

    @rule(pick=picks)
    def a_message_is_deleted(self, pick: int) -> None:
        if found := self.some_message(pick):
            self.box.expunge(found[0], found[1])

    @rule(pick=picks, names=st.frozensets(st.sampled_from(("\\Inbox", "\\Starred", *NAMES)), max_size=3))
    @precondition(lambda self: self.box.gmail)
    def labels_change(self, pick: int, names: frozenset[str]) -> None:
        found = self.some_message(pick)
        if found is not None and isinstance(self.box, GmailBox) and found[0] == self.box.main:
            self.box.set_labels(found[0], found[1], names)

    @rule(name=st.sampled_from(NAMES))
    def a_folder_is_made(self, name: str) -> None:
        if name not in self.double.box(self.box.address).folders:
            self.box.create(name)

    @rule(old=st.sampled_from(NAMES), new=st.sampled_from(NAMES))
    def a_folder_is_renamed(self, old: str, new: str) -> None:
        there = self.double.box(self.box.address).folders
        taken = any(name == new or name.startswith(f"{new}/") for name in there)
        if old in there and not taken and not new.startswith(f"{old}/"):
            self.box.rename(old, new)

    @rule(name=st.sampled_from(NAMES))
    def a_folder_is_deleted(self, name: str) -> None:
        if name in self.double.box(self.box.address).folders:
            self.box.delete(name)

    # what servers do

    @rule(pick=picks)
    def uidvalidity_changes(self, pick: int) -> None:
        # The fuller the folder, the likelier it is the one.
        found = self.some_message(pick)
        self.box.bump_uidvalidity(found[0] if found else self.box.main)

    @rule(commands=st.integers(0, 4), offset=st.integers(-6, 3), held=st.booleans())
    def modseqs_are_off(self, commands: int, offset: int, held: bool) -> None:
        box = self.double.box(self.box.address)
        box.late_commands, box.modseq_offset = commands, offset
        box.held_at = box.modseq if held else None

    @rule(to=st.integers(1, 12))
    def the_server_is_restored_with_lower_modseqs(self, to: int) -> None:
        self.double.folders.lower_modseq(self.box.address, to)

    @rule(size=st.integers(0, 4_000), skip=st.integers(0, 25))
    def the_connection_will_be_cut(self, size: int, skip: int) -> None:
        self.double.faults.arm(self.box.address, Fault.cut_after(size).after(skip))
        self.breaks += 1

    @rule(uid=st.integers(1, 12))
    def a_message_will_be_refused_once(self, uid: int) -> None:
        self.double.faults.arm(self.box.address, Fault.system_error(uid))
        self.breaks += 1

    # what we do

    @rule(minutes=st.sampled_from((1, 20, 1500)))
    def time_passes(self, minutes: int) -> None:
        self.linked.clock.advance(minutes=minutes)

    @rule()
    def the_service_runs(self) -> None:
        self.sync()

    @rule(deaths=st.lists(st.tuples(st.integers(2, 9), st.booleans()), min_size=1, max_size=5))
    def the_service_dies(self, deaths: list[tuple[int, bool]]) -> None:
        for at, keeps in deaths:
            database = self.linked.database
            database.crash_at, database.keeps = database.commits + at, keeps
            self.breaks += 1
            self.sync()
            self.linked.database.crash_at = 0

    @rule(at=st.integers(0, 6), action=st.integers(0, 3), pick=picks, where=picks)
    def somebody_works_while_the_service_runs(self, at: int, action: int, pick: int, where: int) -> None:
        steps = itertools.count()

        def watch(_run: MailRun) -> None:
            if next(steps) != at:
                return
            if action == 0:
                self.mail_arrives(pick, frozenset(), 3)
            elif action == 1:
                self.a_message_moves(pick, where, False)
            elif action == 2:
                self.a_message_is_deleted(pick)
            else:
                self.uidvalidity_changes(pick)

        if action == 3:
            self.breaks += 1
        self.sync(watch)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the work into pieces of a few messages."""
    for name, size in (("FIRST_WINDOW", FIRST_WINDOW), ("WINDOW", WINDOW), ("GROUP", GROUP)):
        monkeypatch.setattr(mail_fill, name, size)
    monkeypatch.setattr(mail, "FIRST_WINDOW", FIRST_WINDOW)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.usefixtures("small_windows")
def test_whatever_happens_the_store_ends_as_the_server(name: str, tmp_path: Path) -> None:
    numbers = itertools.count()
    profile = PROFILES[name]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        stack.callback(structlog.reset_defaults)
        double = GmailDouble(profile=profile or "gmail", tls=False, smtp=False, clock=Clock())
        stack.enter_context(double)
        template = Template.make(tmp_path)
        run_state_machine_as_test(
            cast("type[History]", lambda: History(double, template, next(numbers))),
            settings=settings(
                # Each example is a whole history with several runs: a quarter of what the profile says.
                max_examples=max(1, settings().max_examples // 4),
                stateful_step_count=25,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
