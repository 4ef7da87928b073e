"""One signed-in connection to an API of Google: the service object, one call at a time, failures translated. The People
API is here, Calendar in `calendar_client`; what an answer means is left to those who call, addresses to the guard."""

from __future__ import annotations

import http.client
import importlib
import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Protocol

import httplib2
import orjson
from google.auth.exceptions import GoogleAuthError, TransportError
from googleapiclient.errors import HttpError

from core.errors import Transient
from core.ports import Access, Clock
from providers.google.errors import PEOPLE, Json, Refusal, Wording, network_error, read_refusal, token_error
from providers.protocols.connect import Guard
from providers.protocols.httplib import GuardedHttp

# By name: the types that are published for these modules leave out what is used of them.
_discovery: Any = importlib.import_module("googleapiclient.discovery")
_documents: Any = importlib.import_module("googleapiclient.discovery_cache")
_oauth2: Any = importlib.import_module("google.oauth2.credentials")
_authorized: Any = importlib.import_module("google_auth_httplib2")

# All we ever call. Nothing that deletes is among them, so no fault of ours can reach it.
_CALLS: dict[str, Any] = {
    "people": {
        "methods": ("batchCreateContacts", "batchUpdateContacts", "getBatchGet"),
        "resources": {"connections": {"methods": ("list",)}},
    },
    "contactGroups": {
        "methods": ("list", "create"),
        "resources": {"members": {"methods": ("modify",)}},
    },
}
_NO_ANSWER = frozenset({"calendar.channels.stop"})
_SECOND = timedelta(seconds=1)


class Http(Protocol):
    """What is needed of httplib2.Http."""

    def request(self, uri: str, method: str = ..., body: Any = ..., headers: Any = ...) -> Any: ...

    def close(self) -> None: ...


class Connection:
    """Calls of one API for one account, strictly one at a time: Google asks for that of contacts, since changes of one
    user made in parallel fail (people.batchUpdateContacts, "should be sent sequentially")."""

    def __init__(self, http: Http, *, now: Clock, wording: Wording) -> None:
        self._http = http
        self._now = now
        self._wording = wording
        self._clock = _ClockOffset()

    @property
    def skew(self) -> float:
        """Seconds Google's clock is ahead of ours, as far as its answers tell."""
        return self._clock.seconds

    def now(self) -> datetime:
        """The time at Google."""
        return self._now() + timedelta(seconds=self.skew)

    def call(self, request: Any) -> Json:
        """Carry out a request; its answer is a JSON object. Raises what `core.errors` has for any refusal."""
        answer = self.attempt(request)
        if isinstance(answer, Refusal):
            raise answer.error()
        return answer

    def attempt(self, request: Any) -> Json | Refusal:
        """Carry out a request; a refusal that speaks of what was asked for is given back.

        Raises Transient (also when it is unknown whether a write took effect), Throttled, NeedsRelink or
        Misconfigured.
        """
        begin = self._now()
        # Only what takes something away answers with nothing; of a list, nothing would be everything gone.
        takes_away = request.method == "DELETE" or request.methodId in _NO_ANSWER
        request.postproc = _read_nothing if takes_away else _read_answer
        request.add_response_callback(lambda response: self._clock.heard(response.get("date", ""), begin, self._now()))
        try:
            answer: Json = request.execute(num_retries=0)
        except HttpError as error:
            refusal = read_refusal(int(error.resp.status), error.resp, error.content, self.now(), self._wording)
            if refusal.about_request:
                return refusal
            raise refusal.error() from None  # the error's own text holds the whole address
        except TransportError as error:
            raise network_error(error) from error
        except GoogleAuthError as error:
            raise token_error(error) from error
        except (OSError, http.client.HTTPException, httplib2.error.HttpLib2Error) as error:
            raise network_error(error) from error
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


class PeopleClient:
    """The People API as one account may use it. The resource objects are kept: making one builds classes at run time
    and takes longer than a request."""

    def __init__(self, http: Http, *, root: str = "", now: Clock) -> None:
        """`root` replaces Google's own address. Nothing is sent yet."""
        service = build_service(_document(), http, root or "https://people.googleapis.com")
        self.people = service.people()
        self.connections = self.people.connections()
        self.groups = service.contactGroups()
        self.members = self.groups.members()
        self._connection = Connection(http, now=now, wording=PEOPLE)

    @property
    def skew(self) -> float:
        """Seconds Google's clock is ahead of ours, as far as its answers tell."""
        return self._connection.skew

    def call(self, request: Any) -> Json:
        """As `Connection.call`."""
        return self._connection.call(request)

    def attempt(self, request: Any) -> Json | Refusal:
        """As `Connection.attempt`."""
        return self._connection.attempt(request)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_client(guard: Guard, access: Access, *, root: str, now: Clock) -> PeopleClient:
    """A client for one account over the guarded network. Touches no network yet."""
    return PeopleClient(signed_http(guard, access), root=root, now=now)


def signed_http(guard: Guard, access: Access) -> Http:
    """HTTP over the guarded network that carries the account's token."""
    credentials = _oauth2.Credentials(None, refresh_handler=_Tokens(access))
    # One renewal is enough: a token that was renewed just now and is refused again will not get better.
    signed: Http = _authorized.AuthorizedHttp(credentials, http=GuardedHttp(guard), max_refresh_attempts=1)
    return signed


def build_service(document: str, http: Http, base: str) -> Any:
    """The service object for an API's document; `base` is its address with the path that all its calls have."""
    # Both are given, so that GOOGLE_CLOUD_UNIVERSE_DOMAIN and GOOGLE_API_USE_MTLS_ENDPOINT have no say in it.
    options = {"universe_domain": "googleapis.com", "api_endpoint": base.rstrip("/") + "/"}
    return _discovery.build_from_document(document, http=http, client_options=options)


def cut_document(name: str, version: str, calls: Json) -> str:
    """The bundled description of an API, cut down to what is called. As text: building a service writes into it, and
    threads would meet there; read anew it costs a tenth of a millisecond."""
    whole = json.loads(_documents.get_static_doc(name, version))
    whole["resources"] = _only(whole["resources"], calls)
    whole.pop("mtlsRootUrl", None)
    return json.dumps(whole)


class _Tokens:
    """Our `Access` as the refresh handler of google-auth: asked once, and again when Google refused the token."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._given = False

    def __call__(self, _request: Any, scopes: Any = None) -> tuple[str, datetime]:
        """A token and its end in naive UTC, as google-auth wants it: `Access` watches over that, so here it has none.

        Errors of `Access` pass through google-auth as they are.
        """
        del scopes  # those that were granted are what there is
        token = self._access.secret(refresh=self._given)
        self._given = True
        return token.reveal(), datetime.max  # noqa: DTZ901


@lru_cache(maxsize=1)
def _document() -> str:
    return cut_document("people", "v1", _CALLS)


def _only(resources: Json, wanted: Json) -> Json:
    return {
        name: {
            "methods": {method: resources[name]["methods"][method] for method in calls["methods"]},
            "resources": _only(resources[name].get("resources", {}), calls.get("resources", {})),
        }
        for name, calls in wanted.items()
    }


def _read_answer(_response: Any, content: bytes) -> Json:
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        # A portal or proxy that answers in Google's place says 200 as well.
        raise Transient("something other than Google's API answered")
    return answer


def _read_nothing(response: Any, content: bytes) -> Json:
    return _read_answer(response, content) if content.strip() else {}


class _ClockOffset:
    """How far the other clock is ahead, from `Date` headers. They tell whole seconds, so each answer gives a span;
    what lies in all of them is believed, and 0 whenever it may be true."""

    def __init__(self) -> None:
        self._low, self._high = -float("inf"), float("inf")

    @property
    def seconds(self) -> float:
        if self._low <= 0 <= self._high:
            return 0.0
        return (self._low + self._high) / 2

    def heard(self, date: str, begin: datetime, end: datetime) -> None:
        try:
            told = parsedate_to_datetime(date)
        except ValueError:
            return
        told = told.replace(tzinfo=told.tzinfo or UTC)
        low, high = (told - end).total_seconds(), (told + _SECOND - begin).total_seconds()
        self._low, self._high = max(self._low, low), min(self._high, high)
        if self._low > self._high:  # one of the clocks was set meanwhile
            self._low, self._high = low, high
