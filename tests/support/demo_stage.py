"""A stage of `twinbox demo` on which some steps were played, and faults for the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cli.demo_play import touring
from cli.demo_screen import open_screen
from cli.demo_story import Stage
from cli.demo_world import demo_world

Play = Callable[[Stage], None]


@contextmanager
def played(steps: Sequence[Play]) -> Iterator[Stage]:
    """A stage on which these steps were played."""
    with demo_world(browser=False) as world:
        stage = Stage(world, open_screen(), touring())
        for step in steps:
            step(stage)
        yield stage


def once(operation: str, meddle: Play, number: int = 1) -> Play:
    """A fault: this happens at Google while the call of `operation` of that number is on its way."""

    def prepared(stage: Stage) -> None:
        google = stage.world.google
        knobs = google.calendar.knobs if operation.startswith("events.") else google.people.knobs
        left = number

        def on_call(name: str, _email: str) -> None:
            nonlocal left
            left -= name == operation
            if not left:
                knobs.on_call = None
                meddle(stage)

        knobs.on_call = on_call

    return prepared
