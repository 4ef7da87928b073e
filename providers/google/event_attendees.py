"""Guests of an event: reading them, and changing some among those that Google holds without touching the others.
Whether the account may do so at all is left to `event_edits`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.addresses import address_key
from core.event import RESPONSES, Attendee, attendee_key
from core.text import one_line
from providers.google.errors import Json

_NO_ANSWER = RESPONSES[0]


def read_attendees(event: Mapping[str, Any]) -> tuple[Attendee, ...]:
    """The guests of an event that have an address."""
    return tuple(one for one in map(_read, raw_attendees(event)) if one is not None)


def raw_attendees(event: Mapping[str, Any]) -> list[Json]:
    """The guests of an event as they came."""
    attendees = event.get("attendees")
    return [one for one in attendees if isinstance(one, dict)] if isinstance(attendees, list) else []


def new_attendees(wanted: tuple[Attendee, ...]) -> list[Json]:
    """Guests as they are sent for the first time."""
    return [_new(one) for one in wanted]


def edited_attendees(event: Mapping[str, Any], old: tuple[Attendee, ...], new: tuple[Attendee, ...]) -> list[Json]:
    """The whole list to send, since Google replaces it. What it knows of a guest beyond us stays, and so does whom we
    never saw: a guest without an address, or beyond our limits."""
    before, wanted = {attendee_key(one) for one in old}, {attendee_key(one): one for one in new}
    kept: list[Json] = []
    held: set[str] = set()
    for raw in raw_attendees(event):
        known = _read(raw)
        key = attendee_key(known) if known else ""
        if known is not None and key in wanted:
            held.add(key)
            kept.append(_edited(raw, known, wanted[key]))
        elif not key or key not in before:
            kept.append(raw)
    return kept + [_new(one) for key, one in wanted.items() if key not in held]


def own_address(event: Mapping[str, Any]) -> str:
    """The address under which the account itself is invited, "" if it is not."""
    own = (one for one in raw_attendees(event) if one.get("self") is True and _read(one))
    return next((str(one["email"]) for one in own), "")


def own_answer(event: Mapping[str, Any], edited: list[Json]) -> Json | None:
    """The account's own entry, if nothing of a list differs but its answer: anybody may change that."""
    current = raw_attendees(event)
    differing = [pair for pair in zip(current, edited, strict=False) if pair[0] != pair[1]]
    if len(current) != len(edited) or len(differing) != 1:
        return None
    was, now = differing[0]
    same = {**was, "responseStatus": ""} == {**now, "responseStatus": ""}
    return now if same and was.get("self") is True else None


def _edited(raw: Json, known: Attendee, wanted: Attendee) -> Json:
    return {**raw, **dict(_changes(known, wanted, own=raw.get("self") is True))}


def _changes(known: Attendee, wanted: Attendee, *, own: bool) -> Iterator[tuple[str, Any]]:
    name = one_line(known.name)
    if wanted.name != ("" if name == one_line(known.email) else name):
        yield "displayName", wanted.name
    if wanted.optional != known.optional:
        yield "optional", wanted.optional
    # Nobody answers for another one, and who has answered is not asked again; `resource` cannot be changed once it is
    # there (discovery document).
    if own and wanted.response not in (known.response, _NO_ANSWER):
        yield "responseStatus", wanted.response


def _new(one: Attendee) -> Json:
    made: Json = {"email": one.email}
    if one.name:
        made["displayName"] = one.name
    for name in ("optional", "resource"):
        if getattr(one, name):
            made[name] = True
    if one.response != _NO_ANSWER:
        made["responseStatus"] = one.response
    return made


def _read(raw: Json) -> Attendee | None:
    email = raw.get("email")
    if not isinstance(email, str) or not address_key(email):
        return None
    name, response = raw.get("displayName"), raw.get("responseStatus")
    return Attendee(
        email,
        name if isinstance(name, str) else "",
        response if response in RESPONSES else _NO_ANSWER,
        raw.get("optional") is True,
        raw.get("resource") is True,
    )
