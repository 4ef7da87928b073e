"""Values that are bound many at a time reach the driver in the same form as one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Dialect, create_engine

from models.columns import Json, UtcDateTime

DIALECTS = [create_engine(url).dialect for url in ("sqlite://", "postgresql+psycopg://")]  # nobody connects
MOMENTS = [
    None,
    datetime(2026, 11, 24, 8, 5, tzinfo=UTC),
    datetime(1, 1, 1, 0, 0, 0, 7, tzinfo=UTC),
    datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2))),
]
DOCUMENTS: list[Any] = [None, [], {}, "", 0, False, [[]], ["é", "\x7f"], {"a": None}, [["from", "Ann", "ann@x"]]]


def one_by_one(kind: Json | UtcDateTime, values: list[Any], dialect: Dialect) -> list[Any]:
    process = kind.dialect_impl(dialect).bind_processor(dialect)
    return [process(value) if process else value for value in values]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_many_times_are_bound_as_one_is(dialect: Dialect) -> None:
    assert list(UtcDateTime().bind_many(MOMENTS, dialect)) == one_by_one(UtcDateTime(), MOMENTS, dialect)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_many_documents_are_bound_as_one_is(dialect: Dialect) -> None:
    assert list(Json().bind_many(DOCUMENTS, dialect)) == one_by_one(Json(), DOCUMENTS, dialect)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_time_without_zone_is_refused_among_many(dialect: Dialect) -> None:
    with pytest.raises(ValueError, match="naive"):
        UtcDateTime().bind_many([MOMENTS[1], datetime(2026, 1, 1)], dialect)  # noqa: DTZ001  # the point
