"""PRETENDS Google's rules for event types: what each may hold, what may be changed in it, where it may lie.
The rules are those of google.md, C.2; texts are Google's where they are known."""

from __future__ import annotations

from sandbox.google.api_wire import Json
from sandbox.google.calendar_errors import invalid, malformed_working_location, type_restricted
from sandbox.google.calendar_input import Draft
from sandbox.google.calendar_times import length

STATUS_TYPES = frozenset({"focusTime", "outOfOffice", "workingLocation"})
_DETAILS = {
    "birthday": "birthdayProperties",
    "focusTime": "focusTimeProperties",
    "outOfOffice": "outOfOfficeProperties",
    "workingLocation": "workingLocationProperties",
}
# What may be changed afterwards, of the types that are not the user's own work.
_CHANGEABLE = {
    "birthday": frozenset({"colorId", "eventLabelId", "summary", "reminders", "start", "end"}),
    "fromGmail": frozenset(
        ["colorId", "eventLabelId", "reminders", "visibility", "transparency", "private", "properties", "attendees"]
    ),
}
_PLACES = {"homeOffice", "officeLocation", "customLocation"}


def check_new(draft: Draft, *, primary: bool) -> None:
    """Raises CalendarError 400 for an event that Google would not make."""
    kind = draft.shared["eventType"]
    if kind == "fromGmail":
        raise type_restricted("Events of type 'fromGmail' cannot be created.")
    if kind in STATUS_TYPES and not primary:
        raise type_restricted(f"Events of type '{kind}' can only be created on primary calendars.")
    check_whole(draft)
    if kind == "birthday":
        if draft.shared.get("visibility") != "private" or draft.shared.get("transparency") != "transparent":
            raise type_restricted("'birthday' event type must be private and transparent.")
        if len(draft.shared.get("recurrence", ())) != 1 or "FREQ=YEARLY" not in draft.shared["recurrence"][0]:
            raise type_restricted("'birthday' event type must recur every year.")


def check_whole(draft: Draft) -> None:
    """Raises CalendarError 400 for an event that does not fit its type."""
    shared, kind = draft.shared, draft.shared["eventType"]
    for other, details in _DETAILS.items():
        if details in shared and other != kind:
            raise type_restricted(f"'{details}' may only be set on events of type '{other}'.")
    if kind == "birthday":
        if "private" in draft.own or "properties" in shared:
            raise type_restricted("'birthday' event type must not have private extended properties.")
        if "date" not in shared["start"] or length(shared["start"], shared["end"]).days != 1:
            raise type_restricted("'birthday' event type must last one day.")
    if kind in STATUS_TYPES and shared.get("attendees"):
        raise type_restricted(f"Events of type '{kind}' cannot have attendees.")
    if kind in ("focusTime", "outOfOffice") and "date" in shared["start"]:
        raise type_restricted(f"Events of type '{kind}' cannot be all-day events.")
    if kind == "workingLocation":
        _check_location(shared)


def _check_location(shared: Json) -> None:
    details = shared.get("workingLocationProperties", {})
    if details.get("type") not in _PLACES:
        raise malformed_working_location("A working location event needs a valid workingLocationProperties.type.")
    if shared.get("visibility") != "public" or shared.get("transparency") != "transparent":
        raise malformed_working_location("A working location event must be public and transparent.")


def check_change(kind: str, draft: Draft, fields: set[str]) -> None:
    """Raises CalendarError 400 for a change that this type does not allow; the type itself never changes."""
    if "eventType" in fields:
        raise type_restricted("The event type cannot be changed.")
    allowed = _CHANGEABLE.get(kind)
    if allowed is not None and fields - allowed:
        if kind == "birthday" and fields & {"private", "properties"}:
            raise type_restricted("'birthday' event type must not have private extended properties.")
        names = ", ".join(sorted(fields - allowed))
        raise type_restricted(f"These fields cannot be changed on events of type '{kind}': {names}.")
    if "privateCopy" in fields:
        raise invalid("privateCopy is immutable.")
    check_whole(draft)


def check_only_default(kind: str, what: str) -> None:
    """Raises CalendarError 400: other types can be neither imported nor moved."""
    if kind != "default":
        raise type_restricted(f"Events of type '{kind}' cannot be {what}.")
