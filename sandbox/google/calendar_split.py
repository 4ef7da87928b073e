"""PRETENDS "this and following": a series ends before an occurrence, and a new one begins there under a new id.
Which occurrences a rule has is left to `calendar_series`, what else the new series says to `calendar_book`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sandbox.google.api_wire import Json
from sandbox.google.calendar_records import Copy
from sandbox.google.calendar_series import occurrences
from sandbox.google.calendar_times import instant, key_of, later

_ENDS = re.compile(r";?(?:UNTIL|COUNT)=[^;]*", re.IGNORECASE)
_COUNT = re.compile(r"COUNT=(\d+)", re.IGNORECASE)
_SUFFIX = re.compile(r"_R\d{8}(?:T\d{6})?$")


def following_id(master: Copy, original: Json) -> str:
    """The id Google's pages give the new series: the old one's with the day of the cut."""
    return f"{_SUFFIX.sub('', master.id)}_R{key_of(original).rstrip('Z')}"


def ended(shared: Json, original: Json) -> Json:
    """A series without the occurrence that originally starts then, and all after it."""
    lines = [_before(line, original) for line in shared["recurrence"]]
    return {**shared, "recurrence": [line for line in lines if line] or [_until("RRULE:FREQ=DAILY", original)]}


def begun(shared: Json, original: Json) -> Json:
    """The rest of a series, from that occurrence on; without a rule if that is the last one."""
    done = sum(1 for one in occurrences(shared) if _instant(one) < _instant(original)) if _counts(shared) else 0
    lines = [_after(line, original, done) for line in shared["recurrence"]]
    by = _instant(original) - _instant(shared["start"])
    rest = {name: value for name, value in shared.items() if name != "recurrence"}
    end = later(shared["end"], by)
    kept = [line for line in lines if line]
    return {**rest, "start": original, "end": end, **({"recurrence": kept} if kept else {})}


def _counts(shared: Json) -> bool:
    return any(_COUNT.search(line) for line in shared["recurrence"])


def _instant(when: Json) -> datetime:
    return instant(when, "UTC")


def _before(line: str, original: Json) -> str:
    if line.upper().startswith(("RRULE", "EXRULE")):
        return _until(line, original)
    return _dates(line, original, earlier=True)


def _until(line: str, original: Json) -> str:
    if "date" in original:
        end = key_of(later(original, timedelta(days=-1)))
    else:
        end = key_of(later(original, timedelta(seconds=-1)))
    return f"{_ENDS.sub('', line)};UNTIL={end}"


def _after(line: str, original: Json, done: int) -> str:
    if line.upper().startswith(("RRULE", "EXRULE")):
        return _COUNT.sub(lambda found: f"COUNT={int(found.group(1)) - done}", line)
    return _dates(line, original, earlier=False)


def _dates(line: str, original: Json, *, earlier: bool) -> str:
    head, _, values = line.partition(":")
    cut = key_of(original)[:8]  # by day: zones of single values do not matter for what is days apart
    kept = [one for one in values.split(",") if (one[:8] < cut) == earlier]
    return f"{head}:{','.join(kept)}" if kept else ""
