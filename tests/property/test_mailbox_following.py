"""Whatever happens to a mailbox, the plans ask for what reveals it, and then keep quiet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.mailbox import (
    MAX_RESYNCS,
    SWEEP_EVERY,
    MailboxPlan,
    MailboxState,
    Sweep,
    begin,
    plan_mailbox,
    settle,
    windows,
)
from core.types import MailboxStatus
from core.uidset import UidSet

PERIOD = timedelta(minutes=10)
# A rise whose change shows late is seen in the next run; both are followed by one confirming look.
FOUND_WITHIN = 3
QUIET_AFTER = 2


@dataclass(slots=True)
class Server:
    """One mailbox: each message is its modification sequence and a version that stands for flags and labels."""

    condstore: bool = True
    qresync: bool = False
    uidvalidity: int = 1
    uidnext: int = 1
    modseq: int = 1
    told: int = 1
    messages: dict[int, tuple[int, int]] = field(default_factory=dict)
    late: dict[int, tuple[int, int]] = field(default_factory=dict)
    removed: list[tuple[int, int]] = field(default_factory=list)
    version: int = 0

    def status(self) -> MailboxStatus:
        return MailboxStatus(self.uidvalidity, self.uidnext, len(self.messages), self.told if self.condstore else 0)

    def append(self, count: int) -> None:
        for _ in range(count):
            self.modseq += 1
            self.messages[self.uidnext] = (self.modseq, self.version)
            self.uidnext += 1
        self.told = self.modseq

    def skip(self, count: int) -> None:
        """UIDs are given out that no message has, as after a failed APPEND."""
        self.uidnext += count

    def pick(self, which: int) -> int | None:
        return sorted(self.messages)[which % len(self.messages)] if self.messages else None

    def change(self, which: int, *, hidden: bool = False) -> None:
        if (uid := self.pick(which)) is not None:
            self.modseq, self.version = self.modseq + 1, self.version + 1
            (self.late if hidden else self.messages)[uid] = (self.modseq, self.version)
            self.told = self.modseq

    def remove(self, which: int) -> None:
        if (uid := self.pick(which)) is not None:
            self.modseq += 1
            del self.messages[uid]
            self.late.pop(uid, None)
            self.removed.append((uid, self.modseq))
            self.told = self.modseq

    def show_late(self) -> None:
        self.messages.update(self.late)
        self.late.clear()
        self.told = self.modseq

    def renumber(self) -> None:
        """Another UIDVALIDITY, with new UIDs."""
        self.show_late()
        self.uidvalidity += 1
        found = list(self.messages.values())
        self.messages = dict(enumerate(found, 3))
        self.uidnext, self.removed = len(found) + 3, []

    def forget_modseqs(self) -> None:
        """As after a restored backup: mod-sequences begin anew, and what was changed meanwhile is not marked."""
        self.show_late()
        if self.modseq == 1:
            return  # nothing could tell
        self.version += 1
        self.messages = dict.fromkeys(self.messages, (1, self.version))
        self.modseq = self.told = 1
        self.removed = []


@dataclass(slots=True)
class Client:
    """Does what plans say, the way `sync.mail` does, with its store as a dictionary."""

    state: MailboxState = MailboxState()
    store: dict[int, int] = field(default_factory=dict)
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def run(self, server: Server, during: list[tuple[str, int]] | None = None) -> MailboxPlan:
        """One run; `during` happens on the server after the mailbox was opened."""
        self.now += PERIOD
        seen = server.status()
        plan = plan_mailbox(self.state, seen, since=None, vanished_told=server.qresync, now=self.now)
        assert not plan.refuse
        happen(server, during or [])
        if plan.quiet:
            return plan
        if plan.reset:
            self.state, self.store = begin(self.state, seen, since=None, now=self.now), {}
        self.fill(server, seen)
        newest = self.follow(server, plan, seen)
        self.state = settle(self.state, seen, plan, newest_modseq=newest, now=self.now)
        return plan

    def fill(self, server: Server, seen: MailboxStatus) -> None:
        todo = UidSet.span(1, seen.uidnext - 1) - self.state.done
        pending = UidSet.of(server.messages) & todo
        for window in windows(pending, self.state.done, seen.uidnext, size=3, first_size=1):
            self.store |= {uid: server.messages[uid][1] for uid in window.uids}
            self.state = replace(self.state, done=self.state.done | window.covers)

    def follow(self, server: Server, plan: MailboxPlan, seen: MailboxStatus) -> int:
        newest, gone = 0, set[int]()
        if plan.changes_since:
            heads = {u: m for u, m in server.messages.items() if m[0] > plan.changes_since and u < seen.uidnext}
            newest = self.learn(heads)
            if server.qresync:
                gone = {uid for uid, modseq in server.removed if modseq > plan.changes_since}
        if plan.sweep is not Sweep.NONE:
            newest = max(newest, self.learn({u: m for u, m in server.messages.items() if u in self.store}))
        if plan.listing or plan.sweep is Sweep.ALL:
            gone |= set(self.store) - set(server.messages)
        for uid in gone:
            self.store.pop(uid, None)
        return newest

    def learn(self, heads: dict[int, tuple[int, int]]) -> int:
        self.store |= {uid: version for uid, (_, version) in heads.items() if uid in self.store}
        return max((modseq for modseq, _ in heads.values()), default=0)


def happen(server: Server, events: list[tuple[str, int]]) -> None:
    for name, amount in events:
        match name:
            case "append":
                server.append(amount % 4 + 1)
            case "skip":
                server.skip(amount % 3 + 1)
            case "change":
                server.change(amount)
            case "late":
                server.change(amount, hidden=True)
            case "remove":
                server.remove(amount)
            case "renumber":
                server.renumber()
            case "forget":
                server.forget_modseqs()


def truth(server: Server) -> dict[int, int]:
    return {uid: version for uid, (_, version) in server.messages.items()}


def follow_up(client: Client, server: Server) -> None:
    """Runs on a server where nothing happens any more: all is found, then nothing is done."""
    plans = []
    for _ in range(FOUND_WITHIN):
        plans.append(client.run(server))
        server.show_late()
    assert client.store == truth(server)
    if server.condstore:
        while len(plans) < FOUND_WITHIN + QUIET_AFTER:
            plans.append(client.run(server))
        assert all(client.run(server).quiet for _ in range(5))
        assert client.store == truth(server)


_ordinary = st.tuples(st.sampled_from(["append", "skip", "change", "change", "remove"]), st.integers(0, 20))
_anything = st.tuples(
    st.sampled_from(["append", "skip", "change", "late", "remove", "renumber", "forget"]), st.integers(0, 20)
)
_server = st.sampled_from([(True, True), (True, False), (False, False)])


@given(_server, st.lists(st.lists(_ordinary, max_size=5), max_size=4))
def test_every_change_between_runs_is_found_and_then_it_is_quiet(
    kind: tuple[bool, bool], rounds: list[list[tuple[str, int]]]
) -> None:
    server, client = Server(*kind), Client()
    client.run(server)
    for events in rounds:
        happen(server, events)
        follow_up(client, server)


@given(_server, st.lists(st.tuples(st.lists(_ordinary, max_size=4), st.lists(_ordinary, max_size=4)), max_size=4))
def test_changes_during_a_run_are_found_by_the_next_ones(
    kind: tuple[bool, bool], rounds: list[tuple[list[tuple[str, int]], list[tuple[str, int]]]]
) -> None:
    server, client = Server(*kind), Client()
    for before, during in rounds:
        happen(server, before)
        client.run(server, during)
    follow_up(client, server)


@given(_server, st.lists(_anything, max_size=MAX_RESYNCS))
def test_late_changes_new_uids_and_lost_mod_sequences_are_found(
    kind: tuple[bool, bool], events: list[tuple[str, int]]
) -> None:
    server, client = Server(*kind), Client()
    server.append(5)
    client.run(server)
    for event in events:
        happen(server, [event])
        if event[0] == "renumber":  # a rise that was there at the beginning is left to the daily sweep
            server.show_late()
        client.run(server)
        server.show_late()
    follow_up(client, server)


@given(_server, st.lists(st.tuples(_anything, _anything), max_size=MAX_RESYNCS))
def test_whatever_else_was_missed_is_found_within_a_day(
    kind: tuple[bool, bool], events: list[tuple[tuple[str, int], tuple[str, int]]]
) -> None:
    server, client = Server(*kind), Client()
    for before, during in events:
        happen(server, [before])
        # What is renumbered under an open mailbox ends the session on a real server.
        client.run(server, [during] if during[0] not in ("renumber", "forget") else [])
    server.show_late()
    client.run(server)
    client.now += SWEEP_EVERY
    client.run(server)
    assert client.store == truth(server)


@given(_server, st.integers(0, 4), st.lists(_ordinary, max_size=6))
def test_a_run_that_ends_before_it_settles_loses_nothing(
    kind: tuple[bool, bool], stop: int, events: list[tuple[str, int]]
) -> None:
    server, client = Server(*kind), Client()
    server.append(9)
    seen = server.status()
    client.state = begin(client.state, seen, since=None, now=client.now)
    cut = windows(UidSet.of(server.messages), UidSet(), seen.uidnext, size=3, first_size=1)
    for window, _ in zip(cut, range(stop), strict=False):
        client.store |= {uid: server.messages[uid][1] for uid in window.uids}
        client.state = replace(client.state, done=client.state.done | window.covers)
    happen(server, events)
    follow_up(client, server)
