"""Lets a person take part in `twinbox demo`: consent in the browser, step on, and play with the mailbox at the end.
The story is `cli.demo_story`; without a terminal the demo plays alone."""

from __future__ import annotations

import select
import sys
import threading
import webbrowser
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from cli.demo_contacts import book, label, named, tagged
from cli.demo_linking import through_consent
from cli.demo_mail import deliver
from cli.demo_screen import Screen
from cli.demo_story import Audience, Stage, overview, sync
from core.errors import TwinboxError
from core.types import Channel
from sandbox.world_letters import ANNA_ADDRESS, question
from sync.run import run_sync

Deed = Callable[[Stage], str]


def touring() -> Audience:
    """Nobody: the demo consents by itself and goes on."""
    return Audience(invited=lambda _: None, consents=lambda: True, go_on=lambda: True)


def person(screen: Screen, *, browser: bool) -> Audience:
    """Somebody at the terminal, with a browser if wanted."""

    def invited(url: str) -> None:
        screen.line()
        screen.line("    Open this address and press Continue there, as Anna would:")
        screen.line(url, "cyan")
        screen.line("    Or press Enter here: then the demo consents for her.")
        if browser:
            _open(url)

    hurry = False

    def go_on() -> bool:
        nonlocal hurry
        if hurry:
            return True
        screen.line("    Enter: next step    a: all the rest    q: leave", "dim")
        answer = sys.stdin.readline()
        hurry = answer.strip().lower() == "a"
        return bool(answer) and answer.strip().lower() not in ("q", "quit")  # no line at all: the terminal is gone

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
        stage.screen.line("What happens next?  (d l t u p e r k s c, ? help, q quit)", "dim")
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
    contacts = f"{ANNA_ADDRESS} --channel contacts --wait"
    for command in ("status", "messages list", f"sync start {ANNA_ADDRESS} --wait", "runs list", "contacts list"):
        screen.line(f"twinbox {command}")
    for command in (f"sync plan {ANNA_ADDRESS}", f"sync start {contacts}", "why tom@whitfield.example"):
        screen.line(f"twinbox {command}")
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


def _deliver(stage: Stage) -> str:
    now = stage.world.clock.now()
    stage.msgid = deliver(stage, question(now, int(now.timestamp())))
    return "A message arrived at Gmail. Press s to sync."


def _label(stage: Stage) -> str:
    newest = _newest(stage)
    stage.world.gmail.mail.add_label(ANNA_ADDRESS, newest, "Clients/Nordwind")
    stage.world.gmail.mail.set_flags(ANNA_ADDRESS, newest, ["\\Seen", "\\Flagged"])
    return "Gmail's newest message was read, starred and labelled. Press s to sync."


def _trash(stage: Stage) -> str:
    stage.world.gmail.mail.move_to_trash(ANNA_ADDRESS, _newest(stage))
    return "Gmail's newest message was moved to Trash. Press s to sync."


def _renumber(stage: Stage) -> str:
    value = stage.world.gmail.mail.bump_uidvalidity(ANNA_ADDRESS, "\\All")
    return f"All Mail has a new UIDVALIDITY, {value}. Press s to sync."


def _person(stage: Stage) -> str:
    number = len(stage.people)
    fields = named("New", f"Customer {number}", f"customer{number}@new.example")
    stage.people[f"customer{number}"] = book(stage).add(fields, [label(stage)])
    return f"Anna put New Customer {number} under the label {stage.label} at Google. Press c to sync contacts."


def _note(stage: Stage) -> str:
    note = f"Noted at {stage.world.clock.now():%H:%M:%S}"
    book(stage).edit(stage.people["greta"], {"biographies": [{"value": note}]})
    return "Anna wrote a note on Greta Nord at Google. Press c to sync contacts."


def _contacts(stage: Stage) -> str:
    report = run_sync(stage.world.app, stage.account_id, Channel.CONTACTS, trigger="manual")
    stage.screen.counts(report.counts, report.outcome)
    return f"{len(tagged(stage))} contacts are in step. {report.error} {report.advice}".strip()


def _revoke(stage: Stage) -> str:
    stage.world.google.revoke_user(ANNA_ADDRESS)
    return "Anna took the access back. Press s to see what comes of it, k to link again."


def _relink(stage: Stage) -> str:
    linked = through_consent(stage, relink=stage.account_id)
    return f"{linked.address} is {linked.state} again."


def _sync(stage: Stage) -> str:
    report = sync(stage, bar=True)
    row = overview(stage)
    told = f"{row['messages']} messages are stored, the account is {row['state'].replace('_', ' ')}."
    return f"{told} {report.advice}".strip()


def _newest(stage: Stage) -> int:
    shown = stage.world.gmail.mail.snapshot(ANNA_ADDRESS)
    return max(msgid for msgid, (state, _, _, _) in shown.items() if state == "all")


DEEDS: Mapping[str, tuple[str, Deed]] = {
    "d": ("a message arrives", _deliver),
    "l": ("the newest message is read and labelled", _label),
    "t": ("the newest message goes to Trash", _trash),
    "u": ("Gmail renumbers All Mail (UIDVALIDITY)", _renumber),
    "p": ("Anna puts a new person under the label at Google", _person),
    "e": ("Anna writes a note on a contact at Google", _note),
    "r": ("Anna takes the access back", _revoke),
    "k": ("Anna links the account again", _relink),
    "s": ("Twinbox syncs mail", _sync),
    "c": ("Twinbox syncs contacts", _contacts),
}
