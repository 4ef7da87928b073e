"""Counts what happens in this process, and adds what the database says when somebody asks. What there is to count is
declared in `core.metrics`; answering over HTTP is left to the entry points."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from core.metrics import (
    ACCOUNTS,
    CALLS,
    CHANNELS,
    DATABASE_UP,
    DUE,
    DUE_LAG,
    RUNNING,
    STALE,
    Family,
    Kind,
    Sample,
    Spread,
    exposition,
)
from models.db import Database
from models.health_queries import account_states, channel_states, due, running_channels, stale_channels

# Label sets kept per family. Each label is of a few values; were one ever not, memory must not grow with it.
_MOST_LABELS = 500


class Metrics:
    """The numbers of one process. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[Family, dict[tuple[str, ...], float]] = defaultdict(dict)
        self._spreads: dict[Family, dict[tuple[str, ...], Spread]] = defaultdict(dict)

    def count(self, family: Family, *labels: str, by: int = 1) -> None:
        """Add to a counter."""
        self._check(family, Kind.COUNTER, labels)
        with self._lock:
            numbers = self._numbers[family]
            if labels in numbers or len(numbers) < _MOST_LABELS:
                numbers[labels] = numbers.get(labels, 0) + by

    def observe(self, family: Family, seconds: float, *labels: str) -> None:
        """Take a duration into a histogram; a clock that was set back counts as 0."""
        self._check(family, Kind.HISTOGRAM, labels)
        with self._lock:
            spread = self._spreads[family].setdefault(labels, Spread([0] * len(family.bounds)))
            spread.add(max(0.0, seconds), family.bounds)

    def set(self, family: Family, value: float, *labels: str) -> None:
        """Give a gauge of this process its value."""
        self._check(family, Kind.GAUGE, labels)
        with self._lock:
            self._numbers[family][labels] = value

    def call(self, service: str, code: str) -> None:
        """Count an answer of a provider."""
        self.count(CALLS, service, code)

    def value(self, family: Family, *labels: str) -> float:
        """A counter or gauge as it is now."""
        with self._lock:
            return self._numbers[family].get(labels, 0)

    def text(self, gauges: Mapping[Family, list[Sample]]) -> str:
        """Everything in the text format of Prometheus, with these gauges from elsewhere."""
        with self._lock:
            samples = {
                family: [Sample(labels, value) for labels, value in sorted(numbers.items())]
                for family, numbers in self._numbers.items()
            }
            return exposition(samples | dict(gauges), self._spreads)

    @staticmethod
    def _check(family: Family, kind: Kind, labels: tuple[str, ...]) -> None:
        if family.kind is not kind or len(labels) != len(family.labels):
            raise ValueError(f"{family.name} is a {family.kind} with the labels {family.labels}")


def database_gauges(db: Database, now: datetime) -> dict[Family, list[Sample]]:
    """What the database says of the whole installation. Raises Transient or Misconfigured when it does not answer."""
    with db.reading() as session:
        waiting, lag = due(session, now)
        return {
            DATABASE_UP: [Sample((), 1)],
            ACCOUNTS: [Sample((state,), number) for state, number in account_states(session).items()],
            CHANNELS: [Sample(key, number) for key, number in channel_states(session).items()],
            RUNNING: [Sample((name,), number) for name, number in running_channels(session, now).items()],
            STALE: [Sample((name,), number) for name, number in stale_channels(session, now).items()],
            DUE: [Sample((), waiting)],
            DUE_LAG: [Sample((), lag)],
        }
