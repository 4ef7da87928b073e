"""PRETENDS the Calendar API as one function from request to answer, without a socket: routing, sign-in, limits.
The operations are in `calendar_reads`, `calendar_writes`, `calendar_listing` and `calendar_watching`."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from sandbox.google.api_wire import CHALLENGE, ApiAnswer, ApiRequest, Json, Pairs, bearer, json_answer, overridden
from sandbox.google.calendar_book import CalendarBook
from sandbox.google.calendar_call import STANDARD, Call, json_body
from sandbox.google.calendar_channels import Channels
from sandbox.google.calendar_errors import (
    CalendarError,
    bad_request,
    not_a_calendar_user,
    not_found,
    scope_insufficient,
    service_disabled,
    unauthenticated,
)
from sandbox.google.calendar_knobs import CalendarKnobs
from sandbox.google.calendar_limits import Limits
from sandbox.google.calendar_operations import OPERATIONS, ROOT, Operation
from sandbox.google.calendar_pages import Pages
from sandbox.google.calendar_records import Mail
from sandbox.google.calendar_store import World
from sandbox.google.records import TokenInfo
from sandbox.google.store import Store


class CalendarApi:
    """The Calendar API of one double. Safe to use from any thread.

    `calls` counts calls by operation ("events.list", "events.patch"), refused ones too; `mails` are the letters
    Google would have sent; `violations` tells what no client of ours may do; `channels` are the watch channels;
    `knobs` choose among the known ways of Google's behaviour.
    """

    def __init__(
        self, store: Store, now: Callable[[], datetime], seed: int = 0, knobs: CalendarKnobs | None = None
    ) -> None:
        """`store` knows users and tokens; `seed` fixes every id drawn."""
        self._knobs = knobs or CalendarKnobs()
        self.calls: Counter[str] = Counter()
        self.violations: list[str] = []
        self.channels = Channels(now, seed, self._knobs)
        self._store = store
        self._world = World(store, now, seed, self._knobs)
        self._world.after.append(self._tell)
        self._pages = Pages(self.knobs, self.violations)
        self._limits = Limits(now, self._knobs)
        self._count_lock = threading.Lock()
        self._books: dict[str, CalendarBook] = {}

    @property
    def knobs(self) -> CalendarKnobs:
        """Turn them at any time; all parts share this one object."""
        return self._knobs

    @property
    def mails(self) -> list[Mail]:
        """The letters Google would have sent, oldest first; clear the list to start anew."""
        return self._world.mails

    def book(self, who: str) -> CalendarBook:
        """The calendars of a user, by e-mail address or `sub`, as the person sees them. Raises KeyError if unknown."""
        email = self._store.users[who].email
        with self._world.acting():
            if email not in self._books:
                self._books[email] = CalendarBook(self._world, self._world.primary_of(email))
            return self._books[email]

    def outsider(self, email: str) -> CalendarBook:
        """The calendar of somebody who is no user here: to invite from and to answer. Raises ValueError for a user."""
        with self._world.acting():
            agenda = self._world.outsider(email)
            return self._books.setdefault(email, CalendarBook(self._world, agenda))

    def expire_sync_tokens(self) -> None:
        """Let every sync token given out so far be good for nothing: Google's whim."""
        with self._world.acting():
            self._pages.expire()

    def handle(self, request: ApiRequest) -> ApiAnswer:
        """Answer one request, refusals included."""
        request = overridden(request)
        for operation in OPERATIONS:
            match = operation.path.fullmatch(request.path) if operation.method == request.method else None
            if match is not None:
                with self._count_lock:
                    self.calls[operation.name] += 1
                try:
                    content = self._carried_out(operation, match.groupdict(), request)
                except CalendarError as error:
                    return _refused(error)
                if operation.empty:
                    return ApiAnswer(204, {}, b"")
                return json_answer(content, headers={"etag": content["etag"]} if "etag" in content else {})
        return _refused(not_found())

    def _carried_out(self, operation: Operation, named: dict[str, str], request: ApiRequest) -> Json:
        user = self._signed_in(operation, request)
        if self.knobs.service_disabled:
            raise service_disabled()
        if user.email in self.knobs.no_calendar:
            raise not_a_calendar_user()
        _check_known(request.query, operation.params)
        call = Call(
            world=self._world,
            pages=self._pages,
            channels=self.channels,
            limits=self._limits,
            email=user.email,
            operation=operation.name,
            owned_only=operation.only_owned(user.scopes),
            pairs=request.query,
            headers=request.headers,
            calendar=named.get("calendarId", ""),
            event=named.get("eventId", ""),
            body=json_body(request.body, request.headers) if operation.takes_body else {},
        )
        if self.knobs.on_call is not None:
            self.knobs.on_call(operation.name, user.email)
        with self._world.acting():
            self._limits.count_request(user.email, writes=operation.writes)
            return operation.act(call)

    def _signed_in(self, operation: Operation, request: ApiRequest) -> TokenInfo:
        user = self._store.token_active(bearer(request))
        if user is None:
            raise unauthenticated()
        if not operation.allowed(user.scopes):
            raise scope_insufficient(f"calendar.v3.{operation.name}")
        return user

    def _tell(self) -> None:
        with self._world.lock:
            touched = list(self._world.touched)
            self._world.touched.clear()
        self.channels.changed(touched)
        self.channels.deliver()


def _refused(error: CalendarError) -> ApiAnswer:
    if error.code == 304:
        return ApiAnswer(304, {}, b"")
    return json_answer(error.body(), error.code, CHALLENGE if error.code == 401 else {})


def _check_known(query: Pairs, params: frozenset[str]) -> None:
    for name, value in query:
        if name not in params and name not in STANDARD:
            text = (
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                f"Field '{name}' could not be found in request message."
            )
            raise bad_request(text)
        if name == "alt" and value != "json":
            raise bad_request(f'The sandbox answers in JSON only, not "{value}"')


__all__ = ["ROOT", "CalendarApi"]
