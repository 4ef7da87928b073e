"""PRETENDS the reading of a call to the Calendar API: parameters of their type and within bounds, a body of its schema.
What the operations do with them is left to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sandbox.google.api_wire import Json, Pairs
from sandbox.google.calendar_channels import Channels
from sandbox.google.calendar_errors import (
    CalendarError,
    bad_request,
    invalid,
    not_found,
    precondition_failed,
    required,
    scope_insufficient,
    writer_required,
)
from sandbox.google.calendar_knobs import CalendarKnobs
from sandbox.google.calendar_limits import Limits
from sandbox.google.calendar_pages import Pages
from sandbox.google.calendar_records import Copy, Notify, Role, at_least
from sandbox.google.calendar_render import EventView
from sandbox.google.calendar_store import Agenda, World
from sandbox.google.calendar_times import read_bound, zone_named

# Query parameters that every method takes (discovery document, `parameters`).
STANDARD = frozenset(["alt", "fields", "key", "oauth_token", "prettyPrint", "quotaUser", "userIp"])


@dataclass(frozen=True, slots=True)
class Call:
    """One authorized call: by whom, about what, with what."""

    world: World
    pages: Pages
    channels: Channels
    limits: Limits
    email: str
    operation: str
    owned_only: bool  # the token reaches calendars that are the user's own only
    pairs: Pairs
    headers: Mapping[str, str]
    calendar: str = ""
    event: str = ""
    body: Json = field(default_factory=dict)

    @property
    def knobs(self) -> CalendarKnobs:
        """The knobs of this double."""
        return self.world.knobs

    @property
    def now(self) -> datetime:
        """The present."""
        return self.world.now()

    # -- parameters

    def text(self, name: str) -> str:
        """A parameter's value, "" if it was not sent; the last one counts."""
        return next((value for key, value in reversed(self.pairs) if key == name), "")

    def texts(self, name: str) -> tuple[str, ...]:
        """Every value of a repeated parameter, in the order sent."""
        return tuple(value for key, value in self.pairs if key == name)

    def sent(self, name: str) -> bool:
        """Whether a parameter was sent at all."""
        return any(key == name for key, _ in self.pairs)

    def flag(self, name: str) -> bool:
        """A boolean. Raises CalendarError for anything but true and false."""
        value = self.text(name)
        if value not in ("", "true", "false"):
            raise invalid(f"Invalid boolean value: '{value}'.", name)
        return value == "true"

    def number(self, name: str, usual: int | None, most: int | None = None) -> int | None:
        """A number of at least 1; more than `most` means `most`. Raises CalendarError for anything else."""
        value = self.text(name)
        if not value:
            return usual
        if not value.isascii() or not value.isdigit() or int(value) < 1:
            raise invalid(f"Invalid integer value: '{value}'.", name)
        return int(value) if most is None else min(int(value), most)

    def version(self, name: str) -> int:
        """A version parameter: 0 or 1."""
        value = self.text(name) or "0"
        if value not in ("0", "1"):
            raise invalid(f"Invalid integer value: '{value}'.", name)
        return int(value)

    def choice(self, name: str, *choices: str) -> str:
        """A value of an enumeration, "" if it was not sent."""
        value = self.text(name)
        if value and value not in choices:
            raise invalid(f"Invalid string value: '{value}'. Allowed values: [{', '.join(choices)}]", name)
        return value

    def moment(self, name: str) -> datetime | None:
        """A time bound."""
        value = self.text(name)
        return read_bound(value, name) if value else None

    def zone(self) -> str:
        """The zone answers shall be in, "" for that of the calendar."""
        zone = self.text("timeZone")
        if zone and zone_named(zone) is None:
            raise invalid(f"Invalid time zone: '{zone}'.", "timeZone")
        return zone

    def notify(self) -> Notify:
        """Who gets letters: nobody unless asked; `sendNotifications` is the older form."""
        value = self.choice("sendUpdates", "all", "externalOnly", "none")
        if not value and self.flag("sendNotifications"):
            return "all"
        return "all" if value == "all" else "externalOnly" if value == "externalOnly" else "none"

    # -- what it is about

    def agenda(self, ident: str = "") -> Agenda:
        """The calendar, if this user may see it at all. Raises CalendarError 404, or 403 for a narrow token."""
        agenda = self.world.agenda(ident or self.calendar, self.email)
        if agenda is None or agenda.outside or agenda.deleted or agenda.role(self.email) == "none":
            raise not_found()
        if self.owned_only and agenda.role(self.email) != "owner":
            raise scope_insufficient(self.operation)
        return agenda

    def writable(self, ident: str = "") -> Agenda:
        """The calendar, if this user may write there. Raises CalendarError 403."""
        agenda = self.agenda(ident)
        if not at_least(agenda.role(self.email), "writerWithoutPrivateAccess"):
            raise writer_required()
        return agenda

    def found(self, agenda: Agenda) -> Copy:
        """The event. Raises CalendarError 404, also for one that is too new to be everywhere (google.md, C.3)."""
        copy = self.world.find(agenda, self.event)
        if copy is None or (copy.visible_from is not None and self.now < copy.visible_from):
            raise not_found()
        return copy

    def check_version(self, copy: Copy) -> None:
        """Raises CalendarError 412 for an If-Match that names another version."""
        wanted = self.headers.get("if-match", "")
        if wanted and wanted != "*" and copy.etag not in [one.strip() for one in wanted.split(",")]:
            raise precondition_failed()

    def check_unread(self, etag: str) -> None:
        """Raises CalendarError 304 for an If-None-Match that names this version."""
        if self.headers.get("if-none-match", "") == etag:
            raise CalendarError(304, "notModified", "Not Modified")

    def view(self, agenda: Agenda) -> EventView:
        """How this user sees that calendar."""
        role: Role = agenda.role(self.email)
        most = self.number("maxAttendees", None)
        return EventView(agenda, role, self.email, self.zone(), most, self.knobs.bare_tombstones)


def json_body(body: bytes, headers: Mapping[str, str]) -> Json:
    """The JSON object of a request. Raises CalendarError for anything else."""
    if not body.strip():
        raise required("Required")
    if "json" not in headers.get("content-type", "application/json"):
        raise bad_request(f"Unsupported content with type: {headers.get('content-type')}")
    try:
        content = json.loads(body)
    except ValueError as error:
        raise CalendarError(400, "parseError", "Parse Error") from error
    if not isinstance(content, dict):
        raise CalendarError(400, "parseError", "Parse Error")
    return content
