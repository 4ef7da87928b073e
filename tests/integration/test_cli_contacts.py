"""`twinbox contacts` and `twinbox tag`: what people and scripts see, and every exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.cli_run import Outcome, Terminal

CARDS = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u1\r\nN:Smith;Ann\r\nEMAIL:ann@x.org\r\nEND:VCARD\r\n"
    "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Jones;Bob\r\nTEL;TYPE=CELL:+1 202 555 0101\r\nEND:VCARD\r\n"
)


@pytest.fixture
def twinbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch, {"TWINBOX_DATA_DIR": str(tmp_path / "data")})


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


def add(twinbox: Terminal, *options: str) -> dict[str, Any]:
    record: dict[str, Any] = done(twinbox("contacts", "add", *options, "--json")).json
    return record


def test_a_contact_is_added_shown_changed_deleted_and_restored(twinbox: Terminal) -> None:
    made = add(
        twinbox,
        *("--given-name", "Ann", "--family-name", "Smith", "--email", "work:ann@x.org", "--email", "ann@home.example"),
        *("--phone", "mobile:+49 170 1", "--url", "https://x.org/a", "--address", "home:Street 1;Town;1234;Germany"),
        *("--birthday=--05-17", "--external-id", "17", "--modified-at", "2026-03-01T10:00:00"),
    )
    assert made["emails"][0] == {"value": "ann@x.org", "label": "work", "primary": True}
    assert made["urls"][0]["value"] == "https://x.org/a"
    assert made["addresses"][0]["postal_code"] == "1234"
    assert made["modified_at"] == "2026-03-01T10:00:00+00:00"
    assert done(twinbox("contacts", "show", "17", "--json")).json == made
    shown = done(twinbox("contacts", "show", "ann@home.example")).out
    assert "ann@x.org (work)" in shown
    assert "--05-17" in shown

    changed = done(twinbox("contacts", "edit", "17", "--title", "Boss", "--email", "", "--version", "1", "--json")).json
    assert (changed["title"], changed["emails"], changed["version"]) == ("Boss", [], 2)
    assert "Nothing to change" in done(twinbox("contacts", "edit", "17", "--title", "Boss")).out

    short = made["id"][:8]
    assert f"restore {short}" in done(twinbox("contacts", "delete", short)).out
    assert done(twinbox("contacts", "list", "--json")).json == []
    assert len(done(twinbox("contacts", "list", "--deleted", "--json")).json) == 1
    assert done(twinbox("contacts", "restore", short, "--json")).json["deleted_at"] is None
    assert short in done(twinbox("contacts", "list")).out


def test_a_change_on_an_old_version_is_refused_with_the_present_one(twinbox: Terminal) -> None:
    add(twinbox, "--given-name", "Ann", "--email", "ann@x.org")
    done(twinbox("contacts", "edit", "ann@x.org", "--title", "Boss"))
    for command in (("edit", "ann@x.org", "--title", "Head"), ("delete", "ann@x.org")):
        outcome = twinbox("contacts", *command, "--version", "1")
        assert (outcome.code, outcome.out) == (1, "")
        assert "at version 2, not 1" in outcome.err
        assert "what to do:" in outcome.err


@pytest.mark.parametrize(
    "command",
    [
        ("contacts", "add", "--birthday", "someday", "--given-name", "A"),
        ("contacts", "add", "--birthday", "1980-13-01"),
        ("contacts", "add", "--modified-at", "now", "--given-name", "A"),
        ("contacts", "add", "--address", "a;b;c;d;e"),
        ("contacts", "edit"),
        ("contacts", "edit", "x", "--version", "0"),
        ("contacts", "list", "--limit", "0"),
        ("contacts", "import"),
        ("contacts", "import", "x", "--format", "xml"),
        ("contacts", "export", "--format", "xml"),
        ("contacts", "tag", "x"),
        ("tag", "add", "x", "--kind", "secret"),
        ("tag", "add"),
    ],
)
def test_wrong_usage_ends_with_2(twinbox: Terminal, command: tuple[str, ...]) -> None:
    assert twinbox(*command).code == 2


@pytest.mark.parametrize(
    "command",
    [
        ("contacts", "add"),
        ("contacts", "add", "--email", "nonsense"),
        ("contacts", "add", "--given-name", "A", "--tag", "nothing"),
        ("contacts", "show", "nobody"),
        ("contacts", "list", "--tag", "nothing"),
        ("contacts", "list", "--after", "nobody"),
        ("contacts", "tag", "nothing", "nobody"),
        ("contacts", "import", "/nothing/here.vcf"),
        ("contacts", "export", "/nothing/here.vcf"),
        ("tag", "add", "friends"),
        ("tag", "add", "friends", "--owner", "nobody@crm.example"),
        ("tag", "delete", "nothing"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_what_to_do(twinbox: Terminal, command: tuple[str, ...]) -> None:
    outcome = twinbox(*command)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: ")
    assert "\nwhat to do: " in outcome.err
    assert outcome.err.count("\n") == 2


def test_tags_are_made_given_taken_and_deleted(twinbox: Terminal) -> None:
    done(twinbox("user", "add", "ann@crm.example"))
    done(twinbox("user", "add", "bob@crm.example"))
    add(twinbox, "--given-name", "Ann", "--email", "ann@x.org")
    add(twinbox, "--given-name", "Bob", "--email", "bob@x.org")
    done(twinbox("tag", "add", "friends", "--owner", "ann@crm.example"))
    done(twinbox("tag", "add", "friends", "--owner", "bob@crm.example"))
    outcome = twinbox("contacts", "tag", "friends", "ann@x.org")
    assert outcome.code == 1
    assert "--owner" in outcome.err
    whose = ("--owner", "ann@crm.example")
    both = done(twinbox("contacts", "tag", "friends", "ann@x.org", "bob@x.org", *whose, "--json")).json
    assert both["changed"] == 2
    assert "1 contact lost" in done(twinbox("contacts", "untag", "Friends", "bob@x.org", *whose)).out
    rows = done(twinbox("contacts", "list", "--tag", "friends", *whose, "--json")).json
    assert [row["name"] for row in rows] == ["Ann"]
    assert [row["contacts"] for row in done(twinbox("tag", "list", "--json")).json] == [1, 0]
    assert done(twinbox("tag", "rename", "friends", "pals", *whose, "--json")).json["name"] == "pals"
    assert done(twinbox("tag", "delete", "pals", "--json")).json["contacts"] == 1
    assert "bob@crm.example" in done(twinbox("tag", "list")).out


def test_pages_follow_one_another(twinbox: Terminal) -> None:
    for name in ("A", "B", "C"):
        add(twinbox, "--given-name", name)
    first = done(twinbox("contacts", "list", "--limit", "2", "--json")).json
    rest = done(twinbox("contacts", "list", "--after", first[-1]["id"], "--json")).json
    assert [row["name"] for row in first + rest] == ["A", "B", "C"]


def test_workspaces_do_not_see_each_other(twinbox: Terminal) -> None:
    record = add(twinbox, "--given-name", "Ann")
    done(twinbox("init", "--workspace", "other"))
    assert done(twinbox("contacts", "list", "--workspace", "other", "--json")).json == []
    assert twinbox("contacts", "show", record["id"], "--workspace", "other").code == 1


def test_an_odd_name_cannot_write_to_the_terminal(twinbox: Terminal) -> None:
    add(twinbox, "--given-name", "[bold]Ann\x1b[31m\u202e")
    for command in (("list",), ("show", "x@y")):
        out = twinbox("contacts", *command).out
        assert "\x1b" not in out
        assert "\u202e" not in out


# -- files


def test_a_file_is_imported_and_exported_in_every_format(twinbox: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "in.vcf"
    file.write_bytes(CARDS.encode())
    dry = done(twinbox("contacts", "import", str(file), "--dry-run"))
    assert dry.out == "Nothing was written. It would be: 2 added, 0 changed, 0 unchanged, 0 rejected.\n"
    assert done(twinbox("contacts", "list", "--json")).json == []
    report = done(twinbox("contacts", "import", str(file), "--json")).json
    assert (report["added"], report["format"], report["rejected"]) == (2, "vcard", [])
    for name in ("vcard", "vcard3", "csv"):
        out = done(twinbox("contacts", "export", "--format", name)).out
        again = done(twinbox("contacts", "import", "-", "--json", stdin=out)).json
        assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 2)
    records = orjson.loads(done(twinbox("contacts", "export", "--format", "json")).out)
    assert [record["name"] for record in records] == ["Ann Smith", "Bob Jones"]


def test_an_export_goes_to_a_new_file_only(twinbox: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    done(twinbox("contacts", "export", str(file), "--format", "json"))
    assert file.read_bytes() == b"[]\n"
    assert "exists already" in twinbox("contacts", "export", str(file)).err
    assert file.read_bytes() == b"[]\n"


def test_what_was_rejected_is_told_and_the_rest_imported(twinbox: Terminal, tmp_path: Path) -> None:
    done(twinbox("tag", "add", "vip", "--kind", "public"))
    file = tmp_path / "in.csv"
    file.write_text("First Name;E-mail 1 - Value;Hobby\nAnn;ann@x.org;chess\nBob;nonsense;\nEve;eve@x.org;;4\n")
    outcome = twinbox("contacts", "import", str(file), "--tag", "vip")
    assert outcome.code == 4
    assert outcome.out.splitlines() == [
        "1 added, 0 changed, 0 unchanged, 2 rejected.",
        "Not kept, no field for it: Hobby.",
        "line 3: 'nonsense' is not a mail address",
        "line 4: the row has 4 cells, the header 3",
    ]
    rows = done(twinbox("contacts", "list", "--tag", "vip", "--json")).json
    assert [row["name"] for row in rows] == ["Ann"]
    report = twinbox("contacts", "import", str(file), "--json")
    assert (report.code, report.json["unchanged"]) == (4, 1)
    assert report.json["rejected"][0] == {"line": 3, "reason": "'nonsense' is not a mail address"}


@pytest.mark.parametrize("text", ["", "\n", "garbage", "a,b\n1,2\n", "given_name\n", "BEGIN:VCARD\nFN:A\n"])
def test_a_file_of_which_nothing_can_be_read_ends_with_1(twinbox: Terminal, text: str) -> None:
    outcome = twinbox("contacts", "import", "-", stdin=text)
    assert outcome.code == 1
    assert outcome.out or "what to do: " in outcome.err
    assert done(twinbox("contacts", "list", "--json")).json == []


def test_all_may_be_added_as_new(twinbox: Terminal) -> None:
    for _ in range(2):
        assert done(twinbox("contacts", "import", "-", "--new", "--json", stdin=CARDS)).json["added"] == 2
