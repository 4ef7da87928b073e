"""vCards of real programs in, and our own out and in again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.contact import Birthday, Contact, Entry, PostalAddress, canonical, to_json
from core.contact_file import FileContact, FileFault, FileRecord, decode_file
from core.vcard import VERSIONS, read_vcards, write_vcard
from core.vcard_lines import MAX_VALUE, fold
from sync.contact_files import ReadFormat, open_file

GOLDEN = Path(__file__).parent.parent / "golden" / "vcard"
ANN = canonical(
    Contact(
        prefix="Dr.",
        given_name="Ann, or Annie",
        middle_name="M;arie",
        family_name="Smith",
        nicknames=("Nan", "A, B"),
        emails=(Entry("ann@example.org", "work", True), Entry("ann@club.example", "Chess: club")),
        phones=(Entry("+1 202 555 0101", "mobile", True), Entry("+1 202 555 0102", "homeFax")),
        addresses=(
            PostalAddress(street="1 Main Street, back door", city="Springfield", country="USA", country_code="US"),
        ),
        urls=(Entry("https://ann.example/?a=1,2;b", "homePage"),),
        organization="Example, Inc.",
        department="Sales",
        title="Head",
        birthday=Birthday(5, 17),
        notes="one\n\ntwo, three; \\four " + "ä" * 100,
    )
)


def read(text: str | bytes) -> list[FileRecord]:
    return list(read_vcards(text.encode() if isinstance(text, str) else text))


def one(*lines: str, version: str = "3.0") -> Contact:
    found = read("\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD"]))
    assert isinstance(found[0], FileContact), found
    return found[0].contact


def as_json(record: FileRecord) -> dict[str, Any]:
    if isinstance(record, FileFault):
        return {"line": record.line, "reason": record.reason}
    return {"line": record.line, "external_id": record.external_id, "contact": to_json(record.contact)}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.vcf")), ids=lambda path: path.stem)
def test_a_file_of_a_real_program_is_read_as_written_down(path: Path) -> None:
    found = [as_json(one) for one in open_file(path.read_bytes(), ReadFormat.VCARD).records]
    assert found == orjson.loads(path.with_suffix(".json").read_bytes())


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_written_is_as_it_was_agreed_on(version: str) -> None:
    text = write_vcard(ANN, uid="crm-1", revised=datetime(2026, 3, 2, 9, 30, tzinfo=UTC), version=version)
    assert text.encode() == (GOLDEN / f"written_{version[0]}.txt").read_bytes()


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_written_is_read_back_equal(version: str) -> None:
    assert read(write_vcard(ANN, uid="crm-1", version=version)) == [FileContact(1, ANN, "crm-1")]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_the_encoding_of_a_file_is_found(codec: str) -> None:
    text = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Grün;Zoë\r\nEND:VCARD\r\n"
    assert read(text.encode(codec)) == [FileContact(1, Contact(given_name="Zoë", family_name="Grün"))]
    assert decode_file(text.encode(codec)) == text


def test_western_windows_is_assumed_for_what_is_not_utf_8() -> None:
    assert read("BEGIN:VCARD\nVERSION:3.0\nN:Grün\nEND:VCARD".encode("cp1252")) == [
        FileContact(1, Contact(family_name="Grün"))
    ]


def test_a_fold_in_the_middle_of_a_character_is_mended() -> None:
    line = "NOTE:grün".encode()
    torn = line[:8] + b"\r\n " + line[8:]
    found = read(b"BEGIN:VCARD\r\nVERSION:3.0\r\n" + torn + b"\r\nEND:VCARD")
    assert found == [FileContact(1, Contact(notes="grün"))]


def test_a_long_line_is_folded_at_75_octets_between_characters() -> None:
    pieces = fold("NOTE:" + "ä€😀" * 60).encode().split(b"\r\n")
    assert max(map(len, pieces)) <= 75
    assert all(piece.decode() for piece in pieces if piece)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do(end: str) -> None:
    assert read(end.join(["BEGIN:VCARD", "VERSION:3.0", "FN:Ann Smith", "END:VCARD"])) == [
        FileContact(1, Contact(given_name="Ann", family_name="Smith"))
    ]


def test_names_in_lower_case_and_cards_one_after_the_other_are_read() -> None:
    found = read("begin:vcard\nfn:A\nend:vcard\n\ufeffbegin:vcard\nfn:B\nend:vcard\n")
    assert [record.line for record in found] == [1, 4]


@pytest.mark.parametrize(
    ("lines", "primary"),
    [
        (("EMAIL:a@x", "EMAIL:b@x"), "a@x"),
        (("EMAIL:b@x", "EMAIL:a@x"), "b@x"),
        (("EMAIL;PREF=50:a@x", "EMAIL;PREF=2:b@x"), "b@x"),
        (("EMAIL;TYPE=home:a@x", "EMAIL;TYPE=work,PREF:b@x"), "b@x"),
        (("EMAIL;PREF=no:a@x", "EMAIL;PREF=9999:b@x"), "a@x"),
    ],
)
def test_the_preferred_address_or_else_the_first_is_the_primary_one(lines: tuple[str, ...], primary: str) -> None:
    assert one(*lines).emails[0].value == primary


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("19800517", Birthday(5, 17, 1980)),
        ("1980-05-17", Birthday(5, 17, 1980)),
        ("1980-05-17T00:00:00Z", Birthday(5, 17, 1980)),
        ("--0517", Birthday(5, 17)),
        ("--05-17", Birthday(5, 17)),
        ("1604-05-17", Birthday(5, 17, 1604)),
        ("1980", None),
        ("---17", None),
        ("about 1980", None),
        ("19801350", None),
        ("\u0661\u0669\u0668\u06600517", None),
    ],
)
def test_a_birthday_is_read_in_every_form_that_has_a_day(text: str, expected: Birthday | None) -> None:
    assert one("N:Smith", f"BDAY:{text}").birthday == expected


@pytest.mark.parametrize(
    ("lines", "given", "family"),
    [
        (("FN:Ann Marie Smith",), "Ann Marie", "Smith"),
        (("FN:Ann",), "Ann", ""),
        (("N:;;;;", "FN:Ann Smith"), "Ann", "Smith"),
        (("N:Jones;Bob", "FN:Ann Smith"), "Bob", "Jones"),
        (("FN:Example", "ORG:Example"), "", ""),
        (("FN:a@x.org", "EMAIL:a@x.org"), "", ""),
    ],
)
def test_the_formatted_name_speaks_where_the_name_is_silent(lines: tuple[str, ...], given: str, family: str) -> None:
    contact = one(*lines)
    assert (contact.given_name, contact.family_name) == (given, family)


def test_escapes_of_the_old_version_are_fewer() -> None:
    assert one("NOTE:C:\\new\\; ok", version="2.1").notes == "C:\\new; ok"
    assert one("NOTE:C:\\\\new\\; ok\\nB", version="3.0").notes == "C:\\new; ok\nB"
    assert one("NOTE:odd \\x and \\", version="4.0").notes == "odd \\x and \\"


def test_the_first_label_of_a_group_belongs_to_its_property_alone() -> None:
    contact = one("item1.EMAIL:a@x", "item1.X-ABLABEL:Boat", "item2.EMAIL:b@x", "X-ABLABEL:Stray")
    assert [entry.label for entry in contact.emails] == ["Boat", ""]


def test_an_identifier_that_cannot_be_stored_is_none() -> None:
    for uid in ("x" * 201, "a\\nb"):
        found = read(f"BEGIN:VCARD\nVERSION:3.0\nUID:{uid}\nFN:A\nEND:VCARD")
        assert isinstance(found[0], FileContact)
        assert found[0].external_id == ""


def test_a_photograph_may_be_long_but_a_note_may_not() -> None:
    long = "x" * (MAX_VALUE + 1)
    assert one(f"PHOTO:{long}", "FN:A").given_name == "A"
    assert read(f"BEGIN:VCARD\nNOTE:{long}\nEND:VCARD") == [FileFault(1, "NOTE of the card is too long")]


def test_a_card_with_too_many_properties_is_refused() -> None:
    found = read("BEGIN:VCARD\n" + "EMAIL:a@x\n" * 2_001 + "END:VCARD")
    assert found == [FileFault(1, "the card has more than 2000 properties")]


def test_nothing_after_the_last_allowed_card_is_read() -> None:
    found = read("BEGIN:VCARD\nEND:VCARD\n" * 100_002)
    assert len(found) == 100_001
    assert isinstance(found[-1], FileFault)
    assert "first 100000" in found[-1].reason
