"""Turns actions of a plan into what has to be written where, and into the link and the history that follow. Pure.
When it is written, and that it is, is `sync.record_apply`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from core.actions import Adopt, Change, Create, Deselect, Reason, Rebase, Update
from core.merge import Lost, changed_fields
from core.policy import Policy
from core.replica import LONG_AGO, UNKNOWN, Item, Link, Sent, Side, Write, later_side

T = TypeVar("T")

Pairing = Create[T] | Update[T] | Deselect[T] | Adopt[T] | Rebase[T]


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One action on its way. `local` and `remote` are the records as they were when it was decided, None for one that
    does not exist or was not read; the writes are what either side shall get."""

    action: Pairing[T]
    link: Link[T] | None
    local: Item[T] | None
    remote: Item[T] | None
    to_local: Write[T] | None
    to_remote: Write[T] | None
    lost: tuple[Lost, ...] = ()

    @property
    def key(self) -> str:
        return self.action.key

    @property
    def reason(self) -> Reason:
        return self.action.reason

    @property
    def local_id(self) -> str:
        """The id of the CRM record; "" while there is none."""
        return self.local.id if self.local else self.link.local_id if self.link else ""

    @property
    def remote_id(self) -> str:
        """The id of the provider's record; "" while there is none."""
        return self.remote.id if self.remote else self.link.remote_id if self.link else ""

    @property
    def wants_member(self) -> bool | None:
        """Whether the CRM record must take part, or must not, for this to be right still; None: no matter."""
        if isinstance(self.action, Deselect):
            return False if self.action.side is Side.REMOTE else None
        return None if self.to_local and self.to_local.selected else True


def job_of(action: Pairing[T], account_id: str, skew: float) -> Job[T]:
    """What an action means for each side. `account_id` is noted on contacts made from the provider's."""
    if isinstance(action, Create):
        return _creation(action, account_id, skew)
    if isinstance(action, Deselect):
        return _leaving(action)
    if isinstance(action, Rebase):
        return Job(action, action.link, None, None, None, None)
    link = action.link if isinstance(action, Update) else None
    mine = _write(action.key, action.local, action.to_local, _text_time(action.local, action.remote, skew))
    theirs = _write(action.key, action.remote, action.to_remote, LONG_AGO)
    return Job(action, link, action.local, action.remote, mine, theirs, action.lost)


def _creation(action: Create[T], account_id: str, skew: float) -> Job[T]:
    source = action.source
    if action.side is Side.LOCAL:
        made = Write(action.key, "", "", source.body, True, account_id, _ours(source, skew))
        return Job(action, action.replaces, None, source, made, None)
    made = Write(action.key, "", "", source.body, True, source.id)
    return Job(action, action.replaces, source, None, None, made)


def _leaving(action: Deselect[T]) -> Job[T]:
    link = action.link
    mine: Write[T] | None = None
    theirs: Write[T] | None = None
    if action.side is Side.LOCAL:
        mine = Write(action.key, link.local_id, "", None, False)
    elif action.side is Side.REMOTE:
        theirs = Write(action.key, link.remote_id, link.remote.version, None, False, extra=link.extra)
    return Job(action, link, None, None, mine, theirs)


def _write(key: str, item: Item[T], change: Change[T] | None, at: datetime) -> Write[T] | None:
    if change is None:
        return None
    return Write(key, item.id, change.expect, change.body, change.selected, item.origin, at, item.extra)


def _ours(item: Item[T], skew: float) -> datetime:
    """When a provider's record was changed, on our clock; LONG_AGO if it does not tell."""
    if item.stamp.modified_at == LONG_AGO:
        return LONG_AGO
    return item.stamp.modified_at - timedelta(seconds=skew)


def _text_time(local: Item[T], remote: Item[T], skew: float) -> datetime:
    """When the merged text counts as changed: with the later of the two. So the same merge, done once more after a
    crash, has the same winner."""
    newer = later_side(local.stamp, remote.stamp, skew)
    return local.stamp.modified_at if newer is Side.LOCAL else _ours(remote, skew)


def intent(job: Job[T], local: Item[T] | None, now: datetime) -> Sent[T]:
    """What is about to be written to the provider; `local` is the CRM record as it is after its own part."""
    assert job.to_remote is not None
    stamp = local.stamp if local else job.link.local if job.link else UNKNOWN
    return Sent(job.local_id, job.to_remote.id, stamp, job.to_remote.body, job.to_remote.selected, now)


def intended_deed(job: Job[T], local: Item[T] | None, policy: Policy[T]) -> dict[str, Any]:
    """The line of the history for the provider's part, before it is written, as JSON."""
    write = job.to_remote
    known = job.remote or local or job.local
    assert write is not None
    body = (
        write.body if write.body is not None else known.body if known else job.link.base if job.link else policy.blank
    )
    after = Item(write.id, UNKNOWN, write.selected is not False, body)
    return asdict(deed(job, Side.REMOTE, after, policy))


def late_deed(stored: Mapping[str, Any], remote_id: str) -> Deed:
    """The line again, once it is known that the write took effect on this record."""
    side, reason = Side(stored["side"]), Reason(stored["reason"])
    return Deed(**{**stored, "side": side, "reason": reason, "remote_id": remote_id})


def begun_link(job: Job[T], blank: T, *, local_written: bool) -> Link[T] | None:
    """The link between the CRM's part and the provider's; None where it stays as it is.

    A pair that is about to be joined has agreed on nothing yet. Once the CRM has the merged text, what counts as
    changed is told by the provider's text as it was read: to take a field back to the old base is an edit by then.
    """
    read = job.remote if local_written else None
    if isinstance(job.action, Adopt):
        base, stamp = (read.body, read.stamp) if read else (blank, UNKNOWN)
        return Link(job.local_id, job.remote_id, UNKNOWN, stamp, base, False)
    if read is None or job.link is None or not isinstance(job.action, Update):
        return None
    return replace(job.link, base=read.body, remote=read.stamp, extra=read.extra)


def link_after(job: Job[T], local: Item[T] | None, remote: Item[T] | None, now: datetime) -> Link[T] | None:
    """The link once both sides have what they shall have; None when the pair is to be forgotten. `local` and `remote`
    are the records as written, None where nothing was."""
    if isinstance(job.action, Deselect):
        return None if job.action.forget else replace(job.action.link, active=False, written_at=now)
    if isinstance(job.action, Rebase):
        return job.action.now
    mine, theirs = local or job.local, remote or job.remote
    if job.to_remote is not None and job.to_remote.id and job.to_remote.body is None:
        theirs = job.remote  # only its membership was written
    assert mine is not None
    assert theirs is not None
    selected = job.to_remote is not None and job.to_remote.selected is not None
    rejoined = job.link is not None and not job.link.active
    written_at = now if selected or rejoined else job.link.written_at if job.link else LONG_AGO
    return Link(mine.id, theirs.id, mine.stamp, theirs.stamp, theirs.body, True, written_at, theirs.extra)


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done to one record on one side: a row of the history, without who and when."""

    side: Side
    local_id: str
    remote_id: str
    action: str
    reason: Reason
    label: str
    changes: dict[str, list[Any]]
    lost: list[dict[str, Any]]
    private: bool = False


def deed(job: Job[T], side: Side, now: Item[T], policy: Policy[T]) -> Deed:
    """The history of one write: `now` is the record as it is afterwards."""
    write, before = (job.to_local, job.local) if side is Side.LOCAL else (job.to_remote, job.remote)
    assert write is not None
    action = "create" if not write.id else "deselect" if write.selected is False else "select"
    changes: dict[str, list[Any]] = {}
    if write.id and write.body is not None and before is not None:
        action = "update"
        changes = {
            name: [_shown(before.body, name, policy), _shown(now.body, name, policy)]
            for name in changed_fields(before.body, now.body)
        }
    local_id = now.id if side is Side.LOCAL else job.local_id
    remote_id = now.id if side is Side.REMOTE else job.remote_id
    texts = [text for text in (now.body, before.body if before else None, _base(job)) if text is not None]
    private = any(policy.private(text) for text in texts)
    label = next((name for name in map(policy.title if private else policy.name, texts) if name), "")
    lost = [_lost(one) for one in job.lost]
    return Deed(side, local_id, remote_id, action, job.reason, label, changes, lost, private)


def _base(job: Job[T]) -> T | None:
    return job.link.base if job.link else None


def _shown(body: T, name: str, policy: Policy[T]) -> Any:
    return policy.dump(body).get(name)


def _lost(one: Lost) -> dict[str, Any]:
    return {"field": one.field, "side": one.side.value, "value": _plain(one.value), "kept": _plain(one.kept)}


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
