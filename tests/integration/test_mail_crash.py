"""The process dies at every commit of a rich mail history, just before and just after it; each time a new process
must end with the store equal to the server. Random histories are tests/property/test_mail_history.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from models.syncing import RunRow
from sandbox.gmail import Fault, GmailDouble, PlainProfile
from sync import mail, mail_fill
from tests.support.mail_factory import make_mail
from tests.support.mail_servers import GmailBox, PlainBox, count_bodies, gmail_box, plain_box
from tests.support.mail_sync import Crash, Linked, Template

FIRST_WINDOW, WINDOW, GROUP = 2, 3, 2
IN_FLIGHT = 5 * WINDOW
DAY = datetime(2026, 2, 1, 12, tzinfo=UTC)
LONG = "A line of a text that does not come with the first bytes.\n" * 1_500


@dataclass(frozen=True)
class Story:
    """A server with the acts of its history; after each act the service runs."""

    double: GmailDouble
    template: Template
    numbers: Iterator[int]

    def begin(self) -> tuple[GmailBox | PlainBox, Linked]:
        """A new user, linked."""
        user = f"user{next(self.numbers)}@mail.example"
        box = gmail_box(self.double, user) if self.double.store.profile.gmail else plain_box(self.double, user)
        return box, self.template.link(box)


def add(box: GmailBox | PlainBox, folder: str, numbers: Sequence[int], text: str = "Short.\n") -> None:
    for number in numbers:
        when = DAY + timedelta(minutes=number)
        box.append(folder, make_mail(message_id=f"<{number}@t>", subject=f"Number {number}", text=text), (), when)


def arrive(box: GmailBox | PlainBox) -> None:
    add(box, box.main, range(1, 9))
    add(box, box.main, [9], LONG)
    add(box, box.other, range(20, 23))
    # One that the server cannot give.
    box.double.faults.arm(box.address, Fault.system_error(uid=5), times=None)


def change(box: GmailBox | PlainBox) -> None:
    box.double.faults.clear(box.address)
    add(box, box.main, range(30, 34))
    box.set_flags(box.main, 2, ["\\Seen"])
    box.move(box.main, 3, box.other)
    box.expunge(box.main, 1)
    if isinstance(box, GmailBox):
        box.set_labels(box.main, 4, ["2024", "\\Inbox"])
    else:
        box.copy(box.main, 4, box.other)
        box.create("Work")
        box.move(box.main, 8, "Work")


def renumber(box: GmailBox | PlainBox) -> None:
    box.bump_uidvalidity(box.main)
    box.expunge(box.other, 1)
    add(box, box.main, range(40, 42))
    if isinstance(box, PlainBox):
        box.rename("Work", "Finished work")


def leave(box: GmailBox | PlainBox) -> None:
    if isinstance(box, PlainBox):
        box.delete("Finished work")
    box.move(box.main, max(box.contents()[box.main]), box.other)


ACTS: tuple[Callable[[GmailBox | PlainBox], None], ...] = (arrive, change, renumber, leave)


@pytest.fixture(
    params=[None, PlainProfile(qresync=True), PlainProfile(condstore=False)], ids=["gmail", "qresync", "bare"]
)
def story(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    for name, size in (("FIRST_WINDOW", FIRST_WINDOW), ("WINDOW", WINDOW), ("GROUP", GROUP)):
        monkeypatch.setattr(mail_fill, name, size)
    monkeypatch.setattr(mail, "FIRST_WINDOW", FIRST_WINDOW)
    with ExitStack() as stack:
        double = stack.enter_context(GmailDouble(profile=request.param or "gmail", tls=False, smtp=False))
        yield Story(double, Template.make(tmp_path), itertools.count())


def test_the_story_ends_well_when_nothing_breaks(story: Story) -> None:
    box, linked = story.begin()
    sent = count_bodies(story.double, box.address)
    for act in ACTS:
        act(box)
        linked.clock.advance(hours=2)
        linked.run()
    linked.settle()
    assert len(linked.messages()) == 18
    # The window of the message that could not be given was asked for again.
    assert sum(sent.values()) <= 18 + 2 * WINDOW
    story.template.drop(linked)


@pytest.mark.parametrize("first", [1, 2], ids=["odd", "even"])
def test_the_process_may_die_at_any_commit(story: Story, first: int) -> None:
    at = next(at for at in itertools.count(first, 2) if not play(story, at, keeps=False))
    assert at > 40, "the story has become too short"
    # Dead after one commit and dead before the next leave the same behind, but for what was read meanwhile.
    for number in range(first, at, 8):
        assert play(story, number, keeps=True)


def play(story: Story, at: int, *, keeps: bool) -> bool:
    """Play the story with a death at one commit; False when the story has fewer."""
    box, linked = story.begin()
    sent = count_bodies(story.double, box.address)
    linked.database.crash_at, linked.database.keeps = linked.database.commits + at, keeps
    died = False
    for act in ACTS:
        act(box)
        linked.clock.advance(hours=2)
        with suppress(Crash):
            linked.run()
        if linked.database.dead:
            died = True
            linked.reboot()
            linked.run()
    linked.database.crash_at = 0
    linked.settle()
    assert len(linked.messages()) == 18
    assert sum(sent.values()) <= 18 + 2 * WINDOW + IN_FLIGHT
    with linked.app.db.reading() as session:
        assert "running" not in set(session.scalars(select(RunRow.outcome)))
    story.template.drop(linked)
    return died
