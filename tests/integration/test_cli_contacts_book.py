"""The use cases behind `twinbox contacts` and `twinbox tag`, on a database: versions, deletion, tags, importing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.contact import Contact, Entry
from core.contact_file import FileContact, FileFault, FileRecord
from core.errors import Conflict, NotFound
from core.types import Channel
from models.contact_queries import contact_record, find_contact, iterate_contacts, list_contacts, list_tags
from models.contacts import ContactKeyRow
from models.syncing import ChannelRow
from sync.app import App
from sync.contact_book import add_contact, change_contact, delete_contact, find, put_contact, restore_contact
from sync.contact_files import WriteFormat, export_contacts, open_file
from sync.contact_import import ImportOptions, ImportReport, import_contacts
from sync.tags import delete_tag, find_tag, make_tag, rename_tag, tag_contacts, untag_contacts
from sync.users import ensure_workspace
from tests.support.app_factory import Person, TestClock, make_app, make_password_account, make_user

ANN = Contact(given_name="Ann", family_name="Smith", emails=(Entry("ann@x.org", "work", True),))
LATER = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    app = make_app(tmp_path, database_url=url)
    yield app
    app.close()


@pytest.fixture
def ann(app: App) -> Person:
    return make_user(app)


@pytest.fixture
def here(ann: Person) -> str:
    return ann.workspace_id


def person(name: str, *emails: str, **more: Any) -> Contact:
    given, _, family = name.partition(" ")
    entries = tuple(Entry(one, "", index == 0) for index, one in enumerate(emails))
    return Contact(given_name=given, family_name=family, emails=entries, **more)


def names(app: App, workspace: str, **wanted: Any) -> list[str]:
    with app.db.reading() as session:
        return [row["name"] for row in list_contacts(session, workspace, **wanted)]


# -- contacts


def test_a_contact_is_added_with_all_that_is_to_know(app: App, here: str) -> None:
    tag = make_tag(app, here, "friends", owner="ann@crm.example")
    record = add_contact(app, here, ANN, external_id="17", tags=[tag["id"]], modified_at=LATER)
    assert (record["name"], record["version"], record["external_id"]) == ("Ann Smith", 1, "17")
    assert (record["modified_at"], record["deleted_at"]) == (LATER, None)
    assert record["emails"] == ANN.emails
    assert [(one["name"], one["kind"], one["owner"]) for one in record["tags"]] == [
        ("friends", "personal", "ann@crm.example")
    ]


def test_what_cannot_be_a_contact_is_refused(app: App, here: str) -> None:
    for body in (Contact(), Contact(given_name=" \x00"), person("Ann", "nonsense"), person("Ann", "@x")):
        with pytest.raises(Conflict):
            add_contact(app, here, body)
    for wrong in ("x" * 201, "a\nb"):
        with pytest.raises(Conflict, match="external id"):
            add_contact(app, here, ANN, external_id=wrong)
    with pytest.raises(NotFound, match="no such tag"):
        add_contact(app, here, ANN, tags=["nothing"])
    assert names(app, here) == []


def test_an_external_id_is_given_once(app: App, here: str) -> None:
    add_contact(app, here, ANN, external_id="17")
    with pytest.raises(Conflict, match="17"):
        add_contact(app, here, person("Bob"), external_id="17")
    other = ensure_workspace(app, "other")
    add_contact(app, other, ANN, external_id="17")
    assert names(app, here) == names(app, other) == ["Ann Smith"]


def test_a_change_is_a_new_version_and_an_equal_text_is_none(app: App, here: str) -> None:
    contact_id = add_contact(app, here, ANN)["id"]
    same = change_contact(app, here, contact_id, replace(ANN, given_name=" Ann "), modified_at=LATER)
    assert (same.done, same.record["version"]) == ("unchanged", 1)
    assert same.record["modified_at"] != LATER
    changed = change_contact(app, here, contact_id, person("Ann Jones", "new@x.org"), expect=1, modified_at=LATER)
    assert (changed.done, changed.record["version"], changed.record["modified_at"]) == ("changed", 2, LATER)
    assert find(app, here, "new@x.org").id == contact_id
    with pytest.raises(NotFound):
        find(app, here, "ann@x.org")


def test_a_change_decided_on_another_version_is_refused_and_the_present_one_told(app: App, here: str) -> None:
    contact_id = add_contact(app, here, ANN)["id"]
    change_contact(app, here, contact_id, person("Ann Jones"), expect=1)
    with pytest.raises(Conflict, match="at version 2, not 1"):
        change_contact(app, here, contact_id, person("Ann Miller"), expect=1)
    with pytest.raises(Conflict, match="at version 2, not 1"):
        delete_contact(app, here, contact_id, expect=1)
    assert names(app, here) == ["Ann Jones"]


def test_a_deleted_contact_keeps_its_tags_and_comes_back_with_them(app: App, here: str) -> None:
    tag = make_tag(app, here, "vip", kind="public")["id"]
    contact_id = add_contact(app, here, ANN, tags=[tag])["id"]
    first = delete_contact(app, here, contact_id)
    assert delete_contact(app, here, contact_id)["deleted_at"] == first["deleted_at"] == app.clock()
    assert (names(app, here), names(app, here, deleted=True)) == ([], ["Ann Smith"])
    with pytest.raises(Conflict, match="deleted"):
        change_contact(app, here, contact_id, person("Bob"))
    back = restore_contact(app, here, contact_id)
    assert (back["deleted_at"], back["version"], [one["name"] for one in back["tags"]]) == (None, 1, ["vip"])
    assert restore_contact(app, here, contact_id) == back


def test_nobody_reaches_into_another_workspace(app: App, here: str) -> None:
    contact_id, tag = add_contact(app, here, ANN)["id"], make_tag(app, here, "vip", kind="public")["id"]
    other = ensure_workspace(app, "other")
    for reach in (
        lambda: change_contact(app, other, contact_id, person("Bob")),
        lambda: delete_contact(app, other, contact_id),
        lambda: restore_contact(app, other, contact_id),
        lambda: find(app, other, contact_id),
        lambda: delete_tag(app, other, tag),
        lambda: rename_tag(app, other, tag, "x"),
        lambda: tag_contacts(app, other, tag, [contact_id]),
        lambda: tag_contacts(app, other, make_tag(app, other, "t", kind="public")["id"], [contact_id]),
    ):
        with pytest.raises(NotFound):
            reach()


def test_the_contact_of_an_external_id_is_put_in_place(app: App, here: str) -> None:
    done = [put_contact(app, here, "17", body).done for body in (ANN, ANN, person("Ann Jones"))]
    assert done == ["added", "unchanged", "changed"]
    delete_contact(app, here, find(app, here, "17").id)
    back = put_contact(app, here, "17", person("Ann Jones"))
    assert (back.done, back.record["deleted_at"], back.record["version"]) == ("restored", None, 2)
    with pytest.raises(Conflict, match="version 2, not 9"):
        put_contact(app, here, "17", ANN, expect=9)
    with pytest.raises(Conflict, match="no contact"):
        put_contact(app, here, "18", ANN, expect=1)


def test_a_contact_is_found_by_whatever_names_it(app: App, here: str) -> None:
    one = add_contact(app, here, person("Ann Smith", "ann@x.org", "a.smith@home.example"), external_id="crm 17")["id"]
    for text in (one, one[:6], "crm 17", "ANN@x.org", " a.smith@home.example "):
        assert find(app, here, text).id == one
    for text in ("abc", one[:3], "nobody@x.org", "", "%", "zzzz"):
        with pytest.raises(NotFound):
            find(app, here, text)


def test_several_that_fit_are_named(app: App, here: str) -> None:
    ids = [add_contact(app, here, person(name, "info@x.org"))["id"] for name in ("Ann", "Bob")]
    with pytest.raises(Conflict, match=r"fits several contacts: .*Ann") as caught:
        find(app, here, "info@x.org")
    assert all(one[:8] in str(caught.value) for one in ids)
    delete_contact(app, here, ids[0])
    assert find(app, here, "info@x.org").id == ids[1]
    assert find(app, here, "info@x.org", deleted=True).id == ids[0]


def test_contacts_are_listed_searched_and_paged_by_name(app: App, here: str) -> None:
    for number in range(7):
        add_contact(app, here, person(f"P{number} Test", f"p{number}@x.org", organization="Ölwerk" if number else ""))
    assert names(app, here, search="p3") == ["P3 Test"]
    assert names(app, here, search="ÖLWERK", limit=2) == ["P1 Test", "P2 Test"]
    assert names(app, here, search="test x.org p6") == ["P6 Test"]
    assert names(app, here, search="100%") == names(app, here, search="_") == []
    with app.db.reading() as session:
        seen, last = [], ""
        while page := list_contacts(session, here, limit=3, after=last):
            seen += [row["name"] for row in page]
            last = page[-1]["id"]
        with pytest.raises(NotFound):
            list_contacts(session, here, after="nothing")
    assert seen == [f"P{number} Test" for number in range(7)]


def test_a_second_address_is_searched_too(app: App, here: str) -> None:
    add_contact(app, here, person("Ann", "a@x.org", "second@y.org"))
    assert names(app, here, search="second@Y") == ["Ann"]


def test_a_name_as_long_as_a_page_is_kept_whole(app: App, here: str) -> None:
    body = Contact(family_name="x" * 50_000, phones=(Entry("+49 170 1234567", "", True),))
    record = add_contact(app, here, body)
    assert len(record["family_name"]) == 50_000
    assert len(record["name"]) == 500  # what is indexed
    with app.db.reading() as session:
        assert session.query(ContactKeyRow).count() == 0


# -- tags


def test_names_of_tags_are_unique_within_kind_and_owner(app: App, here: str) -> None:
    make_user(app, "bob@crm.example")
    make_tag(app, here, "Friends", owner="ann@crm.example")
    make_tag(app, here, "friends", owner="bob@crm.example")
    public = make_tag(app, here, "friends", kind="public")["id"]
    with pytest.raises(Conflict, match="exists already"):
        make_tag(app, here, " FRIENDS ", owner="ann@crm.example")
    with app.db.reading() as session:
        with pytest.raises(Conflict, match="several tags") as caught:
            find_tag(session, here, "friends")
        assert "--owner" in caught.value.advice
        assert find_tag(session, here, "FRIENDS", owner="ann@crm.example")["name"] == "Friends"
        assert find_tag(session, here, public)["kind"] == "public"
    make_tag(app, here, "other", kind="public")
    with pytest.raises(Conflict):
        rename_tag(app, here, public, "Other")
    assert rename_tag(app, here, public, "FRIENDS")["name"] == "FRIENDS"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 101, "kind": "public"},
        {"name": "a\x07", "kind": "public"},
        {"name": "x"},
        {"name": "x", "kind": "public", "owner": "ann@crm.example"},
        {"name": "x", "kind": "secret"},
    ],
)
def test_a_tag_needs_a_name_and_an_owner_if_it_is_personal(app: App, here: str, wrong: dict[str, str]) -> None:
    with pytest.raises(Conflict) as caught:
        make_tag(app, here, **wrong)
    assert caught.value.advice


def test_contacts_are_tagged_and_untagged(app: App, here: str) -> None:
    tag = make_tag(app, here, "vip", kind="public")["id"]
    ids = [add_contact(app, here, person(name))["id"] for name in ("Ann", "Bob")]
    assert [tag_contacts(app, here, tag, ids), tag_contacts(app, here, tag, ids)] == [2, 0]
    assert names(app, here, tag=tag) == ["Ann", "Bob"]
    assert untag_contacts(app, here, tag, [ids[0], ids[0]]) == 1
    assert delete_tag(app, here, tag) == 1
    assert names(app, here) == ["Ann", "Bob"]


def test_the_tag_of_a_contacts_channel_is_deleted_by_force_only(app: App, ann: Person) -> None:
    tag = make_tag(app, ann.workspace_id, "friends", owner=ann.email)["id"]
    account = make_password_account(app, ann)
    with app.db.transaction() as session:
        session.add(
            ChannelRow(
                account_id=account,
                channel=Channel.CONTACTS.value,
                workspace_id=ann.workspace_id,
                period_s=600,
                settings={"tag": tag},
            )
        )
    with pytest.raises(Conflict, match=r"ann@mail\.example"):
        delete_tag(app, ann.workspace_id, tag)
    assert delete_tag(app, ann.workspace_id, tag, force=True) == 0
    with app.db.reading() as session:
        assert list_tags(session, ann.workspace_id) == []


# -- whole files


def take(app: App, workspace: str, *given: tuple[str, Contact] | Contact, **options: Any) -> ImportReport:
    pairs: Iterable[tuple[str, Contact]] = (one if isinstance(one, tuple) else ("", one) for one in given)
    records = [FileContact(line, body, uid) for line, (uid, body) in enumerate(pairs, 1)]
    return import_contacts(app, workspace, records, ImportOptions(**options))


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.unchanged, len(report.rejected)


def test_importing_again_changes_nothing(app: App, here: str) -> None:
    alike, nobody = person("Only Name"), person("No Address", notes="n")
    file = [("u1", ANN), ("", person("Bob Jones", "bob@x.org")), ("", nobody), ("u3", alike), ("u4", alike)]
    assert counts(take(app, here, *file)) == (5, 0, 0, 0)
    assert counts(take(app, here, *file)) == (0, 0, 5, 0)
    assert names(app, here) == ["Ann Smith", "Bob Jones", "No Address", "Only Name", "Only Name"]


def test_a_known_external_id_is_updated_a_known_address_only_filled(app: App, here: str) -> None:
    add_contact(app, here, replace(ANN, title="Boss"), external_id="u1")
    assert counts(take(app, here, ("u1", replace(ANN, title="Head", notes="n")))) == (0, 1, 0, 0)
    assert counts(take(app, here, replace(ANN, title="Other", department="Sales"))) == (0, 1, 0, 0)
    with app.db.reading() as session:
        record = contact_record(session, find_contact(session, here, "u1"))
    assert (record["title"], record["notes"], record["department"], record["version"]) == ("Head", "n", "Sales", 3)


def test_two_that_share_a_mailbox_stay_two(app: App, here: str) -> None:
    file = [person("Ann Smith", "info@x.org"), person("Bob Smith", "info@x.org"), person("Ann Smith", "info@x.org")]
    assert counts(take(app, here, *file)) == (2, 0, 1, 0)
    assert counts(take(app, here, *file)) == (0, 0, 3, 0)
    assert counts(take(app, here, person("Kim Jones", "info@x.org"))) == (1, 0, 0, 0)
    report = take(app, here, person("", "info@x.org"))
    assert counts(report) == (0, 0, 0, 1)
    assert "not clear who" in report.rejected[0].reason


def test_two_ids_in_one_file_are_two_people(app: App, here: str) -> None:
    assert counts(take(app, here, ("u1", ANN), ("u2", ANN), ("u1", ANN))) == (2, 0, 1, 0)


def test_a_deleted_contact_comes_back_by_its_id_alone(app: App, here: str) -> None:
    delete_contact(app, here, add_contact(app, here, ANN, external_id="u1")["id"])
    assert counts(take(app, here, ANN)) == (1, 0, 0, 0)
    assert counts(take(app, here, ("u1", ANN))) == (0, 1, 0, 0)
    assert names(app, here) == ["Ann Smith", "Ann Smith"]


def test_all_are_new_when_asked_so(app: App, here: str) -> None:
    file = [("u1", ANN), ("u1", ANN)]
    assert counts(take(app, here, *file, always_new=True)) == (2, 0, 0, 0)
    assert counts(take(app, here, *file, always_new=True)) == (2, 0, 0, 0)
    assert len(names(app, here)) == 4


@pytest.mark.parametrize("always_new", [False, True])
def test_a_dry_run_tells_what_would_be_and_writes_nothing(app: App, here: str, always_new: bool) -> None:
    add_contact(app, here, ANN, external_id="u1")
    file: list[tuple[str, Contact]] = [("u1", replace(ANN, title="Head"))]
    file += [("", person(f"P{number}", f"p{number}@x.org")) for number in range(600)] * 2
    dry = take(app, here, *file, dry_run=True, always_new=always_new)
    assert names(app, here) == ["Ann Smith"]
    assert counts(dry) == counts(take(app, here, *file, always_new=always_new))


def test_what_was_imported_bears_the_tag_also_who_was_known(app: App, here: str) -> None:
    tag = make_tag(app, here, "vip", kind="public")["id"]
    add_contact(app, here, ANN)
    take(app, here, ANN, person("Bob"), tag=tag)
    assert names(app, here, tag=tag) == ["Ann Smith", "Bob"]


def test_a_record_that_cannot_be_a_contact_is_told_and_the_rest_goes_on(app: App, here: str) -> None:
    records: list[FileRecord] = [
        FileFault(1, "torn"),
        FileContact(2, person("Ann", "nonsense")),
        FileContact(3, person("Bob")),
    ]
    report = import_contacts(app, here, records, ImportOptions())
    assert report.rejected == [FileFault(1, "torn"), FileFault(2, "'nonsense' is not a mail address")]
    assert names(app, here) == ["Bob"]


def test_progress_is_told_after_each_batch(app: App, here: str) -> None:
    told: list[int] = []
    records = [FileContact(number, person(f"P{number}")) for number in range(1_001)]
    import_contacts(app, here, records, ImportOptions(), told.append)
    assert told == [500, 1_000, 1_001]
    with app.db.reading() as session:
        assert [len(rows) for rows in iterate_contacts(session, here)] == [1_000, 1]


@pytest.mark.parametrize("wanted", [WriteFormat.VCARD, WriteFormat.VCARD3, WriteFormat.CSV])
def test_an_export_is_imported_as_unchanged_here_and_equal_elsewhere(app: App, here: str, wanted: WriteFormat) -> None:
    add_contact(app, here, replace(ANN, notes="a\nb; c, d"), external_id="u1")
    add_contact(app, here, person("Bob", phones=(Entry("+49 170 1", "Boat", True),)))
    with app.db.reading() as session:
        data = "".join(export_contacts(session, here, wanted)).encode()
    assert counts(import_contacts(app, here, open_file(data).records, ImportOptions())) == (0, 0, 2, 0)
    other = ensure_workspace(app, "other")
    import_contacts(app, other, open_file(data).records, ImportOptions())
    with app.db.reading() as session:
        books = [[row.body for rows in iterate_contacts(session, one) for row in rows] for one in (here, other)]
    assert books[0] == books[1]


def test_times_follow_the_clock_of_the_app(app: App, here: str) -> None:
    clock = app.clock
    assert isinstance(clock, TestClock)
    take(app, here, ANN)
    made = clock.now
    clock.advance(hours=1)
    take(app, here, replace(ANN, notes="new"))
    with app.db.reading() as session:
        record = contact_record(session, find_contact(session, here, "ann@x.org"))
    assert (record["created_at"], record["modified_at"]) == (made, clock.now)
