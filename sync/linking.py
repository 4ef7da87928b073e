"""Links accounts by OAuth 2.0 authorization code with PKCE: the way out (`begin_link`) and back (`finish_link`).
The same functions serve command line and web; what a provider answers is read by `providers.protocols.oauth2`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.addresses import address_key
from core.errors import Conflict, NeedsRelink, NotFound, TwinboxError
from core.provider import AuthMethod, OAuthClient, OAuthEndpoints, ProviderSpec
from core.secret import Secret
from core.types import Channel
from models.accounts import AccountRow, LinkAttemptRow
from providers.protocols import oauth2
from sync.access import ACCESS_TOKEN, REFRESH_TOKEN, expiry
from sync.account_rows import (
    REMOVED,
    REMOVING,
    Grant,
    LinkedAccount,
    channel_rows,
    check_user,
    find_linked,
    save_account,
)
from sync.accounts import login_name, same_address
from sync.app import App
from sync.ids import new_id
from sync.link_answers import read_code
from sync.link_attempts import ATTEMPT_LIFETIME, claim_attempt, digest, save_attempt
from sync.registry import RegisteredProvider, find_provider
from sync.removal import grant_in_use
from sync.vault import Keep, read_secret


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """What somebody wants to link. `relink` is the id of the account to repair; `session` names the browser session.

    `expected_address`: refuse if another mailbox is chosen. `channels` may be empty when relinking: those it has.
    """

    workspace_id: str
    user_id: str
    provider: str
    redirect_uri: str
    channels: Sequence[Channel] = (Channel.MAIL,)
    relink: str | None = None
    expected_address: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class LinkStart:
    """Where to send the browser; `state` comes back with it, once, before `expires_at`."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    expires_at: datetime


def begin_link(app: App, request: LinkRequest) -> LinkStart:
    """Start an authorization: remember the attempt for ten minutes and give the address to open.

    Raises NotFound (user, provider, account to relink), Conflict (not an OAuth 2.0 provider, no such channel),
    Misconfigured (no OAuth application). Touches no network.
    """
    provider = find_provider(app, request.workspace_id, request.provider)
    if provider.spec.auth is not AuthMethod.OAUTH2:
        raise Conflict(
            f"{provider.spec.title} signs in with a password",
            advice="Link it with --password-stdin. " + provider.spec.advice,
        )
    endpoints, client = provider.need_client()
    state, verifier, nonce = (secrets.token_urlsafe(32) for _ in range(3))
    expires_at = app.clock() + ATTEMPT_LIFETIME
    with app.db.transaction() as session:
        channels, hint = _scope_of(session, request, provider.spec)
        row = LinkAttemptRow(
            id=new_id(),
            state_hash=digest(state),
            session_hash=digest(request.session),
            workspace_id=request.workspace_id,
            user_id=request.user_id,
            provider=request.provider,
            channels=[channel.value for channel in channels],
            redirect_uri=request.redirect_uri,
            nonce=nonce,
            expected_address=request.expected_address,
            relink_account_id=request.relink,
            expires_at=expires_at,
        )
        save_attempt(session, app, row, Secret(verifier))
    url = oauth2.authorization_url(
        endpoints,
        client,
        redirect_uri=request.redirect_uri,
        scopes=wanted_scopes(endpoints, channels),
        state=state,
        challenge=oauth2.pkce_challenge(verifier),
        nonce=nonce,
        login_hint=hint,
    )
    return LinkStart(url, state, expires_at)


def finish_link(app: App, query: Mapping[str, str], *, session: str = "") -> LinkedAccount:
    """Finish an authorization with the parameters of the redirect; `session` as given to `begin_link`.

    The state is used up by this call, whatever comes of it, so of many calls with one state exactly one can link.
    Raises NotFound (state unknown, used, expired or of another session), NeedsRelink (denied, or no lasting
    permission given), Conflict (another mailbox than expected), Misconfigured (the application is refused),
    Transient (the provider cannot be reached: start again).
    """
    attempt = claim_attempt(app, query.get("state", ""), session)
    provider = find_provider(app, attempt.row.workspace_id, attempt.row.provider)
    endpoints, client = provider.need_client()
    code = read_code(query, provider.spec, endpoints)
    reply = oauth2.exchange_code(
        app.guard,
        endpoints,
        client,
        code=code,
        redirect_uri=attempt.row.redirect_uri,
        verifier=attempt.verifier,
        requested=wanted_scopes(endpoints, [Channel(name) for name in attempt.row.channels]),
    )
    identity = oauth2.read_identity(app.guard, endpoints, client, reply, nonce=attempt.row.nonce)
    try:
        _check_person(app, attempt.row, identity)
        return _settle(app, attempt.row, provider, reply, identity)
    except (Conflict, NeedsRelink):
        _return_grant(app, endpoints, client, reply, identity.subject)
        raise


def wanted_scopes(endpoints: OAuthEndpoints, channels: Sequence[Channel]) -> tuple[str, ...]:
    """The scopes to ask for: identity and those of the channels, each once, in order."""
    parts = [endpoints.identity_scopes, *(endpoints.channel_scopes.get(channel, ()) for channel in channels)]
    return tuple(dict.fromkeys(scope for part in parts for scope in part))


def _scope_of(session: Session, request: LinkRequest, spec: ProviderSpec) -> tuple[list[Channel], str]:
    """The channels to ask for and the address to suggest. Relinking never asks for less than the account has."""
    check_user(session, request.workspace_id, request.user_id)
    channels, hint = list(dict.fromkeys(request.channels)), request.expected_address
    if request.relink is not None:
        account = _relinked(session, request)
        channels += [Channel(row.channel) for row in channel_rows(session, account.id)]
        hint = hint or account.address
    channels = list(dict.fromkeys(channels))
    unknown = [channel.value for channel in channels if channel not in spec.channels]
    if unknown or not channels:
        offered = ", ".join(channel.value for channel in spec.channels)
        raise Conflict(
            f"{spec.title} has no channel {' or '.join(unknown) or 'given'}", advice=f"Choose of: {offered}."
        )
    return channels, hint


def _relinked(session: Session, request: LinkRequest) -> AccountRow:
    account = session.scalar(
        select(AccountRow).where(
            AccountRow.id == request.relink,
            AccountRow.workspace_id == request.workspace_id,
            AccountRow.user_id == request.user_id,
        )
    )
    if account is None or account.state in (REMOVING, REMOVED):
        raise NotFound("this user has no such account", advice="`twinbox account list` shows all.")
    if account.provider != request.provider:
        raise Conflict(f"that account is at {account.provider}", advice="Link it again there, or link a new one.")
    return account


def _check_person(app: App, attempt: LinkAttemptRow, identity: oauth2.Identity) -> None:
    """Whether the right person signed in. Raises Conflict; nothing was changed then."""
    expected = attempt.expected_address
    if expected and not (identity.email_verified and same_address(identity.email, expected)):
        raise Conflict(
            f"another mailbox was chosen at sign-in ({identity.email or 'no address given'}), not {expected}",
            advice="Link again and choose the right account there.",
        )
    if attempt.relink_account_id is None:
        return
    with app.db.reading() as session:
        account = session.scalar(select(AccountRow).where(AccountRow.id == attempt.relink_account_id))
    if account is None or account.state in (REMOVING, REMOVED):
        raise Conflict("the account to link again was removed meanwhile", advice="Link it as a new account.")
    if account.subject != identity.subject:
        raise Conflict(
            f"another person signed in than the one account {account.address} belongs to",
            advice="Link again and choose that account, or link this one as a new account.",
        )


def _settle(
    app: App,
    attempt: LinkAttemptRow,
    provider: RegisteredProvider,
    reply: oauth2.TokenReply,
    identity: oauth2.Identity,
) -> LinkedAccount:
    try:
        return _save(app, attempt, provider, reply, identity)
    except IntegrityError:
        # The same person was linked by another attempt at this very moment: now it is there to be repaired.
        return _save(app, attempt, provider, reply, identity)


def _save(
    app: App,
    attempt: LinkAttemptRow,
    provider: RegisteredProvider,
    reply: oauth2.TokenReply,
    identity: oauth2.Identity,
) -> LinkedAccount:
    endpoints, client = provider.need_client()
    now = app.clock()
    with app.db.transaction() as session:
        known = find_linked(session, attempt.user_id, attempt.provider, identity.subject)
        if reply.refresh_token is None and not _can_renew(session, app, known, client):
            raise NeedsRelink(
                f"{provider.spec.title} gave no lasting permission",
                advice="Take the access of this application back in your account there, then link again.",
            )
        address = address_key(identity.email) if identity.email else (known.address if known else "")
        if not address:
            raise Conflict(f"{provider.spec.title} did not tell the mail address", advice="Allow it when linking.")
        channels = [Channel(name) for name in attempt.channels]
        channels += [Channel(row.channel) for row in (channel_rows(session, known.id) if known else ())]
        grant = Grant(
            workspace_id=attempt.workspace_id,
            user_id=attempt.user_id,
            provider=attempt.provider,
            subject=identity.subject,
            address=address,
            login=login_name(provider.spec, address),
            channels={one: oauth2.covers(reply.scopes, endpoints.needed_scopes(one)) for one in channels},
            scopes=sorted(reply.scopes),
            client_id=client.client_id,
            ends_at=_ends_at(reply, now),
        )
        return save_account(session, app, grant, _tokens(attempt.workspace_id, reply, now))


def _can_renew(session: Session, app: App, known: AccountRow | None, client: OAuthClient) -> bool:
    """Whether the stored refresh token can go on: a provider sends one only the first time unless told otherwise."""
    if known is None or known.client_id != client.client_id:
        return False
    return read_secret(session, app.vault, known.id, REFRESH_TOKEN) is not None


def _ends_at(reply: oauth2.TokenReply, now: datetime) -> datetime | None:
    seconds = reply.refresh_token_expires_in
    return None if seconds is None else now + timedelta(seconds=seconds)


def _tokens(workspace: str, reply: oauth2.TokenReply, now: datetime) -> list[Keep]:
    kept = [Keep(workspace, "", ACCESS_TOKEN, reply.access_token, expiry(reply, now))]
    if reply.refresh_token:
        kept.append(Keep(workspace, "", REFRESH_TOKEN, reply.refresh_token))
    return kept


def _return_grant(
    app: App, endpoints: OAuthEndpoints, client: OAuthClient, reply: oauth2.TokenReply, subject: str
) -> None:
    """We may not keep what we do not use: revoke a grant we refused, unless another account lives on it."""
    with app.db.reading() as session:
        if grant_in_use(session, client.client_id, subject):
            return
    try:
        oauth2.revoke(app.guard, endpoints, client, reply.refresh_token or reply.access_token)
    except TwinboxError:
        return  # unused tokens die by themselves; the refusal is what must be told
