"""Plays the person in front of the browser: follows an authorization address of the Google double to its redirect."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

import httpx2

from core.secret import Secret
from core.types import Channel
from sandbox.google import Consent, GoogleDouble
from sync.account_rows import LinkedAccount
from sync.app import App
from sync.linking import LinkRequest, begin_link, finish_link
from sync.registry import ProviderChange, save_provider
from tests.support.app_factory import Person

CLIENT_ID = "desktop-client"
CLIENT_SECRET = "GOCSPX-desktop-secret"
REDIRECT = "http://127.0.0.1:8123/callback"
MAIL = "https://mail.google.com/"


def register(app: App, google: GoogleDouble, person: Person) -> None:
    """Register one desktop application at the double and at the gmail provider of the workspace."""
    google.clients.add("desktop", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    change = ProviderChange(client_id=CLIENT_ID, client_secret=Secret(CLIENT_SECRET))
    save_provider(app, person.workspace_id, "gmail", change, create=False)


def visit(url: str) -> dict[str, str]:
    """Open the address (the double answers by `auto_consent`) and return the query of the redirect."""
    with httpx2.Client(trust_env=False) as client:
        answer = client.get(url)
    assert answer.status_code == 302, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def link_google(
    app: App,
    google: GoogleDouble,
    person: Person,
    who: str,
    *,
    channels: Sequence[Channel] = (Channel.MAIL,),
    untick: Sequence[str] = (),
    relink: str | None = None,
    expected_address: str = "",
) -> LinkedAccount:
    """Link `who` through the whole flow."""
    start = begin_link(
        app,
        LinkRequest(
            person.workspace_id, person.user_id, "gmail", REDIRECT, channels, relink, expected_address=expected_address
        ),
    )
    google.auto_consent = Consent(user=who, untick=untick)
    return finish_link(app, visit(start.url))
