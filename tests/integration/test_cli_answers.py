"""`twinbox activities answer` and `--remind`: what people and scripts see, and every exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.app_factory import make_key
from tests.support.calendar_world import calendar_world
from tests.support.cli_run import Terminal

ANN = ("--owner", "ann@crm.example")
WHEN = ("--start", "2026-03-02T09:30", "--zone", "Europe/Berlin")


@pytest.fixture
def twinbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal(monkeypatch, {"TWINBOX_DATA_DIR": str(tmp_path / "data")})
    for name in ("ann", "bob"):
        assert terminal("user", "add", f"{name}@crm.example").code == 0
    return terminal


def add(twinbox: Terminal, *options: str) -> str:
    made = twinbox("activities", "add", "--title", "Talk", *ANN, *WHEN, *options, "--json")
    assert made.code == 0, made.err
    one: str = made.json["id"]
    return one


def test_reminders_are_typed_shown_and_changed(twinbox: Terminal) -> None:
    one = add(twinbox, "--remind", "10m", "--remind", "email:2h")
    shown = twinbox("activities", "show", one, "--json").json
    assert shown["reminders"] == [{"method": "popup", "minutes": 10}, {"method": "email", "minutes": 120}]
    assert shown["reminders_of"] == "ann@crm.example"
    assert "10m, email:2h" in twinbox("activities", "show", one).out
    for typed, told in (("1w", "1w"), ("0", "0m"), ("90", "90m"), ("none", "none")):
        assert twinbox("activities", "edit", one, "--remind", typed).code == 0
        [line] = [line for line in twinbox("activities", "show", one).out.splitlines() if line.startswith("reminders")]
        assert line.split() == ["reminders", told]
    assert twinbox("activities", "edit", one, "--remind", "default", "--title", "Chat").code == 0
    shown = twinbox("activities", "show", one, "--json").json
    assert (shown["title"], shown["reminders"]) == ("Chat", None)
    assert "reminders" not in twinbox("activities", "show", one).out


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("soon",), "is no reminder"),
        (("sms:5m",), "is no reminder"),
        (("5w",), "four weeks"),
        (("1", "2", "3", "4", "5", "6"), "5 reminders at most"),
        (("none", "5m"), "is no reminder"),
    ],
)
def test_what_is_no_reminder_is_refused(twinbox: Terminal, typed: tuple[str, ...], message: str) -> None:
    options = [part for one in typed for part in ("--remind", one)]
    made = twinbox("activities", "add", "--title", "Talk", *ANN, *WHEN, *options)
    assert (made.code, message in made.err, "10m, 2h" in made.err) == (2, True, True)
    one = add(twinbox)
    edited = twinbox("activities", "edit", one, *options)
    assert (edited.code, message in edited.err, "10m, 2h" in edited.err) == (2, True, True)


def test_an_invitation_is_answered_and_only_by_who_is_invited(twinbox: Terminal) -> None:
    one = add(twinbox, "--invite", "ann@crm.example", "--invite", "bob@crm.example")
    answered = twinbox("activities", "answer", one, "Accepted")
    assert (answered.code, answered.out.strip()) == (0, f"Answered {one[:8]}: accepted.")
    assert twinbox("activities", "show", one, "--as", "ann@crm.example", "--json").json["answer"] == "accepted"
    again = twinbox("activities", "answer", one, "accepted", "--user", "ann@crm.example", "--json")
    assert (again.code, again.json["version"]) == (0, 2)
    assert twinbox("activities", "answer", one, "maybe").code == 2
    early = twinbox("activities", "answer", one, "declined", "--user", "bob@crm.example")
    assert (early.code, "no calendar of this user shows" in early.err, "sync start" in early.err) == (1, True, True)
    alone = add(twinbox)
    refused = twinbox("activities", "answer", alone, "declined", "--user", "bob@crm.example")
    assert (refused.code, "not invited" in refused.err) == (1, True)
    stale = twinbox("activities", "answer", one, "declined", "--version", "1")
    assert (stale.code, "version 2" in stale.err) == (1, True)


def test_reminders_of_another_user_are_not_mixed_with_the_text(twinbox: Terminal) -> None:
    one = add(twinbox, "--invite", "bob@crm.example")
    mixed = twinbox("activities", "edit", one, "--title", "x", "--remind", "5m", "--as", "bob@crm.example")
    assert (mixed.code, "each user's own" in mixed.err) == (2, True)
    assert twinbox("activities", "edit", one, "--remind", "5m", "--as", "bob@crm.example").code == 1
    assert twinbox("activities", "show", one, "--json").json["reminders"] is None


def test_reminders_travel_in_files(twinbox: Terminal, tmp_path: Path) -> None:
    add(twinbox, "--remind", "15m", "--remind", "email:1d")
    text = twinbox("activities", "export", "--as", "ann@crm.example").out
    assert "TRIGGER:-PT15M" in text
    assert "ATTENDEE:mailto:ann@crm.example" in text
    assert "VALARM" not in twinbox("activities", "export", "--as", "bob@crm.example").out
    file = tmp_path / "file.ics"
    file.write_text(text, newline="")
    assert "1 unchanged" in twinbox("activities", "import", str(file), *ANN).out
    file.write_text(
        text.replace("PT15M", "PT20M")
        .replace("DTSTAMP:2026", "DTSTAMP:2036")
        .replace("LAST-MODIFIED:2026", "LAST-MODIFIED:2036"),
        newline="",
    )
    assert "1 changed" in twinbox("activities", "import", str(file), *ANN).out


def test_why_and_undo_of_an_activity_are_told_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with calendar_world(tmp_path) as world:
        event = world.put("Secret", "2026-03-10", visibility="private", location="Cellar")
        world.run()
        world.pass_time()
        world.book().edit(event, location="Attic")
        report, one = world.run(), world.row().id
        folder, views = str(world.app.settings.data_dir), ((), ("--as", "ann@crm.example"))
        twinbox = Terminal(monkeypatch, {"TWINBOX_DATA_DIR": folder, "TWINBOX_KEYS": make_key()})
        why, mine = (twinbox("why", one, *view) for view in views)
        assert (why.code, mine.code) == (0, 0)
        assert ("private" in why.out, "ecret" in why.out, "location" in why.out) == (True, False, False)
        assert ("Secret" in mine.out, "location" in mine.out, "in step" in mine.out) == (True, True, True)
        shown, told = (twinbox("runs", "show", report.run_id, "--json", *view).out for view in views)
        assert ("Attic" in shown, "Attic" in told) == (False, True)
        both = twinbox("undo", "--activity", one, "--contact", "x", "--field", "location")
        assert (both.code, "--activity" in both.err) == (2, True)
        done = twinbox("undo", "--activity", one, "--field", "location", "--no-sync", "--json")
        assert (done.code, done.json["counts"]) == (0, {"restored": 1})
        again = twinbox("undo", "--activity", one, "--field", "title", "--no-sync")
        assert (again.code, "no run has changed" in again.err) == (1, True)
        world.settle()
        assert world.shown()[event]["location"] == "Cellar"
