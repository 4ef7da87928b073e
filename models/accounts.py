"""Tables of who uses the service: workspaces, users, providers, accounts and their sealed secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.columns import Base, Bytes, Json, UtcDateTime

Id = String(32)


class WorkspaceRow(Base):
    """One CRM installation (tenant)."""

    __tablename__ = "workspaces"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class UserRow(Base):
    """A CRM user of a workspace; `external_id` is the CRM's own id."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("workspace_id", "external_id"), UniqueConstraint("workspace_id", "email"))
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    external_id: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(320))
    name: Mapped[str] = mapped_column(String(200), default="")
    role: Mapped[str] = mapped_column(String(10), default="user")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ProviderRow(Base):
    """A provider an administrator added, or the parts of a built-in one that were overridden.

    `spec` holds only what was set, in the form of presets.toml; the client secret is sealed in `secrets`.
    """

    __tablename__ = "providers"
    __table_args__ = (UniqueConstraint("workspace_id", "name"),)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    name: Mapped[str] = mapped_column(String(100))
    spec: Mapped[dict[str, Any]] = mapped_column(Json)
    client_id: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AccountRow(Base):
    """One external account linked by one user. `subject` is the provider's stable id of the person (OIDC sub).

    `client_id` is the OAuth application the grant was given to; `removal` is `keep` or `erase` once removal began.
    """

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("user_id", "provider", "subject"),)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str] = mapped_column(String(100))
    address: Mapped[str] = mapped_column(String(320))
    login: Mapped[str] = mapped_column(String(320))
    subject: Mapped[str] = mapped_column(String(320))
    state: Mapped[str] = mapped_column(String(20))  # linked | needs_relink | paused | removing | removed
    client_id: Mapped[str] = mapped_column(Text, default="")
    removal: Mapped[str] = mapped_column(String(10), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    advice: Mapped[str] = mapped_column(Text, default="")
    granted_scopes: Mapped[list[str]] = mapped_column(Json)
    grant_ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    linked_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SecretRow(Base):
    """A sealed value. `owner` is the id of the account, provider or link attempt it belongs to, `kind` says what it is.

    `expires_at` is that of an access token. `lease_until` makes a refresh single-flight over all processes.
    """

    __tablename__ = "secrets"
    __table_args__ = (UniqueConstraint("owner", "kind"),)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    owner: Mapped[str] = mapped_column(Id)
    kind: Mapped[str] = mapped_column(String(20))  # password | refresh_token | access_token | ...
    key_id: Mapped[str] = mapped_column(String(40))
    sealed: Mapped[bytes] = mapped_column(Bytes)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    modified_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LinkAttemptRow(Base):
    """One started OAuth 2.0 authorization; `state_hash` is the SHA-256 of its single-use state (RFC 6749 10.12).

    `session_hash` is that of the browser session it was started in, "" for the command line.
    """

    __tablename__ = "link_attempts"
    __table_args__ = (Index(None, "expires_at"),)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    state_hash: Mapped[str] = mapped_column(String(64), unique=True)
    session_hash: Mapped[str] = mapped_column(String(64), default="")
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str] = mapped_column(String(100))
    channels: Mapped[list[str]] = mapped_column(Json)
    redirect_uri: Mapped[str] = mapped_column(Text)
    nonce: Mapped[str] = mapped_column(String(64))
    expected_address: Mapped[str] = mapped_column(String(320), default="")
    relink_account_id: Mapped[str | None] = mapped_column(Id)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
