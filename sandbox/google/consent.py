"""PRETENDS Google's pages: the consent form, and the page for errors never sent back to the application.
Plain HTML, usable in a browser and by a plain form POST; what an answer means is left to `store`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sandbox.google.authorization import AuthRequest
from sandbox.google.directory import User
from sandbox.google.errors import OAuthError
from sandbox.google.scopes import SIGN_IN

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;background:#f3f4f6;color:#1f2937;margin:0;padding:2rem 1rem}
main{max-width:32rem;margin:auto;
padding:1.5rem 2rem;background:#fff;border:1px solid #d1d5db;border-radius:12px}
.note{color:#92400e;background:#fef3c7;border-radius:6px;padding:.4rem .8rem;font-size:.875rem}
fieldset{border:1px solid #d1d5db;border-radius:8px;margin:1rem 0}
label{display:block;padding:.3rem 0}
code{font-size:.8rem;color:#4b5563;overflow-wrap:anywhere}
button{font:inherit;padding:.5rem 1.4rem;border-radius:8px;border:1px solid #9ca3af;background:#fff}
button[value=allow]{background:#1d4ed8;border-color:#1d4ed8;color:#fff}
"""
_TITLES = {
    "https://mail.google.com/": "Read, compose, send and permanently delete all your e-mail",
    "https://www.googleapis.com/auth/contacts": "See, edit, download and permanently delete your contacts",
    "https://www.googleapis.com/auth/contacts.readonly": "See and download your contacts",
    "https://www.googleapis.com/auth/calendar": "See, edit, share and permanently delete all your calendars",
    "https://www.googleapis.com/auth/calendar.events": "View and edit events on all your calendars",
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly": "See the list of your calendars",
}


def consent_page(request: AuthRequest, users: Sequence[User], action: str) -> str:
    """The form: fields `user` (one address), `granted` (repeated, ticked scopes), `decision` (allow or deny).

    It posts to `action`, which must carry the query of the request: the page itself keeps no state.
    """
    name = escape(request.client.name)
    accounts = "\n".join(_account(user, request.login_hint, len(users) == 1) for user in users)
    ticks = "\n".join(_tick(scope) for scope in sorted(request.scopes - SIGN_IN))
    wanted = f"<fieldset><legend>{name} wants to</legend>\n{ticks}\n</fieldset>" if ticks else ""
    return _page(
        f"Sign in to {name}",
        f"""<h1>{name} wants access to your account</h1>
<form method="post" action="{escape(action, quote=True)}">
<fieldset><legend>Choose an account</legend>
{accounts or "<p>No account exists yet.</p>"}
</fieldset>
{wanted}
<p><button name="decision" value="allow">Continue</button>
<button name="decision" value="deny" formnovalidate>Cancel</button></p>
</form>""",
    )


def error_page(error: OAuthError) -> str:
    """The page with which Google stops an authorization without telling the application."""
    return _page(
        "Access blocked",
        f"""<h1>Access blocked: authorization error</h1>
<p>{escape(error.description)}</p>
<p><strong>Error {error.status}: {escape(error.error)}</strong></p>""",
    )


def not_found_page() -> str:
    """The page for an address, or a method on it, that does not exist."""
    return _page("Error 404 (Not Found)", "<h1>404.</h1><p>The requested URL was not found on this server.</p>")


def _account(user: User, hint: str | None, only: bool) -> str:
    chosen = only or (hint is not None and hint.lower() in (user.email.lower(), user.sub))
    email = escape(user.email, quote=True)
    mark = " checked" if chosen else ""
    return (
        f'<label><input type="radio" name="user" value="{email}" required{mark}> '
        f"{escape(user.name)} &lt;{email}&gt;</label>"
    )


def _tick(scope: str) -> str:
    title = _TITLES.get(scope, f"Use {scope.rpartition('/')[2]}")
    value = escape(scope, quote=True)
    return (
        f'<label><input type="checkbox" name="granted" value="{value}" checked> {escape(title)}<br>'
        f"<code>{value}</code></label>"
    )


def _page(title: str, content: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{_STYLE}</style></head>
<body><main>
<p class="note">Sandbox: this is a stand-in for Google on your own machine. No real account is touched.</p>
{content}
</main></body>
</html>
"""
