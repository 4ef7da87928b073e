"""What is measured, declared once, and how it is written down (Prometheus text format 0.0.4). No label is ever an id,
an address or a text of a person. Counting is left to `sync.metrics`."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Kind(enum.StrEnum):
    """What a family's number does; the words are Prometheus'."""

    COUNTER = "counter"  # only grows, from 0 at the start of the process
    GAUGE = "gauge"  # is what it is now
    HISTOGRAM = "histogram"  # how many were at most so large


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name with the unit in it, kind, meaning and labels. `bounds` are a histogram's upper limits."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


# Seconds: from a run that finds nothing new to a first sync; from a wake-up at once to an unserved queue.
_RUN_BOUNDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_WAIT_BOUNDS = (0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 900)

BUILD = Family("twinbox_build_info", Kind.GAUGE, "1, with the version of this process.", ("version",))
DATABASE_UP = Family("twinbox_database_up", Kind.GAUGE, "1 when the database answered this request, else 0.")
ACCOUNTS = Family("twinbox_accounts", Kind.GAUGE, "Linked accounts by state.", ("state",))
CHANNELS = Family(
    "twinbox_channels",
    Kind.GAUGE,
    "Channels of accounts that are linked, by state: ok, failing (the last runs failed), misconfigured (an "
    "administrator must act), held (a person must decide), not_granted (the owner left its box unticked).",
    ("channel", "state"),
)
RUNNING = Family("twinbox_channels_running", Kind.GAUGE, "Channels that a live worker has in hand.", ("channel",))
STALE = Family(
    "twinbox_channels_stale",
    Kind.GAUGE,
    "Channels that should run by themselves and had no success for three periods (a quarter of an hour at least).",
    ("channel",),
)
DUE = Family("twinbox_channels_due", Kind.GAUGE, "Channels that are due and not yet sent to a worker.")
DUE_LAG = Family(
    "twinbox_due_lag_seconds", Kind.GAUGE, "How long the longest overdue channel has waited for a scheduler."
)
LAST_TICK = Family(
    "twinbox_scheduler_last_tick_timestamp_seconds",
    Kind.GAUGE,
    "When the scheduler of this process last looked for what is due, as Unix time; 0: it has none, or not yet.",
)
TURNS = Family(
    "twinbox_scheduler_turns_total",
    Kind.COUNTER,
    "Rounds of the scheduler's loop in this process, also those that found the database or broker away.",
)
WAKEUPS = Family(
    "twinbox_wakeups_total", Kind.COUNTER, "Messages this process sent to workers for what was due.", ("channel",)
)
QUEUE_AGE = Family(
    "twinbox_queue_age_seconds",
    Kind.HISTOGRAM,
    "Age of a message when a worker of this process took it from the queue.",
    bounds=_WAIT_BOUNDS,
)
RUNS = Family(
    "twinbox_runs_total", Kind.COUNTER, "Runs that ended in this process, by outcome.", ("channel", "outcome")
)
RUN_SECONDS = Family(
    "twinbox_run_seconds",
    Kind.HISTOGRAM,
    "Duration of the runs that ended in this process.",
    ("channel",),
    _RUN_BOUNDS,
)
BROKEN_OFF = Family(
    "twinbox_runs_broken_off_total",
    Kind.COUNTER,
    "Runs that a fault of Twinbox itself ended.",
    ("channel",),
)
LEASE_LOSSES = Family(
    "twinbox_lease_losses_total",
    Kind.COUNTER,
    "Runs of this process that another worker took over because their lease had run out.",
    ("channel",),
)
TAKEOVERS = Family(
    "twinbox_lease_takeovers_total",
    Kind.COUNTER,
    "Runs that this process took over from a worker that died or hung.",
    ("channel",),
)
CALLS = Family(
    "twinbox_provider_calls_total",
    Kind.COUNTER,
    "Answers of providers: HTTP by host and status, IMAP and SMTP by reply; `failed` when no answer came.",
    ("service", "code"),
)

FAMILIES = (
    BUILD,
    DATABASE_UP,
    ACCOUNTS,
    CHANNELS,
    RUNNING,
    STALE,
    DUE,
    DUE_LAG,
    LAST_TICK,
    TURNS,
    WAKEUPS,
    QUEUE_AGE,
    RUNS,
    RUN_SECONDS,
    BROKEN_OFF,
    LEASE_LOSSES,
    TAKEOVERS,
    CALLS,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One number: the values of the family's labels, in order."""

    labels: tuple[str, ...]
    value: float


@dataclass(slots=True)
class Spread:
    """What a histogram has seen under one set of labels; `counts` has one number per bound, each on its own."""

    counts: list[int]
    number: int = 0
    total: float = 0.0

    def add(self, value: float, bounds: Sequence[float]) -> None:
        """Take one more value in."""
        self.number += 1
        self.total += value
        place = next((index for index, bound in enumerate(bounds) if value <= bound), None)
        if place is not None:
            self.counts[place] += 1


def exposition(
    samples: Mapping[Family, Iterable[Sample]], spreads: Mapping[Family, Mapping[tuple[str, ...], Spread]]
) -> str:
    """The text that Prometheus reads: every family that has numbers, in the order of `FAMILIES`."""
    lines: list[str] = []
    for family in FAMILIES:
        body = [_line(family.name, _pairs(family, one.labels), one.value) for one in samples.get(family, ())]
        for labels, spread in sorted(spreads.get(family, {}).items()):
            body += _histogram(family, _pairs(family, labels), spread)
        if body:
            lines += [f"# HELP {family.name} {_escaped(family.help)}", f"# TYPE {family.name} {family.kind}", *body]
    return "\n".join([*lines, ""])


def _histogram(family: Family, pairs: list[tuple[str, str]], spread: Spread) -> Iterable[str]:
    below = 0
    for bound, count in zip(family.bounds, spread.counts, strict=True):
        below += count
        yield _line(f"{family.name}_bucket", [*pairs, ("le", f"{bound:g}")], below)
    yield _line(f"{family.name}_bucket", [*pairs, ("le", "+Inf")], spread.number)
    yield _line(f"{family.name}_sum", pairs, spread.total)
    yield _line(f"{family.name}_count", pairs, spread.number)


def _pairs(family: Family, labels: tuple[str, ...]) -> list[tuple[str, str]]:
    return list(zip(family.labels, labels, strict=True))


def _line(name: str, pairs: Sequence[tuple[str, str]], value: float) -> str:
    inside = ",".join(f'{label}="{_quoted(text)}"' for label, text in pairs)
    return f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
