"""What Google's refusals, and failures on the way to it, mean as `core.errors`.
Both families of error bodies are read (google.rpc and the legacy one); what is tried again is left to the callers."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from core.errors import (
    Conflict,
    CursorExpired,
    ItemRejected,
    Misconfigured,
    NeedsRelink,
    NotGranted,
    RecordGone,
    Throttled,
    Transient,
    TwinboxError,
    VersionConflict,
)

Json = dict[str, Any]

# Words by which `reason` decides, whatever the HTTP code is (developers.google.com/workspace/calendar/api/guides/errors
# and google.rpc.ErrorInfo of People).
_DISABLED = frozenset({"SERVICE_DISABLED", "accessNotConfigured"})
_SCOPES = frozenset({"ACCESS_TOKEN_SCOPE_INSUFFICIENT", "insufficientPermissions"})
_EXPIRED = frozenset({"EXPIRED_SYNC_TOKEN", "fullSyncRequired", "updatedMinTooLongAgo"})
_MINUTES = frozenset({"RATE_LIMIT_EXCEEDED", "rateLimitExceeded", "userRateLimitExceeded"})
_HOURS = frozenset({"quotaExceeded", "dailyLimitExceeded"})
_STALE = frozenset({"conditionNotMet"})
# Of the Calendar API: about the event or the rights on its calendar, not about the account.
_NOT_OURS = frozenset({"forbiddenForNonOrganizer", "eventTypeRestriction", "requiredAccessLevel", "forbidden"})
_TAKEN = frozenset({"duplicate", "alreadyExists"})
_ADMIN_TOKEN = frozenset(
    {"invalid_client", "unauthorized_client", "deleted_client", "disabled_client", "invalid_scope", "org_internal"}
)
_RAPT = re.compile(r"\b(invalid_rapt|rapt_required)\b|[Rr]eauth")

_WINDOW = 60.0  # quotas are counted by the minute
_PAUSE = 3600.0
_LONGEST = 6 * 3600.0
_CODES = {5: "NOT_FOUND", 6: "ALREADY_EXISTS", 8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION", 10: "ABORTED"}
_PASSING = {4: "DEADLINE_EXCEEDED", 13: "INTERNAL", 14: "UNAVAILABLE"}
_BY_ITSELF = "Nothing is lost: it goes on by itself when the pause is over."
_RELINK = "Link the account again: `twinbox account link --relink ACCOUNT`"


@dataclass(frozen=True, slots=True)
class Wording:
    """What one of Google's APIs is about, in the words people know. `spent` says what is used up and `pause` for how
    long, in seconds; `fine_grained`: a 403 can concern one record and leave the others alone."""

    api: str
    service: str
    record: str
    records: str
    spent: str = "the quota of the Google project is used up"
    pause: float = _PAUSE
    fine_grained: bool = False


PEOPLE = Wording("People API", "Contacts", "contact", "contacts")
# "quotaExceeded" makes a calendar read-only for hours (support.google.com/a/answer/2905486).
CALENDAR = Wording(
    "Google Calendar API",
    "Calendar",
    "event",
    "calendar",
    spent="Google's limits on the use of this calendar are used up for some hours",
    pause=2 * _PAUSE,
    fine_grained=True,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer of Google, read. `parsed` is False for anything that is not Google's JSON.

    `message` may repeat what was sent, so it is compared and never shown.
    """

    status: int
    state: str = ""
    message: str = ""
    reasons: frozenset[str] = frozenset()
    details: tuple[Json, ...] = ()
    retry_after: float | None = None
    parsed: bool = True
    wording: Wording = PEOPLE

    def item_errors(self) -> Mapping[str, Refusal]:
        """What a batch says of its single items (BatchUpdateContactsErrorDetails and the like), by their names."""
        found: dict[str, Refusal] = {}
        for detail in self.details:
            errors = detail.get("contactErrors")
            for name, status in errors.items() if isinstance(errors, dict) else ():
                found[str(name)] = item_refusal(status)
        return found

    def error(self) -> TwinboxError:
        """What the caller must do."""
        return _meaning(self)

    @property
    def about_request(self) -> bool:
        """Whether it speaks of what was asked for (this record, this token), not of the account or the service."""
        return isinstance(self.error(), ItemRejected | RecordGone | VersionConflict | Conflict | CursorExpired)


def read_refusal(
    status: int, headers: Mapping[str, str], content: bytes, now: datetime, wording: Wording = PEOPLE
) -> Refusal:
    """An error answer as a value; `now` is the provider's time, to reckon how long a quota window lasts."""
    wait = _header_wait(headers)
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return Refusal(status, retry_after=wait, parsed=False, wording=wording)
    details = tuple(detail for detail in _list(error.get("details")) if isinstance(detail, dict))
    legacy = [one for one in _list(error.get("errors")) if isinstance(one, dict)]
    reasons = (one.get("reason") for one in (*details, *legacy))
    return Refusal(
        status,
        _word(error.get("status")),
        error["message"] if isinstance(error.get("message"), str) else "",
        frozenset(reason for reason in reasons if isinstance(reason, str)),
        details,
        wait if wait is not None else _window_wait(details, now),
        wording=wording,
    )


def item_refusal(status: Any) -> Refusal:
    """The google.rpc.Status of one item of a batch."""
    code = status.get("code") if isinstance(status, dict) else None
    message = status.get("message") if isinstance(status, dict) else None
    text = message if isinstance(message, str) else ""
    if code in _PASSING:
        return Refusal(503, _PASSING[code], text)
    return Refusal(400, _CODES.get(code, "INVALID_ARGUMENT") if isinstance(code, int) else "", text)


def _meaning(refusal: Refusal) -> TwinboxError:
    account = _account_trouble(refusal)
    if account is not None:
        return account
    status, state, words = refusal.status, refusal.state, refusal.wording
    if not refusal.parsed or status >= 500 or status < 400 or status == 408 or state in _PASSING.values():
        return Transient(f"Google is not available ({_shown(refusal)})", retry_after=refusal.retry_after)
    if refusal.reasons & _EXPIRED or (status in (400, 410) and refusal.message.startswith("Sync token")):
        return CursorExpired("Google no longer knows how far we had read")
    if status == 412 or refusal.reasons & _STALE or (state == "FAILED_PRECONDITION" and "etag" in refusal.message):
        return VersionConflict(f"the {words.record} was changed at Google since it was read")
    if status in (404, 410) or state == "NOT_FOUND":
        return RecordGone(f"the {words.record} does not exist at Google any more")
    if state == "ALREADY_EXISTS" or refusal.reasons & _TAKEN or "already exists" in refusal.message:
        return Conflict("Google has something of this name already")
    if status == 409 or state == "ABORTED":
        return Transient(f"Google was busy with another change of the same {words.record}")
    if status == 400:
        return ItemRejected(f"Google refuses the {words.record} as it is ({_shown(refusal)})")
    if status == 403 and words.fine_grained and refusal.reasons & _NOT_OURS:
        return ItemRejected(f"Google does not let this account change the {words.record} ({_shown(refusal)})")
    if status == 403:
        return Misconfigured(
            f"Google does not allow access to the {words.records} of this account ({_shown(refusal)})",
            advice=f"The organization's administrator must switch the {words.service} service on for this user.",
        )
    return Transient(f"Google answered with an unknown error ({_shown(refusal)})")


def _account_trouble(refusal: Refusal) -> TwinboxError | None:
    """What concerns the account, the application or a quota, not the thing that was asked for."""
    reasons, words = refusal.reasons, refusal.wording
    if refusal.status == 401:
        return NeedsRelink("Google does not accept the access token, not even a new one", advice=f"{_RELINK}.")
    if reasons & _DISABLED:
        return Misconfigured(
            f"the {words.api} is switched off in the project of the OAuth application",
            advice=f"Enable the {words.api} in that project of the Google Cloud console and wait some minutes.",
        )
    if reasons & _SCOPES or "insufficient authentication scopes" in refusal.message:
        return NotGranted(
            f"access to {words.records} was not granted",
            advice=f"{_RELINK}, and leave the box for {words.records} ticked on Google's page.",
        )
    if "MY_CONTACTS_OVERFLOW_COUNT" in refusal.message:
        return Misconfigured(
            "the Google account is full: it holds 25,000 contacts",
            advice="Delete contacts at Google, empty its trash or wait 30 days, then sync again.",
        )
    if reasons & _HOURS:
        return Throttled(
            words.spent,
            advice=_BY_ITSELF,
            retry_after=refusal.retry_after or words.pause,
            writes_only=words.fine_grained and "quotaExceeded" in reasons,
        )
    if refusal.parsed and (refusal.status == 429 or reasons & _MINUTES or refusal.state == "RESOURCE_EXHAUSTED"):
        return Throttled("Google asks for a pause", advice=_BY_ITSELF, retry_after=refusal.retry_after or _WINDOW)
    if refusal.status == 429:
        return Throttled("Google asks for a pause", advice=_BY_ITSELF, retry_after=refusal.retry_after)
    return None


def token_error(error: Exception) -> TwinboxError:
    """What a RefreshError of google-auth means: `retryable` is no help there, the error word is."""
    body = next((part for part in error.args[1:] if isinstance(part, dict)), {})
    code = _word(body.get("error"))
    if code in _ADMIN_TOKEN:
        return Misconfigured(
            f"Google refuses the OAuth application ({code})",
            advice="Check client id and client secret of the provider's OAuth application.",
        )
    if code in ("invalid_grant", "access_denied") or (not body and _RAPT.search(str(error.args[:1]))):
        return NeedsRelink("the permission has expired or was taken back", advice=f"{_RELINK}.")
    return Transient("Google's sign-in service is not available")


def network_error(error: Exception) -> Transient:
    """What a broken connection means. After a write was sent nobody knows whether it took effect."""
    if isinstance(error, TimeoutError):
        return Transient("Google did not answer in time")
    if isinstance(error, ssl.SSLError):
        return Transient("the encrypted connection to Google broke")
    return Transient(f"the connection to Google broke ({type(error).__name__})")


def _shown(refusal: Refusal) -> str:
    """Code words of a refusal; its message may hold a name or number."""
    fields = (
        violation.get("field")
        for detail in refusal.details
        for violation in _list(detail.get("fieldViolations"))
        if isinstance(violation, dict)
    )
    words = [_word(word) for word in (refusal.state, *sorted(refusal.reasons), *fields)]
    return ", ".join([f"HTTP {refusal.status}", *dict.fromkeys(word for word in words if word)][:4])


def _word(value: Any) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[\w.\[\]]{1,80}", value) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _header_wait(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return min(float(text), _LONGEST) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _window_wait(details: tuple[Json, ...], now: datetime) -> float | None:
    """Until the minute is over in which the quota was used up; Google names its beginning now and then."""
    for detail in details:
        metadata = detail.get("metadata")
        started = metadata.get("window_start_time") if isinstance(metadata, dict) else None
        try:
            begin = datetime.fromisoformat(started) if isinstance(started, str) else None
        except ValueError:
            continue
        if begin is not None:
            left = begin.replace(tzinfo=begin.tzinfo or UTC) + timedelta(seconds=_WINDOW) - now
            return min(max(left.total_seconds(), 1.0), _WINDOW)
    return None
