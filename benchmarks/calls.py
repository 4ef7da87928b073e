"""One table of runs by the calls they made, against the least that a provider's limits allow.
What is run is `bench_contacts` and `bench_calendar`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from sync.run import RunReport

ALLOWED = 1.1


@dataclass(frozen=True, slots=True)
class Row:
    """One measured case. `least` is the least number of calls, `goal` what may be used at most."""

    case: str
    calls: int
    least: int
    goal: float
    wall: float
    cpu: float

    @property
    def met(self) -> bool:
        return self.calls <= self.goal


def run(
    do: Callable[[], RunReport],
    counted: Callable[[], AbstractContextManager[Counter[str]]],
    case: str,
    least: int,
    *,
    exact: bool = False,
) -> Row:
    """Measure one run, which must end well. `exact`: not a call more than the least is allowed."""
    began, used = time.perf_counter(), time.process_time()
    with counted() as calls:
        report = do()
    assert report.outcome == "ok", report
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    return Row(case, sum(calls.values()), least, least if exact else least * ALLOWED, wall, cpu)


def show(rows: Sequence[Row], *lines: str) -> None:
    """Print the table, and lines below it."""
    table = Table(box=None, pad_edge=False)
    for heading in ("case", "calls", "least", "ratio", "wall s", "CPU s", "goal"):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for row in rows:
        ratio = f"{row.calls / row.least:.2f}"
        table.add_row(
            row.case, str(row.calls), str(row.least), ratio, f"{row.wall:.1f}", f"{row.cpu:.1f}", told(row.met)
        )
    out = Console(width=None if sys.stdout.isatty() else 120)
    out.print(table)
    for line in lines:
        out.print(line)


def told(met: bool) -> str:
    """A verdict in a word."""
    return "met" if met else "MISSED"
