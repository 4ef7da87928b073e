"""Linking by OAuth 2.0 against the Google double: what is granted, refused, repaired, renewed and given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import func, select

from core.errors import Conflict, Misconfigured, NeedsRelink, NotFound, NotGranted, Transient, TwinboxError
from core.secret import Secret
from core.types import Channel
from models.accounts import AccountRow, LinkAttemptRow, SecretRow
from models.syncing import ChannelRow
from sandbox.clock import SandboxClock
from sandbox.google import Consent, GoogleDouble, SigningKey, new_signing_key
from sync.access import open_access
from sync.accounts import pause
from sync.app import App, utc_now
from sync.calendar_choice import list_calendars
from sync.linking import LinkRequest, begin_link, finish_link
from sync.registry import ProviderChange, save_provider
from sync.users import ensure_workspace
from tests.support.app_factory import Person, TestClock, make_app, make_user
from tests.support.google_link import CLIENT_ID, MAIL, REDIRECT, link_google, register, visit

ADDRESS = "ann@example.com"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(utc_now())


@pytest.fixture
def clock() -> TestClock:
    return TestClock(utc_now())


@pytest.fixture
def google(key: SigningKey) -> Iterator[GoogleDouble]:
    with GoogleDouble(clock=SandboxClock(), key=key) as google:
        google.users.add(ADDRESS, "Ann")
        google.users.add("bob@example.com", "Bob")
        yield google


@pytest.fixture
def app(tmp_path: Path, google: GoogleDouble, clock: TestClock) -> Iterator[App]:
    app = make_app(tmp_path, clock=clock, google_base_url=google.base_url)
    yield app
    app.close()


@pytest.fixture
def ann(app: App, google: GoogleDouble) -> Person:
    person = make_user(app)
    register(app, google, person)
    return person


def request_of(person: Person, **changes: object) -> LinkRequest:
    request = LinkRequest(person.workspace_id, person.user_id, "gmail", REDIRECT)
    return replace(request, **changes)  # type: ignore[arg-type]  # fields of the test's choice


def accounts(app: App) -> list[AccountRow]:
    with app.db.reading() as session:
        return list(session.scalars(select(AccountRow)))


def channels(app: App) -> dict[str, ChannelRow]:
    with app.db.reading() as session:
        return {row.channel: row for row in session.scalars(select(ChannelRow))}


def set_account(app: App, **values: object) -> None:
    with app.db.transaction() as session:
        row = session.scalars(select(AccountRow)).one()
        for name, value in values.items():
            setattr(row, name, value)


# -- the way out


def test_the_address_asks_for_lasting_access_with_pkce_and_the_scopes_of_the_channels_only(
    app: App, ann: Person
) -> None:
    start = begin_link(app, request_of(ann, channels=(Channel.MAIL, Channel.CALENDAR)))
    asked = dict(parse_qsl(urlsplit(start.url).query))
    assert (asked["response_type"], asked["code_challenge_method"], asked["access_type"]) == ("code", "S256", "offline")
    assert (asked["state"], asked["redirect_uri"], asked["client_id"]) == (start.state, REDIRECT, CLIENT_ID)
    assert "consent" in asked["prompt"]
    scopes = set(asked["scope"].split())
    assert {"openid", "email", MAIL} <= scopes
    assert not any("contacts" in scope for scope in scopes)


def test_the_state_is_stored_only_as_its_hash_and_the_verifier_sealed(app: App, ann: Person) -> None:
    start = begin_link(app, request_of(ann))
    with app.db.reading() as session:
        attempt, secret = session.scalars(select(LinkAttemptRow)).one(), _verifier(app)
    assert start.state not in str(vars(attempt))
    assert secret.key_id == "test"
    assert start.state not in repr(start)


def _verifier(app: App) -> SecretRow:
    with app.db.reading() as session:
        return session.scalars(select(SecretRow).where(SecretRow.kind == "code_verifier")).one()


def test_without_an_application_an_administrator_is_told_what_to_do(app: App) -> None:
    with pytest.raises(Misconfigured) as caught:
        begin_link(app, request_of(make_user(app)))
    assert "twinbox provider set gmail" in caught.value.advice


def test_a_password_provider_is_not_linked_through_the_browser(app: App, ann: Person) -> None:
    with pytest.raises(Conflict, match="signs in with a password"):
        begin_link(app, request_of(ann, provider="fastmail"))


def test_a_user_of_another_workspace_cannot_start(app: App, ann: Person) -> None:
    other = ensure_workspace(app, "other")
    with pytest.raises(NotFound):
        begin_link(app, request_of(ann, workspace_id=other))


# -- the way back


def test_a_linked_account_has_its_person_scopes_and_channels_due_now(
    app: App, google: GoogleDouble, ann: Person, clock: TestClock
) -> None:
    linked = link_google(app, google, ann, ADDRESS, channels=(Channel.MAIL, Channel.CONTACTS))
    assert (linked.address, linked.repaired) == (ADDRESS, False)
    assert linked.channels == {"mail": "due", "contacts": "due"}
    row = accounts(app)[0]
    assert (row.state, row.subject, row.login) == ("linked", google.users[ADDRESS].sub, ADDRESS)
    assert (row.client_id, MAIL in row.granted_scopes) == (CLIENT_ID, True)
    assert {one.next_run_at for one in channels(app).values()} == {clock()}


def test_without_the_list_of_calendars_the_calendar_works(app: App, google: GoogleDouble, ann: Person) -> None:
    listed = "https://www.googleapis.com/auth/calendar.calendarlist.readonly"
    linked = link_google(app, google, ann, ADDRESS, channels=[Channel.CALENDAR], untick=[listed])
    assert linked.channels == {"calendar": "due"}
    with pytest.raises(NotGranted, match="list of calendars") as caught:
        list_calendars(app, ann.workspace_id, linked.id)
    assert "--relink" in caught.value.advice


def test_an_unticked_scope_leaves_that_channel_out_and_the_others_work(
    app: App, google: GoogleDouble, ann: Person
) -> None:
    linked = link_google(app, google, ann, ADDRESS, channels=tuple(Channel), untick=[MAIL])
    assert linked.channels == {"mail": "not granted", "contacts": "due", "calendar": "due"}
    mail = channels(app)["mail"]
    assert (mail.granted, mail.next_run_at) == (False, None)


def test_ticking_it_later_repairs_that_channel(app: App, google: GoogleDouble, ann: Person) -> None:
    first = link_google(app, google, ann, ADDRESS, channels=tuple(Channel), untick=[MAIL])
    again = link_google(app, google, ann, ADDRESS, channels=(Channel.MAIL,), relink=first.id)
    assert (again.id, again.repaired) == (first.id, True)
    assert again.channels == {"mail": "due", "contacts": "due", "calendar": "due"}


def test_a_denial_changes_nothing_and_uses_up_the_state(app: App, google: GoogleDouble, ann: Person) -> None:
    start = begin_link(app, request_of(ann))
    google.auto_consent = Consent(deny=True)
    query = visit(start.url)
    with pytest.raises(NeedsRelink, match="not allowed"):
        finish_link(app, query)
    with pytest.raises(NotFound):
        finish_link(app, query)
    assert accounts(app) == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [("server_error", Transient), ("invalid_scope", Misconfigured), ("<script>", Misconfigured)],
)
def test_other_refusals_are_told_apart_and_no_text_of_the_link_is_repeated(
    app: App, ann: Person, error: str, expected: type[TwinboxError]
) -> None:
    start = begin_link(app, request_of(ann))
    with pytest.raises(expected) as caught:
        finish_link(app, {"state": start.state, "error": error, "error_description": "call 555-0100"})
    assert "555" not in str(caught.value)
    assert "<" not in str(caught.value)


@pytest.mark.parametrize("state", ["", "unknown", "x" * 10_000, "\x00", "' OR 1=1 --"])
def test_an_unknown_state_is_refused(app: App, ann: Person, state: str) -> None:
    begin_link(app, request_of(ann))
    with pytest.raises(NotFound):
        finish_link(app, {"state": state, "code": "4/x"})


def test_a_state_is_good_for_ten_minutes(app: App, google: GoogleDouble, ann: Person, clock: TestClock) -> None:
    start = begin_link(app, request_of(ann))
    google.auto_consent = Consent(user=ADDRESS)
    query = visit(start.url)
    clock.advance(minutes=10)
    with pytest.raises(NotFound, match="too old"):
        finish_link(app, query)
    assert accounts(app) == []


def test_expired_attempts_and_their_secrets_are_forgotten(app: App, ann: Person, clock: TestClock) -> None:
    begin_link(app, request_of(ann))
    clock.advance(minutes=11)
    begin_link(app, request_of(ann))
    with app.db.reading() as session:
        assert session.scalar(select(func.count()).select_from(LinkAttemptRow)) == 1
    _verifier(app)


def test_a_state_works_only_in_the_browser_session_that_started(app: App, google: GoogleDouble, ann: Person) -> None:
    start = begin_link(app, request_of(ann, session="cookie-1"))
    google.auto_consent = Consent(user=ADDRESS)
    query = visit(start.url)
    for session in ("", "cookie-2"):
        with pytest.raises(NotFound):
            finish_link(app, query, session=session)
    assert finish_link(app, query, session="cookie-1").address == ADDRESS


def test_an_answer_of_another_sign_in_server_is_refused(app: App, ann: Person) -> None:
    start = begin_link(app, request_of(ann))
    with pytest.raises(Conflict, match="another sign-in server"):
        finish_link(app, {"state": start.state, "code": "4/x", "iss": "https://evil.example"})


def test_a_code_of_another_attempt_is_refused(app: App, google: GoogleDouble, ann: Person) -> None:
    """PKCE: the code is bound to the verifier of the attempt it was given for."""
    google.auto_consent = Consent(user="bob@example.com")
    stolen = visit(begin_link(app, request_of(ann)).url)
    mine = begin_link(app, request_of(ann))
    with pytest.raises(TwinboxError):
        finish_link(app, {**stolen, "state": mine.state})
    assert accounts(app) == []


def test_fifty_parallel_callbacks_with_one_state_make_one_account(app: App, google: GoogleDouble, ann: Person) -> None:
    start = begin_link(app, request_of(ann))
    google.auto_consent = Consent(user=ADDRESS)
    query = visit(start.url)
    together = threading.Barrier(50)

    def call(_: int) -> str:
        together.wait()
        try:
            return finish_link(app, query).id
        except NotFound:
            return ""

    with ThreadPoolExecutor(50) as pool:
        ids = [one for one in pool.map(call, range(50)) if one]
    assert [row.id for row in accounts(app)] == ids
    assert len(ids) == 1
    assert open_access(app, ids[0]).secret()


def test_a_second_use_of_the_code_leaves_the_link_alone(app: App, google: GoogleDouble, ann: Person) -> None:
    start = begin_link(app, request_of(ann))
    google.auto_consent = Consent(user=ADDRESS)
    query = visit(start.url)
    linked = finish_link(app, query)
    other = begin_link(app, request_of(ann))
    with pytest.raises(TwinboxError):
        finish_link(app, {**query, "state": other.state})
    assert open_access(app, linked.id).secret(refresh=True)


def test_another_mailbox_than_expected_is_refused_and_its_grant_given_back(
    app: App, google: GoogleDouble, ann: Person
) -> None:
    with pytest.raises(Conflict, match=r"bob@example\.com"):
        link_google(app, google, ann, "bob@example.com", expected_address=ADDRESS)
    assert accounts(app) == []
    assert google.store.live_refresh_tokens("bob@example.com") == ()


def test_an_expected_address_is_compared_without_case(app: App, google: GoogleDouble, ann: Person) -> None:
    assert link_google(app, google, ann, ADDRESS, expected_address="Ann@Example.COM").address == ADDRESS


def test_an_unverified_address_does_not_pass_for_the_expected_one(app: App, google: GoogleDouble, ann: Person) -> None:
    google.users.update(ADDRESS, email_verified=False)
    with pytest.raises(Conflict):
        link_google(app, google, ann, ADDRESS, expected_address=ADDRESS)


# -- linking again


def test_linking_again_keeps_settings_and_clears_the_failure(
    app: App, google: GoogleDouble, ann: Person, clock: TestClock
) -> None:
    first = link_google(app, google, ann, ADDRESS)
    set_account(app, state="needs_relink", reason="revoked", advice="link again")
    with app.db.transaction() as session:
        channel = session.scalars(select(ChannelRow)).one()
        channel.settings, channel.failures, channel.next_run_at = {"since": "2026-01-01"}, 7, None
    clock.advance(minutes=1)
    again = link_google(app, google, ann, ADDRESS)
    assert (again.id, again.repaired) == (first.id, True)
    row, channel = accounts(app)[0], channels(app)["mail"]
    assert (row.state, row.reason, row.advice, row.linked_at) == ("linked", "", "", clock())
    assert (channel.settings, channel.failures, channel.next_run_at) == ({"since": "2026-01-01"}, 0, clock())


def test_a_changed_address_of_the_same_person_is_followed(app: App, google: GoogleDouble, ann: Person) -> None:
    first = link_google(app, google, ann, ADDRESS)
    google.users.update(ADDRESS, email="ann.new@example.com")
    again = link_google(app, google, ann, "ann.new@example.com", relink=first.id)
    assert (again.id, again.address) == (first.id, "ann.new@example.com")


def test_another_person_never_takes_over_an_account(app: App, google: GoogleDouble, ann: Person) -> None:
    first = link_google(app, google, ann, ADDRESS)
    with pytest.raises(Conflict, match="another person"):
        link_google(app, google, ann, "bob@example.com", relink=first.id)
    assert [row.subject for row in accounts(app)] == [google.users[ADDRESS].sub]
    assert google.store.live_refresh_tokens("bob@example.com") == ()
    assert open_access(app, first.id).secret(refresh=True)


def test_a_refused_relink_does_not_revoke_a_grant_that_another_account_lives_on(
    app: App, google: GoogleDouble, ann: Person
) -> None:
    first, second = (link_google(app, google, ann, who) for who in (ADDRESS, "bob@example.com"))
    with pytest.raises(Conflict, match="another person"):
        link_google(app, google, ann, "bob@example.com", relink=first.id)
    assert open_access(app, second.id).secret(refresh=True)


def test_two_users_may_link_one_google_account(app: App, google: GoogleDouble, ann: Person) -> None:
    bob = make_user(app, "bob@crm.example")
    assert link_google(app, google, ann, ADDRESS).id != link_google(app, google, bob, ADDRESS).id


def test_no_new_refresh_token_keeps_the_stored_one(app: App, google: GoogleDouble, ann: Person) -> None:
    linked = link_google(app, google, ann, ADDRESS)
    start = begin_link(app, request_of(ann))
    query = visit(_without_consent(start.url))
    assert finish_link(app, query).id == linked.id
    assert open_access(app, linked.id).secret(refresh=True)


def test_no_refresh_token_at_all_is_told_and_links_nothing(app: App, google: GoogleDouble, ann: Person) -> None:
    link_google(app, google, ann, ADDRESS)
    bob = make_user(app, "bob@crm.example")
    start = begin_link(app, request_of(bob))
    with pytest.raises(NeedsRelink, match="no lasting permission"):
        finish_link(app, visit(_without_consent(start.url)))
    assert len(accounts(app)) == 1


def _without_consent(url: str) -> str:
    assert "prompt=" in url
    return "&".join(part for part in url.split("&") if not part.startswith("prompt="))


def test_a_time_limited_grant_is_remembered(app: App, google: GoogleDouble, ann: Person, clock: TestClock) -> None:
    google.clients.update(CLIENT_ID, testing=True)
    link_google(app, google, ann, ADDRESS)
    ends = accounts(app)[0].grant_ends_at
    assert ends is not None
    assert timedelta(days=6, hours=23) < ends - clock() <= timedelta(days=7)


def test_a_paused_account_runs_again_after_linking_again(app: App, google: GoogleDouble, ann: Person) -> None:
    linked = link_google(app, google, ann, ADDRESS)
    pause(app, ann.workspace_id, linked.id)
    assert link_google(app, google, ann, ADDRESS).state == "linked"


def test_a_wrong_client_secret_is_the_administrators_problem(app: App, google: GoogleDouble, ann: Person) -> None:
    change = ProviderChange(client_secret=Secret("wrong"))
    save_provider(app, ann.workspace_id, "gmail", change, create=False)
    with pytest.raises(Misconfigured):
        link_google(app, google, ann, ADDRESS)


# -- tokens


def test_a_token_is_used_until_shortly_before_its_end(
    app: App, google: GoogleDouble, ann: Person, clock: TestClock
) -> None:
    access = open_access(app, link_google(app, google, ann, ADDRESS).id)
    first = access.secret()
    assert (access.uses_token, access.login) == (True, ADDRESS)
    clock.advance(minutes=50)
    assert access.secret() == first
    clock.advance(minutes=9, seconds=30)
    assert access.secret() != first


def test_a_refused_token_is_renewed_once_and_the_new_one_shared(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    one, two = open_access(app, account), open_access(app, account)
    old = one.secret()
    assert two.secret() == old
    google.expire_access_tokens(ADDRESS)
    calls = google.calls["/token"]
    fresh = one.secret(refresh=True)
    assert google.mail_user(fresh.reveal()) == ADDRESS
    assert two.secret(refresh=True) == fresh
    assert google.calls["/token"] == calls + 1


def pause_shortly(seconds: float) -> None:
    threading.Event().wait(seconds / 10)


def test_many_workers_renew_a_token_with_one_request(
    app: App, google: GoogleDouble, ann: Person, clock: TestClock
) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    clock.advance(hours=2)
    calls = google.calls["/token"]
    together = threading.Barrier(8)

    def work(_: int) -> Secret:
        access = open_access(app, account, wait=pause_shortly)
        together.wait()
        return access.secret()

    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(work, range(8)))
    assert len(tokens) == 1
    assert google.calls["/token"] == calls + 1


def test_a_dead_workers_renewal_is_taken_over_when_its_lease_ends(
    app: App, google: GoogleDouble, ann: Person, clock: TestClock
) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    clock.advance(hours=2)
    _lease(app, account, clock.now + timedelta(seconds=60))

    def wait(seconds: float) -> None:
        clock.advance(seconds=seconds * 10)

    access = open_access(app, account, wait=wait)
    assert google.mail_user(access.secret().reveal()) == ADDRESS


def test_waiting_for_another_worker_has_an_end(app: App, google: GoogleDouble, ann: Person, clock: TestClock) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    clock.advance(hours=2)
    _lease(app, account, clock.now + timedelta(days=1))
    with pytest.raises(Transient, match="does not finish"):
        open_access(app, account, wait=lambda _: None).secret()


def _lease(app: App, account: str, until: object) -> None:
    with app.db.transaction() as session:
        row = session.scalars(
            select(SecretRow).where(SecretRow.owner == account, SecretRow.kind == "refresh_token")
        ).one()
        row.lease_until = until  # type: ignore[assignment]  # a datetime of the test


def test_a_new_refresh_token_is_kept(app: App, google: GoogleDouble, ann: Person) -> None:
    google.knobs.rotate_refresh_tokens = True
    access = open_access(app, link_google(app, google, ann, ADDRESS).id)
    assert len({access.secret(refresh=True) for _ in range(3)}) == 3


def test_a_revoked_grant_needs_linking_again_and_marks_nothing_itself(
    app: App, google: GoogleDouble, ann: Person
) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    google.revoke_user(ADDRESS)
    with pytest.raises(NeedsRelink):
        open_access(app, account).secret(refresh=True)
    assert accounts(app)[0].state == "linked"
    link_google(app, google, ann, ADDRESS)
    assert open_access(app, account).secret(refresh=True)


def test_an_outage_leaves_the_lease_free_for_the_next_try(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    google.stop()
    with pytest.raises(Transient):
        open_access(app, account).secret(refresh=True)
    google.start()
    assert open_access(app, account, wait=lambda _: None).secret(refresh=True)


def test_a_deleted_application_is_the_administrators_problem(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    google.clients.delete(CLIENT_ID)
    with pytest.raises(Misconfigured):
        open_access(app, account).secret(refresh=True)


def test_a_link_made_anew_while_a_renewal_is_refused_wins(app: App, google: GoogleDouble, ann: Person) -> None:
    account = link_google(app, google, ann, ADDRESS).id
    google.revoke_user(ADDRESS)
    renewal = google.faults.next("POST /token", hold=True)
    with ThreadPoolExecutor(1) as pool:
        token = pool.submit(lambda: open_access(app, account, wait=lambda _: None).secret(refresh=True))
        assert renewal.reached.wait(10)
        link_google(app, google, ann, ADDRESS)
        renewal.release()
        assert google.mail_user(token.result(20).reveal()) == ADDRESS


def test_a_token_is_never_asked_for_inside_a_transaction(app: App, google: GoogleDouble, ann: Person) -> None:
    access = open_access(app, link_google(app, google, ann, ADDRESS).id)
    with app.db.transaction(), pytest.raises(RuntimeError, match="transaction"):
        access.secret()
