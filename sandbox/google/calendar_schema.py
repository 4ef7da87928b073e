"""PRETENDS the members of an Event: what Google knows, what clients may write, which belong to one copy only.
Read off the discovery document calendar.v3 (revision 20261030); a test holds this table against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.google.api_wire import Json, words
from sandbox.google.calendar_errors import bad_request

# A kind is "text", "flag", "number", "any", "texts by name", a tuple of one kind (a list), or members by name.
Kind = Any


def _members(texts: str = "", flags: str = "", numbers: str = "", **others: Kind) -> Mapping[str, Kind]:
    return {
        **dict.fromkeys(texts.split(), "text"),
        **dict.fromkeys(flags.split(), "flag"),
        **dict.fromkeys(numbers.split(), "number"),
        **others,
    }


_WHEN = _members("date dateTime timeZone")
_PERSON = _members("displayName email id", "self")
_NAMED = "texts by name"
_REMINDER = _members("method", numbers="minutes")
_SOLUTION_KEY = _members("type")
_DECLINING = "autoDeclineMode declineMessage"
_ENTRY = _members(
    "accessCode entryPointType label meetingCode passcode password pin regionCode uri", entryPointFeatures=("text",)
)
_CONFERENCE = _members(
    "conferenceId notes signature",
    conferenceSolution=_members("iconUri name", key=_SOLUTION_KEY),
    createRequest=_members("requestId", conferenceSolutionKey=_SOLUTION_KEY, status=_members("statusCode")),
    entryPoints=(_ENTRY,),
    parameters={"addOnParameters": {"parameters": _NAMED}},
)
ATTENDEE = _members(
    "asyncOperation comment displayName email id responseStatus", "optional organizer resource self", "additionalGuests"
)
EVENT: Mapping[str, Kind] = _members(
    "colorId created description etag eventLabelId eventType hangoutLink htmlLink iCalUID id kind location "
    "recurringEventId status summary transparency updated visibility",
    "anyoneCanAddSelf attendeesOmitted endTimeUnspecified guestsCanInviteOthers guestsCanModify "
    "guestsCanSeeOtherGuests locked privateCopy",
    "sequence",
    attachments=(_members("fileId fileUrl iconLink mimeType title"),),
    attendees=(ATTENDEE,),
    birthdayProperties=_members("contact customTypeName type"),
    conferenceData=_CONFERENCE,
    creator=_PERSON,
    end=_WHEN,
    extendedProperties={"private": _NAMED, "shared": _NAMED},
    focusTimeProperties=_members(f"{_DECLINING} chatStatus"),
    gadget=_members("display iconLink link title type", numbers="height width", preferences=_NAMED),
    organizer=_PERSON,
    originalStartTime=_WHEN,
    outOfOfficeProperties=_members(_DECLINING),
    recurrence=("text",),
    reminders=_members(flags="useDefault", overrides=(_REMINDER,)),
    source=_members("title url"),
    start=_WHEN,
    workingLocationProperties=_members(
        "type",
        customLocation=_members("label"),
        homeOffice="any",
        officeLocation=_members("buildingId deskId floorId floorSectionId label"),
    ),
)
CHANNEL: Mapping[str, Kind] = _members(
    "address expiration id kind resourceId resourceUri token type", "payload", params=_NAMED
)

# Sent back by clients that echo what they read, and ignored; the organizer counts in an import.
READ_ONLY = words(
    "kind etag created updated creator organizer htmlLink hangoutLink recurringEventId originalStartTime sequence "
    "gadget locked id iCalUID attendeesOmitted"
)
EVENT_TYPES = frozenset({"birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"})
CHOICES: Mapping[str, tuple[str, ...]] = {
    "status": ("confirmed", "tentative", "cancelled"),
    "transparency": ("opaque", "transparent"),
    "visibility": ("default", "public", "private", "confidential"),
}
# Values that say no more than the member's absence.
DEFAULTS: Json = {
    "transparency": "opaque",
    "visibility": "default",
    "anyoneCanAddSelf": False,
    "endTimeUnspecified": False,
    "guestsCanInviteOthers": True,
    "guestsCanModify": False,
    "guestsCanSeeOtherGuests": True,
    "privateCopy": False,
}
OWN = frozenset({"reminders", "colorId", "eventLabelId", "private"})


def fits(kind: Kind, value: Any, where: str) -> None:
    """Raises CalendarError 400 for an unknown member or a value of the wrong JSON type; null fits everywhere."""
    if value is None or kind == "any":
        return
    if isinstance(kind, tuple):
        if not isinstance(value, list):
            raise _wrong(where, "a list")
        for index, item in enumerate(value):
            fits(kind[0], item, f"{where}[{index}]")
    elif isinstance(kind, str) and kind != _NAMED:
        wanted = {"text": str, "flag": bool, "number": int}[kind]
        if type(value) is not wanted:
            raise _wrong(where, kind)
    elif not isinstance(value, dict):
        raise _wrong(where, "an object")
    else:
        for name, member in value.items():
            if kind != _NAMED and name not in kind:
                raise bad_request(f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}'.")
            fits("text" if kind == _NAMED else kind[name], member, f"{where}.{name}")


def _wrong(where: str, wanted: str) -> Exception:
    return bad_request(f"Invalid value at '{where}' ({wanted})")


def merged(old: Any, new: Any) -> Any:
    """What a PATCH leaves: objects are merged member by member, null takes away, all else replaces, lists too."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    found = dict(old)
    for name, value in new.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(old.get(name, {} if isinstance(value, dict) else None), value)
    return found


def without_null(value: Any) -> Any:
    """The same without members set to null."""
    if isinstance(value, dict):
        return {name: without_null(member) for name, member in value.items() if member is not None}
    return [without_null(item) for item in value if item is not None] if isinstance(value, list) else value
