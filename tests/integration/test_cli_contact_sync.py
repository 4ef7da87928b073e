"""`twinbox` settings, sync, plan, runs, why, undo and decisions for contacts: what people and scripts see, and every
exit code. The account is linked through the real OAuth flow, the sync talks HTTP to Google's double."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from sandbox.google import Book, Consent, GoogleDouble
from sandbox.google.identity import SigningKey, new_signing_key
from tests.integration.google_flow import CONTACTS
from tests.support.app_factory import make_key
from tests.support.cli_run import Outcome, Terminal

ANN = "ann@example.com"
CLIENT_ID, CLIENT_SECRET = "desktop-client", "GOCSPX-desktop-secret"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(datetime.now(UTC))


@pytest.fixture
def google(key: SigningKey) -> Iterator[GoogleDouble]:
    with GoogleDouble(key=key) as double:
        double.users.add(ANN, "Ann")
        double.clients.add("desktop", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        yield double
        assert double.people.violations == []


@pytest.fixture
def desk(tmp_path: Path, google: GoogleDouble, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of an installation to which Ann's Google contacts are linked."""
    environment = {
        "TWINBOX_DATA_DIR": str(tmp_path / "data"),
        "TWINBOX_KEYS": make_key(),
        "TWINBOX_ALLOW_NETWORKS": "127.0.0.0/8",
        "TWINBOX_GOOGLE_BASE_URL": google.base_url,
    }
    twinbox = Terminal(monkeypatch, environment)
    done(twinbox("user", "add", "ann@crm.example"))
    secret = ("--client-id", CLIENT_ID, "--client-secret-stdin")
    done(twinbox("provider", "set", "gmail", *secret, stdin=CLIENT_SECRET + "\n"))
    google.auto_consent = Consent(user=ANN)
    link = ("account", "link", "--provider", "gmail", "--user", "ann@crm.example", "--channels", "contacts")
    done(twinbox.browsing(*link, visit=browser))
    return twinbox


@pytest.fixture
def book(google: GoogleDouble) -> Book:
    return google.people.book(ANN)


def browser(url: str) -> None:
    """Opens the address and follows the redirect to the command that waits for it."""
    with httpx2.Client(trust_env=False) as client:
        answer = client.get(url)
        client.get(answer.headers["location"])


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome
    return outcome


def sync(desk: Terminal, *options: str) -> Outcome:
    return desk("sync", "start", ANN, "--channel", "contacts", "--wait", *options)


def add(desk: Terminal, given: str, email: str = "", *more: str) -> str:
    """A contact in the CRM with the channel's tag; its id."""
    named = ("--given-name", given, *(("--email", email) if email else ()), *more)
    one = str(done(desk("contacts", "add", *named, "--json")).json["id"])
    done(desk("contacts", "tag", "Twinbox", one))
    return one


def group_of(book: Book) -> str:
    return next(iter(book.groups()))


def test_the_story_of_a_contact(desk: Terminal, book: Book) -> None:
    assert "created" not in done(sync(desk)).out
    assert list(book.groups().values()) == ["Twinbox"]
    one = add(desk, "Ada", "ada@example.com")
    assert done(sync(desk, "--json")).json["counts"] == {"created at the provider": 1}
    [remote] = book.members(group_of(book))
    book.edit(remote, {"organizations": [{"title": "Countess"}]})
    done(sync(desk))
    assert done(desk("contacts", "show", one, "--json")).json["title"] == "Countess"
    told = done(desk("why", one)).out
    assert "in step" in told
    assert "changed at the provider" in told
    status = done(desk("status", "--json")).json
    assert [(row["channel"], row["contacts"], row["state"]) for row in status] == [("contacts", 1, "linked")]


def test_a_plan_writes_nothing(desk: Terminal, book: Book) -> None:
    done(sync(desk))
    add(desk, "Ada", "ada@example.com")
    plan = done(desk("sync", "plan", ANN))
    assert "create at the provider" in plan.out
    assert "has the tag in the CRM" in plan.out
    assert book.persons() == {}
    assert done(desk("sync", "plan", ANN, "--json")).json["actions"][0]["reason"] == "new_in_crm"


def test_what_is_held_is_shown_confirmed_and_done(desk: Terminal, book: Book) -> None:
    done(sync(desk))
    ids = [add(desk, f"P{number}", f"p{number}@example.com") for number in range(13)]
    done(sync(desk))
    done(desk("contacts", "untag", "Twinbox", *ids[:11]))
    held = sync(desk, "--json")
    assert (held.code, held.json["outcome"]) == (4, "held")
    assert len(book.members(group_of(book))) == 13
    run = held.json["id"]
    assert "P3" in done(desk("runs", "show", run)).out
    assert desk("sync", "plan", ANN).code == 4
    assert "held" in done(desk("status")).out
    done(desk("runs", "discard", run))
    done(desk("runs", "confirm", run))
    assert done(sync(desk, "--json")).json["counts"] == {"taken out of the group": 11}
    assert desk("runs", "confirm", run).code == 1


def test_an_ambiguous_contact_is_decided(desk: Terminal, book: Book) -> None:
    done(sync(desk))
    family = [{"value": "family@example.com"}]
    ada = book.add({"names": [{"givenName": "Ada"}], "emailAddresses": family})
    book.add({"names": [{"givenName": "Bert"}], "emailAddresses": family})
    done(sync(desk))
    add(desk, "Family", "family@example.com")
    assert "needs a decision: 1" in done(sync(desk)).out
    assert "Ada" in done(desk("contacts", "decisions")).out
    assert desk("contacts", "decide", "Family", "nobody").code == 2
    assert "the next run acts on it" in done(desk("contacts", "decide", "Family", ada)).out
    done(sync(desk))
    assert book.members(group_of(book)) == [ada]


def test_a_run_and_a_field_are_taken_back(desk: Terminal, book: Book) -> None:
    done(sync(desk))
    one = add(desk, "Ada", "ada@example.com", "--title", "Countess")
    done(sync(desk))
    [remote] = book.members(group_of(book))
    book.edit(remote, {"organizations": [{"title": "Analyst"}]})
    run = done(sync(desk, "--json")).json["id"]
    assert "restored: 1" in done(desk("undo", run)).out
    assert book.stored()[remote]["organizations"][0]["title"] == "Countess"
    done(desk("contacts", "edit", one, "--title", "Programmer"))
    done(sync(desk))
    done(desk("undo", "--contact", one, "--field", "title"))
    assert done(desk("contacts", "show", one, "--json")).json["title"] == "Countess"
    assert book.stored()[remote]["organizations"][0]["title"] == "Countess"


@pytest.mark.parametrize(
    "arguments",
    [
        ("settings", "contacts", ANN, "--period", "59"),
        ("settings", "contacts", ANN, "--tag", "Nobody has it"),
        ("settings", "contacts", "somebody@else.example", "--period", "600"),
        ("settings", "contacts", ANN, "--group", " "),
        ("sync", "start", ANN, "--channel", "letters"),
        ("sync", "plan", "somebody@else.example"),
        ("sync", "plan", ANN, "--channel", "mail"),
        ("undo",),
        ("undo", "abcd", "--contact", "x", "--field", "title"),
        ("undo", "--contact", "x"),
    ],
)
def test_bad_input_ends_with_2_and_changes_nothing(desk: Terminal, arguments: tuple[str, ...]) -> None:
    before = done(desk("settings", "contacts", ANN, "--json")).json
    outcome = desk(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Traceback" not in outcome.err
    assert before == done(desk("settings", "contacts", ANN, "--json")).json


def test_settings_are_shown_and_changed(desk: Terminal, book: Book) -> None:
    done(desk("tag", "add", "Clients", "--owner", "ann@crm.example"))
    changed = ("--tag", "Clients", "--group", "Customers", "--period", "3600", "--no-auto")
    done(desk("settings", "contacts", ANN, *changed))
    shown = done(desk("settings", "contacts", ANN, "--json")).json
    assert {name: shown[name] for name in ("tag", "group", "period_s", "auto")} == {
        "tag": "Clients",
        "group": "Customers",
        "period_s": 3600,
        "auto": False,
    }
    done(sync(desk))
    assert list(book.groups().values()) == ["Customers"]


def test_a_revoked_grant_ends_with_3_and_relinking_goes_on_where_it_was(
    desk: Terminal, google: GoogleDouble, book: Book
) -> None:
    done(sync(desk))
    add(desk, "Ada", "ada@example.com")
    done(sync(desk))
    google.revoke_user(ANN)
    assert sync(desk).code == 3
    assert desk("status").code == 3
    done(desk.browsing("account", "link", "--relink", ANN, visit=browser))
    outcome = done(sync(desk, "--json")).json
    assert outcome["counts"] == {}
    assert len(book.persons()) == 1


def test_an_unticked_box_leaves_contacts_out_and_says_so(desk: Terminal, google: GoogleDouble) -> None:
    google.auto_consent = Consent(user=ANN, untick=[CONTACTS])
    google.revoke_user(ANN)
    linked = desk.browsing("account", "link", "--relink", ANN, visit=browser)
    assert "not granted" in linked.out + linked.err
    outcome = sync(desk)
    assert outcome.code == 1
    assert "not granted" in outcome.err


def test_the_secrets_of_a_contacts_run_appear_nowhere(desk: Terminal, google: GoogleDouble, tmp_path: Path) -> None:
    add_first = sync(desk, "--json")
    tokens = [*google.store._access, *google.store._refresh]
    assert tokens
    add(desk, "Ada", "ada@example.com")
    outcomes = [add_first, sync(desk), desk("status", "--json"), desk("runs", "list", "--json")]
    shown = "".join(outcome.out + outcome.err for outcome in outcomes)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("twinbox.db*"))
    for token in (*tokens, CLIENT_SECRET):
        assert token not in shown
        assert token.encode() not in stored
    assert urlsplit(google.base_url).port


# ---- the calendar's settings -------------------------------------------------------------------------------


@pytest.fixture
def with_calendar(desk: Terminal) -> Terminal:
    """The same account, with its calendar."""
    link = ("account", "link", "--provider", "gmail", "--user", "ann@crm.example", "--channels", "contacts,calendar")
    done(desk.browsing(*link, visit=browser))
    return desk


def test_the_settings_of_the_calendar_are_shown_and_changed(with_calendar: Terminal) -> None:
    shown = done(with_calendar("settings", "calendar", ANN, "--json")).json
    assert (shown["period_s"], shown["auto"]) == (600, True)
    changed = ("--since", "2026-01-31", "--period", "900", "--no-auto")
    done(with_calendar("settings", "calendar", ANN, *changed))
    shown = done(with_calendar("settings", "calendar", ANN, "--json")).json
    assert (shown["since"], shown["period_s"], shown["auto"]) == ("2026-01-31", 900, False)


@pytest.mark.parametrize(
    "options",
    [("--since", "2999-01-01"), ("--since", "yesterday"), ("--period", "59"), ("--preview",), ("--calendar", "None")],
)
def test_bad_settings_of_the_calendar_end_with_2_and_change_nothing(
    with_calendar: Terminal, options: tuple[str, ...]
) -> None:
    before = done(with_calendar("settings", "calendar", ANN, "--json")).json
    outcome = with_calendar("settings", "calendar", ANN, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert "what to do" in outcome.err
    assert done(with_calendar("settings", "calendar", ANN, "--json")).json == before


def test_calendars_are_listed_chosen_and_let_go(with_calendar: Terminal, google: GoogleDouble) -> None:
    book = google.calendar.book(ANN)
    team = book.make_calendar("Team")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    book.create("Retreat", tomorrow, tomorrow + timedelta(hours=1), calendar=team)
    rows = done(with_calendar("settings", "calendar", ANN, "--calendars", "--json")).json
    assert [(row["name"], row["own"], row["chosen"]) for row in rows] == [(ANN, True, True), ("Team", False, False)]
    preview = done(with_calendar("settings", "calendar", ANN, "--calendar", "Team", "--preview", "--json")).json
    assert [line["name"] for line in preview] == ["Retreat"]
    shown = done(with_calendar("settings", "calendar", ANN, "--calendar", ANN, "--calendar", team, "--json")).json
    assert [one["id"] for one in shown["calendars"]] == ["primary", team]
    done(with_calendar("sync", "start", ANN, "--channel", "calendar", "--wait"))
    refused = with_calendar("settings", "calendar", ANN, "--calendar", ANN)
    assert (refused.code, "--yes" in refused.err, "1 events" in refused.err) == (2, True, True)
    done(with_calendar("settings", "calendar", ANN, "--calendar", ANN, "--yes"))
    assert "Team" not in done(with_calendar("settings", "calendar", ANN)).out
    assert len(book.events(team)) == 1
    done(with_calendar("sync", "start", ANN, "--channel", "calendar", "--wait"))
    [retreat] = done(with_calendar("activities", "list", "--json")).json
    [told] = done(with_calendar("why", retreat["id"], "--json")).json["accounts"]
    assert "not followed any more" in told["why"]


def test_an_account_without_a_calendar_says_how_to_get_one(desk: Terminal) -> None:
    outcome = desk("settings", "calendar", ANN)
    assert outcome.code == 1
    assert "--channels calendar" in outcome.err
