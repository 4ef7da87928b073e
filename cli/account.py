"""`twinbox account link|list|pause|resume|remove`: the mailboxes of users.
The rules of linking are `sync.linking` and `sync.accounts`, the browser's way back is `cli.loopback`."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cli.account_mail import mail
from cli.context import AsJson, Here, InWorkspace, Yes, opened
from cli.loopback import Loopback, Page, listening
from cli.output import console, plain, read_secret_line, safe, show, show_rows
from core.errors import Conflict, Transient, TwinboxError
from core.secret import Secret
from core.types import Channel
from models.accounts import AccountRow, UserRow
from models.queries import list_mailboxes
from sync.account_rows import LinkedAccount, channel_rows
from sync.accounts import link_password, pause, resume, sign_in_imap
from sync.linking import LinkRequest, begin_link, finish_link
from sync.removal import remove
from sync.users import find_account, find_user, list_accounts, list_users

app = typer.Typer(help="Linked mailboxes.", no_args_is_help=True)

AccountName = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Address, or the beginning of the id.")]


@app.callback()
def group() -> None:
    """Linked mailboxes."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """The options of `link`, checked for form."""

    provider: str
    user_id: str
    channels: tuple[Channel, ...]
    relink: str | None
    address: str
    login: str


@app.command("link")
def link(
    provider: Annotated[str, typer.Option(help="Name of the provider, see `twinbox provider list`.")] = "",
    user: Annotated[str, typer.Option(help="The user it belongs to: address, external id or id.")] = "",
    channels: Annotated[str, typer.Option(help="What to sync, comma-separated: mail,contacts,calendar.")] = "",
    address: Annotated[str, typer.Option(help="Mail address; with OAuth 2.0 the one that must be chosen.")] = "",
    login: Annotated[str, typer.Option(help="User name, if it does not follow from the address.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the (app) password from standard input.")
    ] = False,
    verify: Annotated[bool, typer.Option(help="Try the password before storing it.")] = True,
    relink: Annotated[str, typer.Option(metavar="ACCOUNT", help="Repair this account.")] = "",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address to open.")] = False,
    timeout: Annotated[float, typer.Option(min=1, max=600, help="Seconds to wait for the browser.")] = 600,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Link a mailbox, or link one again that lost its access."""
    wanted = parse_channels(channels)
    with opened(workspace) as here:
        wish = _wish(here, provider, user, wanted, relink, address, login)
        if password_stdin:
            linked = _by_password(here, wish, verify)
        else:
            linked = _by_browser(here, wish, not no_browser, timeout)
    show(linked, as_json=as_json, text=_told(linked))


def parse_channels(text: str) -> tuple[Channel, ...]:
    """`mail,contacts` as channels, in the order given, empty for "". Raises a usage error."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    known = [channel.value for channel in Channel]
    wrong = [name for name in names if name not in known]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is not one of {', '.join(known)}", param_hint="--channels")
    return tuple(dict.fromkeys(Channel(name) for name in names))


def _wish(
    here: Here, provider: str, user: str, channels: tuple[Channel, ...], relink: str, address: str, login: str
) -> _Wish:
    with here.app.db.reading() as session:
        if relink:
            account = find_account(session, here.workspace, relink)
            if provider and provider != account.provider:
                raise Conflict(f"that account is at {account.provider}", advice="Leave --provider out.")
            return _Wish(account.provider, account.user_id, channels, account.id, address or account.address, login)
        if not provider:
            raise typer.BadParameter("name the provider, for example gmail", param_hint="--provider")
        owner = find_user(session, here.workspace, user) if user else _only_user(list_users(session, here.workspace))
    return _Wish(provider, owner.id, channels or (Channel.MAIL,), None, address, login)


def _only_user(users: list[UserRow]) -> UserRow:
    if len(users) != 1:
        raise typer.BadParameter("name the user the account belongs to", param_hint="--user")
    return users[0]


def _by_password(here: Here, wish: _Wish, verify: bool) -> LinkedAccount:
    if not wish.address:
        raise typer.BadParameter("a password link needs the mail address", param_hint="--address")
    return link_password(
        here.app,
        workspace_id=here.workspace,
        user_id=wish.user_id,
        provider=wish.provider,
        address=wish.address,
        login=wish.login,
        password=Secret(read_secret_line("Password")),
        channels=wish.channels or (Channel.MAIL,),
        verify=sign_in_imap if verify else None,
    )


def _by_browser(here: Here, wish: _Wish, browser: bool, timeout: float) -> LinkedAccount:
    with listening() as loopback:
        request = LinkRequest(
            workspace_id=here.workspace,
            user_id=wish.user_id,
            provider=wish.provider,
            redirect_uri=loopback.redirect_uri,
            channels=wish.channels,
            relink=wish.relink,
            expected_address="" if wish.relink else wish.address,
        )
        start = begin_link(here.app, request)
        # On standard error: `--json` keeps standard output for the result. Unwrapped, so that it can be copied.
        print(f"Open this address to sign in:\n{start.url}\nWaiting ...", file=sys.stderr, flush=True)
        if browser and sys.stdin.isatty():
            webbrowser.open(start.url)
        return _outcome(here, loopback, start.state, timeout)


def _outcome(here: Here, loopback: Loopback, state: str, timeout: float) -> LinkedAccount:
    done: list[LinkedAccount | TwinboxError] = []

    def finish(query: Mapping[str, str]) -> Page:
        try:
            linked = finish_link(here.app, query)
        except TwinboxError as error:
            done.append(error)
            return Page("Not linked", f"{error}. {error.advice}")
        done.append(linked)
        return Page("Linked", _told(linked) + " You can close this window.")

    if not loopback.answer(finish, state, timeout):
        raise Transient("nobody came back from signing in", advice="Run the command again and finish in the browser.")
    if isinstance(done[0], TwinboxError):
        raise done[0]
    return done[0]


def _told(linked: LinkedAccount) -> str:
    channels = ", ".join(f"{name} {state}" for name, state in linked.channels.items())
    verb = "Repaired" if linked.repaired else "Linked"
    return f"{verb} {linked.address} ({linked.provider}, {linked.id[:8]}): {channels}."


@app.command("list")
def list_all(workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """List the accounts of the workspace with the state of each channel."""
    with opened(workspace) as here, here.app.db.reading() as session:
        users = {user.id: user.email for user in list_users(session, here.workspace)}
        rows = []
        for account in list_accounts(session, here.workspace):
            channels = {row.channel: _channel(row) for row in channel_rows(session, account.id)}
            rows.append({**_shown(account), "user": users.get(account.user_id, ""), "channels": channels})
    table = [{**row, "short": str(row["id"])[:8], "kinds": _kinds(row["channels"])} for row in rows]
    columns = {
        "short": "id",
        "address": "address",
        "provider": "provider",
        "user": "user",
        "state": "state",
        "kinds": "channels",
        "reason": "reason",
    }
    empty = "No accounts yet: `twinbox account link --provider gmail --user ADDRESS`."
    show_rows(rows if as_json else table, columns, as_json=as_json, empty=empty)


@app.command("folders")
def list_folders(account: AccountName, workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """List the folders of an account: what the server holds, what is stored, and what is wrong with one."""
    with opened(workspace) as here, here.app.db.reading() as session:
        row = find_account(session, here.workspace, account)
        rows = list_mailboxes(session, here.workspace, row.id)
    columns = {"name": "folder", "role": "role", "messages": "stored", "on_server": "on the server"}
    columns |= {"problem": "problem"}
    show_rows(rows, columns, as_json=as_json, empty="No folders yet: `twinbox sync start ACCOUNT --wait`.")


def _channel(row: Any) -> dict[str, object]:
    names = ("granted", "auto", "period_s", "next_run_at", "failures", "last_success_at", "last_outcome")
    return {name: plain(getattr(row, name)) for name in names}


def _kinds(channels: Any) -> str:
    return ", ".join(name if facts["granted"] else f"{name} (not granted)" for name, facts in channels.items())


def _shown(account: AccountRow) -> dict[str, object]:
    names = ("id", "provider", "address", "login", "state", "reason", "advice", "granted_scopes", "grant_ends_at")
    return {name: getattr(account, name) for name in (*names, "created_at", "linked_at")}


@app.command("pause")
def pause_account(account: AccountName, workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """Stop syncing an account until it is resumed."""
    with opened(workspace) as here:
        row = pause(here.app, here.workspace, _id(here, account))
    show(_shown(row), as_json=as_json, text=f"Paused {row.address}.")


@app.command("resume")
def resume_account(account: AccountName, workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """Sync a paused account again; it is due at once."""
    with opened(workspace) as here:
        row = resume(here.app, here.workspace, _id(here, account))
    show(_shown(row), as_json=as_json, text=f"Resumed {row.address}.")


@app.command("remove")
def remove_account(
    account: AccountName,
    erase: Annotated[bool, typer.Option("--erase", help="Delete its stored mail as well.")] = False,
    yes: Yes = False,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Remove an account: its access is given back and forgotten; nothing is deleted at the provider."""
    with opened(workspace) as here:
        account_id = _id(here, account)
        if not yes:
            _confirm(account, erase)
        receipt = remove(here.app, here.workspace, account_id, erase=erase)
    if receipt.grant == "not revoked" and not as_json:
        text = f"The access could not be given back ({receipt.grant_problem}): remove it in the account there."
        console(stderr=True).print(safe(text))
    counts = (receipt.messages_erased, receipt.contacts_erased, receipt.activities_erased)
    erased = "{} messages, {} contacts and {} activities erased".format(*counts)
    kept = erased if erase else "stored mail, contacts and activities kept"
    show(receipt, as_json=as_json, text=f"Removed {account}: credentials erased, {kept}.")


def _confirm(account: str, erase: bool) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("removing needs a confirmation", param_hint="--yes")
    what = "and delete its stored mail" if erase else "and keep its stored mail"
    typer.confirm(f"Remove {account} {what}?", abort=True)


def _id(here: Here, text: str) -> str:
    with here.app.db.reading() as session:
        return find_account(session, here.workspace, text).id


app.command("mail")(mail)
