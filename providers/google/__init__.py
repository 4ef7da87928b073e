"""Google as data: OAuth 2.0 addresses and the scopes each channel needs; and the way to its contacts and calendars.
Its mail hosts are rows of presets.toml; the OAuth flow itself is `providers.protocols.oauth2`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.contact import Contact
from core.errors import Misconfigured
from core.event import Event
from core.ports import Access, Calendars, Clock, Notice, RemoteReplica
from core.provider import OAuthEndpoints
from core.replica import Scope
from core.types import Channel

if TYPE_CHECKING:
    from providers.protocols.connect import Guard

# developers.google.com/identity/protocols/oauth2/scopes. Mail is a restricted scope, the others are sensitive.
IDENTITY_SCOPES = ("openid", "email")
CALENDAR_LIST = "https://www.googleapis.com/auth/calendar.calendarlist.readonly"  # to choose other calendars
SCOPES = {
    Channel.MAIL: ("https://mail.google.com/",),
    Channel.CONTACTS: ("https://www.googleapis.com/auth/contacts",),
    Channel.CALENDAR: ("https://www.googleapis.com/auth/calendar.events", CALENDAR_LIST),
}
ISSUERS = ("https://accounts.google.com", "accounts.google.com")


def google_endpoints(base_url: str = "") -> OAuthEndpoints:
    """Google's OAuth 2.0 addresses, or the same paths under `base_url` (TWINBOX_GOOGLE_BASE_URL).

    Raises Misconfigured when `base_url` is not a web address.
    """
    root = base_url.rstrip("/")
    if root:
        _check_root(root)
    return OAuthEndpoints(
        authorize_url=(root or "https://accounts.google.com") + "/o/oauth2/v2/auth",
        token_url=(root or "https://oauth2.googleapis.com") + "/token",
        revoke_url=(root or "https://oauth2.googleapis.com") + "/revoke",
        userinfo_url=(root or "https://openidconnect.googleapis.com") + "/v1/userinfo",
        certs_url=(root or "https://www.googleapis.com") + "/oauth2/v1/certs",
        issuers=(*ISSUERS, root) if root else ISSUERS,
        identity_scopes=IDENTITY_SCOPES,
        channel_scopes=SCOPES,
        optional_scopes=frozenset({CALENDAR_LIST}),
        # offline: a refresh token; include_granted_scopes: channels may be added one at a time.
        extra_params={"access_type": "offline", "include_granted_scopes": "true"},
    )


def open_google_contacts(
    guard: Guard, access: Access, *, root: str, scope: Scope, now: Clock, wait: Callable[[float], None]
) -> RemoteReplica[Contact]:
    """The contacts of one account. Touches no network yet. Raises Misconfigured when `root` is not a web address."""
    # Here and not above: Google's library takes a quarter of a second and 26 MB, which most commands do not need.
    from providers.google.client import open_client
    from providers.google.contacts import GoogleContacts

    if root:
        _check_root(root)
    return GoogleContacts(open_client(guard, access, root=root, now=now), scope, wait=wait)


def open_google_calendar(
    guard: Guard,
    access: Access,
    *,
    root: str,
    scope: Scope,
    since: date | None,
    send_updates: str,
    all_kinds: bool,
    now: Clock,
    wait: Callable[[float], None],
) -> RemoteReplica[Event]:
    """A calendar of one account. Touches no network yet. Raises Misconfigured when `root` is not a web address."""
    # Here and not above: see `open_google_contacts`.
    from providers.google.calendar import GoogleCalendar
    from providers.google.calendar_client import open_calendar_client

    if root:
        _check_root(root)
    client = open_calendar_client(guard, access, root=root, now=now)
    return GoogleCalendar(client, scope, since=since, send_updates=send_updates, all_kinds=all_kinds, wait=wait)


def open_google_calendars(guard: Guard, access: Access, *, root: str, now: Clock) -> Calendars:
    """The calendars of one account. Touches no network yet. Raises Misconfigured when `root` is not a web address."""
    # Here and not above: see `open_google_contacts`.
    from providers.google.calendar_client import open_calendar_client
    from providers.google.calendar_list import GoogleCalendars

    if root:
        _check_root(root)
    return GoogleCalendars(open_calendar_client(guard, access, root=root, now=now))


def read_google_notice(headers: Mapping[str, str]) -> Notice | None:
    """As `calendar_list.read_notice`."""
    # Here and not above: see `open_google_contacts`.
    from providers.google.calendar_list import read_notice

    return read_notice(headers)


def _check_root(root: str) -> None:
    try:
        parts = urlsplit(root)
        usable = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
    except ValueError:
        usable = False
    if not usable:
        raise Misconfigured(
            f"TWINBOX_GOOGLE_BASE_URL: {root!r} is not a web address",
            advice="Give an address such as https://google.example.test, or unset it to use Google itself.",
        )


PROVIDERS = ()
OAUTH = {"google": google_endpoints}
CONTACTS = {"google": open_google_contacts}
CALENDAR = {"google": open_google_calendar}
CALENDARS = {"google": open_google_calendars}
NOTICES = {"google": read_google_notice}
