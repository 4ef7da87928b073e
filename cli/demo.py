"""`twinbox demo`: Twinbox against stand-ins for Google and Gmail, on this machine only, without configuration.
The world is `cli.demo_world`, the story `cli.demo_story`, playing on afterwards `cli.demo_play`."""

from __future__ import annotations

import io
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import structlog
import typer

from cli.demo_calendar import CALENDARS
from cli.demo_contacts import MEETING
from cli.demo_edits import EDITS
from cli.demo_leaving import LEAVING
from cli.demo_linking import AFTER, BEFORE, END
from cli.demo_mail import STEPS
from cli.demo_meetings import MEETINGS
from cli.demo_play import person, play_on, touring
from cli.demo_screen import Screen, open_screen
from cli.demo_story import Ending, Stage, Step, play
from cli.demo_world import demo_world
from core.errors import Misconfigured

TITLE = "Twinbox with a stand-in for Google: no account needed, nothing leaves this machine"
STORY = (*BEFORE, *STEPS, *MEETING, *EDITS, *LEAVING, *CALENDARS, *MEETINGS, *AFTER)
TOUR = (*STORY, *END)

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What was asked for on the command line."""

    tour: bool = False
    browser: bool = True
    picture: Path | None = None


@app.command()
def demo(
    tour: Annotated[bool, typer.Option("--tour", help="Play the whole story, check every step, and end.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address to open.")] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw what the story shows as a picture.")
    ] = None,
) -> None:
    """Try Twinbox without an account: a stand-in for Google, and a story to watch and to play with.

    Everything is on this machine, in a temporary folder. Ctrl-C removes it all.
    """
    raise typer.Exit(run_demo(DemoOptions(tour, not no_browser, picture)))


def run_demo(options: DemoOptions, steps: Sequence[Step] | None = None) -> int:
    """Play `steps` (default: the story); the exit code, 1 when one of them failed or a tour was broken off.

    Raises Misconfigured when the picture cannot be written, and what building the world raises.
    """
    if options.picture is not None and not options.picture.parent.is_dir():
        raise Misconfigured(f"there is no folder {options.picture.parent}", advice="Make it, or name another file.")
    screen = open_screen(picture=options.picture is not None)
    screen.title(TITLE)
    try:
        with _quiet(), _terminable():
            ending = _told(options, screen, steps or (TOUR if options.tour else STORY))
    except KeyboardInterrupt:
        ending = Ending.LEFT
    if not options.tour:
        screen.line("\nEverything the demo made is removed.")
    return 1 if ending is Ending.FAILED or (options.tour and ending is Ending.LEFT) else 0


def _told(options: DemoOptions, screen: Screen, steps: Sequence[Step]) -> Ending:
    # Nobody there to consent or to press a key: the demo plays by itself.
    alone = options.tour or not sys.stdin.isatty()
    with demo_world(browser=not alone) as world:
        screen.masks = world.masks
        stage = Stage(world, screen, touring() if alone else person(screen, browser=options.browser))
        ending = play(stage, steps)
        if options.tour and ending is Ending.DONE:
            screen.ended(f"All {len(steps)} steps did what they should.")
        if options.picture is not None:
            _draw(screen, options.picture, "twinbox demo --tour" if options.tour else "twinbox demo")
        if not options.tour and ending is Ending.DONE:
            play_on(stage, alone=alone)
        return ending


def _draw(screen: Screen, path: Path, title: str) -> None:
    try:
        screen.save(path, title)
    except OSError as error:
        raise Misconfigured(f"cannot write {path}: {error.strerror}", advice="Name another file.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The story is the log. Characters that the terminal does not know become question marks, not errors."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.reset_defaults()


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM cleans up as Ctrl-C does."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
