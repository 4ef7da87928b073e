"""`twinbox activities`: what people and scripts see, and every exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_run import Outcome, Terminal

ANN, BOB = ("--owner", "ann@crm.example"), ("--owner", "bob@crm.example")
AS_ANN, AS_BOB = ("--as", "ann@crm.example"), ("--as", "bob@crm.example")
WHEN = ("--start", "2026-03-02T09:30", "--zone", "Europe/Berlin")

FILE = """BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VEVENT
UID:u1
DTSTAMP:20260301T000000Z
DTSTART;TZID=Europe/Berlin:20260302T093000
DTEND;TZID=Europe/Berlin:20260302T103000
RRULE:FREQ=WEEKLY;COUNT=3
SUMMARY:Weekly
ATTENDEE;CN=Kim:mailto:kim@x.org
END:VEVENT
BEGIN:VEVENT
UID:u1
DTSTAMP:20260301T000000Z
RECURRENCE-ID;TZID=Europe/Berlin:20260309T093000
DTSTART;TZID=Europe/Berlin:20260310T093000
SUMMARY:Moved
END:VEVENT
BEGIN:VEVENT
UID:u2
SUMMARY:Nowhen
END:VEVENT
END:VCALENDAR
"""


@pytest.fixture
def twinbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal(monkeypatch, {"TWINBOX_DATA_DIR": str(tmp_path / "data")})
    for name in ("ann", "bob"):
        assert terminal("user", "add", f"{name}@crm.example").code == 0
    return terminal


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


def add(twinbox: Terminal, title: str, *options: str) -> dict[str, Any]:
    record: dict[str, Any] = done(twinbox("activities", "add", "--title", title, *options, "--json")).json
    return record


def rows(twinbox: Terminal, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done(twinbox("activities", "list", *options, "--json")).json
    return found


def titles(twinbox: Terminal, *options: str) -> list[str]:
    return [row["title"] for row in rows(twinbox, *options)]


def test_an_activity_is_added_shown_changed_cancelled_deleted_and_restored(twinbox: Terminal) -> None:
    made = add(twinbox, "Talk", *ANN, *WHEN, "--invite", "Kim Lee kim@x.org", "--invite", "<room@x.org>",
               "--location", "Room 1", "--description", "a\nb", "--external-id", "17")  # fmt: skip
    assert made["start"] == {"date": "", "at": "2026-03-02T08:30:00Z", "zone": "Europe/Berlin"}
    assert made["end"]["at"] == "2026-03-02T09:30:00Z"
    assert [(one["email"], one["name"], one["contact"]) for one in made["participants"]] == [
        ("kim@x.org", "Kim Lee", None),
        ("room@x.org", "", None),
    ]
    shown = done(twinbox("activities", "show", "17")).out
    assert "2026-03-02T08:30:00Z (Europe/Berlin)" in shown
    assert "Kim Lee <kim@x.org> (no answer yet)" in shown

    moved = done(twinbox("activities", "edit", "17", "--start", "2026-03-03T10:00", "--version", "1", "--json")).json
    assert (moved["start"]["at"], moved["end"]["at"], moved["version"]) == (
        "2026-03-03T09:00:00Z",
        "2026-03-03T10:00:00Z",
        2,
    )
    assert "Nothing to change" in done(twinbox("activities", "edit", "17", "--title", "Talk")).out
    edited = done(twinbox("activities", "edit", "17", "--invite", "kim@x.org", "--location", "", "--json")).json
    assert [one["name"] for one in edited["participants"]] == ["Kim Lee"]
    assert edited["location"] == ""

    for command, flag in (("cancel", "--cancelled"), ("delete", "--deleted")):
        assert "activities restore" in done(twinbox("activities", command, "17")).out
        assert (titles(twinbox), titles(twinbox, flag)) == ([], ["Talk"])
        done(twinbox("activities", "restore", "17"))
        assert (titles(twinbox), titles(twinbox, flag)) == (["Talk"], [])


def test_whole_days_end_with_the_day_behind(twinbox: Terminal) -> None:
    assert add(twinbox, "Trip", *ANN, "--start", "2026-03-02", "--all-day")["end"]["date"] == "2026-03-03"
    assert done(twinbox("activities", "list")).out.splitlines()[1].split()[1:4] == ["2026-03-02", "2026-03-03", "Trip"]


@pytest.mark.parametrize(
    "options",
    [
        ("--start", "2026-03-02T09:30", "--repeat", "FREQ=SECONDLY"),
        ("--start", "2026-03-02T09:30", "--repeat", "FREQ=DAILY;BYDAY=XX"),
        ("--start", "2026-03-02T09:30", "--repeat", "COUNT=3"),
        ("--start", "2026-03-02T09:30", "--repeat", "EXDATE:soon"),
        ("--start", "2026-03-02T09:30", "--end", "2026-03-02T09:00"),
        ("--start", "2026-03-02T09:30", "--end", "2026-03-03"),
        ("--start", "2026-03-02", "--end", "2026-03-02"),
        ("--start", "2026-03-02T09:30", "--all-day"),
        ("--start", "2026-03-02T09:30", "--zone", "Europe/Nowhere"),
        ("--start", "2026-03-02T09:30Z", "--zone", "Europe"),
        ("--start", "2026-03-02T09:30Z", "--zone", "../etc/passwd"),
        ("--start", "tomorrow"),
        ("--start", "2026-02-30"),
        ("--start", "0001-01-01T00:00", "--zone", "Asia/Tokyo"),
        ("--start", "2026-03-02T09:30", "--invite", "nobody"),
        ("--start", "2026-03-02T09:30", "--external-id", "x" * 201),
    ],
)
def test_what_cannot_be_ends_with_2_and_what_to_do(twinbox: Terminal, options: tuple[str, ...]) -> None:
    outcome = twinbox("activities", "add", "--title", "X", *ANN, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert "\nwhat to do: " in outcome.err
    assert rows(twinbox) == []


@pytest.mark.parametrize(
    "command",
    [
        ("add", "--title", "X", "--start", "2026-03-02"),
        ("list", "--limit", "0"),
        ("list", "--expand", "--after", "x"),
        ("list", "--from", "someday"),
        ("list", "--from", "2026-03-02", "--to", "2026-03-01"),
        ("list", "--expand", "--from", "2026-03-02", "--to", "2036-03-01"),
        ("import", "x.ics"),
        ("import", "x.ics", *ANN, "--zone", "Nowhere"),
        ("export", "--to", "soon"),
    ],
)
def test_wrong_usage_ends_with_2(twinbox: Terminal, command: tuple[str, ...]) -> None:
    assert twinbox("activities", *command).code == 2


@pytest.mark.parametrize(
    "command",
    [
        ("show", "nothing"),
        ("cancel", "nothing"),
        ("list", "--after", "nothing"),
        ("list", "--as", "nobody@crm.example"),
        ("add", "--title", "X", "--start", "2026-03-02", "--owner", "nobody@crm.example"),
        ("import", "/nothing/here.ics", *ANN),
        ("export", "/nothing/here.ics"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_what_to_do(twinbox: Terminal, command: tuple[str, ...]) -> None:
    outcome = twinbox("activities", *command)
    assert (outcome.code, outcome.out) == (1, "")
    assert "\nwhat to do: " in outcome.err


def test_a_private_activity_is_busy_to_all_but_its_owner(twinbox: Terminal) -> None:
    made = add(twinbox, "Doctor", *ANN, *WHEN, "--private", "--location", "Clinic", "--invite", "dr@x.org",
               "--repeat", "FREQ=DAILY;COUNT=3", "--external-id", "secret-17")  # fmt: skip
    short = made["id"][:8]
    secrets = ("Doctor", "Clinic", "dr@x.org", "secret-17", "FREQ")
    for viewer in ((), AS_BOB):
        for command in (
            ("list", "--json"),
            ("list",),
            ("list", "--expand", "--from", "2026-03-01", "--to", "2026-04-01"),
            ("show", short, "--json"),
            ("show", short),
            ("export",),
            ("export", "--from", "2026-03-01", "--to", "2026-04-01"),
        ):
            out = done(twinbox("activities", *command, *viewer)).out
            assert not [word for word in secrets if word in out], command
        for word in ("doctor", "clinic", "busy", "dr@x.org"):
            assert rows(twinbox, "--search", word, *viewer) == []
    busy = rows(twinbox, "--expand", "--from", "2026-03-01", "--to", "2026-04-01", *AS_BOB)
    assert [(row["title"], row["start"]["at"]) for row in busy] == [
        ("busy", f"2026-03-0{day}T08:30:00Z") for day in (2, 3, 4)
    ]
    exported = done(twinbox("activities", "export", "--from", "2026-03-01", "--to", "2026-04-01")).out
    assert exported.count("SUMMARY:busy") == 3

    assert titles(twinbox, "--search", "clinic", *AS_ANN) == ["Doctor"]
    assert "SUMMARY:Doctor" in done(twinbox("activities", "export", *AS_ANN)).out
    edited = done(twinbox("activities", "edit", short, "--title", "Dentist", "--json"))
    assert "Dentist" not in edited.out
    assert twinbox("activities", "edit", short, "--title", "Dentist", *AS_ANN, "--json").json["title"] == "Dentist"
    for late in (("edit", short, "--title", "X"), ("cancel", short)):
        assert "Dentist" not in twinbox("activities", *late, "--version", "9").err


def test_activities_are_listed_by_window_owner_and_text(twinbox: Terminal) -> None:
    add(twinbox, "Early", *ANN, "--start", "2026-03-01T10:00")
    add(twinbox, "Day", *BOB, "--start", "2026-03-02")
    add(twinbox, "Weekly", *BOB, "--start", "2026-02-02T10:00", "--repeat", "FREQ=WEEKLY")
    add(twinbox, "Straße", *ANN, "--start", "2026-03-20T10:00", "--description", 'say "hello"')
    assert titles(twinbox) == ["Weekly", "Early", "Day", "Straße"]
    assert titles(twinbox, "--from", "2026-03-02", "--to", "2026-03-03") == ["Weekly", "Day"]
    assert titles(twinbox, "--from", "2026-03-03", "--to", "2026-03-04") == []
    assert titles(twinbox, *ANN, "--from", "2026-03-01T10:30") == ["Early", "Straße"]
    for words in ("straße", "STRAßE", 'say "HELLO"', "hello str"):
        assert titles(twinbox, "--search", words) == ["Straße"]
    assert titles(twinbox, "--search", "title") == titles(twinbox, "--search", "%") == []
    first = rows(twinbox, "--limit", "2")
    assert titles(twinbox, "--after", first[-1]["id"]) == ["Day", "Straße"]
    expanded = rows(twinbox, "--expand", "--from", "2026-03-01", "--to", "2026-03-10")
    assert [(row["title"], row["start"]["at"][:10] or row["start"]["date"]) for row in expanded] == [
        ("Early", "2026-03-01"),
        ("Day", "2026-03-02"),
        ("Weekly", "2026-03-02"),
        ("Weekly", "2026-03-09"),
    ]
    assert "repeats" in done(twinbox("activities", "list")).out


def test_a_file_is_imported_and_exported(twinbox: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "in.ics"
    file.write_text(FILE)
    dry = twinbox("activities", "import", str(file), *ANN, "--dry-run")
    assert (dry.code, rows(twinbox)) == (4, [])
    outcome = twinbox("activities", "import", str(file), *ANN)
    assert outcome.code == 4
    assert outcome.out.splitlines() == [
        "2 added, 0 changed, 0 unchanged, 0 not newer than here, 1 rejected.",
        "line 19: the event has no DTSTART",
    ]
    expanded = rows(twinbox, "--expand", "--from", "2026-03-01", "--to", "2026-04-01")
    assert [(row["title"], row["start"]["at"]) for row in expanded] == [
        ("Weekly", "2026-03-02T08:30:00Z"),
        ("Moved", "2026-03-10T08:30:00Z"),
        ("Weekly", "2026-03-16T08:30:00Z"),
    ]
    series = next(row for row in rows(twinbox) if row["title"] == "Weekly")
    assert "2026-03-09T08:30:00Z: 2026-03-10T08:30:00Z" in done(twinbox("activities", "show", series["id"])).out
    again = twinbox("activities", "import", str(file), *ANN, "--json").json
    assert (again["added"], again["unchanged"]) == (0, 2)

    out = tmp_path / "out.ics"
    done(twinbox("activities", "export", str(out)))
    assert twinbox("activities", "export", str(out)).code == 1
    back = done(twinbox("activities", "import", str(out), *ANN, "--json")).json
    assert (back["added"], back["changed"], back["unchanged"]) == (0, 0, 2)


@pytest.mark.parametrize("text", ["", "garbage", "BEGIN:VCALENDAR\nEND:VCALENDAR\n", "BEGIN:VEVENT\n"])
def test_a_file_of_which_nothing_can_be_read_ends_with_1(twinbox: Terminal, text: str) -> None:
    outcome = twinbox("activities", "import", "-", *ANN, stdin=text)
    assert outcome.code == 1
    assert outcome.out


def test_a_deleted_series_takes_its_moved_occurrence_along(twinbox: Terminal) -> None:
    done(twinbox("activities", "import", "-", *ANN, stdin=FILE.replace("SUMMARY:Nowhen", "DTSTART:20260301T100000Z")))
    series = next(row for row in rows(twinbox) if row["title"] == "Weekly")
    done(twinbox("activities", "delete", series["id"]))
    assert titles(twinbox) == [""]
    assert "Moved" not in done(twinbox("activities", "export")).out


def test_workspaces_do_not_see_each_other(twinbox: Terminal) -> None:
    record = add(twinbox, "Talk", *ANN, *WHEN)
    done(twinbox("init", "--workspace", "other"))
    assert rows(twinbox, "--workspace", "other") == []
    for command in ("show", "edit", "cancel", "delete", "restore"):
        assert twinbox("activities", command, record["id"], "--workspace", "other").code == 1
    assert "Talk" not in done(twinbox("activities", "export", "--workspace", "other")).out


def test_an_odd_title_cannot_write_to_the_terminal(twinbox: Terminal) -> None:
    add(twinbox, "[bold]Talk\x1b[31m\u202e", *ANN, *WHEN, "--external-id", "x")
    for command in (("list",), ("show", "x")):
        out = twinbox("activities", *command).out
        assert "Talk" in out
        assert "\x1b" not in out
        assert "\u202e" not in out
