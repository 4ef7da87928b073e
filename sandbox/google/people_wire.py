"""PRETENDS the refusals of the People API, as plain values in the google.rpc form.
Requests and answers are those of `api_wire`; what is refused is decided by the operations."""

from __future__ import annotations

from typing import Any

from sandbox.google.api_wire import RPC as _RPC
from sandbox.google.api_wire import error_info

Json = dict[str, Any]
_CODES = {
    "INVALID_ARGUMENT": (3, 400),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "UNAUTHENTICATED": (16, 401),
}
ETAG_MISSING = (
    "Request must set person.etag or person.metadata.sources.etag for the source that is being updated."  # B.4
)
ETAG_STALE = (
    "Request person.etag is different than the current person.etag. Clear local cache and get the latest person."  # B.4
)
NOT_FOUND = "Requested entity was not found."
INVALID = "Request contains an invalid argument."


class ApiError(Exception):
    """A refusal in the google.rpc form: HTTP code, status name, text, details, legacy `errors`."""

    def __init__(
        self, status: str, message: str, *, http: int = 0, details: tuple[Json, ...] = (), legacy: Json | None = None
    ) -> None:
        """`status` is the google.rpc code by name; `http` only where Google pairs it with an unusual number."""
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.code, usual = _CODES[status]
        self.http = http or usual
        self.details = details
        self.legacy = legacy

    def body(self) -> Json:
        """The JSON of the answer."""
        error: Json = {"code": self.http, "message": self.message}
        if self.legacy is not None:
            error["errors"] = [self.legacy]
        error["status"] = self.status
        if self.details:
            error["details"] = list(self.details)
        return {"error": error}

    def rpc(self) -> Json:
        """The google.rpc.Status by which a batch names what went wrong with one item."""
        return {"code": self.code, "message": self.message}


def invalid(message: str = INVALID) -> ApiError:
    """400 INVALID_ARGUMENT."""
    return ApiError("INVALID_ARGUMENT", message)


def bad_field(name: str, message: str) -> ApiError:
    """400 for a request that does not fit the schema, with the BadRequest detail that names the field."""
    violation = {"field": name, "description": message} if name else {"description": message}
    return ApiError(
        "INVALID_ARGUMENT", message, details=({"@type": _RPC + "BadRequest", "fieldViolations": [violation]},)
    )


def not_found() -> ApiError:
    """404 for what is unknown, deleted or merged away."""
    return ApiError("NOT_FOUND", NOT_FOUND)


def stale() -> ApiError:
    """400 for an etag that is not the current one: not 409, not 412 (google.md, B.4)."""
    return ApiError("FAILED_PRECONDITION", ETAG_STALE)


def expired_sync_token(status: str) -> ApiError:
    """400 for a sync token past its age, in the form recorded in google.md, B.2."""
    text = "Sync token is expired. Clear local cache and retry call without the sync token."
    return ApiError(status, text, http=400, details=(error_info("EXPIRED_SYNC_TOKEN", "people.googleapis.com"),))


def unauthenticated(*, sent: bool) -> ApiError:
    """401 for a token that is dead or was never sent."""
    begin = (
        "Request had invalid authentication credentials."
        if sent
        else "Request is missing required authentication credential."
    )
    text = (
        f"{begin} Expected OAuth 2 access token, login cookie or other valid authentication credential. "
        "See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    legacy = {
        "message": "Invalid Credentials",
        "domain": "global",
        "reason": "authError",
        "location": "Authorization",
        "locationType": "header",
    }
    reason = () if sent else (error_info("CREDENTIALS_MISSING", "googleapis.com", service="people.googleapis.com"),)
    return ApiError("UNAUTHENTICATED", text, details=reason, legacy=legacy)


def scope_insufficient(method: str) -> ApiError:
    """403 for a living token without the contacts scope; `method` is Google's name of the call."""
    legacy = {"message": "Insufficient Permission", "domain": "global", "reason": "insufficientPermissions"}
    detail = error_info(
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com", method=method, service="people.googleapis.com"
    )
    text = "Request had insufficient authentication scopes."
    return ApiError("PERMISSION_DENIED", text, details=(detail,), legacy=legacy)


def service_disabled() -> ApiError:
    """403 when the administrator has not enabled the People API in the project."""
    text = (
        "People API has not been used in project 1234567890 before or it is disabled. Enable it by visiting "
        "https://console.developers.google.com/apis/api/people.googleapis.com/overview?project=1234567890 then retry."
    )
    legacy = {"message": text, "domain": "usageLimits", "reason": "accessNotConfigured"}
    detail = error_info(
        "SERVICE_DISABLED", "googleapis.com", service="people.googleapis.com", consumer="projects/1234567890"
    )
    return ApiError("PERMISSION_DENIED", text, details=(detail,), legacy=legacy)


def quota_exceeded(window_start: str) -> ApiError:
    """429 for too many critical reads in a minute (google.md, B.6)."""
    text = (
        "Quota exceeded for quota metric 'Critical read requests (Contact and Profile Reads)' and limit 'Critical read "
        "requests (Contact and Profile Reads) per minute per user' of service 'people.googleapis.com' for consumer "
        "'project_number:1234567890'."
    )
    detail = error_info(
        "RATE_LIMIT_EXCEEDED",
        "googleapis.com",
        quota_metric="people.googleapis.com/critical_read_requests",
        quota_limit="CriticalReadsPerMinutePerProjectPerUser",
        service="people.googleapis.com",
        consumer="projects/1234567890",
        window_start_time=window_start,
    )
    return ApiError("RESOURCE_EXHAUSTED", text, details=(detail,))


def full_sync_quota_exceeded() -> ApiError:
    """429 for too many first pages of a full sync; this quota cannot be raised (google.md, B.1 and B.6)."""
    failure = {"subject": "QUOTA_EXCEEDED", "description": "FBS quota limit exceeded"}
    detail = {"@type": _RPC + "QuotaFailure", "violations": [failure]}
    return ApiError("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).", details=(detail,))
