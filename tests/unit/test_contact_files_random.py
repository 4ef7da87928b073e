"""Random contacts survive a file of each format; random bytes never raise. Run more with `make fuzz`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.contact import Birthday, Contact, Entry, PostalAddress, canonical
from core.contact_csv import read_csv, write_csv
from core.contact_file import FileContact, FileFault, FileRecord, decode_file
from core.contact_fill import filled, updated
from core.errors import ItemRejected
from core.vcard import VERSIONS, read_vcards, write_vcard
from core.vcard_labels import PHONES
from sync.contact_files import ReadFormat, open_file

_texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["a@b.org", "a,b;c\\d", "\\n", '"q"', " ::: ", "_$!<Home>!$_", "* x", "Ä", "1"]),
)
_labels = st.one_of(_texts, st.sampled_from([*PHONES, "fax", "cell", "HOME", "homePage"]))
_entries = st.lists(st.builds(Entry, _texts, _labels, st.booleans()), max_size=4).map(tuple)
_places = st.builds(
    PostalAddress,
    **dict.fromkeys(("street", "extended", "po_box", "city", "region", "postal_code", "country"), _texts),
    country_code=st.sampled_from(["", "DE", "US"]),
    label=_labels,
    primary=st.booleans(),
)
_birthdays = st.one_of(
    st.none(), st.builds(Birthday, st.integers(1, 12), st.integers(1, 31), st.one_of(st.just(0), st.integers(1, 9999)))
)
_contacts = st.builds(
    Contact,
    **dict.fromkeys(("prefix", "given_name", "middle_name", "family_name", "suffix"), _texts),
    **dict.fromkeys(("organization", "department", "title", "notes"), _texts),
    nicknames=st.lists(_texts, max_size=3).map(tuple),
    emails=_entries,
    phones=_entries,
    urls=_entries,
    addresses=st.lists(_places, max_size=3).map(tuple),
    birthday=_birthdays,
).map(lambda contact: canonical(contact))

_CARD_PIECES = (
    b"BEGIN:VCARD", b"END:VCARD", b"VERSION:2.1", b"VERSION:3.0", b"VERSION:4.0", b"N:", b"FN:", b"item1.",
    b"X-ABLabel:",
    b"EMAIL", b";TYPE=", b";PREF=1", b";ENCODING=QUOTED-PRINTABLE", b";CHARSET=", b"utf-16", b"idna", b":", b";", b",",
    b"\\", b"\\n", b"=", b"=C3", b"=\r\n", b"\r\n", b"\n", b"\r", b"\r\n ", b"\n\t", b'"', b"ADR:", b"BDAY:", b"--0517",
    b"AGENT:", b"ORG:;", b"UID:x", b"KIND:group", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe4", b"a@b", b"^n",
)  # fmt: skip
_CSV_PIECES = (
    b"E-mail 1 - Value", b"Phone 1 - Label", b"First Name", b"given_name", b"email_2_label", b"Birthday", b"Notes",
    b"Home Street 2", b"Address 1 - City", b"nickname_1", b"name", b",", b";", b"\t", b'"', b"\r\n", b"\n", b"\r",
    b"sep=;",
    b" ::: ", b"* ", b"0/0/00", b"1/2/1990", b"31.1.1990", b"--05-17", b"a@b", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\xe4", b"x",
)  # fmt: skip


def _bytes(pieces: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    mixed = st.lists(st.one_of(st.sampled_from(pieces), st.binary(max_size=4)), max_size=60).map(b"".join)
    return st.one_of(mixed, st.binary(max_size=200))


def check_records(records: list[FileRecord]) -> None:
    for record in records:
        assert record.line >= 1
        if isinstance(record, FileFault):
            assert record.reason
        else:
            assert record.contact == canonical(record.contact) != Contact()


@given(_contacts, st.sampled_from(VERSIONS))
def test_a_contact_survives_a_vcard(contact: Contact, version: str) -> None:
    found = list(read_vcards(write_vcard(contact, version=version).encode()))
    expected: FileRecord = FileContact(1, contact)
    if contact == Contact():
        expected = FileFault(1, "the card holds nothing that is kept")
    assert found == [expected]


@given(st.lists(_contacts.filter(lambda contact: contact != Contact()), max_size=3))
def test_contacts_survive_a_table(contacts: list[Contact]) -> None:
    table = read_csv(write_csv([(f"id-{number}", contact) for number, contact in enumerate(contacts)]))
    assert table is not None
    found = list(table.records)
    assert [(one.external_id, one.contact) for one in found if isinstance(one, FileContact)] == [
        (f"id-{number}", contact) for number, contact in enumerate(contacts)
    ]
    assert (len(found), table.ignored) == (len(contacts), [])


@given(_bytes(_CARD_PIECES))
def test_no_bytes_upset_the_reader_of_cards(data: bytes) -> None:
    check_records(list(read_vcards(data)))
    check_records(list(open_file(b"BEGIN:VCARD\n" + data, ReadFormat.VCARD).records))


@given(_bytes(_CSV_PIECES))
def test_no_bytes_upset_the_reader_of_tables(data: bytes) -> None:
    table = read_csv("name," + decode_file(data))
    if table is not None:
        check_records(list(table.records))


@given(_bytes((*_CARD_PIECES, *_CSV_PIECES)))
def test_a_file_is_opened_or_refused(data: bytes) -> None:
    with suppress(ItemRejected):
        check_records(list(open_file(data).records))


@given(_contacts, _contacts)
def test_joining_takes_nothing_away_and_is_done_once(present: Contact, given_: Contact) -> None:
    for join in (filled, updated):
        joined = join(present, given_)
        assert join(joined, given_) == joined
        assert join(joined, present) == joined or join is updated
        values: dict[str, Any] = {name: getattr(present, name) for name in Contact.__dataclass_fields__}
        assert all(getattr(joined, name) for name, value in values.items() if value)
