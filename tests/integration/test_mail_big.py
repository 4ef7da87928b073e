"""A mailbox of 20,000 messages, synced by a process that is killed five times: it goes on where it was, fetches next
to nothing twice, and its memory does not grow with the mailbox."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.gmail import GmailDouble, PlainProfile
from sync.app import utc_now
from sync.mail_fill import AHEAD, WINDOW
from tests.support.app_factory import TestClock, make_app
from tests.support.mail_servers import count_bodies, plain_box
from tests.support.mail_sync import Linked, link

MESSAGES = 20_000
KILLS = 5
ROOT = Path(__file__).resolve().parents[2]
# At the moment of death: on the wire, with the parser, being stored.
IN_FLIGHT = (2 + AHEAD + 1) * WINDOW
GROWTH_MB = 64
START = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def double() -> Iterator[GmailDouble]:
    with GmailDouble(profile=PlainProfile(), tls=False, smtp=False) as double:
        yield double


def small_mail(number: int) -> bytes:
    """A short message; made by hand, as 20,000 by the library would take longer than the sync."""
    return (
        f"From: Person {number % 97} <p{number % 97}@example.org>\r\nTo: Ann <ann@mail.example>\r\n"
        f"Subject: Message {number}\r\nMessage-ID: <{number}@big.example>\r\n"
        f"Date: Wed, 1 Jan 2020 10:00:00 +0000\r\n\r\nThe text of message {number}.\r\n"
    ).encode()


def run_child(linked: Linked, kill_after: int) -> tuple[str, int, int]:
    """Run a child until it has stored `kill_after` messages of its run, then kill it; 0 lets it end.

    Gives the outcome ("killed" if it was) and its peak memory in MB, when the first window was stored and over all.
    """
    command = [sys.executable, "-m", "tests.support.mail_child", str(linked.app.settings.data_dir.parent)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*command, linked.account_id], stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        for line in child.stdout:
            words = line.split()
            if words[0] == "end":
                return words[1], int(words[2]) // 1024, int(words[3]) // 1024
            if kill_after and int(words[1]) >= kill_after:
                child.kill()
                return "killed", 0, 0
    return f"exit {child.returncode}", 0, 0


def test_a_big_mailbox_is_synced_by_a_process_that_is_killed_five_times(
    double: GmailDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = plain_box(double, "big@mail.example")
    for number in range(1, MESSAGES + 1):
        box.append("INBOX", small_mail(number), (), START + timedelta(minutes=number))
    sent = count_bodies(double, box.address)
    app = make_app(tmp_path, clock=TestClock(utc_now()))
    linked = link(app, box, TestClock())
    started = time.monotonic()
    for _ in range(KILLS):
        assert run_child(linked, MESSAGES // 10)[0] == "killed"
        wait_for_lease(linked)
    outcome, early, peak = run_child(linked, 0)
    again = sum(sent.values()) - MESSAGES
    with capsys.disabled():
        spent = time.monotonic() - started
        print(f"\n{MESSAGES} messages, {KILLS} kills: {spent:.0f} s, {again} fetched again")
        print(f"RSS {early} MB after the first window, {peak} MB at most")
    assert outcome == "ok"
    assert len(linked.messages()) == MESSAGES
    linked.same_as_server()
    assert again <= KILLS * IN_FLIGHT
    assert peak - early <= GROWTH_MB
    app.close()


def wait_for_lease(linked: Linked) -> None:
    """Until the dead worker's lease has run out (a second, by the real clock of the child)."""
    until = linked.channel().lease_until
    assert until is not None
    while utc_now() <= until:
        time.sleep(0.05)
