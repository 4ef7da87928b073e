"""Decides what one mailbox (IMAP folder) needs, from what we know and what the server says now.
Talking IMAP is left to `providers.protocols.imap`, storing to `sync.mail`."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from core.types import MailboxStatus
from core.uidset import UidSet

MAX_RESYNCS = 5
SWEEP_EVERY = timedelta(hours=24)
# Without CONDSTORE the flags of a mailbox up to this size are read in every run, of a larger one only the newest.
FULL_SWEEP_LIMIT = 20_000
RECENT_SWEEP = 2_000


class Sweep(enum.Enum):
    """How many messages have their flags read although nothing says that they changed."""

    NONE = "none"
    RECENT = "recent"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class MailboxState:
    """Our cursor in one mailbox.

    `uidnext` and `exists` were read together. `done` holds every UID that was looked at under `since` and `choice`:
    fetched, out of scope, or known to be missing. `modseq` is the safe point for CHANGEDSINCE, `seen_modseq` the
    HIGHESTMODSEQ last reported and `confirmed` how often it was looked into since. `resyncs` counts UIDVALIDITY
    changes in a row.
    """

    uidvalidity: int = 0
    uidnext: int = 0
    exists: int = 0
    modseq: int = 0
    seen_modseq: int = 0
    confirmed: int = 0
    done: UidSet = UidSet()
    since: date | None = None
    choice: str = ""
    resyncs: int = 0
    swept_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MailboxPlan:
    """What to do with a mailbox in this run.

    `refuse`  why nothing may be done, "" normally.
    `reset`   every UID we hold is void: drop the locations, then look at everything again by identity.
    `rescope` the since date moved back, or other labels are wanted: look again at what was left out.
    `fill`    there are UIDs nobody looked at yet.
    `changes_since` a mod-sequence for CHANGEDSINCE, 0 for none.
    `listing` messages were removed: list the UIDs and compare.
    """

    refuse: str = ""
    reset: bool = False
    rescope: bool = False
    fill: bool = False
    changes_since: int = 0
    listing: bool = False
    sweep: Sweep = Sweep.NONE

    @property
    def quiet(self) -> bool:
        """Nothing to do: the mailbox need not even be opened."""
        return self == MailboxPlan()


def plan_mailbox(
    known: MailboxState,
    seen: MailboxStatus,
    *,
    since: date | None,
    vanished_told: bool,
    now: datetime,
    choice: str = "",
) -> MailboxPlan:
    """Compare our cursor with the server's numbers.

    `choice` stands for whatever else decides which messages of a mailbox are wanted (labels, on Gmail).
    `vanished_told` is whether the server reports removals with changes (QRESYNC, RFC 7162 3.2.6).
    """
    # RFC 9051 2.3.1.1: zero is not a legal UIDVALIDITY; some servers send it for a moment.
    if seen.uidvalidity == 0:
        return MailboxPlan(refuse="the server gave no valid UIDVALIDITY")
    if known.uidvalidity != seen.uidvalidity:
        if known.resyncs >= MAX_RESYNCS and not _overdue(known, now):
            return MailboxPlan(refuse=f"UIDVALIDITY changed {known.resyncs} times in a row")
        return MailboxPlan(reset=True, fill=True)
    rescope = _widened(known.since, since) or known.choice != choice
    return MailboxPlan(
        rescope=rescope,
        fill=rescope or bool(UidSet.span(1, seen.uidnext - 1) - known.done),
        changes_since=_changes_since(known, seen),
        listing=_removals_possible(known, seen, vanished_told),
        sweep=_sweep(known, seen, now),
    )


def _widened(old: date | None, new: date | None) -> bool:
    return old is not None and (new is None or new < old)


def _changes_since(known: MailboxState, seen: MailboxStatus) -> int:
    if not seen.highest_modseq or not known.modseq or seen.highest_modseq <= known.modseq:
        return 0
    # HIGHESTMODSEQ can rise before the change behind it is visible, so an empty answer is asked once more;
    # it also rises with removals, which change no message, so it is not asked for ever.
    if seen.highest_modseq == known.seen_modseq and known.confirmed > 1:
        return 0
    return known.modseq


def _removals_possible(known: MailboxState, seen: MailboxStatus, vanished_told: bool) -> bool:
    if vanished_told and seen.highest_modseq and known.modseq:
        return False
    # Equal growth of both numbers is only possible when nothing was removed.
    return seen.exists - known.exists != seen.uidnext - known.uidnext


def _overdue(known: MailboxState, now: datetime) -> bool:
    return known.swept_at is None or now - known.swept_at >= SWEEP_EVERY


def _sweep(known: MailboxState, seen: MailboxStatus, now: datetime) -> Sweep:
    overdue = _overdue(known, now)
    # It never falls on a sound server (RFC 7162 3.1.2.1); where it did, changes since have no mark to ask for.
    fallen = seen.highest_modseq < max(known.modseq, known.seen_modseq)
    lost_modseq = fallen or (seen.highest_modseq > 0 and known.modseq == 0)
    if overdue or lost_modseq:
        return Sweep.ALL
    if seen.highest_modseq:
        return Sweep.NONE
    return Sweep.ALL if seen.exists <= FULL_SWEEP_LIMIT else Sweep.RECENT


def begin(
    known: MailboxState, seen: MailboxStatus, *, since: date | None, now: datetime, choice: str = ""
) -> MailboxState:
    """The state from which a first or voided mailbox starts: nothing looked at, changes counted from now."""
    changed = known.uidvalidity != 0
    return MailboxState(
        uidvalidity=seen.uidvalidity,
        uidnext=seen.uidnext,
        exists=seen.exists,
        modseq=seen.highest_modseq,
        seen_modseq=seen.highest_modseq,
        since=since,
        choice=choice,
        resyncs=known.resyncs + 1 if changed else 0,
        swept_at=now,
    )


def settle(
    known: MailboxState, seen: MailboxStatus, plan: MailboxPlan, *, newest_modseq: int, now: datetime
) -> MailboxState:
    """The state after all steps of a plan were done. `newest_modseq` is the highest one among the flags read."""
    swept = plan.sweep is Sweep.ALL
    modseq = max(known.modseq, newest_modseq)
    if swept or not seen.highest_modseq:
        modseq = min(newest_modseq, seen.highest_modseq) or seen.highest_modseq
    return replace(
        known,
        uidnext=seen.uidnext,
        exists=seen.exists,
        modseq=modseq,
        seen_modseq=seen.highest_modseq,
        confirmed=_confirmed(known, seen),
        resyncs=known.resyncs if plan.reset else 0,
        swept_at=now if swept else known.swept_at,
    )


def _confirmed(known: MailboxState, seen: MailboxStatus) -> int:
    if not seen.highest_modseq:
        return 0
    # Twice is all that is ever asked; a number that went on growing would be a write in each quiet run.
    return min(known.confirmed + 1, 2) if seen.highest_modseq == known.seen_modseq else 1


@dataclass(frozen=True, slots=True)
class Window:
    """A bundle of UIDs to fetch in one go. `covers` is what may be called done afterwards, gaps included."""

    uids: UidSet
    covers: UidSet


def windows(pending: UidSet, done: UidSet, uidnext: int, *, size: int, first_size: int) -> Iterator[Window]:
    """Cut the pending UIDs into windows, newest first; the first is small so that something is seen at once.

    Together the windows cover every UID below `uidnext` that is not `done`: a UID that does not exist now never
    will (RFC 9051 2.3.1.1), so gaps count as looked at.
    """
    upper = uidnext - 1
    bundle: list[int] = []
    limit = first_size
    for uid in pending.descending():
        bundle.append(uid)
        if len(bundle) == limit:
            yield Window(UidSet.of(bundle), UidSet.span(uid, upper) - done)
            upper, bundle, limit = uid - 1, [], size
    rest = UidSet.span(1, upper) - done
    if bundle or rest:
        yield Window(UidSet.of(bundle), rest)
