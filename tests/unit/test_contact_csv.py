"""Tables of contacts: whose columns are understood, which rows are refused, and what joins with what is known."""

from __future__ import annotations

import pytest

from core.contact import Birthday, Contact, Entry, PostalAddress
from core.contact_csv import read_csv, write_csv
from core.contact_file import FileContact, FileFault, FileRecord, decode_file
from core.contact_fill import filled, other_person, updated

GOOGLE = (
    "First Name,Middle Name,Last Name,Phonetic First Name,Name Prefix,Name Suffix,Nickname,File As,Organization Name,"
    "Organization Title,Organization Department,Birthday,Notes,Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,"
    "E-mail 2 - Label,E-mail 2 - Value,Phone 1 - Label,Phone 1 - Value,Address 1 - Label,Address 1 - Formatted,"
    "Address 1 - Street,Address 1 - City,Address 1 - PO Box,Address 1 - Region,Address 1 - Postal Code,"
    "Address 1 - Country,Address 1 - Extended Address,Website 1 - Label,Website 1 - Value\r\n"
    'Ann,M.,Smith,,Dr.,Jr.,Nan,,Example,Head,Sales,--05-17,"one\ntwo",https://photo,* myContacts,Home,ann@home.example,'
    "* Work,ann@example.org ::: sales@example.org,Home Fax,+1 202 555 0102,Home,all of it,1 Main Street,Springfield,"
    "Box 1,IL,62701,US,Apt. 4,Chess Club,https://ann.example\r\n"
)
OUTLOOK = (
    "Title,First Name,Middle Name,Last Name,Suffix,Company,Department,Job Title,Business Street,Business Street 2,"
    "Business City,Business State,Business Postal Code,Business Country/Region,Home Address PO Box,Business Fax,"
    "Business Phone,Mobile Phone,Birthday,E-mail Address,E-mail Type,E-mail 2 Address,Notes,Web Page,Gender\r\n"
    "Dr.,Ann,,Smith,,Example,Sales,Head,1 Main Street,Floor 2,Springfield,IL,62701,USA,,030 2,030 1,0170 1,5/17/1980,"
    "ann@example.org,SMTP,ann@home.example,,https://ann.example,Unspecified\r\n"
    ",Bob,,,,,,,,,,,,,,,,,0/0/00,,,,,,Unspecified\r\n"
)


def read(text: str) -> list[FileRecord]:
    table = read_csv(text)
    assert table is not None
    return list(table.records)


def one(text: str) -> Contact:
    found = read(text)
    assert isinstance(found[0], FileContact), found
    return found[0].contact


def test_the_export_of_google_contacts_is_read() -> None:
    assert one(GOOGLE) == Contact(
        prefix="Dr.",
        given_name="Ann",
        middle_name="M.",
        family_name="Smith",
        suffix="Jr.",
        nicknames=("Nan",),
        emails=(
            Entry("ann@example.org", "work", True),
            Entry("ann@home.example", "home"),
            Entry("sales@example.org", "work"),
        ),
        phones=(Entry("+1 202 555 0102", "homeFax", True),),
        addresses=(
            PostalAddress("1 Main Street", "Apt. 4", "Box 1", "Springfield", "IL", "62701", "US", "", "home", True),
        ),
        urls=(Entry("https://ann.example", "Chess Club", True),),
        organization="Example",
        department="Sales",
        title="Head",
        birthday=Birthday(5, 17),
        notes="one\ntwo",
    )


def test_the_former_export_of_google_contacts_is_read() -> None:
    contact = one(
        "Name,Given Name,Family Name,Group Membership,E-mail 1 - Type,E-mail 1 - Value,Organization 1 - Name\n"
        "Ann Smith,Ann,Smith,* myContacts,* Work,ann@example.org,Example\n"
    )
    assert contact == Contact(
        given_name="Ann",
        family_name="Smith",
        emails=(Entry("ann@example.org", "work", True),),
        organization="Example",
    )


def test_the_english_export_of_outlook_is_read() -> None:
    found = read(OUTLOOK)
    assert found[0] == FileContact(
        2,
        Contact(
            prefix="Dr.",
            given_name="Ann",
            family_name="Smith",
            emails=(Entry("ann@example.org", "", True), Entry("ann@home.example", "")),
            phones=(Entry("030 2", "workFax", True), Entry("0170 1", "mobile"), Entry("030 1", "work")),
            addresses=(
                PostalAddress("1 Main Street, Floor 2", "", "", "Springfield", "IL", "62701", "USA", "", "work", True),
            ),
            urls=(Entry("https://ann.example", "", True),),
            organization="Example",
            department="Sales",
            title="Head",
            birthday=Birthday(5, 17, 1980),
        ),
    )
    assert found[1] == FileContact(3, Contact(given_name="Bob"))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found(separator: str) -> None:
    text = separator.join(["given_name", "email", "title"]) + "\n" + separator.join(["Ann", "ann@x", "Dr"])
    assert one(text) == Contact(given_name="Ann", emails=(Entry("ann@x", "", True),), title="Dr")


def test_the_hint_of_a_spreadsheet_is_followed() -> None:
    assert read("sep=;\r\nname;email\r\nAnn Smith;a,b@x\r\n") == [
        FileContact(3, Contact(given_name="Ann", family_name="Smith", emails=(Entry("a,b@x", "", True),)))
    ]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_the_encoding_is_found(codec: str) -> None:
    assert one(decode_file("Name,Firma\r\nZoë Grün,x\r\n".encode(codec))) == Contact(
        given_name="Zoë", family_name="Grün"
    )


def test_columns_that_hold_something_but_are_not_kept_are_named_once() -> None:
    table = read_csv("name,Gender,Hobby,Pet\nAnn,,chess,\nBob,,tea,\n")
    assert table is not None
    assert len(list(table.records)) == 2
    assert table.ignored == ["Hobby"]


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n1,2\n", "\x00\x01", '"'])
def test_a_table_without_any_known_column_is_none(text: str) -> None:
    assert read_csv(text) is None


def test_bad_rows_are_told_by_line_and_the_rest_is_read() -> None:
    found = read(
        'given_name,birthday,notes\nAnn,1980-05-17,"one\ntwo"\nBob,31/31/1980,\n\n,,\nEve,,,extra\n'
        f"Big,,{'x' * 140_000}\nMax,someday,\nKim,17.5.1980,\nLee,17/5/1980,,\n ,,- \n"
    )
    assert [(one.line, one.reason) for one in found if isinstance(one, FileFault)] == [
        (4, "'31/31/1980' is not a birthday"),
        (7, "the row has 4 cells, the header 3"),
        (8, "the row cannot be read: field larger than field limit (131072)"),
        (9, "'someday' is not a birthday"),
    ]
    assert [
        (one.line, one.contact.given_name, one.contact.birthday) for one in found if isinstance(one, FileContact)
    ] == [
        (2, "Ann", Birthday(5, 17, 1980)),
        (10, "Kim", Birthday(5, 17, 1980)),
        (11, "Lee", Birthday(5, 17, 1980)),
        (12, "", None),
    ]


def test_a_row_without_anything_that_is_kept_is_told() -> None:
    assert read("name,Hobby\n,chess\n") == [FileFault(2, "the row holds nothing that is kept")]


def test_an_empty_book_is_a_header() -> None:
    assert read(write_csv([])) == []


# -- joining with what is known

KNOWN = Contact(
    given_name="Ann",
    family_name="Smith",
    emails=(Entry("ann@x.org", "", True),),
    organization="Example",
    title="Boss",
    notes="known",
)
GIVEN = Contact(
    given_name="Ann",
    middle_name="Marie",
    emails=(Entry("ann@home.org", "home", True), Entry("ANN@x.org", "work")),
    organization="Other",
    department="Sales",
    notes="given",
    birthday=Birthday(5, 17),
)


def test_filling_keeps_what_is_there() -> None:
    assert filled(KNOWN, GIVEN) == Contact(
        given_name="Ann",
        middle_name="Marie",
        family_name="Smith",
        emails=(Entry("ann@x.org", "work", True), Entry("ann@home.org", "home")),
        organization="Example",  # and not the department of the other one
        title="Boss",
        notes="known",
        birthday=Birthday(5, 17),
    )


def test_updating_takes_what_is_given_and_empties_nothing() -> None:
    assert updated(KNOWN, GIVEN) == Contact(
        given_name="Ann",
        middle_name="Marie",
        family_name="Smith",
        emails=(Entry("ann@home.org", "home", True), Entry("ANN@x.org", "work")),
        organization="Other",
        department="Sales",
        title="Boss",
        notes="given",
        birthday=Birthday(5, 17),
    )


def test_parts_of_another_name_fill_no_gaps() -> None:
    bob = Contact(given_name="Bob", middle_name="K.", family_name="Jones", prefix="Dr.")
    assert filled(KNOWN, bob) == KNOWN
    assert other_person(KNOWN, bob)
    assert not other_person(KNOWN, Contact(given_name="Anna", family_name="Smith"))
    assert not other_person(KNOWN, Contact(given_name="ANN", family_name="Jones"))
