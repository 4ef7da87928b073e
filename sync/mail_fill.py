"""Brings messages nobody looked at yet into the store, window by window, each committed with its cursor.
Which UIDs these are is decided by `core.mailbox`; flags and removals are `sync.mail_follow`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice

from sqlalchemy import select

from core.errors import Transient
from core.identity import message_identity
from core.mail_settings import wants_labels
from core.mailbox import Window, windows
from core.packs import ParsedWindow, RawMail
from core.ports import FetchedWindow
from core.types import MailboxStatus, MessageHead
from core.uidset import UidSet
from models.content import LocationRow, MessageRow
from models.syncing import MailboxRow
from sync.mail_quarantine import set_aside
from sync.mail_run import Box, MailRun, SliceEnded
from sync.mail_store import Arrival, known_messages, place, save_state, store_window
from sync.parse import parse_header_only

FIRST_WINDOW = 50
WINDOW = 300
# Windows whose messages are looked up together before their bytes are asked for.
GROUP = 16
WHOLE_WINDOW = 40
# Parsed windows that may wait for their turn to be stored: the parser works while we read on.
AHEAD = 2


def fill(run: MailRun, box: Box, seen: MailboxStatus, *, most: int | None = None) -> None:
    """Fetch and store what is not `done` in the selected mailbox, newest first; `most` limits the windows."""
    todo = UidSet.span(1, seen.uidnext - 1) - box.state.done
    if not todo:
        return
    scope = run.source.search(since=run.settings.since, above=todo.lowest - 1) & todo
    if not box.counted:
        run.total, box.counted = run.total + len(scope), True
    size = WHOLE_WINDOW if run.whole else WINDOW
    cut = windows(scope, box.state.done, seen.uidnext, size=size, first_size=FIRST_WINDOW)
    look_up = bool(run.choice) or _may_hold_known(run, box)
    chosen = islice(cut, most)
    while group := list(islice(chosen, GROUP)):
        _fill_group(run, box, group, look_up=look_up)


def _may_hold_known(run: MailRun, box: Box) -> bool:
    """Whether messages of this mailbox may be stored already: because another one shows them, or none does. In doubt
    it is no harm to say no: what is known is then fetched again, not stored twice."""
    if box.state.resyncs:
        return True  # its places were void, and not all are found again yet
    mine = select(MailboxRow.id).where(MailboxRow.account_id == run.lease.account_id, MailboxRow.id != box.id)
    elsewhere = select(LocationRow.uid).where(LocationRow.mailbox_id.in_(mine)).limit(1)
    nowhere = select(MessageRow.id).where(MessageRow.account_id == run.lease.account_id)
    with run.app.db.reading() as session:
        if session.scalar(elsewhere) is not None:
            return True
        return session.scalar(nowhere.where(MessageRow.unplaced_at.is_not(None)).limit(1)) is not None


def _fill_group(run: MailRun, box: Box, group: Sequence[Window], *, look_up: bool) -> None:
    wanted = UidSet.of_ranges(pair for window in group for pair in window.uids.ranges)
    if look_up:
        wanted -= _look_up(run, box, wanted)
    asked = {}
    for window in group:
        if uids := window.uids & wanted:
            asked[uids] = window.covers
        else:
            commit_window(run, box, FetchedWindow(UidSet(), ()), window.covers, None)
    missing = fetch_and_store(run, box, asked)
    if missing:
        recover(run, box, missing)


def _look_up(run: MailRun, box: Box, uids: UidSet) -> UidSet:
    """Give messages that are stored already their place in this mailbox, without fetching their bytes.

    Returns these, and those whose labels nobody wants.
    """
    heads = list(run.source.heads(uids, identity=True)) if uids else []
    identities = {head.uid: _identity_by_header(head) for head in heads}
    with run.app.db.reading() as session:
        known = known_messages(session, run.lease.account_id, set(identities.values()))
    found = [(head, known[identities[head.uid]]) for head in heads if identities[head.uid] in known]
    if found:
        # Their window may never be committed; what has its place must not be looked up a second time.
        state = replace(box.state, done=box.state.done | UidSet.of(head.uid for head, _ in found))
        with run.step() as session:
            place(session, box.id, found)
            run.counts["found again"] += len(found)
            run.done += len(found)
            save_state(session, box.id, state)
        box.state = state
    settled = {head.uid for head, _ in found}
    if run.choice:
        unwanted = {head.uid for head in heads if not wanted_here(run, box, head)} - settled
        run.counts["other labels"] += len(unwanted)
        settled |= unwanted
    return UidSet.of(settled)


def wanted_here(run: MailRun, box: Box, head: MessageHead) -> bool:
    """Whether the labels of a message are among those chosen."""
    return wants_labels(run.settings, head.labels or (), box.mailbox)


def identity_of(head: MessageHead, message_id: str, date_header: str, subject: str, sender: str) -> bytes:
    """What makes two locations show one message: Gmail's own id, else `core.identity.message_identity`."""
    if head.gm_msgid:
        return b"gm" + head.gm_msgid.to_bytes(8, "big")
    return message_identity(message_id, date_header, head.size, head.internal_date, subject, sender)


def _identity_by_header(head: MessageHead) -> bytes:
    mail = parse_header_only(head.header)
    sender = next((address.key for address in mail.addresses if address.role == "from"), "")
    return identity_of(head, mail.message_id, mail.date_header, mail.subject, sender)


class _Pipeline:
    """Windows on their way: while one is parsed in the parser's process, the next is read here. Storing in a thread
    of its own was measured and gained nothing."""

    def __init__(self, run: MailRun, box: Box) -> None:
        self._run, self._box = run, box
        self._parsing: deque[tuple[int, FetchedWindow, UidSet]] = deque()

    def add(self, window: FetchedWindow, covers: UidSet) -> None:
        """Hand over a window that was read; stores the one before it when that is parsed."""
        raw = [RawMail(m.data, complete=len(m.data) >= m.head.size) for m in window.messages]
        self._parsing.append((self._run.parser.submit(raw) if raw else 0, window, covers))
        while len(self._parsing) >= AHEAD:
            self._store_one()

    def drain(self) -> None:
        """Store everything that was handed over."""
        while self._parsing:
            self._store_one()

    def _store_one(self) -> None:
        ticket, window, covers = self._parsing.popleft()
        parsed = self._run.parser.collect(ticket) if window.messages else None
        commit_window(self._run, self._box, window, covers, parsed)


def fetch_and_store(run: MailRun, box: Box, asked: dict[UidSet, UidSet]) -> UidSet:
    """Fetch sets of UIDs and store what comes, marking what each one covers as done.

    Returns the UIDs that did not come; these are not marked.
    """
    missing = UidSet()
    # Where all bytes are wanted, nothing is gained by the list of what will come anyway.
    stream = run.source.fetch(list(asked), first=run.first_bytes, outline=not run.whole)
    pipeline = _Pipeline(run, box)
    with closing(stream):
        try:
            for window in stream:
                lost = window.uids - UidSet.of(message.head.uid for message in window.messages)
                missing |= lost
                pipeline.add(window, asked[window.uids] - lost)
                run.checkpoint()
        except (SliceEnded, Transient):
            # What came before the slice or the connection ended is whole, and need not be fetched again.
            pipeline.drain()
            raise
        pipeline.drain()
    return missing


def commit_window(run: MailRun, box: Box, window: FetchedWindow, covers: UidSet, parsed: ParsedWindow | None) -> None:
    """Store one window and its cursor in one transaction."""
    items = parsed.items if parsed else ()
    arrivals = [
        Arrival(
            message,
            item,
            identity_of(message.head, item.message_id, item.date_header, item.subject, item.sender_key),
            window.structures.get(message.head.uid),
        )
        for message, item in zip(window.messages, items, strict=True)
    ]
    state = replace(box.state, done=box.state.done | covers)
    with run.step() as session:
        if parsed:
            new, completed = store_window(
                session,
                workspace_id=run.lease.workspace_id,
                account_id=run.lease.account_id,
                mailbox_id=box.id,
                arrivals=arrivals,
                pack=parsed.pack,
                correspondents=run.correspondents,
                now=run.app.clock(),
            )
            run.counts["new"] += new
            run.counts["found again"] += len(arrivals) - new
            run.counts["long messages completed"] += completed
        run.done += len(window.messages)
        save_state(session, box.id, state)
    box.state = state


def recover(run: MailRun, box: Box, missing: UidSet) -> None:
    """Ask again for messages that did not come, in ever smaller bundles; a single one that still fails is set aside
    with the server's reason, and one that is not there any more is forgotten."""
    stack = [missing]
    while stack:
        uids = stack.pop()
        problems = {}
        stream = run.source.fetch([uids], first=run.first_bytes)
        pipeline = _Pipeline(run, box)
        with closing(stream):
            for window in stream:
                got = UidSet.of(message.head.uid for message in window.messages)
                pipeline.add(window, got)
                pipeline.drain()
                rest = uids - got
                problems = dict.fromkeys(rest, window.problem)
        if len(problems) > 1 and any(problems.values()):
            stack += _halves(problems)
        elif problems:
            _give_up(run, box, problems)
        run.checkpoint()


def _halves(uids: Iterable[int]) -> list[UidSet]:
    ordered = sorted(uids)
    middle = len(ordered) // 2
    return [UidSet.of(ordered[:middle]), UidSet.of(ordered[middle:])]


def _give_up(run: MailRun, box: Box, problems: dict[int, str]) -> None:
    silent = UidSet.of(uid for uid, problem in problems.items() if not problem)
    still_there = {head.uid for head in run.source.heads(silent, identity=False)} if silent else set()
    aside = {
        uid: problem or "the server lists the message but gives no content"
        for uid, problem in problems.items()
        if problem or uid in still_there
    }
    state = replace(box.state, done=box.state.done | UidSet.of(problems))
    with run.step() as session:
        set_aside(session, box.id, aside, run.app.clock())
        run.counts["set aside"] += len(aside)
        run.done += len(problems)
        save_state(session, box.id, state)
    box.state = state
