"""What is done with accounts beside OAuth linking and removal: password linking, pausing, resuming.
Rows are written by `sync.account_rows`, removal is `sync.removal`, OAuth 2.0 is `sync.linking`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from core.addresses import address_key
from core.errors import Conflict, NeedsRelink
from core.ports import Access
from core.provider import AuthMethod, LoginFormat, ProviderSpec
from core.secret import Secret
from core.types import Channel
from models.accounts import AccountRow
from sync.access import PASSWORD, PasswordAccess
from sync.account_rows import (
    LINKED,
    PAUSED,
    Grant,
    LinkedAccount,
    channel_rows,
    own_account,
    save_account,
)
from sync.app import App
from sync.registry import find_provider
from sync.users import check_address
from sync.vault import Keep

Verify = Callable[[App, ProviderSpec, Access], None]

_APP_PASSWORD = re.compile(r"[a-z]{16}", re.IGNORECASE)


def sign_in_imap(app: App, spec: ProviderSpec, access: Access) -> None:
    """Sign in to the IMAP server once. Raises NeedsRelink, Misconfigured, Refused or Transient."""
    from providers.protocols.imap import open_imap  # heavy, and not needed for anything else here

    open_imap(app.guard, spec.imap, access).close()


def link_password(
    app: App,
    *,
    workspace_id: str,
    user_id: str,
    provider: str,
    address: str,
    password: Secret,
    login: str = "",
    channels: Sequence[Channel] = (Channel.MAIL,),
    verify: Verify | None = sign_in_imap,
) -> LinkedAccount:
    """Link a mailbox by password; the same address again repairs in place. `verify` None skips the sign-in.

    Raises NeedsRelink (with the provider's advice) when the server refuses the password, Conflict when the
    input does not fit the provider, and what `verify` raises. Nothing is stored unless all is well.
    """
    spec = find_provider(app, workspace_id, provider).spec
    if spec.auth is not AuthMethod.PASSWORD:
        raise Conflict(f"{spec.title} does not take passwords", advice=spec.advice)
    missing = [channel.value for channel in channels if channel not in spec.channels]
    if missing:
        raise Conflict(f"{spec.title} has no {' or '.join(missing)} here", advice="Link the mail channel only.")
    key = check_address(address)
    access = PasswordAccess(login_name(spec, key, login), clean_password(spec, password))
    if verify is not None:
        _verified(app, spec, access, verify)
    grant = Grant(workspace_id, user_id, provider, key, key, access.login, channels=dict.fromkeys(channels, True))
    with app.db.transaction() as session:
        return save_account(session, app, grant, [Keep(workspace_id, "", PASSWORD, access.password)])


def _verified(app: App, spec: ProviderSpec, access: Access, verify: Verify) -> None:
    try:
        verify(app, spec, access)
    except NeedsRelink as error:
        # What the provider wants instead of the normal password is the better advice.
        raise NeedsRelink(str(error), advice=spec.advice or error.advice) from error


def login_name(spec: ProviderSpec, address: str, login: str = "") -> str:
    """The user name to send, by the provider's login format. Raises Conflict when it must be given and is not."""
    if login:
        return login
    if spec.login is LoginFormat.OWN:
        raise Conflict(f"{spec.title} needs its own user name", advice="Give it with --login.")
    return address.partition("@")[0] if spec.login is LoginFormat.MAILBOX else address


def clean_password(spec: ProviderSpec, password: Secret) -> Secret:
    """The password to store. Google shows app passwords in four groups; the spaces are no part of them."""
    if not password:
        raise Conflict("the password is empty", advice=spec.advice or "Give it on standard input.")
    if "gmail" in spec.quirks:
        joined = "".join(password.reveal().split())
        if _APP_PASSWORD.fullmatch(joined):
            return Secret(joined)
    return password


def pause(app: App, workspace: str, account_id: str) -> AccountRow:
    """Stop scheduling an account until `resume`; a run in progress ends at its next step.

    Raises NotFound, or Conflict when the account is in a state that cannot be paused. Pausing twice is harmless.
    """
    with app.db.transaction() as session:
        row = own_account(session, workspace, account_id)
        if row.state not in (LINKED, PAUSED):
            raise Conflict(f"the account is {row.state}, so it does not run", advice=row.advice)
        row.state = PAUSED
        for channel in channel_rows(session, row.id):
            channel.next_run_at = None
    return row


def resume(app: App, workspace: str, account_id: str) -> AccountRow:
    """Schedule a paused account again; its channels are due now. Resuming a linked account is harmless.

    Raises NotFound, or Conflict when only linking again would help.
    """
    with app.db.transaction() as session:
        row = own_account(session, workspace, account_id)
        if row.state == LINKED:
            return row
        if row.state != PAUSED:
            raise Conflict(
                f"the account is {row.state}",
                advice=row.advice or f"Link it again: `twinbox account link --relink {row.id[:8]}`.",
            )
        row.state = LINKED
        for channel in channel_rows(session, row.id):
            channel.failures = 0
            channel.next_run_at = app.clock() if channel.granted else None
    return row


def same_address(first: str, second: str) -> bool:
    """Whether two addresses are one mailbox for the expected-address check; an empty one never is."""
    return bool(first) and address_key(first) == address_key(second)
