"""PRETENDS the refusals of the Calendar API: the legacy envelope, with google.rpc parts where Google adds them.
Texts and reasons are those of google.md, D; what is refused is decided by the operations."""

from __future__ import annotations

from sandbox.google.api_wire import Json, error_info

_SERVICE = "calendar-json.googleapis.com"


class CalendarError(Exception):
    """A refusal: HTTP code, domain, reason, text, and where in the request it lies."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        domain: str = "global",
        where: tuple[str, str] | None = None,
        status: str = "",
        details: tuple[Json, ...] = (),
    ) -> None:
        """`where` is (locationType, location); `status` and `details` are of the google.rpc form."""
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.domain = domain
        self.where = where
        self.status = status
        self.details = details

    def body(self) -> Json:
        """The JSON of the answer."""
        one: Json = {"domain": self.domain, "reason": self.reason, "message": self.message}
        if self.where is not None:
            one["locationType"], one["location"] = self.where
        error: Json = {"errors": [one], "code": self.code, "message": self.message}
        if self.status:
            error["status"] = self.status
        if self.details:
            error["details"] = list(self.details)
        return {"error": error}


def invalid(message: str = "Invalid Value", parameter: str = "") -> CalendarError:
    """400 invalid; of a query parameter if one is named."""
    return CalendarError(400, "invalid", message, where=("parameter", parameter) if parameter else None)


def required(message: str) -> CalendarError:
    """400 for something that must be there."""
    return CalendarError(400, "required", message)


def bad_request(message: str) -> CalendarError:
    """400 for a request that fits no schema."""
    return CalendarError(400, "badRequest", message)


def range_empty(location: str = "timeMax") -> CalendarError:
    """400 for an end that is not after its start."""
    where = ("parameter", location)
    return CalendarError(400, "timeRangeEmpty", "The specified time range is empty.", domain="calendar", where=where)


def type_restricted(message: str) -> CalendarError:
    """400 for what this type of event does not allow."""
    return CalendarError(400, "eventTypeRestriction", message, domain="calendar")


def malformed_working_location(message: str) -> CalendarError:
    """400 for a working location that is not laid out as one."""
    return CalendarError(400, "malformedWorkingLocationEvent", message, domain="calendar")


def not_organizer() -> CalendarError:
    """403 for a guest who would change what all guests see."""
    text = "Shared properties can only be changed by the organizer of the event."
    return CalendarError(403, "forbiddenForNonOrganizer", text, domain="calendar")


def forbidden() -> CalendarError:
    """403 without more words."""
    return CalendarError(403, "forbidden", "Forbidden")


def writer_required() -> CalendarError:
    """403 for somebody who may only look."""
    text = "You need to have writer access to this calendar."
    return CalendarError(403, "requiredAccessLevel", text, domain="calendar")


def not_a_calendar_user() -> CalendarError:
    """403 for an account whose administrator switched the calendar off."""
    return CalendarError(403, "notACalendarUser", "The user must be signed up for Google Calendar.", domain="calendar")


def not_found() -> CalendarError:
    """404 for what never was, or is not for these eyes."""
    return CalendarError(404, "notFound", "Not Found")


def duplicate() -> CalendarError:
    """409 for an id that was used, be it by an event deleted since."""
    return CalendarError(409, "duplicate", "The requested identifier already exists.")


def deleted() -> CalendarError:
    """410 for deleting what is deleted."""
    return CalendarError(410, "deleted", "Resource has been deleted")


def full_sync_required() -> CalendarError:
    """410 for a sync token that is no longer good, whatever made it so."""
    text = "Sync token is no longer valid, a full sync is required."
    return CalendarError(410, "fullSyncRequired", text, domain="calendar", where=("parameter", "syncToken"))


def updated_min_too_long_ago() -> CalendarError:
    """410 for a lower bound of changes beyond what is remembered."""
    text = "The requested minimum modification time lies too far in the past."
    return CalendarError(410, "updatedMinTooLongAgo", text, domain="calendar", where=("parameter", "updatedMin"))


def invalid_sync_token() -> CalendarError:
    """400 for a word that is no sync token."""
    return invalid("Invalid sync token value.", "syncToken")


def precondition_failed() -> CalendarError:
    """412 for an etag that is not the current one."""
    return CalendarError(412, "conditionNotMet", "Precondition Failed", where=("header", "If-Match"))


def usage(reason: str, message: str, code: int = 403) -> CalendarError:
    """A limit: rateLimitExceeded, userRateLimitExceeded, quotaExceeded."""
    return CalendarError(code, reason, message, domain="usageLimits")


def unauthenticated() -> CalendarError:
    """401 for a token that is dead or was never sent."""
    where = ("header", "Authorization")
    return CalendarError(401, "authError", "Invalid Credentials", where=where, status="UNAUTHENTICATED")


def scope_insufficient(method: str) -> CalendarError:
    """403 for a living token without the scope; `method` is Google's name of the call."""
    detail = error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com", method=method, service=_SERVICE)
    return CalendarError(
        403,
        "insufficientPermissions",
        "Request had insufficient authentication scopes.",
        status="PERMISSION_DENIED",
        details=(detail,),
    )


def service_disabled() -> CalendarError:
    """403 when the administrator has not enabled the Calendar API in the project."""
    text = (
        "Google Calendar API has not been used in project 1234567890 before or it is disabled. Enable it by visiting "
        f"https://console.developers.google.com/apis/api/{_SERVICE}/overview?project=1234567890 then retry."
    )
    detail = error_info("SERVICE_DISABLED", "googleapis.com", service=_SERVICE, consumer="projects/1234567890")
    return CalendarError(
        403, "accessNotConfigured", text, domain="usageLimits", status="PERMISSION_DENIED", details=(detail,)
    )
