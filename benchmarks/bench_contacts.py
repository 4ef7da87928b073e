"""Calls of a contacts run against the least that Google's limits allow, and what planning costs: one table.
Run as `python -m benchmarks.bench_contacts`; real runs, the real client library, Google's double in this process."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import structlog

from benchmarks.calls import Row, run, show, told
from core.contact import Contact, Entry
from core.plan import Facts, diff
from core.replica import Delta, Item, Link, Stamp
from tests.support.app_factory import START
from tests.support.contact_world import POLICY, person
from tests.support.google_world import GoogleWorld, google_world

PAGE, BATCH = 1_000, 200


def main() -> int:
    """Status 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_contacts", description=__doc__)
    parser.add_argument("--contacts", type=int, default=25_000)
    parser.add_argument("--changed", type=int, default=1_000)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(prefix="twinbox-bench-") as folder:
        rows, memory = _pulling(Path(folder, "pull"), options.contacts, options.changed)
        rows += _pushing(Path(folder, "push"), options.contacts, options.changed)
    planning = _planning(options.contacts)
    show(
        rows,
        f"planning {options.contacts:,} linked contacts, none changed: {planning:.2f} s CPU ({told(planning < 1)}: "
        "< 1 s)",
        f"memory of the full comparison on top of the idle process: {memory:.0f} MB ({told(memory < 150)}: < 150 MB)",
        "CPU includes Google's double and the client library, which run in the same process.",
    )
    good = all(row.met for row in rows) and planning < 1 and memory < 150
    return 0 if good else 1


def _pulling(folder: Path, contacts: int, changed: int) -> tuple[list[Row], float]:
    """Everybody is in the label at Google already. Also MB on top of the idle process in a full comparison."""
    with google_world(folder) as world:
        label = world.people.book.add_label("Twinbox")
        names = [world.people.book.add(_fields(number), [label]) for number in range(contacts)]
        pages = math.ceil(contacts / PAGE)
        rows = [_run(world, f"first sync: {contacts:,} come from Google", pages + 1)]
        world.pass_time()
        rows.append(_run(world, "nothing changed", 2, exact=True))
        for name in names[:changed]:
            world.people.book.edit(name, {"biographies": [{"value": "changed by hand"}]})
        rows.append(_run(world, f"{changed:,} changed at Google", 1 + math.ceil(changed / PAGE)))
        world.pass_time()
        world.people.book.expire_sync_tokens()
        # The call with the dead token comes on top.
        rows.append(_run(world, f"full comparison of {contacts:,}", pages + 2))
        world.pass_time()
        world.people.book.expire_sync_tokens()
        # Not by the size of the process: the runs before have left it room. This way slows a run down threefold.
        tracemalloc.start()
        world.run()
        most = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        return rows, most


def _pushing(folder: Path, contacts: int, changed: int) -> list[Row]:
    """Everybody has the tag in the CRM already."""
    with google_world(folder) as world:
        ids = world.crm_fill([_contact(number) for number in range(contacts)])
        rows = [_run(world, f"first sync: {contacts:,} go to Google", math.ceil(contacts / BATCH) + 3)]
        world.pass_time()
        for one in ids[:changed]:
            world.crm_edit(one, notes="changed in the CRM")
        # What we made shows once more in the listing after it was made.
        listing = math.ceil(contacts / PAGE) + 1
        rows.append(_run(world, f"{changed:,} changed in the CRM", math.ceil(changed / BATCH) + listing))
        return rows


def _run(world: GoogleWorld, case: str, least: int, *, exact: bool = False) -> Row:
    return run(world.run, world.people.counted, case, least, exact=exact)


def _planning(contacts: int) -> float:
    """CPU seconds of planning and merging linked contacts of which nothing changed."""
    base = {f"l{number}": _contact(number) for number in range(contacts)}
    local = {one: Item(one, Stamp("1", START), True, body) for one, body in base.items()}
    remote = {f"r{one}": Item(f"r{one}", Stamp("e2", START), True, body) for one, body in base.items()}
    links = [Link(one, f"r{one}", Stamp("1", START), Stamp("e1", START), body, True) for one, body in base.items()]
    used = time.process_time()
    plan = list(
        diff(links, Delta(local), Delta(remote, complete=True), Facts(POLICY, START))
    )  # every etag is new: each pair is compared and merged, none is written
    cpu = time.process_time() - used
    assert len(plan) == contacts
    return cpu


def _contact(number: int) -> Contact:
    return person(
        f"Given{number}",
        f"Family{number % 977}",
        email=f"person{number}@example.com",
        phone=f"+4930{number:07}",
        organization=f"Company {number % 311}",
        title="Buyer",
        urls=(Entry(f"https://example.com/{number}", "work"),),
    )


def _fields(number: int) -> dict[str, object]:
    return {
        "names": [{"givenName": f"Given{number}", "familyName": f"Family{number % 977}"}],
        "emailAddresses": [{"value": f"person{number}@example.com", "type": "work"}],
        "phoneNumbers": [{"value": f"+4930{number:07}", "type": "mobile"}],
        "organizations": [{"name": f"Company {number % 311}", "title": "Buyer"}],
    }


if __name__ == "__main__":
    sys.exit(main())
