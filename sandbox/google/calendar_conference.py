"""PRETENDS the making of conferences: a request is `pending` in the answer and a success some time later.
That the success is one more change of the event is the point (google.md, C.3: an echo)."""

from __future__ import annotations

from hashlib import blake2b

from sandbox.google import calendar_meetings as meetings
from sandbox.google.api_wire import Json
from sandbox.google.calendar_errors import invalid
from sandbox.google.calendar_input import Draft
from sandbox.google.calendar_records import Copy
from sandbox.google.calendar_store import World

_MEET: Json = {
    "key": {"type": "hangoutsMeet"},
    "name": "Google Meet",
    "iconUri": "https://fonts.gstatic.com/s/i/productlogos/meet.png",
}


def asked(body: Json, held: Json) -> Json:
    """The body with a new request pending; one that was made before is ignored. Raises CalendarError."""
    wanted = body.get("conferenceData")
    if wanted is None:
        return body
    request = wanted.get("createRequest")
    before = held.get("conferenceData", {})
    if request is None:
        if not wanted.get("entryPoints"):
            raise invalid("Invalid conference data: a create request or entry points are required.")
        return body
    if not request.get("requestId"):
        raise invalid("Invalid conference data: requestId is required.")
    if before.get("createRequest", {}).get("requestId") == request["requestId"]:
        return {**body, "conferenceData": before}
    key = request.get("conferenceSolutionKey", {"type": "hangoutsMeet"})
    if key.get("type") != "hangoutsMeet":
        raise invalid("Invalid conference type value.")
    pending = {**request, "conferenceSolutionKey": key, "status": {"statusCode": "pending"}}
    return {**body, "conferenceData": {"createRequest": pending}}


def start(world: World, copy: Copy) -> None:
    """Let a pending conference come about later."""
    request = copy.shared.get("conferenceData", {}).get("createRequest", {})
    if request.get("status", {}).get("statusCode") != "pending":
        return

    def finish() -> None:
        now = world.agendas[copy.calendar].events.get(copy.id)
        if now is None or now.cancelled:
            return
        present = now.shared.get("conferenceData", {}).get("createRequest", {})
        if present.get("requestId") == request["requestId"] and present["status"]["statusCode"] == "pending":
            shared = {**now.shared, "conferenceData": _made(request)}
            meetings.rewrite(world, now, Draft(shared, now.own, now.status), "hand")

    world.next_time(world.knobs.conference_lag, finish)


def _made(request: Json) -> Json:
    letters = "".join(chr(ord("a") + byte % 26) for byte in blake2b(request["requestId"].encode()).digest()[:10])
    code = f"{letters[:3]}-{letters[3:7]}-{letters[7:]}"
    uri = f"https://meet.google.com/{code}"
    return {
        "createRequest": {**request, "status": {"statusCode": "success"}},
        "entryPoints": [{"entryPointType": "video", "uri": uri, "label": uri.removeprefix("https://")}],
        "conferenceSolution": _MEET,
        "conferenceId": code,
    }
