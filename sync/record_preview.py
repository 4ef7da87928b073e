"""Tells a plan to people: what would be done to whom, and why. The same list is the preview of a run, what a person is
asked to confirm, and JSON for programs."""

from __future__ import annotations

from typing import Any, TypeVar

from core.actions import Action, Adopt, Create, Decide, Deselect, Reason, Rebase, Update, Wait, in_words
from core.merge import changed_fields
from core.policy import Policy
from core.replica import Item, Side
from sync.record_plan import Plan

T = TypeVar("T")

Line = dict[str, Any]

_VERBS = {
    (Create, Side.LOCAL): "create in the CRM",
    (Create, Side.REMOTE): "create at the provider",
    (Deselect, Side.LOCAL): "untag in the CRM",
    (Deselect, Side.REMOTE): "take out of the group",
    (Wait, Side.LOCAL): "wait",
    (Wait, Side.REMOTE): "wait",
    (Decide, Side.LOCAL): "ask you",
    (Decide, Side.REMOTE): "ask you",
}
_VERBS_BY_TIME = _VERBS | {
    (Deselect, Side.LOCAL): "cancel in the CRM",
    (Deselect, Side.REMOTE): "take out of the calendar",
}


def preview(plan: Plan[T], policy: Policy[T]) -> list[Line]:
    """One line per action that a person would notice."""
    return [_line(plan, action, policy) for action in plan.actions if not _is_quiet(action)]


def _is_quiet(action: Action[T]) -> bool:
    return isinstance(action, Rebase) or (
        isinstance(action, Deselect) and action.side is None and action.reason is not Reason.NOT_CHOSEN
    )


def _line(plan: Plan[T], action: Action[T], policy: Policy[T]) -> Line:
    local_id, remote_id = _ids(action)
    name = plan.names.get((Side.LOCAL, local_id)) or plan.names.get((Side.REMOTE, remote_id)) or ""
    if not name and isinstance(action, Deselect):
        name = policy.name(action.link.base)
    reason = action.reason
    return {
        "action": _verb(action, policy),
        "name": name,
        "contact": local_id,
        "remote": remote_id,
        "reason": reason.value,
        "why": in_words(reason, by_time=policy.has_range),
        "changes": _changes(action, policy),
        "key": action.key,
    }


def _ids(action: Action[T]) -> tuple[str, str]:
    if isinstance(action, Update | Deselect | Rebase):
        return action.link.local_id, action.link.remote_id
    if isinstance(action, Adopt):
        return action.local.id, action.remote.id
    if isinstance(action, Create):
        one, side = action.source.id, action.side.other
    else:
        one, side = (action.id if isinstance(action, Wait) else action.item.id), action.side
    return (one, "") if side is Side.LOCAL else ("", one)


def _verb(action: Action[T], policy: Policy[T]) -> str:
    if isinstance(action, Adopt):
        return "join the two"
    if isinstance(action, Update):
        places = [
            place
            for place, change in (("the CRM", action.to_local), ("the provider", action.to_remote))
            if change is not None
        ]
        return "update in " + " and at ".join(places) if places[0] == "the CRM" else "update at the provider"
    if isinstance(action, Rebase) or action.side is None:
        return "leave as it is"
    return (_VERBS_BY_TIME if policy.has_range else _VERBS)[type(action), action.side]


def _changes(action: Action[T], policy: Policy[T]) -> dict[str, dict[str, Any]]:
    """Per side what would change, as [before, after] by field."""
    if not isinstance(action, Update | Adopt):
        return {}
    found = {}
    for side, change, item in (
        (Side.LOCAL, action.to_local, action.local),
        (Side.REMOTE, action.to_remote, action.remote),
    ):
        if change is not None and change.body is not None and not _hidden(policy, item.body, change.body):
            found[side.value] = _fields(item, change.body)
    return found


def _hidden(policy: Policy[T], *texts: T) -> bool:
    return any(policy.private(text) for text in texts)


def _fields(item: Item[T], after: T) -> dict[str, Any]:
    return {name: list(pair) for name, pair in changed_fields(item.body, after).items()}
