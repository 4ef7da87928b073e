"""Mail sync compared with mbsync and a raw drain, in interleaved rounds: one table, one JSON line per case.
Run as `python -m benchmarks.bench_mail`; what is compared is in `cases.py`, Twinbox's side in `ours.py`."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import psutil

from benchmarks import cases
from benchmarks.bed import Bed, open_bed
from benchmarks.cases import CASE_NAMES, Case, Contender
from benchmarks.measure import Measured, ProgramFailed
from benchmarks.results import Results, json_line, noisy, table, verdict
from tests.support.processes import locate

_LEGEND = """
Medians over the rounds, memory the highest. speed: against the contender that shows 1.00x. CPU: the program and its
children; server: Dovecot; other: CPU seconds of everything else on the machine meanwhile, thus the noise.
"""
_SHARED_MEMORY = Path("/dev/shm")


def main() -> int:
    """Status 1 if a program failed or, with `--check`, a measured goal is missed; else 0."""
    options = _options()
    messages = 2_000 if options.quick else options.messages
    if options.priority:
        os.setpriority(os.PRIO_PROCESS, 0, -10)  # the server and all clients inherit it
    with _work_folder(options) as work, open_bed(Path(options.bed), messages) as bed:
        print(_circumstances(bed, work, options.rounds), flush=True)
        everything = [_play(case, work, options.rounds) for case in _cases(bed, options.cases)]
    print(table(everything))
    print(_LEGEND)
    for text in noisy(everything):
        print(text)
    for results in everything:
        print(json_line(results))
    verdicts = [verdict(results, goal)[1] for results in everything for goal in results.case.goals]
    failed = any("FAILED" in results.absent.values() for results in everything)
    return 1 if failed or (options.check and False in verdicts) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_mail", description=__doc__)
    parser.add_argument("--bed", default=str(Path(tempfile.gettempdir(), "twinbox-bed")), help="folder of the server")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="2,000 messages")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=_case_names, default=CASE_NAMES, help=",".join(CASE_NAMES))
    parser.add_argument("--medium", choices=("disk", "tmpfs"), default="disk", help="where the clients store")
    parser.add_argument("--work", help="folder for what the clients store, on a disk (default: the temporary folder)")
    parser.add_argument("--priority", action="store_true", help="run all programs at raised priority (root only)")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    return parser.parse_args()


def _case_names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = sorted(set(names) - set(CASE_NAMES))
    if unknown:
        raise argparse.ArgumentTypeError(f"no such case: {', '.join(unknown)}")
    return names


@contextmanager
def _work_folder(options: argparse.Namespace) -> Iterator[Path]:
    parent = _SHARED_MEMORY if options.medium == "tmpfs" else Path(options.work or tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="twinbox-bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cases(bed: Bed, names: Sequence[str]) -> Iterator[Case]:
    simple: dict[str, Callable[[Bed], Case]] = {
        "first": cases.first,
        "newest": cases.newest,
        "bytes": cases.bytes_read,
        "accounts": cases.many_accounts,
    }
    with ExitStack() as stack:
        changing = ""
        for name in names:
            if name in simple:
                yield simple[name](bed)
                continue
            # Both work on one copy, and its first sync is done once.
            changing = changing or stack.enter_context(bed.copy(bed.first(), "live"))
            yield cases.no_change(bed, changing) if name == "nochange" else cases.incremental(bed, changing)
            if name == "nochange":
                yield cases.no_change_ten(bed)


def _play(case: Case, work: Path, rounds: int) -> Results:
    """All rounds of a case; in each round everyone runs once, and another one begins."""
    results: dict[str, list[Measured]] = {contender.name: [] for contender in case.contenders}
    absent = {contender.name: contender.missing for contender in case.contenders if contender.missing}
    for contender in case.contenders:
        if contender.name not in absent:
            _attempt(partial(_prepare, case, contender, work), contender.name, absent)
    for number in range(rounds):
        if case.before_round:
            case.before_round(number)
        turn = number % len(case.contenders)
        for contender in (*case.contenders[turn:], *case.contenders[:turn]):
            if contender.name not in absent:
                _round(case, contender, work, results[contender.name], absent)
    return Results(case, results, absent)


def _prepare(case: Case, contender: Contender, work: Path) -> None:
    folder = _folder(case, contender, work)
    if contender.prepare and not folder.exists():
        folder.mkdir(parents=True)
        contender.prepare(folder)


def _round(case: Case, contender: Contender, work: Path, found: list[Measured], absent: dict[str, str]) -> None:
    folder = _folder(case, contender, work)
    folder.mkdir(parents=True, exist_ok=True)
    _attempt(lambda: found.append(contender.run(folder)), contender.name, absent)
    if not case.keeps:
        shutil.rmtree(folder)
    if found:
        last = found[-1]
        print(f"  {case.name}: {contender.name}: {last.wall:.2f} s, {last.messages} messages", file=sys.stderr)


def _attempt(step: Callable[[], object], name: str, absent: dict[str, str]) -> None:
    try:
        step()
    except NotImplementedError:
        absent[name] = "not yet"
    except ProgramFailed as error:
        # The others' figures took minutes: keep them, and end with status 1.
        print(f"{name}: {error}", file=sys.stderr)
        absent[name] = "FAILED"


def _folder(case: Case, contender: Contender, work: Path) -> Path:
    safe = "".join(letter if letter.isalnum() else "-" for letter in contender.name)
    return work / (case.keeps.partition("@")[0] or case.name) / safe


def _circumstances(bed: Bed, work: Path, rounds: int) -> str:
    load = os.getloadavg()[0]
    return (
        f"{bed.messages:,} messages, {rounds} rounds, {os.cpu_count()} cores, load {load:.1f}; "
        f"server's mail on {_file_system(bed.root)}, clients' on {_file_system(work)}; "
        f"Dovecot {_version('dovecot')}, {_version('mbsync')}, Python {platform.python_version()}"
    )


def _version(program: str) -> str:
    path = locate(program)
    if path is None:
        return f"no {program}"
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]


def _file_system(path: Path) -> str:
    mounted = [one for one in psutil.disk_partitions(all=True) if path.resolve().is_relative_to(Path(one.mountpoint))]
    return max(mounted, key=lambda one: len(one.mountpoint)).fstype if mounted else "an unknown file system"


if __name__ == "__main__":
    sys.exit(main())
