"""Lets a person take part in `twinbox demo`: consent in the browser, step on, and play on at the end.
The story is `cli.demo_story`, what can be played with `cli.demo_deeds`; without a terminal the demo plays alone."""

from __future__ import annotations

import select
import sys
import threading
import webbrowser
from datetime import UTC, datetime

from cli.demo_deeds import COMMANDS, DEEDS
from cli.demo_screen import Screen
from cli.demo_story import Audience, CheckFailed, Stage
from core.errors import TwinboxError


def touring() -> Audience:
    """Nobody: the demo consents by itself and goes on."""
    return Audience(invited=lambda _: None, consents=lambda: True, go_on=lambda _: True)


def person(screen: Screen, *, browser: bool) -> Audience:
    """Somebody at the terminal, with a browser if wanted."""

    def invited(url: str) -> None:
        screen.line()
        screen.line("    Open this address and press Continue there, as Anna would:")
        screen.line(url, "cyan")
        screen.line("    Or press Enter here: then the demo consents for her.")
        if browser:
            _open(url)

    hurry, last = "", ""

    def go_on(part: str) -> bool:
        nonlocal hurry, last
        ahead, last = part == last or not last, part
        if hurry == "a" or (hurry == "p" and ahead):
            return True
        screen.line("    Enter: next step    p: to the next part    a: all the rest    q: leave", "dim")
        answer = sys.stdin.readline()
        hurry = answer.strip().lower()
        return bool(answer) and hurry not in ("q", "quit")  # no line at all: the terminal is gone

    return Audience(invited, _enter_pressed, go_on)


def _open(url: str) -> None:
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    if type(browser) is not webbrowser.GenericBrowser:  # a text browser would take this terminal away
        browser.open(url)


def _enter_pressed() -> bool:
    if not select.select([sys.stdin], [], [], 0)[0]:
        return False
    sys.stdin.readline()
    return True


def play_on(stage: Stage, *, alone: bool) -> None:
    """Stay up until the person leaves; `alone`: until a signal comes."""
    stage.world.clock.set(datetime.now(UTC))  # commands in another terminal live by the wall clock
    _tell_environment(stage)
    if alone:
        stage.screen.line("Running until Ctrl-C.")
        threading.Event().wait()
        return
    _tell_keys(stage)
    while True:
        stage.screen.line(f"What happens next?  ({' '.join(DEEDS)}, ? help, q quit)", "dim")
        key = sys.stdin.readline()
        if not key or key.strip().lower() in ("q", "quit"):
            return
        _do(stage, key.strip().lower())


def _tell_environment(stage: Stage) -> None:
    screen = stage.screen
    screen.line("The demo stays up. In another terminal, these lines let you use it:\n", "bold")
    for name, value in stage.world.environment.items():
        screen.line(f"export {name}={value}")
    screen.line()
    for command, text in COMMANDS:
        screen.line(f"twinbox {command:<60}  {text}".rstrip())
    screen.line()


def _tell_keys(stage: Stage) -> None:
    for key, (text, _) in DEEDS.items():
        stage.screen.line(f"  {key}  {text}")
    stage.screen.line("  q  leave, and remove everything")


def _do(stage: Stage, key: str) -> None:
    if key not in DEEDS:
        _tell_keys(stage)
        return
    try:
        stage.screen.tell("", DEEDS[key][1](stage))
    except TwinboxError as error:
        stage.screen.tell("Twinbox", f"{error}. {error.advice}".strip())
    except CheckFailed as error:  # a hint for somebody who took the story apart, not the end of it
        stage.screen.tell("", f"That cannot be played now: {error.text} (found: {error.found}).")
