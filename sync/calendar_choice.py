"""Which calendars of an account there are to choose among, and which of them somebody meant.
What becomes of a choice is `sync.calendar_channel`."""

from __future__ import annotations

from collections.abc import Sequence

from core.calendar_settings import OWN
from core.errors import BadInput, NotGranted
from core.ports import CalendarEntry
from core.replica import Scope
from core.types import Channel
from sync.app import App
from sync.record_settings import own_channel
from sync.sources import open_calendars


def list_calendars(app: App, workspace: str, account_id: str) -> list[CalendarEntry]:
    """All calendars the owner of an account can choose among, their own first.

    Raises NotFound, NotGranted when the permission does not include the list, and what signing in raises.
    """
    with app.db.reading() as session:
        own_channel(session, workspace, account_id, Channel.CALENDAR)
    opened = (app.open_calendars or open_calendars)(app, account_id)
    try:
        return list(opened.calendars())
    except NotGranted as error:
        raise NotGranted(
            "the list of calendars was not granted: only the account's own can be synced",
            advice="Link the account again (`twinbox account link --relink ACCOUNT`) and leave the box for the list of "
            "calendars ticked.",
        ) from error
    finally:
        opened.close()


def pick_calendars(entries: Sequence[CalendarEntry], wanted: Sequence[str]) -> tuple[Scope, ...]:
    """The calendars that were named, by id or name, each once. The first of them that can be written to comes first:
    it is where new events go. Raises BadInput for a name that is no calendar's, or that of several."""
    picked = list(dict.fromkeys(_find(entries, text) for text in wanted))
    takes_new = next((entry for entry in picked if entry.writable), None)
    picked.sort(key=lambda entry: entry is not takes_new)
    return tuple(scope_of(entry) for entry in picked)


def scope_of(entry: CalendarEntry) -> Scope:
    """A calendar as it is kept in the settings."""
    return Scope(OWN if entry.primary else entry.id, entry.name)


def _find(entries: Sequence[CalendarEntry], text: str) -> CalendarEntry:
    for entry in entries:
        if text == entry.id or (entry.primary and text == OWN):
            return entry
    named = [entry for entry in entries if entry.name.casefold() == text.strip().casefold()]
    if len(named) == 1:
        return named[0]
    if named:
        ids = ", ".join(entry.id for entry in named)
        raise BadInput(f"{len(named)} calendars are called {text[:100]!r}", advice=f"Give the id: {ids}.")
    advice = "`twinbox settings calendar ACCOUNT --calendars` lists all."
    raise BadInput(f"the account has no calendar {text[:100]!r}", advice=advice)
