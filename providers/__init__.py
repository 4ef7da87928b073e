"""The provider registry: presets, provider folders, and rows that an administrator adds or overrides.
Form and checks of a row are in `presets`, talking to a service in `protocols` and the provider folders."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from core.contact import Contact
from core.errors import Misconfigured
from core.event import Event
from core.ports import Access, Calendars, Clock, Notice, RemoteReplica
from core.provider import OAuthEndpoints, ProviderSpec
from core.replica import Scope
from providers.presets import build_spec, parse_document, read_oauth

if TYPE_CHECKING:
    from providers.protocols.connect import Guard

__all__ = [
    "all_providers",
    "find_by_domain",
    "merge_spec",
    "oauth_providers",
    "open_calendar",
    "open_calendars",
    "open_contacts",
    "read_notice",
    "read_presets",
]

_PRESETS = "presets.toml"


def all_providers(roots: Mapping[str, str] | None = None) -> Mapping[str, ProviderSpec]:
    """Every built-in provider by name: presets.toml first, then each sub-folder that exports `PROVIDERS`.

    `roots` puts the OAuth addresses of a service under another root, by OAuth provider name: with
    `{"google": settings.google_base_url}` a test double stands in for Google. Empty roots are ignored.
    """
    return _registry(tuple(sorted((roots or {}).items())))[0]


def oauth_providers(roots: Mapping[str, str] | None = None) -> Mapping[str, OAuthEndpoints]:
    """OAuth 2.0 addresses by name, from presets.toml and from each sub-folder that exports `OAUTH`.

    `OAUTH` maps a name to a function of a root address ("" for the real service).
    """
    return _registry(tuple(sorted((roots or {}).items())))[1]


def open_contacts(
    spec: ProviderSpec,
    guard: Guard,
    access: Access,
    *,
    scope: Scope,
    now: Clock,
    wait: Callable[[float], None],
    roots: Mapping[str, str] | None = None,
) -> RemoteReplica[Contact]:
    """The contacts of one account, from the sub-folder that exports `CONTACTS` for the service it signs in to.

    `CONTACTS` maps the name of an OAuth provider to a function of guard, access, root address ("" for the real
    service), scope, clock and pause. `scope` is the group that selects; without an id it is looked up by name.
    Touches no network yet. Raises Misconfigured for a service whose contacts are not supported.
    """
    for folder in _folders():
        opener = getattr(folder, "CONTACTS", {}).get(spec.oauth_provider)
        if opener is not None and access.uses_token:
            root = (roots or {}).get(spec.oauth_provider, "")
            found: RemoteReplica[Contact] = opener(guard, access, root=root, scope=scope, now=now, wait=wait)
            return found
    raise Misconfigured(
        f"contacts of {spec.title} are not supported",
        advice="Link a Google account by its own sign-in page; accounts with a password have mail only.",
    )


def open_calendar(
    spec: ProviderSpec,
    guard: Guard,
    access: Access,
    *,
    scope: Scope,
    since: date | None,
    send_updates: str,
    all_kinds: bool,
    now: Clock,
    wait: Callable[[float], None],
    roots: Mapping[str, str] | None = None,
) -> RemoteReplica[Event]:
    """A calendar of one account, from the sub-folder that exports `CALENDAR` for the service it signs in to.

    `CALENDAR` is made as `CONTACTS` is. `scope` is the calendar; without an id it is the account's own. Events that end
    before `since` are left out; `send_updates` (none, externalOnly, all) says which guests the service may mail,
    `all_kinds` whether what is no ordinary event comes in too, to be read only.
    Touches no network yet. Raises Misconfigured for a service whose calendar is not supported.
    """
    for folder in _folders():
        opener = getattr(folder, "CALENDAR", {}).get(spec.oauth_provider)
        if opener is not None and access.uses_token:
            root = (roots or {}).get(spec.oauth_provider, "")
            found: RemoteReplica[Event] = opener(
                guard,
                access,
                root=root,
                scope=scope,
                since=since,
                send_updates=send_updates,
                all_kinds=all_kinds,
                now=now,
                wait=wait,
            )
            return found
    raise _no_calendar(spec)


def open_calendars(
    spec: ProviderSpec, guard: Guard, access: Access, *, now: Clock, roots: Mapping[str, str] | None = None
) -> Calendars:
    """The calendars of one account, from the sub-folder that exports `CALENDARS` for the service it signs in to.

    `CALENDARS` is made as `CONTACTS` is. Touches no network yet. Raises Misconfigured for a service whose calendar is
    not supported.
    """
    for folder in _folders():
        opener = getattr(folder, "CALENDARS", {}).get(spec.oauth_provider)
        if opener is not None and access.uses_token:
            found: Calendars = opener(guard, access, root=(roots or {}).get(spec.oauth_provider, ""), now=now)
            return found
    raise _no_calendar(spec)


def read_notice(service: str, headers: Mapping[str, str]) -> Notice | None:
    """What a service tells by calling us, from the sub-folder that exports `NOTICES` for that OAuth provider; `headers`
    by lower-case name. None for what is no notice, and for a service that sends none."""
    for folder in _folders():
        reader = getattr(folder, "NOTICES", {}).get(service)
        if reader is not None:
            found: Notice | None = reader(headers)
            return found
    return None


def _no_calendar(spec: ProviderSpec) -> Misconfigured:
    return Misconfigured(
        f"the calendar of {spec.title} is not supported",
        advice="Link a Google account by its own sign-in page; accounts with a password have mail only.",
    )


@lru_cache(maxsize=8)
def _registry(
    roots: tuple[tuple[str, str], ...],
) -> tuple[Mapping[str, ProviderSpec], Mapping[str, OAuthEndpoints]]:
    # Packaged data that cannot change while the process runs; reading it cost more than all the rest of a quiet run.
    text = files(__name__).joinpath(_PRESETS).read_text(encoding="utf-8")
    oauth = dict(read_oauth(parse_document(text, _PRESETS), _PRESETS))
    folders = list(_folders())
    for folder in folders:
        for name, endpoints in getattr(folder, "OAUTH", {}).items():
            oauth[name] = endpoints(dict(roots).get(name, ""))
    found = dict(read_presets(text, oauth=oauth))
    for folder in folders:
        for spec in getattr(folder, "PROVIDERS", ()):
            found[spec.name] = spec
    return MappingProxyType(found), MappingProxyType(oauth)


def find_by_domain(address: str, providers: Mapping[str, ProviderSpec] | None = None) -> ProviderSpec | None:
    """The provider that serves the domain of a mail address, or None."""
    domain = address.rpartition("@")[2].strip().lower()
    known = all_providers() if providers is None else providers
    return next((spec for spec in known.values() if domain in spec.domains), None)


def merge_spec(
    base: ProviderSpec | None,
    overrides: Mapping[str, Any],
    *,
    oauth: Mapping[str, OAuthEndpoints] | None = None,
    source: str = "provider",
) -> ProviderSpec:
    """A provider from a database row: `overrides` in the form of presets.toml (plus `name`) laid over `base`.

    Endpoints are merged key by key; a port that is not given follows from the security. `oauth` are the addresses
    `oauth_provider` may name (default: `oauth_providers()`). Raises Misconfigured listing every problem by key.
    """
    known = oauth_providers() if oauth is None else oauth
    return build_spec(base, overrides, oauth=known, source=source, builtin=False)


def read_presets(
    text: str, *, source: str = _PRESETS, oauth: Mapping[str, OAuthEndpoints] | None = None
) -> Mapping[str, ProviderSpec]:
    """Parse a preset file. Raises Misconfigured naming file, entry and key for anything malformed or unknown."""
    document = parse_document(text, source)
    known = {**read_oauth(document, source), **(oauth or {})}
    return {
        name: build_spec(None, {"name": name, **table}, oauth=known, source=f"{source}: [{name}]", builtin=True)
        for name, table in document.items()
        if name != "oauth"
    }


def _folders() -> Iterator[ModuleType]:
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        if module.ispkg:
            yield importlib.import_module(f"{__name__}.{module.name}")
