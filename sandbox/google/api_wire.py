"""PRETENDS the wire all Google APIs share, without a socket: requests and answers as plain values, JSON, overrides.
What is refused and how is left to each API (`people_wire`, `calendar_errors`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]
Pairs = tuple[tuple[str, str], ...]
RPC = "type.googleapis.com/google.rpc."
CHALLENGE = {"www-authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request: percent-decoded path, query in its order, header names in lower case."""

    method: str
    path: str
    query: Pairs = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """One HTTP answer: status, headers in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def json_answer(content: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> ApiAnswer:
    """An answer in JSON; compact, since indenting costs more than everything else here."""
    kind = {"content-type": "application/json; charset=UTF-8"}
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return ApiAnswer(status, {**kind, **(headers or {})}, body)


def error_info(reason: str, domain: str, **metadata: str) -> Json:
    """A google.rpc.ErrorInfo detail."""
    info: Json = {"@type": RPC + "ErrorInfo", "reason": reason, "domain": domain}
    return {**info, "metadata": metadata} if metadata else info


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


def bearer(request: ApiRequest) -> str:
    """The bearer token of a request, "" if there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def overridden(request: ApiRequest) -> ApiRequest:
    """Undo the method override by which the client library sends addresses of more than 2,048 characters."""
    method = request.headers.get("x-http-method-override", "").upper()
    if request.method != "POST" or not method:
        return request
    if method != "GET":
        return ApiRequest(method, request.path, request.query, request.headers, request.body)
    form = tuple(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    return ApiRequest("GET", request.path, (*request.query, *form), request.headers)
