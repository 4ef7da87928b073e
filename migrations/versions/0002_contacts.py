"""Contacts on the CRM side, and what keeps two sides in step: links, intents, decisions, history

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contacts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("origin_account", sa.String(length=32), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_contacts_workspace_id_workspaces")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("workspace_id", "external_id", name=op.f("uq_contacts_workspace_id_external_id")),
    )
    op.create_index(op.f("ix_contacts_origin_account"), "contacts", ["origin_account"])
    op.create_index(op.f("ix_contacts_workspace_id_contacts_name"), "contacts", ["workspace_id", "name"])

    op.create_table(
        "history",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("local_id", sa.String(length=32), nullable=False),
        sa.Column("remote_id", sa.String(length=200), nullable=False),
        sa.Column("side", sa.String(length=6), nullable=False),
        sa.Column("action", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=30), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.Column("lost", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_history_workspace_id_workspaces")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
    )
    op.create_index(op.f("ix_history_account_id"), "history", ["account_id"])
    op.create_index(op.f("ix_history_local_id_history_id"), "history", ["local_id", "id"])
    op.create_index(op.f("ix_history_run_id_history_id"), "history", ["run_id", "id"])

    op.create_table(
        "contact_keys",
        sa.Column("contact_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_contact_keys_contact_id_contacts")),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_contact_keys_workspace_id_workspaces")
        ),
        sa.PrimaryKeyConstraint("contact_id", "key", name=op.f("pk_contact_keys")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_contact_keys_workspace_id_contact_keys_key"), "contact_keys", ["workspace_id", "key"])

    op.create_table(
        "tags",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("owner_id", sa.String(length=32), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_tags_owner_id_users")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_tags_workspace_id_workspaces")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
    )
    op.create_index(op.f("ix_tags_workspace_id_tags_name"), "tags", ["workspace_id", "name"])

    op.create_table(
        "contact_tags",
        sa.Column("tag_id", sa.String(length=32), nullable=False),
        sa.Column("contact_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_contact_tags_contact_id_contacts")),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_contact_tags_tag_id_tags")),
        sa.PrimaryKeyConstraint("tag_id", "contact_id", name=op.f("pk_contact_tags")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_contact_tags_contact_id"), "contact_tags", ["contact_id"])

    op.create_table(
        "decisions",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("side", sa.String(length=6), nullable=False),
        sa.Column("record_id", sa.String(length=200), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("candidates", sa.Text(), nullable=False),
        sa.Column("choice", sa.String(length=200), nullable=True),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_decisions_account_id_accounts")),
        sa.PrimaryKeyConstraint("account_id", "channel", "side", "record_id", name=op.f("pk_decisions")),
    )
    op.create_table(
        "links",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("local_id", sa.String(length=32), nullable=False),
        sa.Column("remote_id", sa.String(length=200), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("local_version", sa.String(length=40), nullable=False),
        sa.Column("local_modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("remote_version", sa.String(length=200), nullable=False),
        sa.Column("remote_modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_links_account_id_accounts")),
        sa.PrimaryKeyConstraint("account_id", "channel", "local_id", name=op.f("pk_links")),
        sa.UniqueConstraint("account_id", "channel", "remote_id", name=op.f("uq_links_account_id_channel_remote_id")),
    )
    op.create_index(op.f("ix_links_local_id"), "links", ["local_id"])

    op.create_table(
        "remote_keys",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("remote_id", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_remote_keys_account_id_accounts")),
        sa.PrimaryKeyConstraint("account_id", "channel", "remote_id", "key", name=op.f("pk_remote_keys")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_remote_keys_account_id_remote_keys_channel_remote_keys_key"),
        "remote_keys",
        ["account_id", "channel", "key"],
    )

    op.create_table(
        "sent",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("local_id", sa.String(length=32), nullable=False),
        sa.Column("remote_id", sa.String(length=200), nullable=False),
        sa.Column("local_version", sa.String(length=40), nullable=False),
        sa.Column("local_modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("selected", sa.Boolean(), nullable=True),
        sa.Column("deed", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_sent_account_id_accounts")),
        sa.PrimaryKeyConstraint("account_id", "channel", "local_id", name=op.f("pk_sent")),
    )
    op.create_table(
        "set_aside",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("side", sa.String(length=6), nullable=False),
        sa.Column("record_id", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("advice", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_set_aside_account_id_accounts")),
        sa.PrimaryKeyConstraint("account_id", "channel", "side", "record_id", name=op.f("pk_set_aside")),
    )
    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.add_column(sa.Column("cursor", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("held", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.drop_column("held")
        batch_op.drop_column("cursor")
    for table in (
        "set_aside",
        "sent",
        "remote_keys",
        "links",
        "decisions",
        "contact_tags",
        "tags",
        "contact_keys",
        "history",
        "contacts",
    ):
        op.drop_table(table)
