"""PRETENDS the reading of a call's parameters: each must be known, of its type, within its bounds.
What the operations do with them is left to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.google.api_wire import Pairs, words
from sandbox.google.people_book import Book
from sandbox.google.people_knobs import PeopleKnobs
from sandbox.google.people_limits import Quotas
from sandbox.google.people_records import Profile
from sandbox.google.people_schema import SOURCES, person_mask
from sandbox.google.people_wire import Json, bad_field, invalid

# Query parameters that every Google API takes (discovery document, `parameters`).
STANDARD = words(
    "$.xgafv access_token alt callback fields key oauth_token prettyPrint quotaUser upload_protocol uploadType"
)


@dataclass(frozen=True, slots=True)
class Call:
    """One authorized call: whose book, which resource, with what."""

    book: Book
    me: Profile
    knobs: PeopleKnobs
    quotas: Quotas
    now: datetime
    resource: str
    pairs: Pairs
    body: Json = field(default_factory=dict)

    def count_read(self) -> None:
        """Count one critical read of this user. Raises ApiError 429 beyond the quota."""
        self.quotas.critical_read(self.book.sub, self.now, self.knobs.critical_reads_per_minute)

    def text(self, name: str) -> str:
        """A parameter's value, "" if it was not sent; the last one counts."""
        return next((value for key, value in reversed(self.pairs) if key == name), "")

    def texts(self, name: str) -> tuple[str, ...]:
        """Every value of a repeated parameter, in the order sent."""
        return tuple(value for key, value in self.pairs if key == name)

    def flag(self, name: str) -> bool:
        """A boolean. Raises ApiError for anything but true and false."""
        value = self.text(name)
        if value not in ("", "true", "false", "True", "False", "1", "0"):
            raise bad_field(name, f"Invalid value at '{name}' (TYPE_BOOL), \"{value}\"")
        return value in ("true", "True", "1")

    def number(self, name: str, usual: int, most: int | None = None) -> int:
        """A number; 0 stands for the usual one. Raises ApiError below 0 and above `most`."""
        value = self.text(name)
        if not value.removeprefix("-").isascii() or not (value.removeprefix("-") or "0").isdigit():
            raise bad_field(name, f"Invalid value at '{name}' (TYPE_INT32), \"{value}\"")
        number = int(value or 0)
        if number < 0 or (most is not None and number > most):
            raise invalid(f"{name} must be between 1 and {most}." if most is not None else f"{name} must not be < 0.")
        return number or usual

    def fields(self, *, required: bool = True) -> tuple[str, ...]:
        """The mask of `personFields`, or of the older `requestMask.includeField`."""
        older = self.text("requestMask.includeField")
        if older and not self.text("personFields"):
            return person_mask(older.replace("person.", "").replace(" ", ""), "requestMask.includeField")
        return person_mask(self.text("personFields"), "personFields") if required or self.text("personFields") else ()


def source_kinds(sources: tuple[Any, ...]) -> tuple[str, ...]:
    """The kinds of source to show; contact and profile if nothing is said."""
    for source in sources:
        if source not in SOURCES:
            raise bad_field("sources", f"Invalid value at 'sources' (TYPE_ENUM), \"{source}\"")
    wanted = [kind for kind in ("CONTACT", "PROFILE") if f"READ_SOURCE_TYPE_{kind}" in sources]
    return tuple(wanted) if sources else ("CONTACT", "PROFILE")


def json_body(body: bytes, headers: Mapping[str, str]) -> Json:
    """The JSON object of a request. Raises ApiError for anything else."""
    if not body.strip():
        return {}
    if "json" not in headers.get("content-type", "application/json"):
        raise invalid(f"Invalid content type: {headers.get('content-type')}")
    try:
        content = json.loads(body)
    except ValueError as error:
        raise invalid("Invalid JSON payload received. Unexpected token.") from error
    if not isinstance(content, dict):
        raise invalid("Invalid JSON payload received. An object is expected.")
    return content
