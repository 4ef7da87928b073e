"""Reads provider rows in the form of presets.toml and says by key what is wrong with them.
Where rows come from is left to the registry (`providers`) and to the database."""

from __future__ import annotations

import difflib
import enum
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from core.errors import Misconfigured, Refused
from core.provider import AuthMethod, Endpoint, LoginFormat, OAuthEndpoints, ProviderSpec, SentCopy
from core.types import Channel, Security
from providers.protocols.networks import checked_host

# RFC 8314 3.3 and 7.3, RFC 6409 3.1, RFC 9051 2.1; plain exists for test servers only.
_PORTS = {
    ("imap", Security.TLS): 993,
    ("imap", Security.STARTTLS): 143,
    ("imap", Security.PLAIN): 143,
    ("smtp", Security.TLS): 465,
    ("smtp", Security.STARTTLS): 587,
    ("smtp", Security.PLAIN): 587,
}
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_ENDPOINT_KEYS = ("host", "port", "security")
_URL_KEYS = ("authorize_url", "token_url", "revoke_url", "userinfo_url", "certs_url")
_OAUTH_KEYS = (*_URL_KEYS, "issuers", "identity_scopes", "channel_scopes", "optional_scopes", "extra_params")

E = TypeVar("E", bound=enum.StrEnum)


@dataclass(slots=True)
class _Problems:
    """Collects what is wrong, so that all of it is reported at once."""

    source: str
    found: list[str] = field(default_factory=list)

    def add(self, key: str, text: str) -> None:
        self.found.append(f"{key}: {text}")

    def unknown(self, keys: Mapping[str, object], known: tuple[str, ...], prefix: str = "") -> None:
        for key in keys:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                self.add(f"{prefix}{key}", "no such key" + (f"; did you mean {near[0]}?" if near else ""))

    def check(self) -> None:
        if self.found:
            raise Misconfigured(f"{self.source}: {'; '.join(self.found)}", advice="Correct these values.")


def parse_document(text: str, source: str) -> Mapping[str, Mapping[str, Any]]:
    """The tables of a preset file, one per provider, and `oauth`. Raises Misconfigured with line and column."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{source}: {error}", advice="Correct the file; its form is TOML 1.0.") from error
    problems = _Problems(source)
    for name, table in document.items():
        if not isinstance(table, dict):
            problems.add(name, "a table was expected, such as [gmail]")
    problems.check()
    return document


def read_oauth(document: Mapping[str, Mapping[str, Any]], source: str) -> Mapping[str, OAuthEndpoints]:
    """The `[oauth.*]` tables of a preset file. Raises Misconfigured."""
    found = {}
    for name, table in document.get("oauth", {}).items():
        problems = _Problems(f"{source}: [oauth.{name}]")
        endpoints = _oauth(table, problems)
        problems.check()
        found[name] = endpoints
    return found


def build_spec(
    base: ProviderSpec | None,
    row: Mapping[str, Any],
    *,
    oauth: Mapping[str, OAuthEndpoints],
    source: str,
    builtin: bool,
) -> ProviderSpec:
    """Lay a row over `base`, or over nothing. Raises Misconfigured listing every problem."""
    problems = _Problems(source)
    problems.unknown(row, (*_READERS, "name", "imap", "smtp", "smtp_alternatives", "oauth"))
    name = str(row.get("name", base.name if base else ""))
    if not _NAME.fullmatch(name) or name == "oauth":
        problems.add("name", f"{name!r} is not a name of lower-case letters, digits, - and _")
    values: dict[str, Any] = {"name": name, "builtin": builtin}
    for key, reader in _READERS.items():
        if key in row:
            values[key] = reader(row[key], key, problems)
    for key in ("imap", "smtp"):
        values[key] = _endpoint(key, row.get(key, {}), getattr(base, key, None), problems)
    if "smtp_alternatives" in row:
        values["smtp_alternatives"] = _alternatives(row["smtp_alternatives"], values["smtp"], problems)
    elif base and values["smtp"].host != base.smtp.host:
        values["smtp_alternatives"] = ()  # those were ports of the other host
    if "oauth" in row:
        values["oauth"] = _oauth(row["oauth"], problems)
    problems.check()
    spec = replace(base, **values) if base else ProviderSpec(**{"title": name, **values})
    return _with_oauth(spec, row, oauth, problems)


def _with_oauth(
    spec: ProviderSpec, row: Mapping[str, Any], oauth: Mapping[str, OAuthEndpoints], problems: _Problems
) -> ProviderSpec:
    if "oauth" not in row and spec.oauth_provider and (spec.oauth is None or "oauth_provider" in row):
        if spec.oauth_provider not in oauth:
            problems.unknown({spec.oauth_provider: ""}, tuple(oauth), prefix="oauth_provider ")
        else:
            spec = replace(spec, oauth=oauth[spec.oauth_provider])
    if spec.auth is AuthMethod.OAUTH2:
        if spec.oauth is None:
            problems.add("oauth_provider", "is needed with auth = oauth2")
        if Security.PLAIN in (spec.imap.security, spec.smtp.security):
            problems.add("security", "plain is not possible with OAuth 2.0")  # RFC 6750 5.3
    problems.check()
    return spec


def _endpoint(key: str, value: object, base: Endpoint | None, problems: _Problems) -> Endpoint:
    nothing = base or Endpoint("", 0, Security.TLS)
    if not isinstance(value, Mapping):
        problems.add(key, "host, port and security were expected")
        return nothing
    problems.unknown(value, _ENDPOINT_KEYS, prefix=f"{key}.")
    host = _host(value.get("host", nothing.host), f"{key}.host", problems)
    security = nothing.security
    if "security" in value:
        security = _choice(Security)(value["security"], f"{key}.security", problems)
    default = _PORTS[key.partition("_")[0], security]
    port = value.get("port", nothing.port if security is nothing.security and nothing.port else default)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        problems.add(f"{key}.port", f"{port!r} is not a port number (1 to 65535)")
        port = default
    return Endpoint(host, port, security)


def _alternatives(value: object, smtp: Endpoint, problems: _Problems) -> tuple[Endpoint, ...]:
    if not isinstance(value, list | tuple):
        problems.add("smtp_alternatives", "a list of host, port and security was expected")
        return ()
    base = replace(smtp, port=0)
    return tuple(_endpoint("smtp_alternatives", one, base, problems) for one in value)


def _oauth(value: object, problems: _Problems) -> OAuthEndpoints:
    if not isinstance(value, Mapping):
        problems.add("oauth", "a table was expected")
        return OAuthEndpoints("", "")
    problems.unknown(value, _OAUTH_KEYS, prefix="oauth.")
    urls = {key: _url(value.get(key, ""), f"oauth.{key}", problems) for key in _URL_KEYS}
    for key in ("authorize_url", "token_url"):
        if not urls[key]:
            problems.add(f"oauth.{key}", "is missing")
    scopes = value.get("channel_scopes", {})
    return OAuthEndpoints(
        **urls,
        issuers=_texts(value.get("issuers", ()), "oauth.issuers", problems),
        identity_scopes=_texts(value.get("identity_scopes", ()), "oauth.identity_scopes", problems),
        channel_scopes={
            _choice(Channel)(channel, "oauth.channel_scopes", problems): _texts(names, "oauth.channel_scopes", problems)
            for channel, names in _table(scopes, "oauth.channel_scopes", problems).items()
        },
        optional_scopes=frozenset(_texts(value.get("optional_scopes", ()), "oauth.optional_scopes", problems)),
        extra_params={
            key: _text(param, "oauth.extra_params", problems)
            for key, param in _table(value.get("extra_params", {}), "oauth.extra_params", problems).items()
        },
    )


def _host(value: object, key: str, problems: _Problems) -> str:
    if not isinstance(value, str) or not value:
        problems.add(key, "is missing")
        return ""
    try:
        return checked_host(value)
    except Refused as error:
        problems.add(key, str(error))
        return ""


def _url(value: object, key: str, problems: _Problems) -> str:
    text = _text(value, key, problems)
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if text and (parts.scheme not in ("https", "http") or not parts.hostname):
        problems.add(key, f"{text!r} is not a web address")
    return text


def _text(value: object, key: str, problems: _Problems) -> str:
    if not isinstance(value, str) or not value.isprintable():
        problems.add(key, "one line of text was expected")
        return ""
    return value


def _texts(value: object, key: str, problems: _Problems) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        problems.add(key, "a list of texts was expected")
        return ()
    return tuple(_text(one, key, problems) for one in value)


def _domains(value: object, key: str, problems: _Problems) -> tuple[str, ...]:
    domains = tuple(one.lower() for one in _texts(value, key, problems))
    for one in domains:
        if not _DOMAIN.fullmatch(one):
            problems.add(key, f"{one!r} is not a mail domain")
    return domains


def _table(value: object, key: str, problems: _Problems) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    problems.add(key, "a table was expected")
    return {}


def _choice(kind: type[E]) -> Callable[[object, str, _Problems], E]:
    def read(value: object, key: str, problems: _Problems) -> E:
        known = {member.value: member for member in kind}
        if isinstance(value, str) and value in known:
            return known[value]
        problems.add(key, f"{value!r} is not one of {', '.join(known)}")
        return next(iter(kind))

    return read


def _channels(value: object, key: str, problems: _Problems) -> tuple[Channel, ...]:
    return tuple(_choice(Channel)(one, key, problems) for one in _texts(value, key, problems))


def _quirks(value: object, key: str, problems: _Problems) -> frozenset[str]:
    return frozenset(_texts(value, key, problems))


_READERS: Mapping[str, Callable[[Any, str, _Problems], Any]] = {
    "title": _text,
    "login": _choice(LoginFormat),
    "auth": _choice(AuthMethod),
    "oauth_provider": _text,
    "domains": _domains,
    "sent_copy": _choice(SentCopy),
    "quirks": _quirks,
    "advice": _text,
    "channels": _channels,
}
