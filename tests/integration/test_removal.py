"""Removing an account: credentials go at once, stored mail goes or stays as chosen, and any crash can be finished."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Integer, func, select
from sqlalchemy.orm import Session

from core.contact import Contact, Entry
from core.errors import Conflict, NotFound, Transient
from core.event import Event, Moment
from core.policy import contact_policy
from core.replica import Item, Link, Sent, Side, Stamp
from core.secret import Secret
from models.accounts import AccountRow, SecretRow
from models.columns import Base, Json
from models.content import (
    CorrespondentRow,
    FragmentRow,
    LocationRow,
    MessageRow,
    PackRow,
    ParticipantRow,
    UnfinishedRow,
)
from models.db import Database
from models.links import DecisionRow
from models.syncing import ChannelRow, MailboxRow, QuarantineRow, RunRow, WatchRow
from sandbox.clock import SandboxClock
from sandbox.google import GoogleDouble, SigningKey, new_signing_key
from sync.access import open_access
from sync.activity_rows import NewActivity, insert_activities
from sync.app import App, utc_now
from sync.ids import new_id, next_message_ids
from sync.link_rows import Aside, LinkStore
from sync.participations import OwnPart, save_own_parts
from sync.removal import Receipt, remove, unfinished_removals
from sync.users import ensure_workspace, find_account, list_accounts
from tests.support.app_factory import Person, TestClock, make_app, make_password_account, make_user
from tests.support.google_link import link_google, register

ADDRESS = "ann@example.com"
CANARY = "canary-7f3a"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(utc_now())


@pytest.fixture
def google(key: SigningKey) -> Iterator[GoogleDouble]:
    with GoogleDouble(clock=SandboxClock(), key=key) as google:
        google.users.add(ADDRESS, "Ann")
        yield google


@pytest.fixture
def app(tmp_path: Path, google: GoogleDouble) -> Iterator[App]:
    app = make_app(tmp_path, clock=TestClock(utc_now()), google_base_url=google.base_url)
    yield app
    app.close()


@pytest.fixture
def ann(app: App, google: GoogleDouble) -> Person:
    person = make_user(app)
    register(app, google, person)
    return person


def count(app: App, table: type[Base]) -> int:
    with app.db.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def store_mail(app: App, person: Person, account: str, name: str, *, shared_with: str = "") -> None:
    """One message in one folder, with everything that can hang on it, all of it naming `name`."""
    message, pack, folder = next_message_ids(3)
    now = app.clock()
    with app.db.transaction() as session:
        session.add(PackRow(id=pack, account_id=account, data=name.encode() * 5000))
        session.add(MailboxRow(id=folder, account_id=account, name=f"Folder {name}", role="", since=None))
        session.flush()
        session.add(_message(message, account, pack, name, now))
        session.flush()
        session.add(LocationRow(mailbox_id=folder, uid=1, message_id=message, flags=[name], labels=None))
        session.add(QuarantineRow(mailbox_id=folder, uid=2, reason=name, next_try_at=now))
        session.add(FragmentRow(message_id=message, offset=9, size=9, pack_id=pack, pack_offset=0, pack_length=9))
        session.add(UnfinishedRow(message_id=message, mailbox_id=folder, uid=1, header_size=9, text_whole=False))
        for number, address in enumerate((f"{name}@example.org", shared_with)):
            if address:
                _add_participant(session, person, message, address, folder + 1 + number)
        session.add(
            RunRow(
                id=new_id(),
                workspace_id=person.workspace_id,
                account_id=account,
                channel="mail",
                trigger="first",
                outcome="failed",
                counts={},
                error=name,
                started_at=now,
            )
        )


def _message(message: int, account: str, pack: int, name: str, now: object) -> MessageRow:
    """A row whose every text names `name`, whatever columns the table has."""
    row = MessageRow(id=message, account_id=account, identity=name.encode(), received_at=now)
    for column in MessageRow.__table__.columns:
        if getattr(row, column.name) is None and not column.nullable:
            kind = column.type
            value = [name] if isinstance(kind, Json) else 0 if isinstance(kind, Integer | BigInteger) else name
            setattr(row, column.name, pack if column.name.endswith("_pack") else value)
    return row


def _add_participant(session: Session, person: Person, message: int, address: str, number: int) -> None:
    row = session.scalar(select(CorrespondentRow).where(CorrespondentRow.key == address))
    if row is None:
        row = CorrespondentRow(id=number, workspace_id=person.workspace_id, key=address)
        session.add(row)
        session.flush()
    session.add(ParticipantRow(correspondent_id=row.id, message_id=message, roles="to"))


def test_keeping_leaves_the_mail_and_nothing_else(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    store_mail(app, ann, account, "one")
    receipt = remove(app, ann.workspace_id, account)
    assert (receipt.mode, receipt.grant, receipt.messages_erased) == ("keep", "revoked", 0)
    left = (count(app, MessageRow), count(app, PackRow), count(app, ParticipantRow), count(app, FragmentRow))
    assert left == (1, 1, 1, 1)
    for table in (ChannelRow, MailboxRow, LocationRow, QuarantineRow, RunRow):
        assert count(app, table) == 0, table
    with app.db.reading() as session:
        assert session.scalars(select(SecretRow).where(SecretRow.owner == account)).all() == []


def test_the_grant_is_given_back_at_the_provider(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    token = open_access(app, account).secret().reveal()
    remove(app, ann.workspace_id, account)
    assert google.token_active(token) is None
    assert google.store.live_refresh_tokens(ADDRESS) == ()


def test_the_tombstone_names_nobody_and_is_not_listed(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    subject = google.users[ADDRESS].sub
    remove(app, ann.workspace_id, account)
    with app.db.reading() as session:
        row = find_account(session, ann.workspace_id, account)
        assert list_accounts(session, ann.workspace_id) == []
        with pytest.raises(NotFound):
            find_account(session, ann.workspace_id, ADDRESS)
    shown = str({key: value for key, value in vars(row).items() if not key.startswith("_")})
    assert row.state == "removed"
    assert ADDRESS not in shown
    assert subject not in shown


def test_erasing_takes_the_mail_of_this_account_only(app: App, google: GoogleDouble, ann: Person) -> None:
    gone = link_google(app, google, ann, ADDRESS).id
    stays = make_password_account(app, ann)
    store_mail(app, ann, gone, "one", shared_with="both@example.org")
    store_mail(app, ann, stays, "two", shared_with="both@example.org")
    assert remove(app, ann.workspace_id, gone, erase=True).messages_erased == 1
    with app.db.reading() as session:
        assert session.scalars(select(MessageRow.account_id)).all() == [stays]
        assert session.scalars(select(PackRow.account_id)).all() == [stays]
        assert set(session.scalars(select(CorrespondentRow.key))) == {"two@example.org", "both@example.org"}
    assert open_access(app, stays).secret() == Secret("a test password")


def test_after_erasing_no_byte_of_it_is_in_the_database_file(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    for number in range(5):
        store_mail(app, ann, account, f"{CANARY}-{number}")
    assert CANARY.encode() in database_bytes(app)
    remove(app, ann.workspace_id, account, erase=True)
    app.close()
    rest = database_bytes(app)
    assert CANARY.encode() not in rest
    assert ADDRESS.encode() not in rest


def database_bytes(app: App) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(app.settings.data_dir.glob("twinbox.db*")))


def test_a_grant_another_account_lives_on_is_not_revoked(app: App, google: GoogleDouble, ann: Person) -> None:
    bob = make_user(app, "bob@crm.example")
    first, second = (link_google(app, google, person, ADDRESS).id for person in (ann, bob))
    assert remove(app, ann.workspace_id, first).grant == "in use"
    assert open_access(app, second).secret(refresh=True)
    assert remove(app, ann.workspace_id, second).grant == "revoked"


def test_a_grant_that_is_dead_already_is_no_obstacle(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    google.revoke_user(ADDRESS)
    assert remove(app, ann.workspace_id, account).grant == "revoked"


def test_an_unreachable_provider_does_not_keep_the_credentials_alive(
    app: App, google: GoogleDouble, ann: Person
) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    google.stop()
    receipt = remove(app, ann.workspace_id, account)
    assert (receipt.grant, bool(receipt.grant_problem)) == ("not revoked", True)
    with app.db.reading() as session:
        assert session.scalars(select(SecretRow).where(SecretRow.owner == account)).all() == []


def test_a_password_account_has_nothing_to_give_back(app: App, ann: Person) -> None:
    assert remove(app, ann.workspace_id, make_password_account(app, ann)).grant == "none"


def test_removal_waits_for_the_run_in_progress(app: App, ann: Person) -> None:
    account = make_password_account(app, ann)
    set_lease(app, app.clock() + timedelta(seconds=30))
    states: list[tuple[str, object]] = []

    def wait(_: float) -> None:
        with app.db.reading() as session:
            channel = session.scalars(select(ChannelRow)).one()
            states.append((session.scalars(select(AccountRow.state)).one(), channel.next_run_at))
        set_lease(app, None)

    remove(app, ann.workspace_id, account, wait=wait)
    assert states == [("removing", None)]


def test_a_run_that_does_not_end_leaves_a_removal_to_be_repeated(app: App, ann: Person) -> None:
    account = make_password_account(app, ann)
    set_lease(app, app.clock() + timedelta(days=1))
    with pytest.raises(Transient, match="has not ended"):
        remove(app, ann.workspace_id, account, erase=True, wait=lambda _: None)
    assert unfinished_removals(app) == [(ann.workspace_id, account)]
    set_lease(app, None)
    assert remove(app, ann.workspace_id, account).mode == "erase"
    assert unfinished_removals(app) == []


def set_lease(app: App, until: object) -> None:
    with app.db.transaction() as session:
        session.scalars(select(ChannelRow)).one().lease_until = until  # type: ignore[assignment]


def test_removing_twice_is_answered_and_harmless(app: App, ann: Person) -> None:
    account = make_password_account(app, ann)
    remove(app, ann.workspace_id, account)
    with pytest.raises(Conflict, match="removed already"):
        remove(app, ann.workspace_id, account)


def test_mail_that_was_kept_can_be_erased_later(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    store_mail(app, ann, account, "one")
    remove(app, ann.workspace_id, account)
    assert remove(app, ann.workspace_id, account, erase=True).messages_erased == 1
    assert count(app, MessageRow) == 0


def test_the_same_mailbox_can_be_linked_afresh(app: App, google: GoogleDouble, ann: Person) -> None:
    first = link_google(app, google, ann, ADDRESS).id
    remove(app, ann.workspace_id, first)
    again = link_google(app, google, ann, ADDRESS)
    assert again.id != first
    assert not again.repaired


def test_an_account_of_another_workspace_cannot_be_removed(app: App, ann: Person) -> None:
    account = make_password_account(app, ann)
    with pytest.raises(NotFound):
        remove(app, ensure_workspace(app, "other"), account)


class Crash(BaseException):
    """A process that stops, as far as the code above it can tell."""


class CrashingDatabase(Database):
    """Stops just before or just after the n-th commit."""

    def __init__(self, database: Database, at: int, *, after: bool) -> None:
        vars(self).update(vars(database))
        self.left = at
        self.after = after

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        self.left -= 1
        last = self.left == 0
        with super().transaction() as session:
            yield session
            if last and not self.after:
                raise Crash
        if last:
            raise Crash


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_removal_that_crashes_at_any_commit_is_finished_by_repeating_it(
    app: App, google: GoogleDouble, ann: Person, *, after: bool
) -> None:
    for number in range(1, 50):
        account = link_google(app, google, ann, ADDRESS).id
        store_mail(app, ann, account, f"{CANARY}-{number}")
        crashing = dataclasses.replace(app, db=CrashingDatabase(app.db, number, after=after))
        try:
            remove(crashing, ann.workspace_id, account, erase=True)
        except Crash:
            receipt = finish(app, ann, account)
            assert receipt is None or receipt.mode == "erase"
        else:
            break
        assert tables(app) == {"MessageRow": 0, "PackRow": 0, "MailboxRow": 0, "ChannelRow": 0, "CorrespondentRow": 0}
        assert google.store.live_refresh_tokens(ADDRESS) == ()
    assert number > 6


def finish(app: App, person: Person, account: str) -> Receipt | None:
    try:
        return remove(app, person.workspace_id, account, erase=True)
    except Conflict:
        return None


def tables(app: App) -> dict[str, int]:
    return {t.__name__: count(app, t) for t in (MessageRow, PackRow, MailboxRow, ChannelRow, CorrespondentRow)}


def store_pair(app: App, account: str) -> None:
    """A pair of contacts, and something open of everything that can be."""
    policy, now = contact_policy(), app.clock()
    store = LinkStore(account, "contacts", policy)
    body, stamp = Contact(given_name="Ada", emails=(Entry("ada@example.com", primary=True),)), Stamp("1", now)
    with app.db.transaction() as session:
        store.save(session, [Link("c" * 32, "people/c1", stamp, stamp, body, True)])
        store.intend(session, [(Sent("c" * 32, "people/c1", stamp, body, True, now), {})])
        store.set_aside(session, [Aside(Side.REMOTE, "people/c2", "refused")], now)
        store.remember_remote(session, {"people/c1": Item("people/c1", stamp, True, body)}, (), everything=True)
        session.add(
            DecisionRow(
                account_id=account,
                channel="contacts",
                side="remote",
                record_id="people/c3",
                candidates=[],
                run_id="r" * 32,
                made_at=now,
            )
        )
        workspace = session.get_one(AccountRow, account).workspace_id
        watch = WatchRow(
            id="w" * 32, workspace_id=workspace, account_id=account, calendar="primary", address="https://x"
        )
        watch.token_hash, watch.made_at, watch.expires_at = "0" * 64, now, now
        session.add(watch)


def store_part(app: App, person: Person, account: str) -> None:
    """What is a guest's own in an activity of the workspace."""
    start, end = Moment(at="2026-03-10T09:00:00Z"), Moment(at="2026-03-10T10:00:00Z")
    new = NewActivity(Event(title="Talk", start=start, end=end), person.user_id, app.clock())
    with app.db.transaction() as session:
        [one] = insert_activities(session, person.workspace_id, [new], app.clock())
        save_own_parts(session, person.workspace_id, account, [OwnPart(one, Event(), 1, app.clock())])


def test_no_table_of_an_account_is_forgotten(app: App, google: GoogleDouble, ann: Person) -> None:
    """Whoever adds a table that hangs on accounts, mailboxes or messages must erase it, and fill it here."""
    account = link_google(app, google, ann, ADDRESS).id
    store_mail(app, ann, account, "one")
    store_pair(app, account)
    store_part(app, ann, account)
    parents = {"accounts", "mailboxes", "messages"}
    tables = [
        table
        for table in Base.metadata.sorted_tables
        if parents & {key.column.table.name for key in table.foreign_keys}
    ]

    def rows() -> dict[str, int]:
        with app.db.reading() as session:
            return {t.name: session.scalar(select(func.count()).select_from(t)) or 0 for t in tables}

    assert [name for name, number in rows().items() if not number] == []
    remove(app, ann.workspace_id, account, erase=True)
    assert [name for name, number in rows().items() if number] == []


def test_the_file_is_sound_afterwards(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    store_mail(app, ann, account, "one")
    remove(app, ann.workspace_id, account, erase=True)
    with closing(sqlite3.connect(app.settings.data_dir / "twinbox.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
