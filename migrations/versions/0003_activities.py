"""Activities: the CRM side of the calendar

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "activities",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=True),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("stand_in", sa.Boolean(), nullable=False),
        sa.Column("main_account", sa.String(length=32), nullable=False),
        sa.Column("origin_account", sa.String(length=32), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("original", sa.String(length=40), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("show_in_calendar", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_activities_owner_id_users")),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_activities_workspace_id_workspaces")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activities")),
        sa.UniqueConstraint("workspace_id", "external_id", name=op.f("uq_activities_workspace_id_external_id")),
    )
    op.create_index(op.f("ix_activities_origin_account"), "activities", ["origin_account"])
    op.create_index(op.f("ix_activities_owner_id"), "activities", ["owner_id"])
    op.create_index(
        op.f("ix_activities_workspace_id_activities_starts_at"), "activities", ["workspace_id", "starts_at"]
    )
    op.create_index(
        op.f("ix_activities_workspace_id_activities_uid_activities_original"),
        "activities",
        ["workspace_id", "uid", "original"],
    )


def downgrade() -> None:
    op.drop_table("activities")
