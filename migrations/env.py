"""Connects Alembic to our tables: on the connection `sync.migrate` hands over, or for `make migration` on a URL.
Locking and transactions are left to `sync.migrate`."""

from __future__ import annotations

import os
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from models import accounts, content, syncing  # noqa: F401  # every table is known to `Base.metadata`
from models.columns import Base, Json, UtcDateTime
from models.db import Database


def run() -> None:
    """Run the migrations Alembic was asked for."""
    connection: Connection | None = context.config.attributes.get("connection")
    if connection is not None:
        _migrate(connection)
        return
    database = Database(os.environ["TWINBOX_DATABASE_URL"])
    try:
        with database.engine.begin() as opened:
            _migrate(opened)
    finally:
        database.close()


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite can alter a table only by copying it
        render_item=_render_item,
        transactional_ddl=True,  # Alembic assumes otherwise of SQLite; `models.db` opens transactions itself
    )
    context.run_migrations()


def _render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Our column types as the plain types below them: a migration must not change when a model does."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Json):
        return "sa.Text()"
    return False


run()
