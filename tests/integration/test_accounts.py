"""Users, workspaces, providers, password links, pausing: what is stored, and what stays apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from core.errors import Conflict, Misconfigured, NeedsRelink, NotFound
from core.ports import Access
from core.provider import ProviderSpec
from core.secret import Secret
from core.types import Channel, Security
from models.accounts import AccountRow, SecretRow
from models.syncing import ChannelRow
from sync.access import open_access
from sync.accounts import link_password, pause, resume
from sync.app import App
from sync.keys import parse_keys
from sync.registry import ProviderChange, describe, find_provider, list_providers, save_provider
from sync.users import add_user, ensure_workspace, find_account, find_user, list_accounts, list_users, workspace_id
from sync.vault import Vault, key_usage, rotate
from tests.support.app_factory import Person, TestClock, make_app, make_key, make_password_account, make_user


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = make_app(tmp_path)
    yield app
    app.close()


@pytest.fixture
def ann(app: App) -> Person:
    return make_user(app)


def link(app: App, person: Person, address: str = "ann@mail.example", **options: object) -> str:
    arguments = {"provider": "fastmail", "password": Secret("pw"), "verify": None, **options}
    linked = link_password(
        app,
        workspace_id=person.workspace_id,
        user_id=person.user_id,
        address=address,
        **arguments,  # type: ignore[arg-type]  # options of the call under test
    )
    return linked.id


# -- users


def test_a_user_is_found_by_id_external_id_or_address_in_any_case(app: App) -> None:
    workspace = ensure_workspace(app, "default")
    user = add_user(app, workspace, "Ann@CRM.example", external_id="17")
    with app.db.reading() as session:
        for text in (user.id, "17", "ann@crm.example", "ANN@crm.example"):
            assert find_user(session, workspace, text).id == user.id


def test_the_external_id_defaults_to_the_address(app: App, ann: Person) -> None:
    with app.db.reading() as session:
        assert [user.external_id for user in list_users(session, ann.workspace_id)] == [ann.email]


def test_a_taken_address_is_refused(app: App, ann: Person) -> None:
    with pytest.raises(Conflict, match="exists already"):
        add_user(app, ann.workspace_id, "ANN@crm.example", external_id="other")


@pytest.mark.parametrize(
    "address", ["", "ann", "ann@", "@crm.example", "a b@crm.example", "a@b@c", "ann@crm\r\n.example"]
)
def test_text_that_is_no_address_is_refused(app: App, address: str) -> None:
    with pytest.raises(Conflict, match="not a mail address"):
        add_user(app, ensure_workspace(app, "default"), address)


def test_users_of_another_workspace_are_not_seen(app: App, ann: Person) -> None:
    other = ensure_workspace(app, "other")
    with app.db.reading() as session:
        assert list_users(session, other) == []
        with pytest.raises(NotFound):
            find_user(session, other, ann.user_id)


def test_an_unknown_workspace_is_not_made_by_looking(app: App) -> None:
    with app.db.reading() as session, pytest.raises(NotFound, match="'nowhere'"):
        workspace_id(session, "nowhere")


# -- password links


def test_a_password_link_is_due_now_and_can_sign_in(app: App, ann: Person) -> None:
    account = make_password_account(app, ann, password="secret word", login="ann")
    access = open_access(app, account)
    assert (access.login, access.uses_token, access.secret()) == ("ann", False, Secret("secret word"))
    with app.db.reading() as session:
        channel = session.scalars(select(ChannelRow)).one()
        assert (channel.channel, channel.granted, channel.next_run_at) == ("mail", True, app.clock())
        assert channel.period_s == app.settings.mail_period


def test_linking_the_same_address_again_repairs_in_place(app: App, ann: Person) -> None:
    first = link(app, ann, "Ann@mail.example")
    with app.db.transaction() as session:
        row = session.scalars(select(AccountRow)).one()
        row.state, row.reason = "needs_relink", "password refused"
        channel = session.scalars(select(ChannelRow)).one()
        channel.settings, channel.failures, channel.next_run_at = {"since": "2026-01-01"}, 5, None
    assert link(app, ann, "ann@MAIL.example", password=Secret("new")) == first
    with app.db.reading() as session:
        row, channel = session.scalars(select(AccountRow)).one(), session.scalars(select(ChannelRow)).one()
        assert (row.state, row.reason) == ("linked", "")
        assert (channel.settings, channel.failures, channel.next_run_at) == ({"since": "2026-01-01"}, 0, app.clock())
    assert open_access(app, first).secret() == Secret("new")


def test_two_users_may_link_one_mailbox_as_two_accounts(app: App, ann: Person) -> None:
    bob = make_user(app, "bob@crm.example")
    assert link(app, ann) != link(app, bob)


def test_spaces_of_a_google_app_password_are_left_out(app: App, ann: Person) -> None:
    account = link(app, ann, provider="gmail-app-password", password=Secret("abcd efgh ijkl mnop"))
    assert open_access(app, account).secret() == Secret("abcdefghijklmnop")


def test_spaces_of_any_other_password_are_kept(app: App, ann: Person) -> None:
    account = link(app, ann, password=Secret("abcd efgh ijkl mnop"))
    assert open_access(app, account).secret() == Secret("abcd efgh ijkl mnop")


def test_the_login_follows_the_provider(app: App, ann: Person) -> None:
    assert open_access(app, link(app, ann, "ann@icloud.com", provider="icloud")).login == "ann"
    assert open_access(app, link(app, ann, "ann@fastmail.com")).login == "ann@fastmail.com"


def test_a_refused_password_stores_nothing_and_says_what_to_do(app: App, ann: Person) -> None:
    def refuse(_app: App, _spec: ProviderSpec, access: Access) -> None:
        assert access.secret() == Secret("pw")
        raise NeedsRelink("the server refused the password")

    with pytest.raises(NeedsRelink) as caught:
        link(app, ann, provider="gmail-app-password", verify=refuse)
    assert "app password" in caught.value.advice
    with app.db.reading() as session:
        assert list_accounts(session, ann.workspace_id) == []
        assert session.scalars(select(SecretRow)).all() == []


def test_a_provider_without_passwords_refuses_one(app: App, ann: Person) -> None:
    with pytest.raises(Conflict, match="does not take passwords"):
        link(app, ann, provider="gmail")


def test_a_channel_the_provider_does_not_have_is_refused(app: App, ann: Person) -> None:
    with pytest.raises(Conflict, match="contacts"):
        link(app, ann, channels=(Channel.MAIL, Channel.CONTACTS))


def test_a_user_of_another_workspace_cannot_be_linked(app: App, ann: Person) -> None:
    other = Person(ensure_workspace(app, "other"), ann.user_id, ann.email)
    with pytest.raises(NotFound):
        link(app, other)


# -- finding, pausing


def test_an_account_is_found_by_address_and_by_the_beginning_of_its_id(app: App, ann: Person) -> None:
    account = link(app, ann)
    with app.db.reading() as session:
        for text in (account, account[:6], "ANN@mail.example"):
            assert find_account(session, ann.workspace_id, text).id == account
        for text in ("", account[:3], "%", "nobody@mail.example", "g" * 8):
            with pytest.raises(NotFound):
                find_account(session, ann.workspace_id, text)
        with pytest.raises(NotFound):
            find_account(session, "f" * 32, account)


def test_an_address_linked_twice_must_be_told_apart_by_id(app: App, ann: Person) -> None:
    ids = {link(app, ann), link(app, make_user(app, "bob@crm.example"))}
    with app.db.reading() as session, pytest.raises(Conflict) as caught:
        find_account(session, ann.workspace_id, "ann@mail.example")
    assert all(one[:8] in str(caught.value) for one in ids)


def test_a_paused_account_is_not_due_and_resuming_makes_it_due(app: App, ann: Person) -> None:
    account = link(app, ann)
    assert pause(app, ann.workspace_id, account).state == "paused"
    assert pause(app, ann.workspace_id, account).state == "paused"
    with app.db.reading() as session:
        assert session.scalars(select(ChannelRow.next_run_at)).one() is None
    assert resume(app, ann.workspace_id, account).state == "linked"
    with app.db.reading() as session:
        assert session.scalars(select(ChannelRow.next_run_at)).one() == app.clock()


def test_resuming_does_not_hide_that_an_account_must_be_linked_again(app: App, ann: Person) -> None:
    account = link(app, ann)
    with app.db.transaction() as session:
        session.scalars(select(AccountRow)).one().state = "needs_relink"
    for change in (pause, resume):
        with pytest.raises(Conflict, match="needs_relink"):
            change(app, ann.workspace_id, account)


def test_accounts_of_another_workspace_cannot_be_touched(app: App, ann: Person) -> None:
    account = link(app, ann)
    other = ensure_workspace(app, "other")
    for change in (pause, resume):
        with pytest.raises(NotFound):
            change(app, other, account)


# -- providers


def test_built_in_providers_are_in_force_in_every_workspace(app: App, ann: Person) -> None:
    names = {provider["name"] for provider in list_providers(app, ann.workspace_id)}
    assert {"gmail", "gmail-app-password", "imap", "fastmail"} <= names


def test_an_unknown_provider_is_answered_with_the_nearest_name(app: App, ann: Person) -> None:
    with pytest.raises(NotFound) as caught:
        find_provider(app, ann.workspace_id, "gmial")
    assert "gmail" in caught.value.advice


def test_an_administrator_may_override_parts_of_a_built_in(app: App, ann: Person) -> None:
    change = ProviderChange({"imap": {"host": "imap.example.org"}})
    spec = save_provider(app, ann.workspace_id, "fastmail", change, create=False).spec
    assert (spec.imap.host, spec.imap.port, spec.smtp.host) == ("imap.example.org", 993, "smtp.fastmail.com")
    other = ensure_workspace(app, "other")
    assert find_provider(app, other, "fastmail").spec.imap.host == "imap.fastmail.com"


def test_later_changes_add_to_earlier_ones(app: App, ann: Person) -> None:
    for change in ({"imap": {"host": "imap.example.org", "port": 1993}}, {"imap": {"security": "starttls"}}):
        save_provider(app, ann.workspace_id, "fastmail", ProviderChange(change), create=False)
    imap = find_provider(app, ann.workspace_id, "fastmail").spec.imap
    assert (imap.host, imap.port, imap.security) == ("imap.example.org", 143, Security.STARTTLS)


def test_a_new_provider_needs_a_free_name(app: App, ann: Person) -> None:
    row = {"imap": {"host": "imap.example.org"}, "smtp": {"host": "smtp.example.org"}}
    save_provider(app, ann.workspace_id, "ours", ProviderChange(row), create=True)
    for name in ("ours", "gmail"):
        with pytest.raises(Conflict, match="already"):
            save_provider(app, ann.workspace_id, name, ProviderChange(row), create=True)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"imap": {"host": "imap.example.org"}},
        {"imap": {"host": "imap.example.org", "port": 0}, "smtp": {"host": "s.example.org"}},
        {"imap": {"host": "imap.example.org"}, "smtp": {"host": "s.example.org", "security": "ssl"}},
        {"imap": {"host": "imap.example.org\r\nX"}, "smtp": {"host": "s.example.org"}},
        {"imap": {"host": "i.example.org"}, "smtp": {"host": "s.example.org"}, "aut": "password"},
    ],
)
def test_an_unusable_provider_is_refused_whole(app: App, ann: Person, row: dict[str, object]) -> None:
    with pytest.raises(Misconfigured):
        save_provider(app, ann.workspace_id, "ours", ProviderChange(row), create=True)
    with pytest.raises(NotFound):
        find_provider(app, ann.workspace_id, "ours")


def test_own_keys_are_stored_sealed_and_shown_masked(app: App, ann: Person) -> None:
    change = ProviderChange(client_id="our-client", client_secret=Secret("GOCSPX-hidden"))
    provider = save_provider(app, ann.workspace_id, "gmail", change, create=False)
    assert provider.client is not None
    assert (provider.application, provider.client.client_secret) == ("own", Secret("GOCSPX-hidden"))
    shown = describe(provider)
    assert (shown["client_id"], shown["client_secret"]) == ("our-client", "***")


def test_a_new_client_id_drops_the_secret_of_the_old_one(app: App, ann: Person) -> None:
    for change in (ProviderChange(client_id="one", client_secret=Secret("s")), ProviderChange(client_id="two")):
        save_provider(app, ann.workspace_id, "gmail", change, create=False)
    client = find_provider(app, ann.workspace_id, "gmail").client
    assert client is not None
    assert not client.client_secret


def test_the_default_workspace_shares_its_application_with_the_others(app: App, ann: Person) -> None:
    change = ProviderChange(client_id="shared-client", client_secret=Secret("s"))
    save_provider(app, ann.workspace_id, "gmail", change, create=False)
    other = ensure_workspace(app, "other")
    shared = find_provider(app, other, "gmail")
    assert shared.client is not None
    assert (shared.application, shared.client.client_id) == ("shared", "shared-client")
    save_provider(app, other, "gmail", ProviderChange(client_id="their-own"), create=False)
    assert find_provider(app, other, "gmail").application == "own"


def test_the_shared_secret_is_not_sent_to_addresses_a_workspace_chose(app: App, ann: Person) -> None:
    save_provider(
        app, ann.workspace_id, "gmail", ProviderChange(client_id="c", client_secret=Secret("s")), create=False
    )
    other = ensure_workspace(app, "other")
    theirs = {"oauth": {"authorize_url": "https://evil.example/a", "token_url": "https://evil.example/t"}}
    assert save_provider(app, other, "gmail", ProviderChange(theirs), create=False).client is None


def test_one_setting_puts_all_google_addresses_under_another_root(tmp_path: Path) -> None:
    app = make_app(tmp_path, google_base_url="https://google.example.test")
    oauth = find_provider(app, ensure_workspace(app, "default"), "gmail").spec.oauth
    app.close()
    assert oauth is not None
    assert all(
        url.startswith("https://google.example.test/")
        for url in (oauth.authorize_url, oauth.token_url, oauth.revoke_url, oauth.userinfo_url, oauth.certs_url)
    )


# -- the vault in the database


def test_a_secret_moved_to_another_account_does_not_open(app: App, ann: Person) -> None:
    mine, theirs = link(app, ann), link(app, make_user(app, "bob@crm.example"), "bob@mail.example")
    with app.db.transaction() as session:
        rows = {row.owner: row for row in session.scalars(select(SecretRow))}
        rows[theirs].sealed = rows[mine].sealed
    with pytest.raises(Misconfigured, match="does not fit its row"):
        open_access(app, theirs).secret()


def test_keys_are_rotated_and_the_old_one_can_go(tmp_path: Path) -> None:
    clock = TestClock()
    old = make_app(tmp_path, clock=clock, keys=make_key("old"))
    account = link(old, make_user(old))
    old.close()
    both = make_app(tmp_path, clock=clock, keys=f"{make_key('new')},{make_key('old')}")
    assert key_usage(both.db) == {"old": 1}
    assert (rotate(both.db, both.vault), rotate(both.db, both.vault)) == (1, 0)
    assert key_usage(both.db) == {"new": 1}
    both.close()
    new = make_app(tmp_path, clock=clock, keys=make_key("new"))
    assert open_access(new, account).secret() == Secret("pw")
    new.close()


def test_a_lost_key_stops_the_rotation_and_changes_nothing(app: App, ann: Person) -> None:
    link(app, ann)
    with pytest.raises(Misconfigured, match="not in the key ring"):
        rotate(app.db, Vault(parse_keys(make_key("another"), "test")))
    assert key_usage(app.db) == {"test": 1}
