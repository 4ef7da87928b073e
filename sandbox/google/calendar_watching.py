"""PRETENDS events.watch and channels.stop: opening and closing a channel on a calendar.
Calling back is left to `calendar_channels`."""

from __future__ import annotations

from sandbox.google.api_wire import Json
from sandbox.google.calendar_call import Call
from sandbox.google.calendar_errors import required
from sandbox.google.calendar_schema import CHANNEL, fits, without_null

_ROOT = "https://www.googleapis.com/calendar/v3/"


def watch_events(call: Call) -> Json:
    """events.watch: a channel that tells of every change on a calendar."""
    agenda = call.agenda()
    fits(CHANNEL, call.body, "channel")
    return call.channels.watch(without_null(call.body), call.email, agenda.id, _ROOT)


def stop_channel(call: Call) -> Json:
    """channels.stop: needs both ids."""
    fits(CHANNEL, call.body, "channel")
    if not call.body.get("id") or not call.body.get("resourceId"):
        raise required("Required")
    call.channels.stop(call.body["id"], call.body["resourceId"], call.email)
    return {}
