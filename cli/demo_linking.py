"""The steps of `twinbox demo` about access: start, link, revoke, link again, remove.
The flow is the one of `twinbox account link`; who consents, a person or the demo, is up to the audience."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from html import unescape

import httpx2

from cli.demo_agenda import activities, calendar, event_id, letters, same_there, sync_calendar
from cli.demo_book import book, edit_mine, google_now, in_step, label, sync_contacts, theirs
from cli.demo_mail import deliver
from cli.demo_records import pairs, rows_of
from cli.demo_story import (
    Audience,
    CheckFailed,
    Stage,
    Step,
    asked,
    bodies,
    check,
    clean_sync,
    overview,
    part,
    stored,
    sync,
)
from cli.demo_world import PROVIDER, DemoWorld
from cli.loopback import Page, listening
from core.errors import NeedsRelink, Transient, TwinboxError
from core.types import Channel
from sandbox.world_letters import ANNA_ADDRESS, question
from sandbox.world_meetings import FAIR
from sandbox.world_people import HELENE, OLIVIA
from sync.account_rows import LinkedAccount
from sync.linking import LinkRequest, begin_link, finish_link
from sync.removal import remove
from sync.users import add_user

_TICKED = re.compile(r'name="granted" value="([^"]*)"')
_LOOK_SECONDS = 0.1
CHANNELS = (Channel.MAIL, Channel.CONTACTS, Channel.CALENDAR)
NEW_NUMBER = "+33 1 70 18 99 42"
NEW_HALL = "Hall 7"


def start(stage: Stage) -> None:
    """Everything is up."""
    world = stage.world
    stage.screen.tell("Google", f"a stand-in for sign-in and consent at {world.google.base_url}")
    stage.screen.tell("Gmail", f"a stand-in on 127.0.0.1, IMAP over TLS on port {world.gmail.imap_port}")
    stage.screen.tell("Twinbox", f"a new installation in {world.folder}: database, keys, throw-away CA")
    mode = oct(world.app.settings.data_dir.stat().st_mode & 0o777)
    check(stage, "only its owner can look into the folder", oct(0o700), mode)


def link(stage: Stage) -> None:
    """Anna links her account: mail, contacts and calendar."""
    world = stage.world
    user = add_user(world.app, world.workspace, ANNA_ADDRESS, external_id="crm-1001", name="Anna Keller")
    stage.user_id = user.id
    stage.screen.tell("Twinbox", "adds the CRM user Anna Keller and sends her to Google (OAuth 2.0, PKCE S256, state)")
    linked = through_consent(stage)
    stage.account_id = linked.id
    stage.screen.tell("Google", "asks Anna, and sends her browser back with a one-time code")
    stage.screen.tell("Twinbox", "trades it for tokens, checks who signed in, and seals them (AES-256-GCM)")
    check(
        stage,
        f"{linked.address} is linked; mail, contacts and calendar are due",
        ("linked", dict.fromkeys(CHANNELS, "due")),
        (linked.state, dict(linked.channels)),
    )
    check(stage, "the tokens are nowhere in the database in clear", False, _tokens_in_clear(world))


def _tokens_in_clear(world: DemoWorld) -> bool:
    tokens = world.google.store.live_refresh_tokens(ANNA_ADDRESS)
    if not tokens:
        raise CheckFailed("Google gave a lasting permission", "a refresh token", "none")
    files = [path.read_bytes() for path in world.app.settings.data_dir.iterdir() if path.is_file()]
    return any(token.encode() in data for token in tokens for data in files)


def revoked(stage: Stage) -> None:
    """Anna takes the access back at Google."""
    world = stage.world
    before = overview(stage)["messages"]
    world.google.revoke_user(ANNA_ADDRESS)
    stage.screen.tell("Google", "Anna takes Twinbox's access back in her account settings")
    stage.screen.tell("Twinbox", "is refused, tries a fresh token once, is refused that: only Anna can mend this")
    report = sync(stage)
    row = overview(stage)
    check(
        stage, "the account asks to be linked again", ("needs_relink", "needs_relink"), (report.outcome, row["state"])
    )
    check(
        stage, "the reason is kept, with what to do about it", (True, True), (bool(row["reason"]), bool(row["advice"]))
    )
    check(stage, "nothing was removed, no further run is due", (before, None), (row["messages"], row["next_run_at"]))
    for channel in CHANNELS:
        text = f"another start of {channel.value} is refused without asking Google"
        check(stage, text, (True, 0), _refused_quietly(stage, channel))


def _refused_quietly(stage: Stage, channel: Channel) -> tuple[bool, int]:
    calls = stage.world.google.calls.total()
    stage.world.gmail.forget_counters(ANNA_ADDRESS)
    try:
        sync(stage, channel)
    except NeedsRelink:
        return True, stage.world.google.calls.total() - calls + asked(stage)
    return False, 0


def relinked(stage: Stage) -> None:
    """Anna links it again."""
    ids = {row["id"] for row in stored(stage)}
    deliver(stage, question(stage.world.clock.now(), 4))
    stage.screen.tell("Gmail", "meanwhile one message arrived")
    book(stage).edit(theirs(stage, HELENE), {"phoneNumbers": [{"value": NEW_NUMBER, "type": "mobile"}]})
    edit_mine(stage, OLIVIA, title="Head of support")
    calendar(stage).edit(event_id(stage, FAIR), location=NEW_HALL)
    stage.screen.tell("Google", f"meanwhile Anna gave Hélène a new number, and the fair is in {NEW_HALL}")
    stage.screen.tell("CRM", "meanwhile Olivia got another position")
    linked = through_consent(stage, relink=stage.account_id)
    stage.screen.tell("Google", "Anna consents again")
    stage.screen.tell("Twinbox", "knows her by Google's subject id and repairs the account it has")
    check(
        stage,
        "the same account, in order again",
        (stage.account_id, True, "linked"),
        (linked.id, linked.repaired, linked.state),
    )
    report = clean_sync(stage)
    check(stage, "cursors were kept: one message was fetched", ({"new": 1}, 1), (report.counts, bodies(stage)))
    check(stage, "all earlier messages are still there", True, ids <= {row["id"] for row in stored(stage)})


def go_on(stage: Stage) -> None:
    """Contacts and calendar go on where they were."""
    before, meetings = (pairs(stage, channel) for channel in (Channel.CONTACTS, Channel.CALENDAR))
    stage.screen.tell("Twinbox", "still has the pairs and its sync tokens: it asks for what was missed, no more")
    report = sync_contacts(stage)
    check(
        stage,
        "the two edits that were missed travelled, nothing else",
        {"updated in the CRM": 1, "updated at the provider": 1},
        report.counts,
    )
    check(stage, f"the same {len(before)} pairs as before", before, pairs(stage, Channel.CONTACTS))
    in_step(stage, "both sides hold the same", HELENE, OLIVIA)
    report = sync_calendar(stage)
    found = (report.counts, pairs(stage, Channel.CALENDAR))
    check(stage, f"so it is with her {len(meetings)} meetings", ({"updated in the CRM": 1}, meetings), found)
    same_there(stage, "the fair is in the same hall on both sides", FAIR)


def removed(stage: Stage) -> None:
    """The account is removed."""
    world = stage.world
    kept, there_too, agenda = len(stored(stage)), google_now(stage), calendar(stage).events()
    people, under = rows_of(stage, "contacts", "contact_tags"), label(stage)
    count = len(activities(stage))
    there = len(world.gmail.mail.snapshot(ANNA_ADDRESS))
    stage.screen.tell("CRM", "the account is removed, its mail shall stay (twinbox account remove)")
    receipt = remove(world.app, world.workspace, stage.account_id)
    stage.screen.tell("Twinbox", f"access at Google: {receipt.grant}; secrets erased: {receipt.secrets_erased}")
    stage.screen.tell(
        "", f"cursors of {receipt.mailboxes_forgotten} folders forgotten; messages erased: {receipt.messages_erased}"
    )
    check(
        stage,
        "Google holds no permission for Twinbox any more",
        ("revoked", ()),
        (receipt.grant, world.google.store.live_refresh_tokens(ANNA_ADDRESS)),
    )
    check(stage, f"the {kept} stored messages can still be read here", kept, len(stored(stage)))
    check(stage, "nothing was deleted at Gmail", there, len(world.gmail.mail.snapshot(ANNA_ADDRESS)))
    stage.screen.tell("", f"pairs forgotten, parted ones too: {receipt.records_unlinked}; contacts and activities stay")
    check(stage, "the CRM has its contacts with their tags", people, rows_of(stage, "contacts", "contact_tags"))
    check(stage, f"and its {count} activities", count, len(activities(stage)))
    check(
        stage,
        "Anna has all of hers, her label and her calendar",
        (there_too, True, agenda),
        (google_now(stage), under in book(stage).groups(), calendar(stage).events()),
    )
    forbidden = [*world.google.people.violations, *world.google.calendar.violations]
    check(stage, "in the whole story no contact was deleted at Google", [], forbidden)
    check(stage, "and no guest was mailed by Twinbox", [], letters(stage))


@dataclass(frozen=True, slots=True)
class Owner:
    """Who links: the address at Google, the user of the CRM, what shall be synced."""

    address: str
    user_id: str
    channels: tuple[Channel, ...]


def through_consent(stage: Stage, relink: str | None = None) -> LinkedAccount:
    """Anna links, or links again. Raises what linking raises, Transient when nobody consents."""
    return consented(stage, Owner(ANNA_ADDRESS, stage.user_id, CHANNELS), stage.audience, relink)


def consented(stage: Stage, owner: Owner, audience: Audience, relink: str | None = None) -> LinkedAccount:
    """The whole OAuth flow over a loopback redirect. Raises what linking raises, Transient when nobody consents."""
    app = stage.world.app
    done: list[LinkedAccount | TwinboxError] = []

    def finish(query: Mapping[str, str]) -> Page:
        try:
            done.append(finish_link(app, query))
        except TwinboxError as error:
            done.append(error)
            return Page("Not linked", f"{error}. {error.advice}")
        return Page("Linked", "Go on in the terminal; you can close this window.")

    with listening() as loopback, ThreadPoolExecutor(1) as pool:
        workspace, redirect = stage.world.workspace, loopback.redirect_uri
        request = LinkRequest(workspace, owner.user_id, PROVIDER, redirect, owner.channels, relink)
        attempt = begin_link(app, request)
        audience.invited(attempt.url)
        visit: Future[None] | None = None
        loopback.answer(finish, attempt.state, 0)  # from here on it knows the state, so nobody can come too early
        while not done:
            if visit is None and audience.consents():
                visit = pool.submit(consent_by_itself, stage.world, attempt.url, owner.address)
            if visit is not None and visit.done():
                visit.result()
            loopback.answer(finish, attempt.state, _LOOK_SECONDS)
            if app.clock() >= attempt.expires_at:
                raise Transient("nobody consented", advice="Start the demo again.")
    if isinstance(done[0], TwinboxError):
        raise done[0]
    return done[0]


def consent_by_itself(world: DemoWorld, url: str, address: str) -> None:
    """Play the browser: open the consent page, leave every box ticked, continue, follow the redirect.

    Raises CheckFailed when a page is not the expected one.
    """
    with httpx2.Client(verify=world.trusting(), trust_env=False) as browser:
        page = browser.get(url)
        if page.status_code != 200:
            raise CheckFailed("Google shows the consent page", 200, page.status_code)
        ticked = [unescape(scope) for scope in _TICKED.findall(page.text)]
        form = {"user": address, "granted": ticked, "decision": "allow"}
        answer = browser.post(url, data=form)
        if answer.status_code != 302:
            raise CheckFailed("Google sends the browser back", 302, answer.status_code)
        landed = browser.get(answer.headers["location"])
        if landed.status_code != 200:
            raise CheckFailed("the browser is awaited", 200, landed.status_code)


BEFORE = part(
    "Access", Step("A world of its own", start), Step("Anna links mailbox, contacts and calendar", link, brief=False)
)
AFTER = part(
    "Access is taken back",
    Step("Anna withdraws the access", revoked, brief=False),
    Step("Anna links it again", relinked),
    Step("Contacts and calendar go on where they were", go_on),
)
END = part("Access is taken back", Step("The account is removed", removed))
