"""Reads both sides of a run as far as they matter and has the plan made. Writes nothing, so it is the preview too.
What is decided is `core.plan`; carrying it out is `sync.record_apply`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Generic, TypeVar

from sqlalchemy import or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.actions import Action, Reason, Wait
from core.errors import CursorExpired, Held
from core.plan import Facts, diff, follow_renames, is_stale, recover, to_read
from core.replica import Delta, Item, Link, Sent, Side
from models.db import parts
from models.links import DecisionRow, LinkRow
from sync.link_rows import taken
from sync.record_run import RecordRun

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan(Generic[T]):
    """What a run is to do, and what it needs to know for it.

    `listing` is what the provider reported, before anything was read in addition. `recovered` are links that an earlier
    run had written without hearing so, `settled` its intents that are answered by that, `overtaken` those of which
    nobody will know, since the record was changed again. `active` is how many pairs there are, `names` what to call the
    records of the actions, by side and id. `reread` are the remote records that were read again because they had to
    wait, `lifted` the CRM records that were set aside and need not be any more, unless they are refused anew. `untold`
    are remote records without a link that were asked for by name and are not answered for yet.
    """

    actions: tuple[Action[T], ...]
    listing: Delta[T]
    recovered: tuple[Link[T], ...]
    settled: frozenset[str]
    overtaken: frozenset[str]
    reread: frozenset[str]
    lifted: frozenset[str]
    untold: frozenset[str]
    active: int
    names: Mapping[tuple[Side, str], str]


def make_plan(run: RecordRun[T]) -> Plan[T]:
    """Read what changed on both sides and decide. Raises Held when the group is gone, and what the replica raises."""
    listing = _listing(run)
    _check_scope(run, listing)
    opened = _open_ends(run)
    listing, doubtful = _with_missing(run, listing, opened.due | undecided(opened.decisions))
    listing = _with_copies(run, listing)
    _take_note(run, listing)
    in_doubt = {intent.remote_id for intent in opened.sent.values() if intent.remote_id}
    remote = _read_more(run, listing, {*opened.due, *undecided(opened.decisions), *in_doubt})
    plan = _decide(run, listing, remote, opened, narrow=False)
    waits: list[Action[T]] = [Wait(Side.REMOTE, one, Reason.IN_DOUBT) for one in sorted(doubtful)]
    return replace(plan, actions=(*plan.actions, *waits))


def make_narrow_plan(run: RecordRun[T], remote_ids: Collection[str]) -> Plan[T]:
    """Read these remote records again and decide about their pairs alone: after they changed under our hands."""
    remote = run.replica.get(remote_ids)
    remote = replace(remote, gone=_believed(run, remote.gone))
    return _decide(run, remote, remote, _Opened(), narrow=True)


def _listing(run: RecordRun[T]) -> Delta[T]:
    try:
        return run.replica.changes(run.cursor or None)
    except CursorExpired:
        run.counts["read everything anew"] += 1
        return run.replica.changes(None)


def _with_missing(run: RecordRun[T], listing: Delta[T], due: Collection[str]) -> tuple[Delta[T], set[str]]:
    """Linked and other `due` records that a complete listing lacks, asked for by name: only then does People API tell
    that they were merged into another contact and bear its name now. Those that are not gone even so are in doubt: the
    answer may be older than the listing, and no later listing of changes would name them."""
    if not listing.complete:
        return listing, set()
    with run.app.db.reading() as session:
        known = {pair.remote_id for pair in _pairs(run, session, listing) if pair.active}
    missing = set(filter(run.covers, known - listing.items.keys() - listing.gone))
    asked = missing | set(filter(run.covers, set(due) - listing.items.keys() - listing.gone))
    if not asked:
        return listing, set()
    joined = _joined(run, listing, run.replica.get(asked))
    outside = {one for one in missing & joined.items.keys() if run.policy.has_range and not joined.items[one].selected}
    return joined, missing - joined.gone - joined.renamed.keys() - outside


def _with_copies(run: RecordRun[T], listing: Delta[T]) -> Delta[T]:
    """The same records elsewhere, for those that went: what another chosen place still shows is not gone."""
    if not listing.gone:
        return listing
    with run.app.db.reading() as session:
        copies = run.store.find_remote(session, run.local(session).shown_as(listing.gone))
    return _read_more(run, listing, copies)


def _take_note(run: RecordRun[T], listing: Delta[T]) -> None:
    """Whose the records are and what they are called at the provider, before anything is compared. A preview leaves
    that as it is: it is no more than a note of ours, and changes nothing yet."""
    with run.app.db.reading() as session:
        local = run.local(session)
        ids, names = local.unclaimed(listing), local.renamed(listing)
    if (ids or names) and run.lease is not None:
        with run.step() as session:
            run.local(session).claim(listing)
            run.local(session).rename(names)


def _check_scope(run: RecordRun[T], listing: Delta[T]) -> None:
    if run.scope.id and listing.scope is None:
        raise Held(
            f"{run.scope.name!r} does not exist at the provider any more", kind="group_gone", advice=run.scope_advice
        )


def _open_ends(run: RecordRun[T]) -> _Opened[T]:
    now = run.now
    with run.app.db.reading() as session:
        rows = run.store.aside(session)
        due = frozenset(row.record_id for row in rows if row.side == Side.REMOTE and row.next_try_at <= now)
        return _Opened(run.store.sent(session), due, run.store.decisions(session))


def undecided(rows: Iterable[DecisionRow]) -> set[str]:
    """Remote ids of all decisions: an incremental listing would not name them again."""
    found: set[str] = set()
    for row in rows:
        found |= {row.record_id} if row.side == Side.REMOTE else {one["id"] for one in row.candidates}
    return found


def _read_more(run: RecordRun[T], remote: Delta[T], ids: Collection[str]) -> Delta[T]:
    """The listing with these records in addition, as far as it does not have them."""
    missing = sorted(filter(run.covers, set(ids) - remote.items.keys() - remote.gone))
    if not missing or remote.complete:
        return remote
    return _joined(run, remote, run.replica.get(missing))


def _joined(run: RecordRun[T], remote: Delta[T], found: Delta[T]) -> Delta[T]:
    """What was reported, with what was found by name in addition."""
    return replace(
        remote,
        items={**found.items, **remote.items},
        gone=remote.gone | _believed(run, found.gone, complete=remote.complete),
        renamed={**found.renamed, **remote.renamed},
    )


def _believed(run: RecordRun[T], gone: frozenset[str], *, complete: bool = False) -> frozenset[str]:
    """A record may be answered with "not found" for a while after it was made: of the linked ones only what is older is
    gone, of the others what a listing does not know either (`complete`: this one does not)."""
    settled_there = run.settled_at + timedelta(seconds=run.replica.skew)
    fresh = or_(LinkRow.written_at > run.settled_at, LinkRow.remote_modified_at > settled_there)
    with run.app.db.reading() as session:
        query = select(LinkRow.remote_id).where(
            LinkRow.account_id == run.account_id, LinkRow.channel == run.channel, fresh
        )
        linked = _linked(run, session, LinkRow.remote_id, gone)
        listed = set() if complete else run.store.listed(session, gone) - linked
        return gone - set(session.scalars(query)) - listed


@dataclass(frozen=True, slots=True)
class _Opened(Generic[T]):
    """What earlier runs left open: intents without an answer, remote records to read again now, decisions."""

    sent: Mapping[str, Sent[T]] = field(default_factory=dict)
    due: frozenset[str] = frozenset()
    decisions: Sequence[DecisionRow] = ()


def _decide(run: RecordRun[T], listing: Delta[T], remote: Delta[T], opened: _Opened[T], *, narrow: bool) -> Plan[T]:
    told = _reported(remote)
    with run.app.db.reading() as session:
        remote = run.local(session).adjust(remote)
        pairs = _pairs(run, session, remote)
        touched = {pair.local_id for pair in pairs} if narrow else _touched(run, session, pairs, remote)
        stored = run.store.links(session, touched | opened.sent.keys())
        found = recover(
            follow_renames(stored, remote, opened.sent.keys()),
            opened.sent,
            remote,
            settled_at=run.settled_at,
            skew=run.replica.skew,
        )
        quiet = {pair.remote_id for pair in pairs if pair.local_id not in touched | opened.sent.keys()}
        seen, remote = remote, replace(remote, items=_without(remote.items, quiet))
        local = run.local(session).get({link.local_id for link in found.links})
        new, lifted = ({}, frozenset[str]()) if narrow else _new(run, session)
        active = run.store.active(session)
    possible, reported = (set() if narrow else _possible(run, new, opened.decisions)), remote.items.keys()
    remote = _read_more(run, remote, possible if narrow else possible | to_read(found.links, local, remote))
    if remote.renamed.keys() - seen.renamed.keys():  # what was read bears another name by now, perhaps a linked one's
        return _decide(run, listing, _joined(run, seen, remote), opened, narrow=narrow)
    told |= _reported(remote)
    with run.app.db.reading() as session:
        linked = {link.remote_id for link in found.links}
        remote = _of_these(run, session, run.local(session).adjust(remote), reported | linked)
        unlinked = [item for one, item in remote.items.items() if one not in linked]
        twins = run.local(session).get(_twins(run, session, unlinked, opened.decisions) - local.items.keys()).items
    untold = frozenset(filter(run.covers, (undecided(opened.decisions) | possible) - linked - told))
    waiting = found.waiting | _held_up(run, new, opened.decisions, untold)
    facts = Facts(run.policy, run.settled_at, run.replica.skew, taken(opened.decisions), waiting, run.covers)
    both = replace(local, items={**local.items, **twins, **new})
    actions = tuple(diff(found.links, both, remote, facts))
    recovered = tuple(link for link in found.links if link not in stored)
    answered = _answered(found.links, seen)
    return Plan(
        actions,
        listing,
        recovered,
        found.settled,
        found.overtaken,
        frozenset(one for one in opened.due if one in answered or not run.covers(one)),
        lifted,
        untold,
        active,
        _names(run, both, remote),
    )


def _of_these(run: RecordRun[T], session: Session, remote: Delta[T], known: Collection[str]) -> Delta[T]:
    """What is known, and what has no link. A record of another pair can come in under the name of one that was asked
    for, merged with it a moment ago: the next listing tells of that pair."""
    others = _linked(run, session, LinkRow.remote_id, remote.items.keys() - set(known))
    return replace(remote, items=_without(remote.items, others))


def _answered(links: Iterable[Link[T]], remote: Delta[T]) -> set[str]:
    """Remote ids of which the provider told how they are now: not of old, and not that it does not know them yet."""
    late = {
        link.remote_id
        for link in links
        if link.remote_id in remote.items and is_stale(remote.items[link.remote_id], link.remote)
    }
    return _reported(remote) - late


def _reported(remote: Delta[T]) -> set[str]:
    return {*remote.items, *remote.gone, *remote.renamed}


def _without(items: Mapping[str, Item[T]], ids: Collection[str]) -> dict[str, Item[T]]:
    return {one: item for one, item in items.items() if one not in ids}


def _names(run: RecordRun[T], local: Delta[T], remote: Delta[T]) -> dict[tuple[Side, str], str]:
    mine = {(Side.LOCAL, item.id): run.policy.name(item.body) for item in local.items.values()}
    return mine | {(Side.REMOTE, item.id): run.policy.name(item.body) for item in remote.items.values()}


@dataclass(frozen=True, slots=True)
class _Known:
    """A link as far as it must be known to tell whether anything happened to its remote record."""

    local_id: str
    remote_id: str
    active: bool
    version: str


def _pairs(run: RecordRun[T], session: Session, remote: Delta[T]) -> list[_Known]:
    """The links of all remote records that were reported; with a complete listing, all links."""
    query = select(LinkRow.local_id, LinkRow.remote_id, LinkRow.active, LinkRow.remote_version).where(
        LinkRow.account_id == run.account_id, LinkRow.channel == run.channel
    )
    if remote.complete:
        return [_Known(*row) for row in session.execute(query)]
    found: list[_Known] = []
    ids = {*remote.items, *remote.gone, *remote.renamed, *remote.renamed.values()}
    for some in parts(sorted(ids)):
        found += [_Known(*row) for row in session.execute(query.where(LinkRow.remote_id.in_(some)))]
    return found


def _touched(run: RecordRun[T], session: Session, pairs: list[_Known], remote: Delta[T]) -> set[str]:
    """Local ids of the links on which something happened. A link to what another record was merged into is one of them:
    that it is taken must be known."""
    touched = run.local(session).touched(run.account_id, run.channel)
    survivors = set(remote.renamed.values())
    for pair in pairs:
        item = remote.items.get(pair.remote_id)
        if (
            item is None
            or pair.remote_id in survivors
            or item.stamp.version != pair.version
            or item.selected != pair.active
        ):
            touched.add(pair.local_id)
    return touched


def _new(run: RecordRun[T], session: Session) -> tuple[dict[str, Item[T]], frozenset[str]]:
    """Contacts that have the tag and no link, but for those that were refused as they are; and who of the refused need
    not be left out any more."""
    rows = {row.record_id: row for row in run.store.aside(session) if row.side == Side.LOCAL}
    fresh = run.local(session).new(run.account_id, run.channel)
    refused = {
        one
        for one, row in rows.items()
        if row.next_try_at > run.now and one in fresh and fresh[one].stamp.version == row.version
    }
    return {one: item for one, item in fresh.items() if one not in refused}, frozenset(rows.keys() - refused)


def _possible(run: RecordRun[T], new: Mapping[str, Item[T]], decisions: Sequence[DecisionRow]) -> set[str]:
    """Remote records outside this listing that could be one of the new contacts, or were chosen by a person."""
    keys = {key for item in new.values() for some in run.policy.match(item.body) for key in some}
    with run.app.db.reading() as session:
        found = run.store.find_remote(session, keys)
        found |= {row.choice for row in decisions if row.side == Side.LOCAL and row.choice}
        return found - _linked(run, session, LinkRow.remote_id, found)


def _held_up(
    run: RecordRun[T], new: Mapping[str, Item[T]], decisions: Iterable[DecisionRow], untold: Collection[str]
) -> frozenset[str]:
    """CRM records that may be one of the remote records which the provider does not tell of yet."""
    if not untold:
        return frozenset()
    found: set[str] = set()
    for row in decisions:
        mine, theirs = {row.record_id}, {one["id"] for one in row.candidates} | {row.choice or ""}
        if row.side == Side.REMOTE:
            mine, theirs = theirs, mine
        found |= mine if not theirs.isdisjoint(untold) else set()
    with run.app.db.reading() as session:
        for item in new.values():
            keys = {key for some in run.policy.match(item.body) for key in some}
            found |= set() if run.store.find_remote(session, keys).isdisjoint(untold) else {item.id}
    return frozenset(found)


def _twins(run: RecordRun[T], session: Session, items: Sequence[Item[T]], decisions: Sequence[DecisionRow]) -> set[str]:
    """Ids of unlinked contacts that could be one of these remote records, or were chosen by a person."""
    keys = {key for item in items if item.selected for some in run.policy.match(item.body) for key in some}
    found = run.local(session).find(keys) | {item.origin for item in items if item.origin}
    found |= {row.record_id if row.side == Side.LOCAL else row.choice or "" for row in decisions} - {""}
    return found - _linked(run, session, LinkRow.local_id, found)


def _linked(run: RecordRun[T], session: Session, column: InstrumentedAttribute[str], ids: Collection[str]) -> set[str]:
    """Those of these ids, all local or all remote, that have a link."""
    found: set[str] = set()
    for some in parts(sorted(ids)):
        query = select(column).where(
            LinkRow.account_id == run.account_id, LinkRow.channel == run.channel, column.in_(some)
        )
        found |= set(session.scalars(query))
    return found
