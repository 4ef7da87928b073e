"""Reminders of one copy of an event: reading them, and changing them without taking away what is no reminder to us.
Whether the account may do so is left to `event_edits`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.event import MAX_AHEAD, MAX_REMINDERS, METHODS, Reminder
from providers.google.errors import Json

Reminders = tuple[Reminder, ...] | None


def read_reminders(event: Mapping[str, Any]) -> Reminders:
    """The reminders of an event; None where the calendar's own apply."""
    raw = event.get("reminders")
    if not isinstance(raw, dict) or raw.get("useDefault") is not False:
        return None
    found = (_read(one) for one in _overrides(event))
    return tuple(one for one in found if one is not None)


def edited_reminders(event: Mapping[str, Any], old: Reminders, new: Reminders) -> Json:
    """The reminders to send. The list is replaced as a whole: what we could not read of it stays, as far as it fits.

    Overrides next to the default are refused (Calendar API: cannotUseDefaultRemindersAndSpecifyOverride).
    """
    if new is None:
        return {"useDefault": True, "overrides": []}
    strange = [] if old is None else [one for one in _overrides(event) if _read(one) is None]
    sent = [{"method": one.method, "minutes": one.minutes} for one in new]
    return {"useDefault": False, "overrides": [*sent, *strange][:MAX_REMINDERS]}


def _overrides(event: Mapping[str, Any]) -> list[Json]:
    raw = event.get("reminders")
    overrides = raw.get("overrides") if isinstance(raw, dict) else None
    return [one for one in overrides if isinstance(one, dict)] if isinstance(overrides, list) else []


def _read(raw: Json) -> Reminder | None:
    method, minutes = raw.get("method"), raw.get("minutes")
    if method not in METHODS or not isinstance(minutes, int) or not 0 <= minutes <= MAX_AHEAD:
        return None
    return Reminder(method, minutes)
