"""PRETENDS Google's push notifications: channels that watch a calendar and call back, first `sync`, then `exists`.
Letters go to loopback only, through a sender that can be replaced; when to send is told by `calendar_api`."""

from __future__ import annotations

import http.client
import random
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from hashlib import blake2b
from urllib.parse import urlsplit

from sandbox.google.api_wire import Json
from sandbox.google.calendar_errors import CalendarError, invalid, not_found, required
from sandbox.google.calendar_knobs import CalendarKnobs

Sender = Callable[[str, Mapping[str, str]], int]
_ID = re.compile(r"[A-Za-z0-9\-_+/=]{1,64}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TRIES = 3
_SECONDS = 10


def send_to_loopback(address: str, headers: Mapping[str, str]) -> int:
    """POST an empty body; the HTTP status, 0 for a place that is not this machine or does not answer."""
    parts = urlsplit(address)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        return 0
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=_SECONDS)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target or "/", b"", dict(headers))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


@dataclass(slots=True)
class Channel:
    """One channel: what it watches, where it calls, until when."""

    id: str
    email: str
    calendar: str
    resource: str
    uri: str
    address: str
    token: str
    expires: datetime
    message: int = 0


@dataclass(frozen=True, slots=True)
class Notification:
    """One call back as it was or will be made; `status` is the answer, 0 for none."""

    channel: str
    state: str
    address: str
    headers: Mapping[str, str]
    status: int = 0
    tries: int = 0


class Channels:
    """All watch channels. `sent` is every call made; `sender` makes them. Safe to use from any thread."""

    def __init__(self, now: Callable[[], datetime], seed: int, knobs: CalendarKnobs) -> None:
        self.sender: Sender = send_to_loopback
        self.sent: list[Notification] = []
        self._now = now
        self._rng = random.Random(f"{seed} channels")
        self._knobs = knobs
        self._lock = threading.Lock()
        self._open: dict[str, Channel] = {}
        self._waiting: list[Notification] = []

    def watch(self, body: Json, email: str, calendar: str, root: str) -> Json:
        """Open a channel. Raises CalendarError for what Google refuses."""
        ident, address = body.get("id", ""), body.get("address", "")
        _check(body)
        now = self._now()
        with self._lock:
            self._drop_expired(now)
            if ident in self._open:
                raise CalendarError(400, "channelIdNotUnique", f"Channel id {ident} not unique")
            resource = blake2b(f"{email} {calendar}".encode(), digest_size=20).hexdigest()
            uri = f"{root}calendars/{calendar}/events?alt=json"
            channel = Channel(
                ident, email, calendar, resource, uri, address, body.get("token", ""), self._expiry(body, now)
            )
            self._open[ident] = channel
            self._queue(channel, "sync")
        answer: Json = {"kind": "api#channel", "id": ident, "resourceId": resource, "resourceUri": uri}
        answer["expiration"] = str(int(channel.expires.timestamp() * 1000))
        return {**answer, "token": channel.token} if channel.token else answer

    def stop(self, ident: str, resource: str, email: str) -> None:
        """Close a channel. Raises CalendarError 404 for one that is not this user's, or not of that resource."""
        with self._lock:
            self._drop_expired(self._now())
            known = self._open.get(ident)
            if known is None or known.resource != resource or known.email != email:
                raise not_found()
            del self._open[ident]

    def living(self) -> list[str]:
        """The ids of the channels now open."""
        with self._lock:
            self._drop_expired(self._now())
            return list(self._open)

    def changed(self, calendars: Iterable[str]) -> None:
        """Note that something happened on these calendars."""
        with self._lock:
            self._drop_expired(self._now())
            for calendar in calendars:
                for channel in [one for one in self._open.values() if one.calendar == calendar]:
                    self._queue(channel, "exists")

    def deliver(self) -> None:
        """Make the calls that wait, again those that failed with 5xx or no answer; call it without any lock."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for one in waiting:
            status = self.sender(one.address, one.headers)
            done = Notification(one.channel, one.state, one.address, one.headers, status, one.tries + 1)
            with self._lock:
                self.sent.append(done)
                if (status == 0 or status >= 500) and done.tries < _TRIES:
                    self._waiting.append(done)

    def _queue(self, channel: Channel, state: str) -> None:
        # "increasing, but not necessarily sequential" (google.md, C.4)
        channel.message += 1 if state == "sync" else self._rng.randint(1, 3)
        if self._knobs.lose_notifications:
            return
        headers = {
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Channel-Expiration": format_datetime(channel.expires, usegmt=True),
            "X-Goog-Resource-ID": channel.resource,
            "X-Goog-Resource-URI": channel.uri,
            "X-Goog-Resource-State": state,
            "X-Goog-Message-Number": str(channel.message),
        }
        if channel.token:
            headers["X-Goog-Channel-Token"] = channel.token
        self._waiting.append(Notification(channel.id, state, channel.address, headers))

    def _expiry(self, body: Json, now: datetime) -> datetime:
        most = now + timedelta(days=self._knobs.channel_days)
        ttl = body.get("params", {}).get("ttl", "")
        wanted = body.get("expiration", "")
        for text in (ttl, wanted):
            if text and not (text.isascii() and text.isdigit()):
                raise invalid(f"Invalid value for: {text}")
        if wanted:
            asked = datetime.fromtimestamp(int(wanted) / 1000, now.tzinfo)
            if asked <= now:
                raise invalid("The channel would have expired already.")
            return min(asked, most)
        return min(now + timedelta(seconds=int(ttl)), most) if ttl else most

    def _drop_expired(self, now: datetime) -> None:
        self._open = {ident: one for ident, one in self._open.items() if one.expires > now}


def _check(body: Json) -> None:
    for name in ("id", "type", "address"):
        if not body.get(name):
            raise required(f"Missing channel {name}.")
    if not _ID.fullmatch(body["id"]):
        raise CalendarError(400, "channelIdInvalid", "Invalid channel id.")
    if body["type"] not in ("web_hook", "webhook"):
        raise CalendarError(400, "channelUnknown", f"Unknown channel type: {body['type']}")
    parts = urlsplit(body["address"])
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise CalendarError(400, "push.webhookUrlNotHttps", f"WebHook callback must be HTTPS: {body['address']}")
