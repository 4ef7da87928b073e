"""`twinbox` sync, status, runs, messages and account mail: what people and scripts see, and every exit code."""

from __future__ import annotations

import io
import itertools
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from cli.main import main
from cli.messages import file_name
from core.types import Channel
from models.syncing import RunRow
from sandbox.gmail import Fault, GmailDouble, PlainProfile
from sync.app import build_app
from sync.lease import take_lease
from tests.support.app_factory import make_key, make_settings
from tests.support.cli_run import Outcome, Terminal
from tests.support.mail_factory import make_mail
from tests.support.mail_servers import PlainBox, plain_box

DAY = datetime(2026, 2, 1, 12, tzinfo=UTC)
FILE = bytes(range(256)) * 20
NAMES = ("plan.pdf", "../../etc/evil.txt", "C:\\Windows\\evil.exe", ".bashrc", "a\x1b[2Jb.txt")


@pytest.fixture(scope="module")
def double() -> Iterator[GmailDouble]:
    with GmailDouble(profile=PlainProfile(), tls=False, smtp=False) as double:
        yield double


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, double: GmailDouble) -> Path:
    """A data folder with a user and a provider, copied for each test: migrating anew costs more than most of them."""
    folder = tmp_path_factory.mktemp("template") / "data"
    with pytest.MonkeyPatch.context() as patch:
        twinbox = Terminal(patch, {"TWINBOX_DATA_DIR": str(folder), "TWINBOX_KEYS": make_key()})
        done(twinbox("user", "add", "ann@crm.example"))
        server = ("--imap-host", "127.0.0.1", "--imap-port", str(double.imap_port), "--imap-security", "plain")
        done(twinbox("provider", "add", "ours", *server, "--smtp-host", "127.0.0.1"))
    return folder


@dataclass(frozen=True)
class Desk:
    """A terminal and a mailbox linked to the installation it works on."""

    run: Terminal
    box: PlainBox
    data: Path

    def sync(self, *options: str) -> Outcome:
        return self.run("sync", "start", self.box.address, "--wait", *options)

    def mail(self, *options: str) -> Outcome:
        return self.run("account", "mail", self.box.address, *options)


@pytest.fixture
def desk(
    tmp_path: Path, template: Path, double: GmailDouble, numbers: Iterator[int], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    data = shutil.copytree(template, tmp_path / "data")
    environment = {"TWINBOX_DATA_DIR": str(data), "TWINBOX_KEYS": make_key(), "TWINBOX_ALLOW_NETWORKS": "127.0.0.0/8"}
    twinbox = Terminal(monkeypatch, environment)
    box = plain_box(double, f"user{next(numbers)}@mail.example")
    for number in range(3):
        raw = make_mail(
            subject=f"Number {number}", message_id=f"<{number}@x>", sender=f"Bob {number} <b{number}@x.org>"
        )
        box.append("INBOX", raw, when=DAY + timedelta(days=number))
    link = ("account", "link", "--provider", "ours", "--address", box.address, "--password-stdin", "--no-verify")
    done(twinbox(*link, stdin=box.password + "\n"))
    monkeypatch.chdir(tmp_path)
    return Desk(twinbox, box, data)


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, (outcome.out, outcome.err)
    return outcome


# -- sync start


def test_a_sync_is_run_and_told(desk: Desk) -> None:
    first = done(desk.sync())
    assert first.out.startswith(f"{desk.box.address} mail: ok - ")
    assert "new: 3" in first.out
    assert done(desk.sync()).out == f"{desk.box.address} mail: ok - nothing had changed\n"


def test_a_sync_is_told_as_json(desk: Desk) -> None:
    outcome = done(desk.sync("--json"))
    run = outcome.json
    assert (run["outcome"], run["trigger"], run["channel"]) == ("ok", "manual", "mail")
    assert run["counts"]["new"] == 3
    assert (run["error"], run["advice"]) == ("", "")
    assert outcome.err == ""


def test_without_wait_the_account_is_only_made_due(desk: Desk) -> None:
    done(desk.mail("--no-auto"))
    assert done(desk.run("status", "--json")).json[0]["next_run_at"] is None
    answer = done(desk.run("sync", "start", desk.box.address, "--json")).json
    assert answer["queued"] is True
    assert done(desk.run("status", "--json")).json[0]["next_run_at"] is not None
    assert done(desk.run("runs", "list", "--json")).json == []


def test_a_server_in_trouble_ends_with_1(desk: Desk) -> None:
    desk.box.double.faults.arm(desk.box.address, Fault.login_no("[UNAVAILABLE] Try again"), times=None)
    outcome = desk.sync()
    assert outcome.code == 1
    assert "mail: failed" in outcome.out
    assert (desk.sync("--json").code, desk.sync("--json").json["outcome"]) == (1, "failed")


def test_a_limit_of_the_provider_ends_with_1_and_says_so(desk: Desk) -> None:
    desk.box.double.faults.arm(desk.box.address, Fault.overquota(on="EXAMINE"), times=None)
    outcome = desk.sync("--json")
    assert (outcome.code, outcome.json["outcome"]) == (1, "throttled")
    assert "pause" in outcome.json["error"]


def test_a_refused_password_ends_with_3_and_says_what_to_do(desk: Desk) -> None:
    desk.box.double.faults.arm(desk.box.address, Fault.login_no("[AUTHENTICATIONFAILED] Invalid credentials"))
    outcome = desk.sync()
    assert outcome.code == 3
    assert "mail: needs_relink" in outcome.out
    assert "what to do: " in outcome.out
    status = desk.run("status")
    assert status.code == 3
    assert "Invalid credentials" in status.out
    assert desk.run("status", "--json").code == 3


def test_a_message_the_server_will_not_give_ends_with_4_and_is_set_aside(desk: Desk) -> None:
    desk.box.double.faults.arm(desk.box.address, Fault.system_error(uid=2), times=None)
    assert done(desk.run("messages", "aside")).out == "Nothing is set aside.\n"
    outcome = desk.sync()
    assert outcome.code == 4
    assert "mail: partial" in outcome.out
    (row,) = done(desk.run("messages", "aside", "--json")).json
    assert (row["account"], row["mailbox"], row["uid"], row["attempts"]) == (desk.box.address, "INBOX", 2, 1)
    assert "System Error" in row["reason"]
    assert "INBOX" in done(desk.run("messages", "aside", "--account", desk.box.address)).out
    (state,) = done(desk.run("status", "--json")).json
    assert (state["messages"], state["set_aside"], state["last_outcome"]) == (2, 1, "partial")


def test_a_paused_account_is_not_synced(desk: Desk) -> None:
    done(desk.run("account", "pause", desk.box.address))
    for options in ((), ("--wait",)):
        outcome = desk.run("sync", "start", desk.box.address, *options)
        assert outcome.code == 1
        assert "the account is paused" in outcome.err
        assert "resume" in outcome.err


def test_an_unknown_channel_is_wrong_usage(desk: Desk) -> None:
    assert desk.run("sync", "start", desk.box.address, "--channel", "notes").code == 2
    assert desk.run("sync", "start", desk.box.address, "--channel", "contacts").code == 1


def leased(desk: Desk, seconds: int) -> str:
    """Let another worker take the run and die; the id of its run."""
    app = build_app(make_settings(desk.data.parent, lease_seconds=seconds))
    account = done(desk.run("account", "list", "--json")).json[0]["id"]
    run_id = take_lease(app, account, Channel.MAIL, trigger="schedule").run_id
    app.close()
    return run_id


def test_the_run_of_a_worker_that_died_is_taken_over(desk: Desk) -> None:
    dead = leased(desk, 1)
    outcome = done(desk.sync("--json"))
    assert (outcome.json["outcome"], outcome.json["counts"]["new"]) == ("ok", 3)
    assert done(desk.run("runs", "show", dead, "--json")).json["outcome"] == "failed"


def test_the_run_of_another_worker_is_waited_for(desk: Desk) -> None:
    theirs = leased(desk, 60)
    app = build_app(make_settings(desk.data.parent))
    with app.db.transaction() as session:
        session.execute(update(RunRow).where(RunRow.id == theirs).values(outcome="partial"))
    app.close()
    outcome = desk.sync("--json")
    assert (outcome.code, outcome.json["id"]) == (4, theirs)


# -- status and runs


def test_nothing_yet_is_said_in_words(desk: Desk) -> None:
    assert "No runs yet" in done(desk.run("runs", "list")).out
    assert "No messages yet" in done(desk.run("messages", "list")).out
    assert done(desk.run("messages", "list", "--json")).json == []


def test_status_shows_accounts_with_their_last_and_next_run(desk: Desk) -> None:
    done(desk.sync())
    (row,) = done(desk.run("status", "--json")).json
    assert (row["address"], row["state"], row["last_outcome"], row["messages"]) == (desk.box.address, "linked", "ok", 3)
    assert row["last_success_at"] < row["next_run_at"]
    assert not row["running"]
    assert desk.box.address in done(desk.run("status")).out


def test_runs_are_listed_newest_first_and_shown(desk: Desk) -> None:
    first, second = (done(desk.sync("--json")).json["id"] for _ in range(2))
    assert [run["id"] for run in done(desk.run("runs", "list", "--json")).json] == [second, first]
    one = done(desk.run("runs", "list", "--limit", "1", "--account", desk.box.address, "--json")).json
    assert [run["id"] for run in one] == [second]
    assert first[:8] in done(desk.run("runs", "list")).out
    assert done(desk.run("runs", "show", first[:10], "--json")).json["counts"]["new"] == 3
    assert "new: 3" in done(desk.run("runs", "show", first)).out
    assert desk.run("runs", "show", first[:3]).code == 1
    assert desk.run("runs", "list", "--limit", "0").code == 2


# -- messages


def test_messages_are_listed_newest_first_and_found_by_address(desk: Desk) -> None:
    done(desk.sync())
    listed = done(desk.run("messages", "list", "--json")).json
    assert [row["subject"] for row in listed] == ["Number 2", "Number 1", "Number 0"]
    assert [row["subject"] for row in done(desk.run("messages", "list", "--limit", "1", "--json")).json] == ["Number 2"]
    found = done(desk.run("messages", "list", "--address", "B1@X.org", "--json")).json
    assert [row["subject"] for row in found] == ["Number 1"]
    assert done(desk.run("messages", "list", "--address", "nobody@x.org", "--json")).json == []
    text = done(desk.run("messages", "list", "--account", desk.box.address)).out
    assert "INBOX" in text
    assert "Number 1" in text


def test_a_message_is_shown_by_number_and_by_message_id(desk: Desk) -> None:
    done(desk.sync())
    shown = done(desk.run("messages", "show", "<1@x>", "--json")).json
    assert (shown["subject"], shown["message_id"]) == ("Number 1", "1@x")
    assert shown["text"].strip() == "Hello there."
    text = done(desk.run("messages", "show", shown["id"])).out
    assert "Number 1" in text
    assert text.rstrip().endswith("Hello there.")


def test_a_subject_cannot_drive_the_terminal(desk: Desk) -> None:
    raw = make_mail(subject="X", message_id="<evil@x>", text="\x1b]0;owned\x07 [red]text[/red]\n")
    raw = raw.replace(b"Subject: X", b"Subject: =?utf-8?B?G1sySltib2xkXW93bmVk?=")
    desk.box.append("INBOX", raw)
    done(desk.sync())
    for command in (("list",), ("show", "<evil@x>")):
        out = done(desk.run("messages", *command)).out
        assert not set("\x1b\x07\x9b") & set(out)
        assert "[bold]owned" in out


def test_the_whole_message_comes_byte_for_byte(desk: Desk) -> None:
    raw = make_mail(message_id="<long@x>", text="x" * 70 + "\n", attachments=[("a.bin", "application/x", FILE * 20)])
    desk.box.append("INBOX", raw)
    done(desk.sync())
    out = io.TextIOWrapper(io.BytesIO())
    with redirect_stdout(out):
        assert main(("messages", "show", "<long@x>", "--raw")) == 0
    out.flush()
    assert out.buffer.getvalue() == raw


def with_files(desk: Desk) -> list[dict[str, str]]:
    """A message with an attachment for each name has arrived; how they are listed."""
    files = [(name, "application/octet-stream", FILE) for name in NAMES]
    desk.box.append("INBOX", make_mail(message_id="<files@x>", attachments=files))
    done(desk.sync())
    listed = done(desk.run("messages", "show", "<files@x>", "--json")).json["attachments"]
    assert len(listed) == len(NAMES)
    return list(listed)


def test_attachments_are_saved_under_harmless_names(desk: Desk, tmp_path: Path) -> None:
    sections = [file["section"] for file in with_files(desk)]
    before = {path.name for path in tmp_path.iterdir()}
    for section in sections:
        done(desk.run("messages", "show", "<files@x>", "--attachment", section))
    saved = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name not in before}
    assert all(content == FILE for content in saved.values())
    assert len(saved) == len(NAMES)
    assert {"plan.pdf", "evil.txt", "evil.exe", "bashrc"} < saved.keys()
    assert all(name.isprintable() and not name.startswith(".") for name in saved)
    assert not (tmp_path.parent / "etc").exists()


def test_an_existing_file_is_never_overwritten(desk: Desk, tmp_path: Path) -> None:
    (section, *_) = [file["section"] for file in with_files(desk)]
    (tmp_path / "plan.pdf").write_text("mine")
    (tmp_path / "link.pdf").symlink_to(tmp_path / "nowhere")
    for options in ((), ("--out", "plan.pdf"), ("--out", str(tmp_path)), ("--out", "link.pdf")):
        outcome = desk.run("messages", "show", "<files@x>", "--attachment", section, *options)
        assert outcome.code == 1
        assert "exists already" in outcome.err
        assert "--out" in outcome.err
    assert (tmp_path / "plan.pdf").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    done(desk.run("messages", "show", "<files@x>", "--attachment", section, "--out", "other.pdf"))
    assert (tmp_path / "other.pdf").read_bytes() == FILE


def test_a_place_that_cannot_be_written_or_a_part_that_is_not_there_is_told(desk: Desk) -> None:
    (section, *_) = [file["section"] for file in with_files(desk)]
    outcome = desk.run("messages", "show", "<files@x>", "--attachment", section, "--out", "nowhere/x.pdf")
    assert outcome.code == 1
    assert "cannot write nowhere/x.pdf" in outcome.err
    outcome = desk.run("messages", "show", "<files@x>", "--attachment", "99")
    assert outcome.code == 1
    assert "no part 99" in outcome.err


def test_half_a_file_is_not_left_behind(desk: Desk, tmp_path: Path) -> None:
    (section, *_) = [file["section"] for file in with_files(desk)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
        outcome = desk.run("messages", "show", "<files@x>", "--attachment", section, "--out", "half.pdf")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert outcome.code == 1
    assert not (tmp_path / "half.pdf").exists()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("plan.pdf", "plan.pdf"),
        ("../../x", "x"),
        ("..", "attachment"),
        ("/", "attachment"),
        ("", "attachment"),
        ("a/b\\c.txt", "c.txt"),
        ("a\0b\n.txt", "ab.txt"),
        ("evil\u202excod.exe", "evilxcod.exe"),
        ("\udc80x", "x"),
        ("...hidden", "hidden"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
        ("é" * 300, "é" * 100),
        ("a." + "b" * 300, "a." + "b" * 198),
    ],
)
def test_a_name_for_a_file_is_short_visible_and_has_no_path(given: str, name: str) -> None:
    assert file_name(given) == name


# -- account mail


def test_the_choices_are_shown_and_changed(desk: Desk) -> None:
    first = done(desk.mail("--json")).json
    assert (first["since"], first["folders"], first["exclude"], first["auto"]) == (None, [], [], True)
    changes = ("--since", "2026-02-02", "--folder", "INBOX", "--folder", "Work*", "--exclude", "\\junk")
    changed = done(desk.mail(*changes, "--period", "60", "--no-auto", "--json")).json
    assert changed == {
        "account": desk.box.address,
        "since": "2026-02-02",
        "folders": ["INBOX", "Work*"],
        "exclude": ["\\junk"],
        "period_s": 60,
        "auto": False,
    }
    assert done(desk.mail("--json")).json == changed
    back = done(desk.mail("--since", "none", "--folder", "none", "--exclude", "none", "--auto", "--json")).json
    assert back == first | {"period_s": 60}
    assert "INBOX" not in done(desk.mail()).out


def test_since_and_folders_take_effect_at_the_next_run(desk: Desk) -> None:
    desk.box.append("Sent", make_mail(subject="Sent", message_id="<sent@x>"))
    done(desk.mail("--since", "2026-02-02", "--folder", "INBOX"))
    done(desk.sync())
    subjects = [row["subject"] for row in done(desk.run("messages", "list", "--json")).json]
    assert subjects == ["Number 2", "Number 1"]
    done(desk.mail("--since", "none", "--folder", "none", "--exclude", "\\sent"))
    done(desk.sync())
    subjects = [row["subject"] for row in done(desk.run("messages", "list", "--json")).json]
    assert subjects == ["Number 2", "Number 1", "Number 0"]


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--since", "yesterday"), 1, "'yesterday' is not a date"),
        (("--since", "2026-02-30"), 1, "'2026-02-30' is not a date"),
        (("--folder", ""), 1, "a folder pattern is empty"),
        (("--period", "1"), 1, "too short"),
        (("--period", "-5"), 1, "too short"),
        (("--period", "9" * 30), 1, "too long"),
        (("--period", "often"), 2, "--period"),
        (("--auto", "maybe"), 2, "maybe"),
    ],
)
def test_a_choice_that_makes_no_sense_changes_nothing(
    desk: Desk, options: tuple[str, ...], code: int, told: str
) -> None:
    before = done(desk.mail("--json")).json
    outcome = desk.mail("--exclude", "Work", *options)
    assert outcome.code == code
    assert told in outcome.err
    assert "Traceback" not in outcome.err
    assert done(desk.mail("--json")).json == before


def test_folders_that_do_not_exist_are_told_by_the_run(desk: Desk) -> None:
    done(desk.mail("--folder", "Nothing"))
    outcome = desk.sync()
    assert outcome.code == 1
    assert "none of the chosen folders exists" in outcome.out
    assert "twinbox account mail" in outcome.out


def test_the_folders_show_what_is_stored_of_what_the_server_holds(desk: Desk) -> None:
    done(desk.sync())
    rows = {row["name"]: row for row in done(desk.run("account", "folders", desk.box.address, "--json")).json}
    assert (rows["INBOX"]["messages"], rows["INBOX"]["on_server"]) == (3, 3)
    assert "on the server" in done(desk.run("account", "folders", desk.box.address)).out
