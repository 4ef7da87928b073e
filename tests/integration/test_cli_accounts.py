"""`twinbox` user, provider, account, config, keys, init: what people and scripts see, and every exit code."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from sandbox.clock import SandboxClock
from sandbox.google import Consent, GoogleDouble, SigningKey, new_signing_key
from sync.app import utc_now
from tests.support.cli_run import Outcome, Terminal
from tests.support.google_link import CLIENT_ID, CLIENT_SECRET, MAIL

ADDRESS = "ann@example.com"
PASSWORD = "a very private word"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(utc_now())


@pytest.fixture
def google(key: SigningKey) -> Iterator[GoogleDouble]:
    with GoogleDouble(clock=SandboxClock(), key=key) as google:
        google.users.add(ADDRESS, "Ann")
        google.users.add("bob@example.com", "Bob")
        google.clients.add("desktop", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        yield google


@pytest.fixture
def twinbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    networks = "127.0.0.0/8,::1/128"
    environment = {"TWINBOX_DATA_DIR": str(tmp_path / "data"), "TWINBOX_ALLOW_NETWORKS": networks}
    return Terminal(monkeypatch, environment)


@pytest.fixture
def with_google(twinbox: Terminal, google: GoogleDouble, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TWINBOX_GOOGLE_BASE_URL", google.base_url)
    done(twinbox("user", "add", "ann@crm.example"))
    secret = ("--client-id", CLIENT_ID, "--client-secret-stdin")
    done(twinbox("provider", "set", "gmail", *secret, stdin=CLIENT_SECRET + "\n"))
    return twinbox


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


def browser(url: str) -> httpx2.Response:
    with httpx2.Client(trust_env=False, follow_redirects=True) as client:
        return client.get(url)


def link_password(twinbox: Terminal, *options: str, stdin: str = PASSWORD + "\n") -> Outcome:
    link = ("account", "link", "--provider", "fastmail", "--address", "ann@fastmail.com", "--password-stdin")
    return twinbox(*link, "--no-verify", *options, stdin=stdin)


# -- set-up


def test_the_first_command_sets_everything_up_for_its_owner_alone(twinbox: Terminal, tmp_path: Path) -> None:
    assert done(twinbox("user", "list")).out == "No users yet: `twinbox user add ADDRESS`.\n"
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / "keys.txt").stat().st_mode) == 0o600


def test_init_may_be_repeated(twinbox: Terminal) -> None:
    first, second = done(twinbox("init", "--json")).json, done(twinbox("init", "--json")).json
    assert (first["keys_made"], second["keys_made"]) == (True, False)
    assert first["workspace_id"] == second["workspace_id"]


def test_a_lost_key_ring_stops_everything_and_makes_no_new_one(twinbox: Terminal, tmp_path: Path) -> None:
    done(twinbox("init"))
    (tmp_path / "data" / "keys.txt").unlink()
    outcome = twinbox("account", "list")
    assert (outcome.code, outcome.out) == (1, "")
    assert "backup" in outcome.err
    assert not (tmp_path / "data" / "keys.txt").exists()


def test_an_unknown_setting_is_named_with_the_likely_one(twinbox: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINBOX_DATADIR", "/somewhere")
    outcome = twinbox("user", "list")
    assert outcome.code == 1
    assert "did you mean TWINBOX_DATA_DIR?" in outcome.err
    assert "what to do:" in outcome.err


def test_a_data_folder_that_cannot_be_made_is_told(twinbox: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINBOX_DATA_DIR", "/proc/nothing/here")
    outcome = twinbox("user", "list")
    assert outcome.code == 1
    assert "TWINBOX_DATA_DIR" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_database_url_that_cannot_be_understood_is_told_without_showing_it(
    twinbox: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINBOX_KEYS", "k1:" + "9fTn2m0QGZ1vWv3n0hLJbA7m8hQy2uKx4R6sT5pYc1E=")
    for url in ("nonsense:secretword", "mysql://a:secretword@db/x", "://"):
        monkeypatch.setenv("TWINBOX_DATABASE_URL", url)
        outcome = twinbox("user", "list")
        assert outcome.code == 1
        assert "secretword" not in outcome.err
        assert "postgresql+psycopg://" in outcome.err


def test_config_shows_every_setting_and_masks_secrets(twinbox: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINBOX_BROKER_URL", "amqp://user:hidden@queue/")
    shown = {row["name"]: row for row in done(twinbox("config", "show", "--json")).json}
    assert shown["TWINBOX_BROKER_URL"]["value"] == "***"
    assert shown["TWINBOX_KEYS"]["value"] == ""
    assert shown["TWINBOX_MAIL_PERIOD"]["value"] == 300
    assert "hidden" not in done(twinbox("config", "show")).out


@pytest.mark.parametrize(
    "arguments", [("nothing",), ("user", "ad"), ("user", "add"), ("account", "list", "--jsn"), ("account", "link")]
)
def test_wrong_usage_ends_with_2(twinbox: Terminal, arguments: tuple[str, ...]) -> None:
    assert twinbox(*arguments).code == 2


# -- users


def test_users_are_added_and_listed(twinbox: Terminal) -> None:
    added = done(twinbox("user", "add", "Ann@CRM.example", "--name", "Ann", "--external-id", "17", "--json")).json
    assert (added["email"], added["external_id"], added["role"]) == ("ann@crm.example", "17", "user")
    assert done(twinbox("user", "list", "--json")).json == [added]
    assert "ann@crm.example" in done(twinbox("user", "list")).out


def test_a_user_cannot_be_added_twice(twinbox: Terminal) -> None:
    done(twinbox("user", "add", "ann@crm.example"))
    outcome = twinbox("user", "add", "ann@crm.example")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: a user with the address ann@crm.example")


def test_workspaces_do_not_see_each_other(twinbox: Terminal) -> None:
    done(twinbox("user", "add", "ann@crm.example"))
    assert twinbox("user", "list", "--workspace", "other").code == 1
    done(twinbox("init", "--workspace", "other"))
    assert done(twinbox("user", "list", "--workspace", "other", "--json")).json == []


# -- providers


def test_providers_are_listed_and_shown_without_their_secret(with_google: Terminal) -> None:
    names = [row["name"] for row in done(with_google("provider", "list", "--json")).json]
    assert {"gmail", "gmail-app-password", "imap"} <= set(names)
    shown = done(with_google("provider", "show", "gmail", "--json"))
    assert shown.json["imap"] == {"host": "imap.gmail.com", "port": 993, "security": "tls"}
    assert (shown.json["client_id"], shown.json["client_secret"]) == (CLIENT_ID, "***")
    assert CLIENT_SECRET not in shown.out
    assert CLIENT_SECRET not in done(with_google("provider", "show", "gmail")).out


def test_a_provider_is_added_by_options_and_changed_in_part(twinbox: Terminal) -> None:
    done(twinbox("provider", "add", "ours", "--imap-host", "imap.example.org", "--smtp-host", "smtp.example.org"))
    changed = done(twinbox("provider", "set", "ours", "--smtp-security", "starttls", "--login", "mailbox", "--json"))
    assert changed.json["smtp"] == {"host": "smtp.example.org", "port": 587, "security": "starttls"}
    assert changed.json["login"] == "mailbox"


def test_a_provider_may_come_from_a_file(twinbox: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text('[ours]\nimap = { host = "imap.example.org" }\nsmtp = { host = "smtp.example.org" }\n')
    assert done(twinbox("provider", "add", "ours", "--file", str(file), "--json")).json["smtp"]["port"] == 465


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("imap = }", "line 1, column 8"),
        ('imap = { host = "a b" }', "imap.host"),
        ('imap = { hots = "imap.example.org" }', "did you mean host?"),
        ('color = "red"', "color: no such key"),
        ("\x00", "line 1"),
    ],
)
def test_a_malformed_file_is_told_by_place_or_key(twinbox: Terminal, tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(text)
    outcome = twinbox("provider", "add", "ours", "--file", str(file))
    assert outcome.code == 1
    assert told in " ".join(outcome.err.split())
    assert "ours" not in [row["name"] for row in done(twinbox("provider", "list", "--json")).json]


def test_an_unknown_provider_is_answered_with_the_nearest(twinbox: Terminal) -> None:
    outcome = twinbox("provider", "show", "gmial")
    assert outcome.code == 1
    assert "gmail" in outcome.err


def test_the_provider_test_names_the_step_that_failed_and_what_to_do(twinbox: Terminal, closed_port: int) -> None:
    server = ("--imap-port", str(closed_port), "--smtp-port", str(closed_port))
    done(twinbox("provider", "add", "ours", "--imap-host", "127.0.0.1", "--smtp-host", "127.0.0.1", *server))
    outcome = twinbox("provider", "test", "ours")
    assert outcome.code == 1
    assert "✗" in outcome.out
    assert "what to do:" in outcome.out
    report = twinbox("provider", "test", "ours", "--json").json
    assert not report["ok"]


@pytest.fixture
def closed_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# -- accounts by password


def test_a_password_account_is_linked_listed_paused_resumed_and_removed(twinbox: Terminal) -> None:
    done(twinbox("user", "add", "ann@crm.example"))
    linked = done(link_password(twinbox, "--json")).json
    assert linked["channels"] == {"mail": "due"}
    row = done(twinbox("account", "list", "--json")).json[0]
    assert (row["id"], row["state"], row["user"]) == (linked["id"], "linked", "ann@crm.example")
    short = linked["id"][:8]
    assert short in done(twinbox("account", "list")).out
    assert done(twinbox("account", "pause", short, "--json")).json["state"] == "paused"
    assert done(twinbox("account", "resume", "ann@fastmail.com", "--json")).json["state"] == "linked"
    assert done(twinbox("account", "remove", short, "--yes", "--json")).json["mode"] == "keep"
    assert done(twinbox("account", "list", "--json")).json == []


def test_removing_asks_first(twinbox: Terminal) -> None:
    done(twinbox("user", "add", "ann@crm.example"))
    done(link_password(twinbox))
    assert twinbox("account", "remove", "ann@fastmail.com").code == 2
    assert len(done(twinbox("account", "list", "--json")).json) == 1


def test_an_empty_password_is_refused(twinbox: Terminal) -> None:
    done(twinbox("user", "add", "ann@crm.example"))
    assert link_password(twinbox, stdin="").code == 1


def test_a_server_that_cannot_be_reached_links_nothing(twinbox: Terminal, closed_port: int) -> None:
    done(twinbox("user", "add", "ann@crm.example"))
    server = ("--imap-port", str(closed_port), "--smtp-port", str(closed_port))
    done(twinbox("provider", "add", "ours", "--imap-host", "127.0.0.1", "--smtp-host", "127.0.0.1", *server))
    link = ("account", "link", "--provider", "ours", "--address", "ann@mail.example", "--password-stdin")
    outcome = twinbox(*link, stdin=PASSWORD)
    assert outcome.code == 1
    assert "refuses connections" in outcome.err
    assert PASSWORD not in outcome.err
    assert done(twinbox("account", "list", "--json")).json == []


def test_the_user_must_be_named_when_there_are_several(twinbox: Terminal) -> None:
    for name in ("ann", "bob"):
        done(twinbox("user", "add", f"{name}@crm.example"))
    assert link_password(twinbox).code == 2
    assert link_password(twinbox, "--user", "nobody@crm.example").code == 1
    done(link_password(twinbox, "--user", "bob@crm.example"))


# -- accounts by OAuth 2.0


def test_a_google_account_is_linked_through_the_browser(with_google: Terminal, google: GoogleDouble) -> None:
    google.auto_consent = Consent(user=ADDRESS, untick=[MAIL])
    pages: list[httpx2.Response] = []
    link = ("account", "link", "--provider", "gmail", "--channels", "mail,contacts", "--no-browser", "--json")
    outcome = with_google.browsing(*link, visit=lambda url: pages.append(browser(url)))
    assert done(outcome).json["channels"] == {"mail": "not granted", "contacts": "due"}
    assert pages[0].status_code == 200
    assert "Linked" in pages[0].text
    assert pages[0].headers["referrer-policy"] == "no-referrer"


def test_a_denial_ends_with_3_and_is_shown_in_the_browser_too(with_google: Terminal, google: GoogleDouble) -> None:
    google.auto_consent = Consent(deny=True)
    pages: list[httpx2.Response] = []
    outcome = with_google.browsing(
        "account", "link", "--provider", "gmail", "--no-browser", visit=lambda url: pages.append(browser(url))
    )
    assert outcome.code == 3
    assert "not allowed" in outcome.err
    assert "Not linked" in pages[0].text


def test_linking_again_repairs_the_account(with_google: Terminal, google: GoogleDouble) -> None:
    google.auto_consent = Consent(user=ADDRESS)
    first = done(with_google.browsing("account", "link", "--provider", "gmail", "--json", visit=browser)).json
    again = done(with_google.browsing("account", "link", "--relink", ADDRESS, "--json", visit=browser)).json
    assert (again["id"], again["repaired"]) == (first["id"], True)
    google.auto_consent = Consent(user="bob@example.com")
    assert with_google.browsing("account", "link", "--relink", ADDRESS, visit=browser).code == 1


def test_a_page_that_does_not_know_the_state_cannot_end_the_wait(with_google: Terminal, google: GoogleDouble) -> None:
    google.auto_consent = Consent(user=ADDRESS)

    def visit(url: str) -> None:
        redirect = httpx2.URL(url).params["redirect_uri"]
        assert browser(f"{redirect}?code=x&state=guessed").status_code == 400
        assert browser(redirect.replace("/callback", "/other")).status_code == 404
        with httpx2.Client(trust_env=False) as client:
            assert client.get(redirect, headers={"Host": "rebound.example"}).status_code == 404
        assert browser(url).status_code == 200

    done(with_google.browsing("account", "link", "--provider", "gmail", visit=visit))


def test_waiting_for_the_browser_has_an_end(with_google: Terminal) -> None:
    outcome = with_google("account", "link", "--provider", "gmail", "--timeout", "1")
    assert outcome.code == 1
    assert "nobody came back" in outcome.err


def test_an_unknown_channel_is_wrong_usage(with_google: Terminal) -> None:
    assert with_google("account", "link", "--provider", "gmail", "--channels", "mail,notes").code == 2


# -- keys


def test_key_rotation_is_shown_and_done(twinbox: Terminal, tmp_path: Path) -> None:
    done(twinbox("user", "add", "ann@crm.example"))
    done(link_password(twinbox))
    ring = tmp_path / "data" / "keys.txt"
    ring.write_text("new:9fTn2m0QGZ1vWv3n0hLJbA7m8hQy2uKx4R6sT5pYc1E=\n" + ring.read_text())
    before = done(twinbox("keys", "status", "--json")).json
    assert [(row["role"], row["secrets"]) for row in before] == [("seals", 0), ("opens", 1)]
    assert done(twinbox("keys", "rotate", "--json")).json == {"resealed": 1}
    assert [row["secrets"] for row in done(twinbox("keys", "status", "--json")).json] == [1, 0]
