"""Calls of a calendar run against the least that Google's limits allow, and what planning costs: one table.
Run as `python -m benchmarks.bench_calendar`; real runs, the real client library, Google's double in this process."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import structlog

from benchmarks.calls import Row, run, show, told
from core.event import Event
from core.plan import Facts, diff
from core.policy import EVENTS
from core.replica import Delta, Item, Link, Stamp
from tests.support.app_factory import START
from tests.support.calendar_world import WEEKLY, CalendarWorld, calendar_world, meeting

PAGE = 2_500
FIRST_DAY = date(2026, 3, 10)


def main() -> int:
    """Status 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_calendar", description=__doc__)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--changed", type=int, default=200)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(prefix="twinbox-bench-") as folder:
        rows = _pulling(Path(folder, "pull"), options.events, options.changed)
        rows += _pushing(Path(folder, "push"), options.events, options.changed)
        series, items = _series(Path(folder, "series"))
    planning = _planning(2 * options.events)
    show(
        [*rows, series],
        f"events read when a weekly endless series was touched once: {items} ({told(items == 1)}: 1)",
        f"planning {2 * options.events:,} linked events, none changed: {planning:.2f} s CPU ({told(planning < 0.5)}: "
        "< 0.5 s)",
        "An event is written by a call of its own: in a batch request it would count as one all the same.",
        "CPU includes Google's double and the client library, which run in the same process.",
    )
    good = all(row.met for row in [*rows, series]) and planning < 0.5 and items == 1
    return 0 if good else 1


def _pulling(folder: Path, events: int, changed: int) -> list[Row]:
    with calendar_world(folder) as world:
        ids = [world.put(f"Meeting {number}", _day(number), "zoe@elsewhere.example") for number in range(events)]
        world.google.mails.clear()  # those invited were told by Ann herself
        pages = math.ceil(events / PAGE)
        rows = [_run(world, f"first sync: {events:,} come from Google", pages)]
        world.pass_time()
        rows.append(_run(world, "nothing changed", 1, exact=True))
        for one in ids[:changed]:
            world.book().edit(one, location="Hall")
        world.google.mails.clear()
        rows.append(_run(world, f"{changed:,} changed at Google", 1))
        world.pass_time()
        world.google.expire_sync_tokens()
        # The call with the dead token comes on top.
        rows.append(_run(world, f"full comparison of {events:,}", pages + 1))
        return rows


def _pushing(folder: Path, events: int, changed: int) -> list[Row]:
    with calendar_world(folder) as world:
        ids = [world.add(_event(number)) for number in range(events)]
        rows = [_run(world, f"first sync: {events:,} go to Google", events + 1)]
        world.pass_time()
        # What we made shows once more in the listing after it was made.
        rows.append(_run(world, "own events seen again", math.ceil(events / PAGE)))
        for one in ids[:changed]:
            world.edit(one, location="Hall")
        rows.append(_run(world, f"{changed:,} changed in the CRM", changed + 1))
        return rows


def _series(folder: Path) -> tuple[Row, int]:
    """A run after an endless series was changed, and how many records of it there are then."""
    with calendar_world(folder) as world:
        one = world.put("Standup", recurrence=[WEEKLY])
        world.run()
        world.pass_time()
        world.book().edit(one, "all", location="Hall")
        row = _run(world, "a weekly endless series touched once", 1, exact=True)
        return row, len(world.rows())


def _run(world: CalendarWorld, case: str, least: int, *, exact: bool = False) -> Row:
    return run(world.run, world.counted, case, least, exact=exact)


def _planning(events: int) -> float:
    """CPU seconds of planning and merging linked events of which nothing changed."""
    base = {f"l{number}": _event(number) for number in range(events)}
    local = {one: Item(one, Stamp("1", START), True, body) for one, body in base.items()}
    remote = {f"r{one}": Item(f"r{one}", Stamp("e2", START), True, body) for one, body in base.items()}
    links = [Link(one, f"r{one}", Stamp("1", START), Stamp("e1", START), body, True) for one, body in base.items()]
    used = time.process_time()
    plan = list(diff(links, Delta(local), Delta(remote, complete=True), Facts(EVENTS, START)))
    cpu = time.process_time() - used
    assert len(plan) == events  # every etag is new: each pair is compared and merged, none is written
    return cpu


def _event(number: int) -> Event:
    event = meeting(f"Meeting {number}", _day(number), "zoe@elsewhere.example", location=f"Room {number % 7}")
    return replace(event, uid=f"{number}@example.com")


def _day(number: int) -> str:
    return (FIRST_DAY + timedelta(days=number % 300)).isoformat()


if __name__ == "__main__":
    sys.exit(main())
