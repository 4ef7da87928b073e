"""PRETENDS HTTP around one of Google's APIs: routes, and an httplib2-like object that needs no socket at all.
Both are thin: every answer is made by the API itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import RemoteDisconnected
from typing import Protocol
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.faults import Fault, Faults
from sandbox.google.api_wire import ApiAnswer, ApiRequest
from sandbox.google.authorization import AuthRequest, Consent
from sandbox.google.scopes import CONTACTS
from sandbox.google.store import Store

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_REDIRECT = "http://127.0.0.1"


class Api(Protocol):
    """One of Google's APIs as a function from request to answer."""

    def handle(self, request: ApiRequest) -> ApiAnswer: ...


def api_routes(api: Api, *roots: str) -> list[Route]:
    """Everything below these paths is answered by `api`, unknown paths too."""

    async def serve(request: Request) -> Response:
        asked = ApiRequest(
            request.method,
            request.scope["path"],
            tuple(request.query_params.multi_items()),
            dict(request.headers),
            await request.body(),
        )
        # In a thread: a hook may block, and two calls must be able to meet.
        answer = await run_in_threadpool(api.handle, asked)
        return Response(answer.body, answer.status, dict(answer.headers))

    return [Route(f"{root}{{rest:path}}", serve, methods=_METHODS) for root in roots]


class WireResponse(dict[str, str]):
    """Headers in lower case with `status` and `reason`: what httplib2.Response is to its callers."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__({**headers, "status": str(status)})
        self.status = status
        self.reason = HTTPStatus(status).phrase


class InProcessHttp:
    """Stands in for httplib2.Http with google-api-python-client: `build_from_document(doc, http=InProcessHttp(...))`.

    `token` is the bearer token, or a function asked for one before every request. `faults` are those of
    `sandbox.faults`, played without waiting: a canned answer (with `apply` after the work), or a connection that
    ends without an answer, `before` or `after` the work; then RemoteDisconnected is raised and nothing sent again.
    """

    def __init__(self, api: Api, token: str | Callable[[], str], faults: Faults | None = None) -> None:
        self._api = api
        self._token = token
        self._faults = faults or Faults()

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        redirections: int = 0,
        connection_type: object = None,
    ) -> tuple[WireResponse, bytes]:
        """Carry out one request; the signature is httplib2's."""
        del redirections, connection_type
        parts = urlsplit(uri)
        token = self._token if isinstance(self._token, str) else self._token()
        named = {name.lower(): value for name, value in (headers or {}).items()}
        asked = ApiRequest(
            method,
            unquote(parts.path),
            tuple(parse_qsl(parts.query, keep_blank_values=True)),
            {**named, "authorization": f"Bearer {token}"},
            body.encode() if isinstance(body, str) else body or b"",
        )
        fault = self._faults.take(method, asked.path)
        answer = self._api.handle(asked) if fault is None else self._spoiled(fault, asked)
        return WireResponse(answer.status, answer.headers), answer.body

    def _spoiled(self, fault: Fault, asked: ApiRequest) -> ApiAnswer:
        fault.reached.set()
        own = self._api.handle(asked) if fault.apply or fault.drop == "after" else None
        if fault.drop is not None:
            raise RemoteDisconnected("Remote end closed connection without response")
        if fault.reply is None:
            return own or self._api.handle(asked)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in fault.reply.headers}
        return ApiAnswer(fault.reply.status, headers, fault.reply.body)

    def close(self) -> None:
        """Nothing is open."""


def access_token(store: Store, email: str, *scopes: str) -> str:
    """A new access token of that user, by a consent given on the spot; for contacts unless scopes are named."""
    client = store.clients.find("in-process") or store.clients.add("desktop", client_id="in-process")
    request = AuthRequest(
        client=client,
        redirect_uri=_REDIRECT,
        scopes=frozenset(scopes or (CONTACTS,)),
        state=None,
        offline=False,
        prompt=frozenset(),
        include_granted=False,
        login_hint=email,
        nonce=None,
        challenge=None,
    )
    code = parse_qs(urlsplit(store.decide(request, Consent())).query)["code"][0]
    return store.exchange(client, code, _REDIRECT, None).access.token
