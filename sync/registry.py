"""Decides which providers are in force in a workspace: built-ins, overlaid by the rows an administrator added.
What a row may contain is checked by `providers`; testing one is `providers.protocols.probe`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import Conflict, Misconfigured, NotFound
from core.provider import AuthMethod, OAuthClient, OAuthEndpoints, ProviderSpec
from core.secret import Secret
from models.accounts import ProviderRow, WorkspaceRow
from providers import all_providers, merge_spec, oauth_providers
from sync.app import App
from sync.ids import new_id
from sync.vault import Keep, erase_secrets, read_secret, write_secret

CLIENT_SECRET = "client_secret"  # noqa: S105  # the kind of a secret
Overrides = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RegisteredProvider:
    """A provider in force. `application` says whose OAuth client it uses: `own`, `shared` or "" for none."""

    spec: ProviderSpec
    client: OAuthClient | None = None
    application: str = ""

    def need_client(self) -> tuple[OAuthEndpoints, OAuthClient]:
        """The OAuth 2.0 addresses and application. Raises Misconfigured when no application is set."""
        if self.spec.oauth is None or self.client is None:
            raise Misconfigured(
                f"provider {self.spec.name} has no OAuth application yet",
                advice=f"Register one there, then `twinbox provider set {self.spec.name} --client-id ID "
                "--client-secret-stdin`.",
            )
        return self.spec.oauth, self.client


@dataclass(frozen=True, slots=True)
class ProviderChange:
    """What an administrator sets: spec keys in the form of presets.toml, and the OAuth application.

    None leaves a value as it is; an empty `client_id` takes own keys away.
    """

    spec: Overrides = field(default_factory=dict)
    client_id: str | None = None
    client_secret: Secret | None = None


def find_provider(app: App, workspace: str, name: str) -> RegisteredProvider:
    """The provider of that name in a workspace (an id).

    Raises NotFound with the nearest names, Misconfigured when its row is not usable.
    """
    known = built_ins(app)
    with app.db.reading() as session:
        row = _row(session, workspace, name)
        if row is None and name not in known:
            own = session.scalars(select(ProviderRow.name).where(ProviderRow.workspace_id == workspace))
            raise _unknown(name, sorted({*known, *own}))
        spec = _spec(app, known, name, row.spec) if row else known[name]
        client, application = _client(app, session, spec, row)
    return RegisteredProvider(spec, client, application)


def list_providers(app: App, workspace: str) -> list[dict[str, Any]]:
    """All providers of a workspace as `describe` gives them, by name; a broken row has a `problem`."""
    with app.db.reading() as session:
        own = set(session.scalars(select(ProviderRow.name).where(ProviderRow.workspace_id == workspace)))
    found = []
    for name in sorted({*built_ins(app), *own}):
        try:
            found.append(describe(find_provider(app, workspace, name)))
        except Misconfigured as error:
            found.append({"name": name, "title": name, "builtin": False, "problem": str(error)})
    return found


def save_provider(app: App, workspace: str, name: str, change: ProviderChange, *, create: bool) -> RegisteredProvider:
    """Add a provider (`create`), or override parts of one. Everything is checked before anything is stored.

    Raises Conflict when the name is taken, NotFound when there is nothing to change, Misconfigured when the
    result would not be usable.
    """
    known, now = built_ins(app), app.clock()
    try:
        with app.db.transaction() as session:
            row = _row(session, workspace, name)
            if create and (row is not None or name in known):
                raise Conflict(
                    f"a provider is named {name!r} already", advice=f"Change it: `twinbox provider set {name}`."
                )
            if not create and row is None and name not in known:
                raise _unknown(name, sorted(known))
            table = _overlay(row.spec if row else {}, change.spec)
            _spec(app, known, name, table)
            if row is None:
                row = ProviderRow(id=new_id(), workspace_id=workspace, name=name, spec=table, created_at=now)
                session.add(row)
            row.spec, row.modified_at = table, now
            session.flush()
            _save_client(app, session, row, change)
    except IntegrityError as error:
        raise Conflict(f"a provider is named {name!r} already") from error
    return find_provider(app, workspace, name)


def describe(provider: RegisteredProvider) -> dict[str, Any]:
    """What may be shown of a provider: everything but the client secret, of which only its presence."""
    spec, client = provider.spec, provider.client
    shown = {key: value for key, value in asdict(spec).items() if key != "oauth"}
    if spec.auth is AuthMethod.OAUTH2:
        shown["application"] = provider.application or "none"
        shown["client_id"] = client.client_id if client else ""
        shown["client_secret"] = "***" if client and client.client_secret else ""
        shown["oauth"] = asdict(spec.oauth) if spec.oauth else None
    shown["quirks"] = sorted(spec.quirks)
    return shown


def built_ins(app: App) -> Mapping[str, ProviderSpec]:
    """The built-in providers, with the Google addresses that the settings give."""
    return all_providers(_roots(app))


def _roots(app: App) -> dict[str, str]:
    return {"google": app.settings.google_base_url}


def _row(session: Session, workspace: str, name: str) -> ProviderRow | None:
    return session.scalar(select(ProviderRow).where(ProviderRow.workspace_id == workspace, ProviderRow.name == name))


def _spec(app: App, known: Mapping[str, ProviderSpec], name: str, table: Overrides) -> ProviderSpec:
    row = {**table, "name": name}
    return merge_spec(known.get(name), row, oauth=oauth_providers(_roots(app)), source=f"provider {name}")


def _overlay(old: Overrides, new: Overrides) -> dict[str, Any]:
    """`new` over `old`, endpoint tables key by key; a new security drops an old port, which may not fit it."""
    merged = dict(old)
    for key, value in new.items():
        if key in ("imap", "smtp") and isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            before = {k: v for k, v in merged[key].items() if not (k == "port" and "security" in value)}
            merged[key] = {**before, **value}
        else:
            merged[key] = value
    return merged


def _client(app: App, session: Session, spec: ProviderSpec, row: ProviderRow | None) -> tuple[OAuthClient | None, str]:
    """Own keys of the workspace first, else the shared application, which the default workspace's row holds."""
    if spec.auth is not AuthMethod.OAUTH2:
        return None, ""
    if row is not None and row.client_id:
        return _opened(app, session, row), "own"
    shared = session.scalar(
        select(ProviderRow)
        .join(WorkspaceRow, WorkspaceRow.id == ProviderRow.workspace_id)
        .where(WorkspaceRow.name == app.settings.workspace, ProviderRow.name == spec.name)
    )
    if shared is None or not shared.client_id:
        return None, ""
    # The shared secret goes only where its owner sends it: a workspace with other addresses needs own keys.
    if _spec(app, built_ins(app), spec.name, shared.spec).oauth != spec.oauth:
        return None, ""
    return _opened(app, session, shared), "shared"


def _opened(app: App, session: Session, row: ProviderRow) -> OAuthClient:
    stored = read_secret(session, app.vault, row.id, CLIENT_SECRET)
    return OAuthClient(row.client_id, stored.secret if stored else Secret(""))


def _save_client(app: App, session: Session, row: ProviderRow, change: ProviderChange) -> None:
    if change.client_id is not None and change.client_id != row.client_id:
        # A secret belongs to its client id; kept beside another it would only fail later.
        erase_secrets(session, row.id, [CLIENT_SECRET])
        row.client_id = change.client_id.strip()
    if change.client_secret is not None:
        if not row.client_id:
            raise Conflict("a client secret needs a client id", advice="Give --client-id as well.")
        write_secret(
            session, app.vault, Keep(row.workspace_id, row.id, CLIENT_SECRET, change.client_secret), app.clock()
        )


def _unknown(name: str, known: list[str]) -> NotFound:
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`twinbox provider list` shows all."
    return NotFound(f"no provider is named {name!r}", advice=hint)
