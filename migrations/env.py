"""What alembic runs: on the connection it is given, or on TWINBOX_DATABASE_URL when a revision is drafted by hand."""

from __future__ import annotations

import os
from typing import Literal

from alembic import context
from sqlalchemy import Connection

from models import accounts, activities, contacts, content, links, syncing  # noqa: F401  # fills the metadata
from models.columns import Base, Json, UtcDateTime
from models.db import Database


def _plain(kind: str, item: object, _context: object) -> str | Literal[False]:
    """A revision must not change when a class of ours does: it names the types of the database."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Json):
        return "sa.Text()"
    return False


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        # SQLite cannot alter columns: alembic copies the table instead.
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        render_item=_plain,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    database = Database(os.environ.get("TWINBOX_DATABASE_URL") or "sqlite:///twinbox.db")
    with database.engine.connect() as opened:
        _migrate(opened)
        opened.commit()
    database.close()
