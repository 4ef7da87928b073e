"""`twinbox provider list|show|add|set|test`: the mail services this installation knows.
Rules are in `sync.registry`, the connection test in `providers.protocols.probe`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.context import AsJson, Here, InWorkspace, opened
from cli.output import console, emit_json, plain, read_secret_line, safe, show, show_record, show_rows
from core.errors import Misconfigured
from core.provider import AuthMethod
from core.secret import Secret
from providers.protocols.probe import probe
from sync.access import PasswordAccess, open_access
from sync.accounts import clean_password, login_name
from sync.registry import ProviderChange, RegisteredProvider, describe, find_provider, list_providers, save_provider
from sync.users import check_address, find_account

app = typer.Typer(help="Mail services: built-in ones and your own.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the provider.")]
ImapHost = Annotated[str, typer.Option(help="IMAP server.")]
SmtpHost = Annotated[str, typer.Option(help="SMTP server.")]
Port = Annotated[int, typer.Option(help="Its port [default: by security].", show_default=False)]
Security = Annotated[str, typer.Option(help="tls, starttls or plain.")]
Login = Annotated[str, typer.Option(help="User name: address, mailbox (part before @) or own.")]
Auth = Annotated[str, typer.Option(help="password or oauth2.")]
OAuthName = Annotated[str, typer.Option(help="Whose OAuth 2.0 addresses, for example google.")]
ClientId = Annotated[str | None, typer.Option(help="Your OAuth application; '' goes back to the shared one.")]
SecretStdin = Annotated[bool, typer.Option("--client-secret-stdin", help="Read its secret from standard input.")]
Title = Annotated[str, typer.Option(help="What people read.")]
File = Annotated[Path | None, typer.Option(help="TOML file with the keys of presets.toml; options win over it.")]

_MARKS = {True: "✓", False: "✗"}


@app.callback()
def group() -> None:
    """Mail services: built-in ones and your own."""


@app.command("list")
def list_all(workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """List the providers of the workspace."""
    with opened(workspace) as here:
        rows = list_providers(here.app, here.workspace)
    table = [{**row, "server": _server(row), "origin": _origin(row)} for row in rows]
    columns = {"name": "name", "title": "title", "auth": "sign-in", "server": "IMAP", "origin": "origin"}
    show_rows(rows if as_json else table, columns, as_json=as_json, empty="no providers")


def _server(row: Mapping[str, Any]) -> str:
    return f"{row['imap']['host']}:{row['imap']['port']}" if row.get("imap") and row["imap"]["host"] else ""


def _origin(row: Mapping[str, Any]) -> str:
    return str(row.get("problem") or ("built in" if row["builtin"] else "administrator"))


@app.command("show")
def show_one(name: Name, workspace: InWorkspace = "", as_json: AsJson = False) -> None:
    """Show one provider; the client secret is masked."""
    with opened(workspace) as here:
        record = describe(find_provider(here.app, here.workspace, name))
    show_record(record, as_json=as_json)


@app.command("add")
def add(
    name: Name,
    imap_host: ImapHost = "",
    imap_port: Port = 0,
    imap_security: Security = "",
    smtp_host: SmtpHost = "",
    smtp_port: Port = 0,
    smtp_security: Security = "",
    login: Login = "",
    auth: Auth = "",
    oauth_provider: OAuthName = "",
    client_id: ClientId = None,
    client_secret_stdin: SecretStdin = False,
    title: Title = "",
    file: File = None,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Add a provider of your own."""
    spec = _spec(locals())
    _save(name, _change(name, spec, file, client_id, client_secret_stdin), workspace, as_json, create=True)


@app.command("set")
def set_parts(
    name: Name,
    imap_host: ImapHost = "",
    imap_port: Port = 0,
    imap_security: Security = "",
    smtp_host: SmtpHost = "",
    smtp_port: Port = 0,
    smtp_security: Security = "",
    login: Login = "",
    auth: Auth = "",
    oauth_provider: OAuthName = "",
    client_id: ClientId = None,
    client_secret_stdin: SecretStdin = False,
    title: Title = "",
    file: File = None,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Change parts of a provider, built in or your own; the rest stays as it is."""
    spec = _spec(locals())
    _save(name, _change(name, spec, file, client_id, client_secret_stdin), workspace, as_json, create=False)


_PLAIN_KEYS = ("login", "auth", "oauth_provider", "title")


def _spec(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, in the form of presets.toml."""
    spec: dict[str, Any] = {key: options[key] for key in _PLAIN_KEYS if options[key]}
    for protocol in ("imap", "smtp"):
        endpoint = {key: options[f"{protocol}_{key}"] for key in ("host", "port", "security")}
        given = {key: value for key, value in endpoint.items() if value}
        if given:
            spec[protocol] = given
    return spec


def _change(
    name: str, spec: dict[str, Any], file: Path | None, client_id: str | None, secret_stdin: bool
) -> ProviderChange:
    table = {**(read_table(file, name) if file else {}), **spec}
    secret = Secret(read_secret_line("Client secret")) if secret_stdin else None
    if secret is not None and not secret:
        raise typer.BadParameter("nothing came on standard input", param_hint="--client-secret-stdin")
    return ProviderChange(table, client_id, secret)


def read_table(path: Path, name: str) -> dict[str, Any]:
    """The keys of one provider from a TOML file: those of table [name], or of the whole file if it has none.

    Raises Misconfigured naming the file, with line and column for malformed TOML.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}", advice="Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: {error}", advice="Correct the file; its form is TOML 1.0.") from error
    table = document.get(name, document)
    return dict(table) if isinstance(table, dict) else {}


def _save(name: str, change: ProviderChange, workspace: str, as_json: bool, *, create: bool) -> None:
    with opened(workspace) as here:
        provider = save_provider(here.app, here.workspace, name, change, create=create)
    text = f"{'Added' if create else 'Changed'} {name}. Try it: `twinbox provider test {name}`."
    show(describe(provider), as_json=as_json, text=text)


@app.command("test")
def try_out(
    name: Name,
    account: Annotated[str, typer.Option(metavar="ACCOUNT", help="Sign in as this linked account.")] = "",
    address: Annotated[str, typer.Option(help="Or as this address ...")] = "",
    login: Annotated[str, typer.Option(help="... with this user name ...")] = "",
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="... and this password.")] = False,
    workspace: InWorkspace = "",
    as_json: AsJson = False,
) -> None:
    """Try a provider step by step: name, connection, TLS, capabilities, and sign-in if an account is given."""
    with opened(workspace) as here:
        provider = find_provider(here.app, here.workspace, name)
        access = _access(here, provider, account, address, login, password_stdin)
        steps = []
        for step in probe(here.app.guard, provider.spec, access):
            steps.append(step)
            if not as_json:
                _show_step(step)
    if as_json:
        emit_json({"provider": name, "ok": all(step.ok for step in steps), "steps": [plain(step) for step in steps]})
    if not all(step.ok for step in steps):
        raise typer.Exit(1)


def _show_step(step: Any) -> None:
    console().print(safe(f"{_MARKS[step.ok]} {step.name}: {step.detail}"))
    if step.advice and not step.ok:
        console().print(safe(f"  what to do: {step.advice}"))


def _access(
    here: Here, provider: RegisteredProvider, account: str, address: str, login: str, password_stdin: bool
) -> Any:
    if account:
        with here.app.db.reading() as session:
            account_id = find_account(session, here.workspace, account).id
        return open_access(here.app, account_id)
    if not password_stdin:
        return None
    if not address or provider.spec.auth is not AuthMethod.PASSWORD:
        raise typer.BadParameter("needs --address and a provider that takes passwords", param_hint="--password-stdin")
    password = clean_password(provider.spec, Secret(read_secret_line("Password")))
    return PasswordAccess(login_name(provider.spec, check_address(address), login), password)
