"""Column types, naming convention and declarative base shared by all tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import BigInteger, DateTime, Dialect, Integer, LargeBinary, MetaData, Text
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

CONVENTION = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


Record = dict[str, Any]  # a row as plain data, for people and programs


class Base(DeclarativeBase):
    """Declarative base of every table."""

    metadata = MetaData(naming_convention=CONVENTION)


class Bulk:
    """A column type that prepares the values of many rows at once, the same way as one by one."""

    def bind_many(self, values: Sequence[Any], dialect: Dialect) -> Sequence[Any]:
        """What the driver takes for each of the values."""
        raise NotImplementedError


class UtcDateTime(Bulk, TypeDecorator[datetime]):
    """An aware UTC time. A naive value is refused: it would silently mean another zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def bind_many(self, values: Sequence[datetime | None], dialect: Dialect) -> Sequence[Any]:
        """Many values as the driver takes them: as text for SQLite, in the form that SQLAlchemy reads there."""
        moments = [self.process_bind_param(value, dialect) for value in values]
        if dialect.name != "sqlite":
            return moments
        return [moment and moment.isoformat(" ", "microseconds") for moment in moments]

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(Bulk, TypeDecorator[Any]):
    """JSON text, encoded by orjson: the same bytes on SQLite and PostgreSQL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def bind_many(self, values: Sequence[Any], dialect: Dialect) -> Sequence[str | None]:
        """Many values as the driver takes them; most lists of a message are empty."""
        return ["[]" if value == [] else None if value is None else orjson.dumps(value).decode() for value in values]

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


# SQLite makes only INTEGER PRIMARY KEY an alias of the row id; PostgreSQL needs 64 bits spelled out.
Int64 = BigInteger().with_variant(Integer(), "sqlite")
Bytes = LargeBinary
