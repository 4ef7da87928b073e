"""What Google's refusals mean: every row of the table of error bodies, in both families, and the token endpoint."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
from google.auth import exceptions

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
from providers.google.errors import Refusal, item_refusal, network_error, read_refusal, token_error

refused: Any = exceptions.RefreshError  # untyped
NOW = datetime(2026, 3, 2, 9, 30, 20, tzinfo=UTC)
SECRET = "ya29.secret ann@example.com https://people.googleapis.com/v1/x?syncToken=abc"


def rpc(status: int, state: str = "", message: str = SECRET, reason: str = "", **metadata: str) -> tuple[int, bytes]:
    error: dict[str, Any] = {"code": status, "message": message, "status": state}
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": reason, "metadata": metadata}]
    return status, json.dumps({"error": error}).encode()


def legacy(status: int, reason: str, message: str = SECRET) -> tuple[int, bytes]:
    one = {"domain": "global", "reason": reason, "message": message}
    return status, json.dumps({"error": {"errors": [one], "code": status, "message": message}}).encode()


HTML = b"<html><title>Error</title></html>"
STALE = "Request person.etag is different than the current person.etag. Clear local cache and get the latest person."
EXPIRED = "Sync token is expired. Clear local cache and retry call without the sync token."
DISABLED = "People API has not been used in project 7 before or it is disabled."

TABLE = [
    (rpc(400, "INVALID_ARGUMENT", EXPIRED, "EXPIRED_SYNC_TOKEN"), CursorExpired),
    (rpc(400, "FAILED_PRECONDITION", EXPIRED, "EXPIRED_SYNC_TOKEN"), CursorExpired),
    (rpc(400, "INVALID_ARGUMENT", EXPIRED), CursorExpired),
    (rpc(410, "", EXPIRED), CursorExpired),
    (legacy(410, "fullSyncRequired"), CursorExpired),
    (legacy(410, "updatedMinTooLongAgo"), CursorExpired),
    (rpc(400, "FAILED_PRECONDITION", STALE), VersionConflict),
    (legacy(412, "conditionNotMet"), VersionConflict),
    (rpc(400, "INVALID_ARGUMENT", "Request contains an invalid argument."), ItemRejected),
    (legacy(400, "invalid"), ItemRejected),
    (legacy(400, "required"), ItemRejected),
    (legacy(401, "authError"), NeedsRelink),
    (rpc(401, "UNAUTHENTICATED"), NeedsRelink),
    ((401, HTML), NeedsRelink),
    (rpc(403, "PERMISSION_DENIED", DISABLED, "SERVICE_DISABLED"), Misconfigured),
    (legacy(403, "accessNotConfigured"), Misconfigured),
    (rpc(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes."), NotGranted),
    (rpc(403, "PERMISSION_DENIED", "no", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), NotGranted),
    (legacy(403, "insufficientPermissions"), NotGranted),
    (legacy(403, "rateLimitExceeded"), Throttled),
    (legacy(403, "userRateLimitExceeded"), Throttled),
    (legacy(403, "quotaExceeded"), Throttled),
    (legacy(403, "dailyLimitExceeded"), Throttled),
    (legacy(403, "forbidden"), Misconfigured),
    (legacy(403, "domainPolicy"), Misconfigured),
    ((403, HTML), Transient),
    ((403, b""), Transient),
    (rpc(404, "NOT_FOUND", "Requested entity was not found."), RecordGone),
    (legacy(404, "notFound"), RecordGone),
    ((404, HTML), Transient),
    (rpc(409, "ALREADY_EXISTS", "Contact group name already exists"), Conflict),
    (legacy(409, "duplicate", "The requested identifier already exists."), Conflict),
    (rpc(400, "FAILED_PRECONDITION", "Contact group name already exists"), Conflict),
    (legacy(409, "conflict", "Conflict"), Transient),
    (rpc(409, "ABORTED"), Transient),
    (legacy(410, "deleted"), RecordGone),
    (rpc(429, "RESOURCE_EXHAUSTED", SECRET, "RATE_LIMIT_EXCEEDED"), Throttled),
    (legacy(429, "rateLimitExceeded"), Throttled),
    ((429, HTML), Throttled),
    (rpc(429, "RESOURCE_EXHAUSTED", "MY_CONTACTS_OVERFLOW_COUNT: too many"), Misconfigured),
    (rpc(400, "FAILED_PRECONDITION", "MY_CONTACTS_OVERFLOW_COUNT"), Misconfigured),
    (legacy(500, "backendError"), Transient),
    (rpc(500, "INTERNAL"), Transient),
    (rpc(503, "UNAVAILABLE"), Transient),
    ((502, HTML), Transient),
    ((504, b""), Transient),
    ((302, b""), Transient),
    ((400, HTML), Transient),
    ((400, b'{"error": "invalid_request"}'), Transient),
    ((400, b"[" * 100_000), Transient),
    (rpc(418, "STRANGE"), Transient),
]


@pytest.mark.parametrize(("answer", "expected"), TABLE)
def test_each_refusal_says_what_to_do_next(answer: tuple[int, bytes], expected: type[TwinboxError]) -> None:
    error = read_refusal(answer[0], {}, answer[1], NOW).error()
    assert type(error) is expected
    shown = f"{error} {error.advice}"
    assert "ya29" not in shown
    assert "example.com" not in shown
    assert "syncToken=" not in shown


def test_advice_names_the_box_that_was_left_empty() -> None:
    error = read_refusal(*spread(rpc(403, "PERMISSION_DENIED", "no", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"))).error()
    assert "box for contacts" in error.advice


def spread(answer: tuple[int, bytes], **headers: str) -> tuple[int, dict[str, str], bytes, datetime]:
    return answer[0], {name.replace("_", "-"): value for name, value in headers.items()}, answer[1], NOW


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (read_refusal(*spread(rpc(429, "RESOURCE_EXHAUSTED"), retry_after="30")), 30),
        (read_refusal(*spread(rpc(429, "RESOURCE_EXHAUSTED"), retry_after="99999999")), 6 * 3600),
        (read_refusal(*spread(rpc(429, "RESOURCE_EXHAUSTED"), retry_after="soon")), 60),
        (
            read_refusal(*spread(rpc(429, "X", "", "RATE_LIMIT_EXCEEDED", window_start_time="2026-03-02T09:30:00Z"))),
            40,
        ),
        (read_refusal(*spread(rpc(429, "X", "", "RATE_LIMIT_EXCEEDED", window_start_time="yesterday"))), 60),
        (read_refusal(*spread(legacy(403, "quotaExceeded"))), 3600),
        (read_refusal(*spread(rpc(503, "UNAVAILABLE"), retry_after="5")), 5),
        (read_refusal(*spread(rpc(503, "UNAVAILABLE"))), None),
    ],
)
def test_google_says_how_long_to_wait(refusal: Refusal, seconds: float | None) -> None:
    error = refusal.error()
    assert isinstance(error, Transient)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"code": 5, "message": "Requested entity was not found."}, RecordGone),
        ({"code": 9, "message": STALE}, VersionConflict),
        ({"code": 3, "message": "bad"}, ItemRejected),
        ({"code": 14}, Transient),
        ({"code": 8}, Throttled),
        ({}, ItemRejected),
        (None, ItemRejected),
    ],
)
def test_items_of_a_batch_have_errors_of_their_own(status: Any, expected: type[TwinboxError]) -> None:
    assert type(item_refusal(status).error()) is expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("invalid_grant: Token has been expired or revoked.", {"error": "invalid_grant"}), NeedsRelink),
        (("Bad Request", {"error": "invalid_grant", "error_subtype": "invalid_rapt"}), NeedsRelink),
        (("Reauthentication is needed. Please run `gcloud auth application-default login`",), NeedsRelink),
        (("invalid_client: gone", {"error": "invalid_client"}), Misconfigured),
        (("x", {"error": "unauthorized_client"}), Misconfigured),
        (("x", {"error": "deleted_client"}), Misconfigured),
        (("internal_failure", {"error": "internal_failure"}), Transient),
        (("<html>Bad Gateway</html>",), Transient),
        ((), Transient),
    ],
)
def test_a_refused_renewal_says_whose_fault_it_is(arguments: tuple[Any, ...], expected: type[TwinboxError]) -> None:
    assert type(token_error(refused(*arguments))) is expected


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), ssl.SSLError(), OSError("x")])
def test_a_broken_connection_passes(error: Exception) -> None:
    assert type(network_error(error)) is Transient
