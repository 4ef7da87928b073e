"""The story of `twinbox demo`: it plays to its end, leaves nothing behind, and fails loudly when a step does."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

import httpx2
import pytest

from cli.demo import TOUR, DemoOptions, run_demo
from cli.demo_linking import BEFORE
from cli.demo_screen import open_screen
from cli.demo_story import CheckFailed, Stage, Step, check
from cli.main import main
from core.errors import NeedsRelink
from sandbox.world import annas_mailbox

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary folders, which must be empty again at the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def step(play: Callable[[Stage], None]) -> Step:
    return Step("A step of this test", play)


@contextmanager
def demo_process(temporary: Path, *arguments: str, stdin: int) -> Iterator[subprocess.Popen[str]]:
    """`twinbox demo` as a process of its own, ended if the test fails."""
    command = [sys.executable, "-m", "cli.main", "demo", *arguments]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, text=True, env=environment, cwd=root
    ) as running:
        try:
            yield running
        finally:
            running.terminate()


def twinbox(command: str, exported: dict[str, str]) -> str:
    """What a command in another terminal answers."""
    call = [sys.executable, "-m", "cli.main", *command.split()]
    root = Path(__file__).parents[2]
    return subprocess.run(
        call, env={**os.environ, **exported}, cwd=root, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_tour_plays_every_step_and_draws_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "tour.svg"
    ends: list[datetime] = []
    probe = step(lambda stage: ends.append(stage.world.clock.now()))
    assert run_demo(DemoOptions(tour=True, picture=picture), (*TOUR, probe)) == 0
    assert ends[0] < datetime.now(UTC), "the story must not run ahead of the wall clock, which other terminals live by"
    told = capsys.readouterr().out
    for number, one in enumerate(TOUR, 1):
        assert f"{number:<4}{one.title}\n" in told
        assert one.part in told
    assert told.rstrip().endswith(f"All {len(TOUR) + 1} steps did what they should.")
    assert "\x1b" not in told, "no terminal, no control sequences"
    drawn = picture.read_text(encoding="utf-8")
    assert "twinbox&#160;demo&#160;--tour" in drawn or "twinbox demo --tour" in drawn
    assert len(drawn) < 200_000
    assert "@font-face" not in drawn
    assert "twinbox-demo-" not in drawn


def test_a_check_that_does_not_hold_ends_the_tour_with_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(stage: Stage) -> None:
        check(stage, "three is four", 4, 3)

    never = step(lambda _: pytest.fail("the story went on"))
    assert run_demo(DemoOptions(tour=True), [BEFORE[0], step(broken), never]) == 1
    told = capsys.readouterr().out
    assert "three is four" in told
    assert "expected: 4" in told
    assert "found:    3" in told
    assert "did what they should" not in told


def test_an_expected_failure_inside_a_step_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def refused(_: Stage) -> None:
        raise NeedsRelink("the permission is gone", advice="Link the account again.")

    assert run_demo(DemoOptions(tour=True), [step(refused)]) == 1
    assert "the permission is gone. Link the account again." in capsys.readouterr().out


def test_a_tour_that_is_broken_off_cleans_up_and_does_not_count_as_passed() -> None:
    def interrupted(_: Stage) -> None:
        raise KeyboardInterrupt

    assert run_demo(DemoOptions(tour=True), [step(interrupted)]) == 1
    assert run_demo(DemoOptions(), [step(interrupted)]) == 0, "without --tour it is the way to leave"


def test_a_bug_in_a_step_escapes_and_still_leaves_nothing_behind() -> None:
    def buggy(_: Stage) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_demo(DemoOptions(tour=True), [step(buggy)])


def test_a_picture_that_cannot_be_written_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--tour", "--picture", str(tmp_path / "nowhere" / "tour.svg")]) == 1
    told = capsys.readouterr()
    assert "there is no folder" in told.err
    assert told.out == ""


def test_without_a_terminal_the_demo_stays_up_until_it_is_told_to_end(temporary: Path) -> None:
    with demo_process(temporary, stdin=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        told = "".join(iter(running.stdout.readline, "Running until Ctrl-C.\n"))
        exported = dict(re.findall(r"^export (\w+)=(.*)$", told, re.MULTILINE))
        assert "in step" in twinbox("why tom@nordwind.example", exported)
        assert "nothing to do" in twinbox("sync plan anna@example.com", exported)
        twinbox("contacts edit tom@nordwind.example --title Director", exported)
        assert "Tom Whitfield" in twinbox("sync plan anna@example.com", exported)
        running.send_signal(signal.SIGTERM)
        told += running.stdout.read()
        assert running.wait() == 0
    assert told.endswith("Everything the demo made is removed.\n")


def test_a_person_consents_in_the_browser_steps_on_and_plays_with_the_mailbox(temporary: Path) -> None:
    master, terminal = pty.openpty()
    with demo_process(temporary, "--no-browser", stdin=terminal) as running, os.fdopen(master, "w") as keyboard:
        os.close(terminal)
        assert running.stdout is not None

        def until(text: str) -> str:
            told = ""
            for line in running.stdout or ():
                told += line
                if text in line:
                    return told
            pytest.fail(f"the demo ended without {text!r}:\n{told}")

        def press(keys: str) -> None:
            keyboard.write(f"{keys}\n")
            keyboard.flush()

        until("Enter: next step")
        press("")
        address = next(line for line in until("Or press Enter here").splitlines() if line.startswith("http://"))
        browse(address)
        until("anna@example.com is linked")
        until("Enter: next step")
        press("p")
        assert "The connection breaks" in until("Enter: next step"), "the whole part was played"
        press("a")
        until("Or press Enter here")
        press("")
        until("What happens next?")
        deeds = (("d", "A message arrived"), ("s", "new: 1, outcome: ok"), ("?", "leave, and remove"))
        for key, answer in (*deeds, ("e", "At Google Tom is"), ("c", "updated in the CRM: 1"), ("i", "put Priya")):
            press(key)
            until(answer)
        press("r")
        press("s")
        until("the account is needs relink")
        press("q")
        until("Everything the demo made is removed.")
        assert running.wait() == 0


def browse(address: str) -> None:
    """What Anna does in her browser."""
    with httpx2.Client(trust_env=False, follow_redirects=True) as browser:
        assert "Continue" in browser.get(address).text
        names = ("contacts", "calendar.events", "calendar.calendarlist.readonly")
        scopes = ["https://mail.google.com/", *(f"https://www.googleapis.com/auth/{name}" for name in names)]
        form = {"user": "anna@example.com", "granted": scopes, "decision": "allow"}
        assert "Linked" in browser.post(address, data=form).text


def test_a_failed_check_keeps_what_was_expected_and_found() -> None:
    error = CheckFailed("text", 1, [2])
    assert (error.text, error.expected, error.found) == ("text", "1", "[2]")


def test_what_differs_from_run_to_run_is_masked_in_the_picture_only(tmp_path: Path) -> None:
    screen = open_screen(picture=True)
    screen.masks = {"49152": "40993"}
    screen.tell("Gmail", "on port 49152")
    screen.save(tmp_path / "drawn.svg", "a title")
    drawn = (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    assert "40993" in drawn
    assert "49152" not in drawn


def test_annas_mailbox_is_the_same_for_the_same_moment_and_seed() -> None:
    assert annas_mailbox(NOW) == annas_mailbox(NOW)
    assert annas_mailbox(NOW, seed=2) != annas_mailbox(NOW)


def test_annas_mailbox_holds_what_a_mail_service_must_cope_with() -> None:
    letters = annas_mailbox(NOW)
    assert len(letters) == 400
    assert all(NOW - timedelta(days=200) < letter.when <= NOW for letter in letters)
    assert [letter.when for letter in letters] == sorted(letter.when for letter in letters)
    labels = {label for letter in letters for label in letter.labels}
    assert {"[Mailbox]", "2024", "Клиенты/Север", "Clients/Nordwind"} <= labels
    states = Counter(letter.state for letter in letters)
    assert states["trash"] > 0
    assert states["spam"] > 0
    assert max(len(letter.raw) for letter in letters) > 1_000_000, "a large attachment"
    mails = [message_from_bytes(letter.raw) for letter in letters]
    assert len({mail["Message-ID"] for mail in mails}) == len(mails)
    kinds = {part.get_content_type() for mail in mails for part in mail.walk()}
    assert {"text/calendar", "message/delivery-status", "text/html", "application/pdf"} <= kinds
    assert any(mail["List-Id"] for mail in mails)
    assert any(mail["Auto-Submitted"] for mail in mails)
