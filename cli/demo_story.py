"""Plays the story of `twinbox demo` step by step, and ends it at the first check that does not hold.
The steps are in `cli.demo_linking`, `cli.demo_mail` and the modules of contacts; here is what they share."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cli.demo_screen import Screen
from cli.demo_world import DemoWorld
from core.errors import TwinboxError
from core.types import Channel
from models.queries import find_message, list_messages, message_record, status_overview
from sandbox.gmail.store import Counters
from sandbox.world_letters import ANNA_ADDRESS
from sync.record_run import Progress
from sync.run import RunReport, run_sync

SHOWN = 300  # characters of what was expected, or found

Record = dict[str, Any]


class CheckFailed(Exception):
    """Twinbox or its surroundings did not do what the story tells."""

    def __init__(self, text: str, expected: object, found: object) -> None:
        super().__init__(text)
        self.text, self.expected, self.found = text, _short(expected), _short(found)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


@dataclass(frozen=True, slots=True)
class Audience:
    """Who looks on. `invited` is told the address of the consent page; `consents` says, asked again and again,
    whether the demo shall consent by itself; `go_on`, told which part of the story comes, waits before the next step;
    False to leave."""

    invited: Callable[[str], None]
    consents: Callable[[], bool]
    go_on: Callable[[str], bool]


@dataclass(slots=True)
class Stage:
    """What the steps share: the world, the screen, and what earlier steps made."""

    world: DemoWorld
    screen: Screen
    audience: Audience
    user_id: str = ""
    account_id: str = ""
    msgid: int = 0  # at Gmail: the message that steps 5 to 8 follow
    message_id: str = ""  # the same message here
    tag_id: str = ""  # of the tag that decides which contacts are kept in step
    colleague_id: str = ""  # of Jonas, a user of the same workspace
    colleague_account_id: str = ""  # his account, which syncs a calendar and nothing else


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its title and what is played. `play` raises CheckFailed, or TwinboxError; of a `brief` step the picture
    shows the title alone. `part` is the part of the story it belongs to."""

    title: str
    play: Callable[[Stage], None]
    brief: bool = True
    part: str = ""


def part(title: str, *steps: Step) -> tuple[Step, ...]:
    """Steps as one part of the story."""
    return tuple(replace(step, part=title) for step in steps)


class Ending(enum.Enum):
    """How a story ended."""

    DONE = "done"
    LEFT = "left"
    FAILED = "failed"


def play(stage: Stage, steps: Sequence[Step]) -> Ending:
    """Play the steps in order, until the audience leaves or a step fails; why it failed is told."""
    before = ""
    for number, step in enumerate(steps, 1):
        if number > 1 and not stage.audience.go_on(step.part):
            return Ending.LEFT
        if step.part != before:
            before = step.part
            stage.screen.part(before)
        stage.screen.step(number, step.title, brief=step.brief)
        try:
            step.play(stage)
        except CheckFailed as error:
            stage.screen.failed(error.text, error.expected, error.found)
            return Ending.FAILED
        except TwinboxError as error:
            stage.screen.failed(step.title, "no error", f"{error}. {error.advice}".strip())
            return Ending.FAILED
        stage.screen.step_done(number, step.title)
    return Ending.DONE


def check(stage: Stage, text: str, expected: object, found: object) -> None:
    """Tell that `found` is as expected. Raises CheckFailed when it is not."""
    if found != expected:
        raise CheckFailed(text, expected, found)
    stage.screen.passed(text)


def sync(stage: Stage, channel: Channel = Channel.MAIL, *, account: str = "", bar: bool = False) -> RunReport:
    """Sync Anna's mail, or another channel or account, now, and tell what was counted."""
    stage.world.gmail.forget_counters(ANNA_ADDRESS)
    if bar:
        with stage.screen.progress() as told:
            report = _run(stage, channel, account, lambda run: told(run.done, run.total, run.phase))
    else:
        report = _run(stage, channel, account, lambda _: None)
    stage.screen.counts(report.counts, report.outcome)
    if report.error or report.problems:
        stage.screen.tell("", report.error or "; ".join(report.problems))
    return report


def _run(stage: Stage, channel: Channel, account: str, watch: Callable[[Progress], None]) -> RunReport:
    return run_sync(stage.world.app, account or stage.account_id, channel, trigger="manual", watch=watch)


def clean_sync(stage: Stage, channel: Channel = Channel.MAIL) -> RunReport:
    """Sync, and insist on a good end."""
    report = sync(stage, channel)
    if report.outcome != "ok":
        raise CheckFailed("the run ends well", "ok", f"{report.outcome} {report.error} {'; '.join(report.problems)}")
    return report


def traffic(stage: Stage) -> Counters:
    """What the last sync asked of Gmail."""
    return stage.world.gmail.counters(ANNA_ADDRESS)


def bodies(stage: Stage) -> int:
    """How many times the last sync fetched bytes of a message."""
    return sum(times for (_, _, item), times in traffic(stage).fetched.items() if is_body(item))


def asked(stage: Stage) -> int:
    """How many commands Gmail got since its counters were reset, without the goodbye of an earlier session."""
    return sum(not command.upper().startswith("LOGOUT") for command in traffic(stage).commands)


def is_body(item: str) -> bool:
    """Whether a FETCH item is content of a message, not only some of its header lines."""
    return item.startswith("BODY") and not item.startswith(("BODY[HEADER.FIELDS", "BODYSTRUCTURE"))


def overview(stage: Stage, channel: Channel = Channel.MAIL) -> Record:
    """The line that `twinbox status` shows for a channel of Anna's account."""
    app = stage.world.app
    with app.db.reading() as session:
        rows = status_overview(session, stage.world.workspace, app.clock())
        return next(row for row in rows if (row["account"], row["channel"]) == (stage.account_id, channel))


def stored(stage: Stage, *, limit: int = 1000) -> list[Record]:
    """Stored messages, newest first."""
    with stage.world.app.db.reading() as session:
        return list_messages(session, stage.world.workspace, account=stage.account_id, limit=limit)


def record_of(stage: Stage, message: str) -> Record:
    """Everything about one message, by its number or Message-ID."""
    with stage.world.app.db.reading() as session:
        return message_record(session, find_message(session, stage.world.workspace, message))


def where(record: Record) -> str:
    """The folders that show a message."""
    return ", ".join(place["mailbox"] for place in record["places"]) or "nowhere"
