"""`twinbox` with calendars linked: sync, plan, runs, activities, and what is said when something does not work.
The accounts are linked through the real OAuth flow, the sync talks HTTP to Google's double."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sandbox.google import Consent, GoogleDouble
from sandbox.google.calendar_book import CalendarBook
from sandbox.google.identity import SigningKey, new_signing_key
from tests.support.app_factory import make_key
from tests.support.cli_run import Outcome, Terminal

ANN, BOB, TOM = "ann@example.com", "bob@example.com", "tom@elsewhere.example"
CLIENT_ID, CLIENT_SECRET = "desktop-client", "GOCSPX-desktop-secret"
SOON = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(datetime.now(UTC))


@pytest.fixture
def google(key: SigningKey) -> Iterator[GoogleDouble]:
    with GoogleDouble(key=key) as double:
        double.users.add(ANN, "Ann")
        double.users.add(BOB, "Bob")
        double.clients.add("desktop", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        yield double
        assert double.calendar.violations == []
        assert double.calendar.mails == []


@pytest.fixture
def desk(tmp_path: Path, google: GoogleDouble, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of an installation to which Ann's and Bob's Google calendars are linked."""
    environment = {
        "TWINBOX_DATA_DIR": str(tmp_path / "data"),
        "TWINBOX_KEYS": make_key(),
        "TWINBOX_ALLOW_NETWORKS": "127.0.0.0/8",
        "TWINBOX_GOOGLE_BASE_URL": google.base_url,
    }
    twinbox = Terminal(monkeypatch, environment)
    secret = ("--client-id", CLIENT_ID, "--client-secret-stdin")
    done(twinbox("provider", "set", "gmail", *secret, stdin=CLIENT_SECRET + "\n"))
    for address in (ANN, BOB):
        done(twinbox("user", "add", address))
        google.auto_consent = Consent(user=address)
        link = ("account", "link", "--provider", "gmail", "--user", address, "--channels", "calendar")
        done(twinbox.browsing(*link, visit=browser))
    return twinbox


@pytest.fixture
def book(google: GoogleDouble) -> CalendarBook:
    return google.calendar.book(ANN)


def browser(url: str) -> None:
    """Opens the address and follows the redirect to the command that waits for it."""
    with httpx2.Client(trust_env=False) as client:
        answer = client.get(url)
        client.get(answer.headers["location"])


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome
    return outcome


def sync(desk: Terminal, account: str = ANN, *options: str) -> Outcome:
    return desk("sync", "start", account, "--channel", "calendar", "--wait", *options)


def plan(desk: Terminal, account: str = ANN) -> Outcome:
    return desk("sync", "plan", account, "--channel", "calendar")


def add(desk: Terminal, title: str, *options: str) -> str:
    """An activity of Ann's; its id."""
    when = ("--start", f"{SOON:%Y-%m-%dT%H:%M}", "--title", title)
    return str(done(desk("activities", "add", "--owner", ANN, *when, *options, "--json")).json["id"])


def make(book: CalendarBook, title: str, *guests: str, **fields: Any) -> str:
    """An event that Ann makes at Google; its id."""
    return book.create(title, SOON, SOON + HOUR, guests=guests, **fields)


def flat(text: str) -> str:
    """Text without the line breaks of a table."""
    return " ".join(text.split())


def test_what_is_done_to_events_is_told_in_words_of_a_calendar(desk: Terminal, book: CalendarBook) -> None:
    one = make(book, "Kickoff")
    call = add(desk, "Call")
    told = flat(done(plan(desk)).out)
    assert "is in the calendar and not in the CRM yet" in told
    assert "is to be shown in the calendar" in told
    run = done(sync(desk, ANN, "--json")).json
    told += flat(done(desk("runs", "show", run["id"])).out)
    assert "Call created at the provider is to be shown" in told
    book.delete(one)
    done(desk("activities", "cancel", call))
    left = flat(done(plan(desk)).out)
    assert "cancel in the CRM Kickoff" in left
    assert "take out of the calendar Call was deleted, cancelled or hidden in the CRM" in left
    run = done(sync(desk, ANN, "--json")).json
    left += flat(done(desk("runs", "show", run["id"])).out)
    assert "Kickoff gone from the calendar was deleted at the provider" in left
    assert [word for word in ("tag", "group", "deselect") if word in (told + left).split()] == []


def test_an_account_without_the_channel_says_what_it_syncs(desk: Terminal) -> None:
    for command in (("sync", "start", ANN), ("sync", "start", ANN, "--wait"), ("account", "mail", ANN)):
        outcome = desk(*command)
        assert outcome.code != 0
        assert "this account has no mail channel" in outcome.err
        assert "It syncs calendar. Link it again with --channels mail." in outcome.err
    assert "no contacts channel" in desk("sync", "plan", ANN).err


def test_a_run_that_failed_does_not_say_that_nothing_had_changed(desk: Terminal, google: GoogleDouble) -> None:
    google.calendar.knobs.service_disabled = True
    outcome = sync(desk)
    assert outcome.code == 1
    assert outcome.out.startswith(f"{ANN} calendar: misconfigured\nthe Google Calendar API is switched off")
    assert "Enable the Google Calendar API" in outcome.out


def test_the_status_says_why_a_channel_does_not_get_on_and_what_to_do(desk: Terminal, google: GoogleDouble) -> None:
    google.calendar.knobs.no_calendar = {ANN}
    sync(desk)
    assert done(sync(desk, BOB)).out == f"{BOB} calendar: ok - nothing had changed\n"
    told = flat(done(desk("status")).out)
    assert f"{ANN} calendar: misconfigured. Google does not allow access to the calendar of this account" in told
    assert "must switch the Calendar service on" in told
    assert f"{BOB} calendar:" not in told
    google.calendar.knobs.no_calendar = set()
    done(sync(desk))
    assert "misconfigured" not in done(desk("status")).out


def test_a_pause_is_told_with_what_becomes_of_it(desk: Terminal, google: GoogleDouble) -> None:
    google.calendar.knobs.requests_per_minute = 0
    assert "Google asks for a pause\nwhat to do: Nothing is lost: it goes on by itself" in sync(desk).out
    google.calendar.knobs.requests_per_minute = None
    add(desk, "Call")
    google.calendar.knobs.read_only = {ANN}
    assert "limits on the use of this calendar are used up for some hours" in sync(desk).out


def test_what_is_known_of_a_dropped_occurrence_is_its_day(desk: Terminal, book: CalendarBook) -> None:
    series = make(book, "Weekly", repeat="RRULE:FREQ=WEEKLY")
    second = SOON + timedelta(days=7)
    book.cancel_occurrence(book.occurrence(series, second))
    run = done(sync(desk, ANN, "--json")).json
    name = f"(occurrence of {second:%Y-%m-%d})"
    assert name in done(desk("activities", "list", "--cancelled")).out
    told = done(desk("runs", "show", run["id"])).out
    assert name in told
    assert "\nevent " in told


def test_an_open_invitation_says_so_and_an_answer_is_told(desk: Terminal, google: GoogleDouble) -> None:
    one = make(google.calendar.book(ANN), "Kickoff", BOB)
    done(sync(desk))
    [row] = done(desk("activities", "list", "--json")).json
    assert f"{BOB} (no answer yet)" in done(desk("activities", "show", row["id"])).out
    google.calendar.book(BOB).answer(one, "declined")
    done(sync(desk))
    assert f"{BOB} (declined)" in done(desk("activities", "show", row["id"])).out


def why(desk: Terminal, activity: str, *options: str) -> dict[str, tuple[str, str]]:
    """By account: where the activity stands, and why."""
    told = done(desk("why", activity, *options, "--json")).json
    return {one["address"]: (one["state"], one["why"]) for one in told["accounts"]}


def test_each_activity_says_where_it_stands_with_each_calendar(desk: Terminal, book: CalendarBook) -> None:
    call, hidden = add(desk, "Call", "--invite", BOB), add(desk, "Homework", "--no-show")
    assert why(desk, call) == {
        ANN: ("due", "It is to be shown in the calendar; the next run puts it there."),
        BOB: ("left out", "This calendar does not show it, or its own sync has not seen it yet."),
    }
    done(sync(desk))
    done(sync(desk, BOB))
    assert why(desk, call)[ANN] == ("in step", "It is in this calendar, which decides its text.")
    assert why(desk, call)[BOB] == ("in step", f"This calendar shows it too; {ANN} decides its text.")
    assert why(desk, hidden, "--account", ANN) == {ANN: ("left out", "It is not to be shown in a calendar.")}
    done(desk("activities", "edit", call, "--title", "Call back"))
    assert why(desk, call)[ANN] == ("due", "It was changed in the CRM; the next run takes that to the provider.")
    done(sync(desk))
    told = flat(done(desk("why", call)).out)
    assert "Call back" in told
    assert "updated at the provider changed in the CRM title" in told
    done(desk("activities", "cancel", call))
    state, reason = why(desk, call)[ANN]
    assert (state, reason[:20]) == ("left out", "It was cancelled on ")


def test_a_meeting_before_the_chosen_day_or_of_somebody_else_says_so(desk: Terminal, google: GoogleDouble) -> None:
    google.calendar.outsider(TOM).create("Visit", SOON, SOON + HOUR, guests=[ANN])
    done(sync(desk))
    [visit] = done(desk("activities", "list", "--json")).json
    assert why(desk, visit["id"])[ANN][0] == "in step"
    done(desk("activities", "delete", visit["id"]))
    done(sync(desk))
    assert why(desk, visit["id"])[ANN][1].startswith("It was deleted in the CRM on ")
    done(desk("activities", "restore", visit["id"]))
    assert why(desk, visit["id"])[ANN] == ("left out", "Somebody else organizes it, and it left this calendar.")
    old = add(desk, "Old", "--start", "2020-03-02T10:00")
    assert why(desk, old)[ANN][1].startswith("It ends before 20")


def test_why_tells_nobody_but_its_owner_of_a_private_activity(desk: Terminal) -> None:
    one = add(desk, "Dentist", "--private", "--location", "Seestr. 4")
    done(sync(desk))
    for options in ((), ("--as", BOB)):
        told = done(desk("why", one, *options))
        assert "Dentist" not in told.out
        assert "It is private" in told.out
        assert done(desk("why", one, *options, "--json")).json["accounts"] == []
    assert "Dentist" in done(desk("why", one, "--as", ANN)).out
    assert why(desk, one, "--as", ANN)[ANN][0] == "in step"


def test_why_of_what_nobody_knows_names_both_places_to_look(desk: Terminal) -> None:
    outcome = desk("why", "nobody@example.com")
    assert outcome.code == 1
    assert "no contact or activity" in outcome.err
    assert "`twinbox activities list`" in outcome.err
