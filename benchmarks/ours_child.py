"""The process in which Twinbox works during a comparison: runs one task and prints its outcome as a JSON line.
What the task means in Twinbox's own terms is written in `ours.py`; run as `python -m benchmarks.ours_child`."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace

from benchmarks import ours


def main() -> int:
    """`link|sync|many TASK`, the task as JSON; status `NOT_YET` if that part of `ours.py` is not written."""
    verb, text = sys.argv[1:3]
    given = json.loads(text)
    task = ours.Task(**{**given, "accounts": tuple(given["accounts"])})
    try:
        told = _link(task) if verb == "link" else _many(task) if verb == "many" else _sync(task)
    except NotImplementedError as error:
        print(error, file=sys.stderr)
        print(json.dumps({"not_yet": 1}))
        return ours.NOT_YET
    print(json.dumps(told))
    return 0


def _link(task: ours.Task) -> dict[str, float | None]:
    ours.link_accounts(task)
    return {}


def _many(task: ours.Task) -> dict[str, float | None]:
    outcome = ours.sync_many(task)
    return {"messages": outcome.messages, "stored_bytes": outcome.stored_bytes}


def _sync(task: ours.Task) -> dict[str, float | None]:
    newest: list[float] = []
    if task.warm_up:
        ours.sync_one(replace(task, accounts=(task.warm_up,)), lambda _: None)
    before = ours.stored(task).stored_bytes if task.warm_up or task.repeat > 1 else 0
    cpu = _cpu()
    started = time.perf_counter()

    def usable(count: int) -> None:
        if count >= ours.NEWEST and not newest:
            newest.append(time.perf_counter() - started)

    ours.sync_one(task, usable)
    wall, used = time.perf_counter() - started, _cpu() - cpu
    outcome = ours.stored(task)
    told: dict[str, float | None] = {
        "messages": outcome.messages,
        "stored_bytes": outcome.stored_bytes - before,
        "newest_200_seconds": newest[0] if newest else None,
    }
    if task.warm_up:
        told |= {"warm_wall": wall, "warm_cpu": used}
    if task.repeat > 1:
        wall, cpu = time.perf_counter(), _cpu()
        for _ in range(task.repeat - 1):
            ours.sync_one(task, usable)
        told["warm_wall"] = (time.perf_counter() - wall) / (task.repeat - 1)
        told["warm_cpu"] = (_cpu() - cpu) / (task.repeat - 1)
    return told


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    sys.exit(main())
