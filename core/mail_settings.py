"""What the owner of an account chose for its mail channel, and which mailboxes follow from it. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from core.errors import Misconfigured
from core.types import Mailbox

# On Gmail every message is exactly once in one of these; everything else is a label (a view).
GMAIL_ROLES = ("all", "trash", "junk")
_ORDER = {"inbox": 0, "all": 0, "sent": 1}


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Settings of the mail channel.

    `since`    messages the server received before this day are left out.
    `folders`  patterns (`*`, `?`) of the only mailboxes to follow; empty: all.
    `exclude`  patterns of mailboxes not to follow; roles are written with a backslash, e.g. `\\junk`.
    """

    since: date | None = None
    folders: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> MailSettings:
        """From the JSON of the channel row. Raises Misconfigured on a value of the wrong form."""
        since = stored.get("since")
        try:
            day = date.fromisoformat(since) if since else None
        except (TypeError, ValueError) as error:
            raise Misconfigured(f"since: {since!r} is not a date", advice="Write it as 2026-01-31.") from error
        return cls(day, _patterns(stored, "folders"), _patterns(stored, "exclude"))

    def to_json(self) -> dict[str, Any]:
        """The form that `read` reads."""
        return {
            "since": self.since.isoformat() if self.since else None,
            "folders": list(self.folders),
            "exclude": list(self.exclude),
        }


def _patterns(stored: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = stored.get(name) or ()
    if not isinstance(value, (list, tuple)) or not all(isinstance(pattern, str) for pattern in value):
        raise Misconfigured(f"{name}: {value!r} is not a list of names", advice='Write it as ["INBOX", "Work/*"].')
    return tuple(value)


def choose_mailboxes(mailboxes: Sequence[Mailbox], settings: MailSettings, *, gmail: bool) -> list[Mailbox]:
    """The mailboxes to follow, the most wanted first.

    Raises Misconfigured when Gmail hides "All Mail", without which labels cannot be followed.
    """
    chosen = [mailbox for mailbox in mailboxes if mailbox.selectable]
    if gmail:
        chosen = [mailbox for mailbox in chosen if mailbox.role in GMAIL_ROLES]
        if not any(mailbox.role == "all" for mailbox in chosen):
            raise Misconfigured(
                'Gmail does not show the folder "All Mail" over IMAP',
                advice='In Gmail: Settings, Labels, "All Mail", tick "Show in IMAP"; then start the sync again.',
            )
    elif settings.folders:
        chosen = [mailbox for mailbox in chosen if _fits(mailbox, settings.folders)]
        if not chosen:
            raise Misconfigured(
                "none of the chosen folders exists in the mailbox",
                advice="Choose others: `twinbox account mail ACCOUNT --folder NAME`.",
            )
    # On Gmail a message may leave "All Mail" for the trash only to be followed there, whatever the labels chosen.
    chosen = [mailbox for mailbox in chosen if gmail or not _fits(mailbox, settings.exclude)]
    return sorted(chosen, key=lambda mailbox: (_ORDER.get(mailbox.role, 2), mailbox.name))


def wants_labels(settings: MailSettings, labels: Collection[str], mailbox: Mailbox) -> bool:
    """Whether a Gmail message is in scope: its labels are what folders are elsewhere.

    `\\Inbox` counts as INBOX; a message in the trash or in spam has that as its only folder.
    """
    places = [Mailbox(_label_name(label), label[1:].lower() if label.startswith("\\") else "") for label in labels]
    if mailbox.role in ("trash", "junk"):
        places = [mailbox]
    if any(_fits(place, settings.exclude) for place in places):
        return False
    return not settings.folders or any(_fits(place, settings.folders) for place in places)


def _label_name(label: str) -> str:
    return "INBOX" if label.lower() == "\\inbox" else label


def _fits(mailbox: Mailbox, patterns: Sequence[str]) -> bool:
    return any(
        # Only `*` and `?` are special: Gmail's own folders have brackets in their names.
        fnmatch.fnmatchcase(mailbox.name.lower(), pattern.lower().replace("[", "[[]"))
        or (mailbox.role != "" and pattern.lower() == "\\" + mailbox.role)
        for pattern in patterns
    )
