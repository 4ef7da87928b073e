"""PRETENDS the People API as one function from request to answer, without a socket: routing, sign-in, quotas, counting.
The operations are in `people_reads`, `people_writes` and `groups_calls`; HTTP is left to `api_http`."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from sandbox.google.api_wire import CHALLENGE, ApiAnswer, ApiRequest, Pairs, bearer, json_answer, overridden
from sandbox.google.consent import not_found_page
from sandbox.google.people_book import Book
from sandbox.google.people_call import STANDARD, Call, json_body
from sandbox.google.people_knobs import PeopleKnobs
from sandbox.google.people_limits import Quotas, Writers
from sandbox.google.people_operations import OPERATIONS, Operation
from sandbox.google.people_records import Profile
from sandbox.google.people_wire import (
    ApiError,
    Json,
    bad_field,
    scope_insufficient,
    service_disabled,
    unauthenticated,
)
from sandbox.google.records import TokenInfo
from sandbox.google.scopes import CONTACTS, CONTACTS_READONLY
from sandbox.google.store import Store


class PeopleApi:
    """The People API of one double. Safe to use from any thread.

    `calls` counts calls by operation ("connections.list", "people.batchUpdateContacts"), refused ones too;
    `violations` tells what no client of ours may do; `knobs` choose among the known ways of Google's behaviour.
    """

    def __init__(self, store: Store, now: Callable[[], datetime], seed: int = 0) -> None:
        """`store` knows users and tokens; `seed` fixes every name and etag."""
        self.knobs = PeopleKnobs()
        self.calls: Counter[str] = Counter()
        self.violations: list[str] = []
        self._store = store
        self._now = now
        self._seed = seed
        self._lock = threading.Lock()
        self._books: dict[str, Book] = {}
        self._quotas = Quotas()
        self._writers = Writers(self.violations)

    def book(self, who: str) -> Book:
        """The address book of a user, by e-mail address or `sub`. Raises KeyError for an unknown user."""
        sub = self._store.users[who].sub
        with self._lock:
            if sub not in self._books:
                self._books[sub] = Book(sub, self._now, random.Random(f"{self._seed} {sub}"), self.knobs)
            return self._books[sub]

    def handle(self, request: ApiRequest) -> ApiAnswer:
        """Answer one request, refusals included."""
        request = overridden(request)
        for operation in OPERATIONS:
            match = operation.path.fullmatch(request.path) if operation.method == request.method else None
            if match is not None:
                with self._lock:
                    self.calls[operation.name] += 1
                try:
                    return json_answer(self._carried_out(operation, match.group(1) if match.re.groups else "", request))
                except ApiError as error:
                    return json_answer(error.body(), error.http, CHALLENGE if error.http == 401 else {})
        return ApiAnswer(404, {"content-type": "text/html; charset=UTF-8"}, not_found_page().encode())

    def _carried_out(self, operation: Operation, resource: str, request: ApiRequest) -> Json:
        user = self._signed_in(operation, request)
        if self.knobs.service_disabled:
            raise service_disabled()
        _check_known(request.query, operation.params)
        body = json_body(request.body, request.headers) if operation.method != "GET" else {}
        call = Call(
            book=self.book(user.sub),
            me=Profile(user.sub, user.email, self._store.users[user.sub].name),
            knobs=self.knobs,
            quotas=self._quotas,
            now=self._now(),
            resource=resource,
            pairs=request.query,
            body=body,
        )
        if operation.act is None or call.flag("deleteContacts"):
            raise self._violated(f"{operation.name} {resource} by {user.email}: contacts are never deleted by us")
        if operation.critical:
            call.count_read()
        if not operation.writes:
            return self._done(operation, call, user.email)
        with self._writers.writing(user.email, operation.name):
            return self._done(operation, call, user.email)

    def _done(self, operation: Operation, call: Call, email: str) -> Json:
        if self.knobs.on_call is not None:
            self.knobs.on_call(operation.name, email)
        assert operation.act is not None
        with call.book.lock:
            return operation.act(call)

    def _signed_in(self, operation: Operation, request: ApiRequest) -> TokenInfo:
        token = bearer(request)
        if not token:
            raise unauthenticated(sent=False)
        user = self._store.token_active(token)
        if user is None:
            raise unauthenticated(sent=True)
        enough = {CONTACTS} if operation.writes or operation.act is None else {CONTACTS, CONTACTS_READONLY}
        if not enough & user.scopes:
            raise scope_insufficient(operation.rpc)
        return user

    def _violated(self, what: str) -> ApiError:
        with self._lock:
            self.violations.append(what)
        return ApiError("PERMISSION_DENIED", f"The sandbox refuses this call: {what}")


def _check_known(query: Pairs, params: frozenset[str]) -> None:
    for name, value in query:
        if name not in params and name not in STANDARD:
            text = (
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                f"Field '{name}' could not be found in request message."
            )
            raise bad_field("", text)
        if name == "alt" and value != "json":
            raise bad_field("alt", f'The sandbox answers in JSON only, not "{value}"')
