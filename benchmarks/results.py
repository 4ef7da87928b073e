"""What the rounds of a case come to: medians, ratios between contenders, goals met or missed, table and JSON.
Which contenders and goals there are is said in `cases.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.cases import REPEAT, Case, Goal
from benchmarks.measure import Measured

HEADINGS = (
    "contender",
    "wall s",
    "min",
    "msg/s",
    "CPU s",
    "server",
    "other",
    "RSS MB",
    "MB in",
    "commands",
    "speed",
    "goals",
)


@dataclass(frozen=True, slots=True)
class Results:
    """All rounds of one case; `absent` says why a contender has none."""

    case: Case
    rounds: Mapping[str, Sequence[Measured]]
    absent: Mapping[str, str]


def figures(rounds: Sequence[Measured]) -> dict[str, float]:
    """Medians over the rounds, by name; seconds, bytes and counts unless the name says otherwise."""
    middle = {
        "wall": median(one.wall for one in rounds),
        "wall_min": min(one.wall for one in rounds),
        "cpu": median(one.cpu for one in rounds),
        "server_cpu": median(one.server_cpu for one in rounds),
        "other_cpu": median(one.other_cpu for one in rounds),
        "rss_mb": max(one.rss_peak_bytes for one in rounds) / 1e6,
        "bytes_in": median(one.bytes_in for one in rounds),
        "bytes_out": median(one.bytes_out for one in rounds),
        "messages": median(one.messages for one in rounds),
        "commands": median(one.commands for one in rounds),
        "rounds": len(rounds),
    }
    for name in set.intersection(*(set(one.details) for one in rounds)):
        middle[name] = median(one.details[name] for one in rounds)
    if middle.get("stored_bytes"):
        middle["read_per_stored"] = middle["bytes_in"] / middle["stored_bytes"]
    if "warm_cpu" in middle:
        middle["warm_cpu_ms"] = middle["warm_cpu"] * 1e3
        middle["commands_per_sync"] = middle["commands"] / REPEAT
    return middle


def speed(results: Results, contender: str, against: str) -> float | None:
    """How many times as fast as `against`: median of the ratios within each round. None if one has no figures."""
    pairs = list(zip(results.rounds.get(contender, ()), results.rounds.get(against, ()), strict=False))
    return median(theirs.wall / mine.wall for mine, theirs in pairs) if pairs else None


def verdict(results: Results, goal: Goal) -> tuple[str, bool | None]:
    """The goal in words with what was reached, and whether it is met (None: not measured)."""
    reached: float | None
    if goal.against:
        reached = speed(results, goal.contender, goal.against)
        text = f">= {goal.limit:g}x {goal.against}"
    else:
        rounds = results.rounds.get(goal.contender, ())
        reached = figures(rounds).get(goal.figure) if rounds else None
        text = f"{goal.figure} <= {goal.limit:g}"
    if reached is None:
        return text, None
    met = reached >= goal.limit if goal.against else reached <= goal.limit
    return f"{text}: {reached:.3g} {'ok' if met else 'MISSED'}", met


def table(everything: Sequence[Results]) -> str:
    """One table of all cases, as plain text."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    for results in everything:
        rows.append((f"-- {results.case.title}",))
        rows += [_row(results, contender.name) for contender in results.case.contenders]
    widths = [max(len(row[at]) for row in rows if len(row) > 2 and at < len(row)) for at in range(len(HEADINGS))]
    lines = []
    for row in rows:
        cells = [text.ljust(widths[at]) if at in (0, 11) else text.rjust(widths[at]) for at, text in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(results: Results, name: str) -> tuple[str, ...]:
    goals = "; ".join(verdict(results, goal)[0] for goal in results.case.goals if goal.contender == name)
    rounds = results.rounds.get(name, ())
    if not rounds:
        return (name, results.absent.get(name, "not measured"), *("",) * (len(HEADINGS) - 3), goals)
    found = figures(rounds)
    ratio = speed(results, name, results.case.baseline)
    return (
        name,
        f"{found['wall']:.3f}",
        f"{found['wall_min']:.3f}",
        f"{found['messages'] / found['wall']:,.0f}",
        f"{found['cpu']:.2f}",
        f"{found['server_cpu']:.2f}",
        f"{found['other_cpu']:.2f}",
        f"{found['rss_mb']:.0f}",
        f"{found['bytes_in'] / 1e6:,.3f}",
        f"{found['commands']:,.0f}",
        "" if ratio is None else f"{ratio:.2f}x",
        goals,
    )


def noisy(everything: Sequence[Results]) -> list[str]:
    """A warning per case during which other programs used more than a quarter of one core."""
    found = []
    for results in everything:
        runs = [one for rounds in results.rounds.values() for one in rounds]
        share = sum(one.other_cpu for one in runs) / max(
            0.001, sum(one.details.get("process_wall", one.wall) for one in runs)
        )
        if share > 0.25:
            found.append(f"Noisy: during '{results.case.title}' other programs used {share:.2f} cores.")
    return found


def json_line(results: Results) -> str:
    """One case as a JSON object on one line."""
    contenders = {
        name: {key: round(value, 6) for key, value in figures(rounds).items()}
        for name, rounds in results.rounds.items()
        if rounds
    }
    speeds = {name: speed(results, name, results.case.baseline) for name in contenders}
    goals = [dict(zip(("goal", "met"), verdict(results, goal), strict=True)) for goal in results.case.goals]
    return json.dumps(
        {
            "case": results.case.name,
            "baseline": results.case.baseline,
            "contenders": contenders,
            "speed": {name: None if value is None else round(value, 3) for name, value in speeds.items()},
            "absent": dict(results.absent),
            "goals": goals,
        },
        ensure_ascii=False,
    )
