"""What somebody can play with once the story of `twinbox demo` is over: one key, one deed; and commands to try.
Asking for a key is `cli.demo_play`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from cli.demo_agenda import activity, calendar, edit, event_id
from cli.demo_book import book, choice, edit_mine, label, members, put_under, theirs
from cli.demo_linking import through_consent
from cli.demo_mail import deliver
from cli.demo_records import pairs
from cli.demo_story import CheckFailed, Stage, overview, sync
from core.types import Channel
from sandbox.world_letters import ANNA_ADDRESS, question
from sandbox.world_meetings import FAIR, JONAS, TEAM
from sandbox.world_people import LEO, PRIYA, TOM
from sync.held import discard_held

Deed = Callable[[Stage], str]


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


# ---- contacts ----------------------------------------------------------------------------------------------


def _moved_in(stage: Stage) -> str:
    put_under(stage, PRIYA)
    return f"Anna put Priya under the label {choice(stage).group!r} at Google. Press c to sync contacts."


def _moved_out(stage: Stage) -> str:
    book(stage).take_from(label(stage), theirs(stage, PRIYA))
    return f"Anna took Priya out of the label {choice(stage).group!r}. Press c to sync contacts."


def _edited_there(stage: Stage) -> str:
    title = f"Buyer since {stage.world.clock.now():%H:%M:%S}"
    book(stage).edit(theirs(stage, TOM), {"organizations": [{"name": "Nordwind Ltd", "title": title}]})
    return f"At Google Tom is {title!r} now. Press f too for a conflict, c to sync contacts."


def _edited_here(stage: Stage) -> str:
    title = f"Head since {stage.world.clock.now():%H:%M:%S}"
    edit_mine(stage, TOM, title=title)
    return f"In the CRM Tom is {title!r} now. Press e too for a conflict, c to sync contacts."


def _emptied(stage: Stage) -> str:
    everybody = members(stage)
    book(stage).take_from(label(stage), *everybody)
    return f"Anna emptied the label of its {len(everybody)} people. Press c to see the brake, then g or n."


def _put_back(stage: Stage) -> str:
    under = label(stage)
    known = sorted(book(stage).persons().keys() & set(pairs(stage, Channel.CONTACTS).values()))
    book(stage).put_under(under, *known)
    return f"Anna put {len(known)} people back under the label. Press c to sync contacts."


def _discarded(stage: Stage) -> str:
    discard_held(stage.world.app, stage.world.workspace, stage.account_id)
    return "What was held is discarded: nothing of it is done."


def _sync_contacts(stage: Stage) -> str:
    report = sync(stage, Channel.CONTACTS)
    row = overview(stage, Channel.CONTACTS)
    told = f"{row['contacts']} contacts are in step, the channel is {row['state'].replace('_', ' ')}."
    if "looked at again later" in report.counts:
        told += " Who went to and fro within ten minutes is looked at again after them."
    return f"{told} {report.advice}".strip()


# ---- calendar ----------------------------------------------------------------------------------------------


def _invited(stage: Stage) -> str:
    start = stage.world.clock.now() + timedelta(days=1)
    title = f"Meeting of {start:%H:%M:%S}"
    calendar(stage).create(title, start, start + timedelta(hours=1), guests=[JONAS, TOM])
    return f"Anna made {title!r} at Google and invited Jonas and Tom. Press a to sync both calendars."


def _moved_on(stage: Stage) -> str:
    now = stage.world.clock.now()
    ahead = calendar(stage).expanded(now, now + timedelta(weeks=9))
    due = next((one for one in ahead if one.get("summary") == TEAM), None)
    if due is None:
        raise CheckFailed("a team meeting is still to come", "one", "none")
    times = (datetime.fromisoformat(due[name]["dateTime"]) + timedelta(hours=1) for name in ("start", "end"))
    calendar(stage).move_occurrence(due["id"], *times)
    return "Anna put the next team meeting an hour later at Google. Press a to sync both calendars."


def _fair_moved(stage: Stage) -> str:
    hall = f"Hall {stage.world.clock.now():%S}"
    edit(stage, activity(stage, FAIR)["id"], location=hall)
    return f"In the CRM the fair is in {hall!r} now. Press a to sync both calendars."


def _called_off(stage: Stage) -> str:
    calendar(stage).delete(event_id(stage, TEAM))
    return "Anna deleted all team meetings at Google. Press a to see what the CRM keeps."


def _sync_calendars(stage: Stage) -> str:
    reports = [sync(stage, Channel.CALENDAR, account=one) for one in (stage.account_id, stage.colleague_account_id)]
    row = overview(stage, Channel.CALENDAR)
    told = f"{row['activities']} activities are in Anna's calendar, the channel is {row['state'].replace('_', ' ')}."
    return f"{told} {reports[0].advice}".strip()


DEEDS: Mapping[str, tuple[str, Deed]] = {
    "d": ("mail: a message arrives", _deliver),
    "l": ("mail: the newest message is read and labelled", _label),
    "t": ("mail: the newest message goes to Trash", _trash),
    "u": ("mail: Gmail renumbers All Mail (UIDVALIDITY)", _renumber),
    "s": ("mail: Twinbox syncs", _sync),
    "i": ("contacts: Anna puts Priya under the label", _moved_in),
    "o": ("contacts: Anna takes Priya out of the label", _moved_out),
    "e": ("contacts: Anna changes Tom's position at Google", _edited_there),
    "f": ("contacts: the CRM changes Tom's position", _edited_here),
    "b": ("contacts: Anna empties the label by mistake", _emptied),
    "g": ("contacts: Anna puts everybody back", _put_back),
    "n": ("contacts: somebody discards what is held", _discarded),
    "c": ("contacts: Twinbox syncs", _sync_contacts),
    "m": ("calendar: Anna invites Jonas and Tom", _invited),
    "v": ("calendar: Anna moves the next team meeting at Google", _moved_on),
    "w": ("calendar: the CRM puts the fair into another hall", _fair_moved),
    "x": ("calendar: Anna deletes the team meetings at Google", _called_off),
    "a": ("calendar: Twinbox syncs, Anna's and that of Jonas", _sync_calendars),
    "r": ("Anna takes the access back", _revoke),
    "k": ("Anna links the account again", _relink),
}
COMMANDS = (
    ("status", "the account and its channels"),
    ("messages list", ""),
    (f"sync start {ANNA_ADDRESS} --wait", "mail"),
    ("contacts list", "the contacts of the CRM"),
    (f"contacts edit {TOM} --title Director", "change one"),
    (f"sync plan {ANNA_ADDRESS}", "what a sync would do, writing nothing"),
    (f"sync start {ANNA_ADDRESS} --channel contacts --wait", "do it"),
    (f"why {TOM}", "why he is in step, and what was done"),
    (f"undo --contact {TOM} --field title", "take that back, on both sides"),
    (f"contacts tag 'My clients' {LEO}", "take somebody in"),
    (f"settings contacts {ANNA_ADDRESS}", "tag, label and period"),
    ("activities list --expand", 'the meetings of 31 days, private ones as "busy"'),
    (f"activities list --as {ANNA_ADDRESS}", "as Anna sees them"),
    (f"sync plan {ANNA_ADDRESS} --channel calendar", "what a sync of her calendar would do"),
    (f"sync start {JONAS} --channel calendar --wait", "do it, for her colleague"),
    (f"activities export --as {JONAS}", "as iCalendar; with a name, into a file"),
    ("runs list", "what was run; `runs show RUN` says what it did"),
)
