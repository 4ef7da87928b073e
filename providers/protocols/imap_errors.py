"""What a server's refusal means and who can mend it: maps the text of NO, BAD and BYE to `core.errors`
(RFC 5530 response codes; texts of Gmail, Microsoft and others as seen). Codes alone are unreliable."""

from __future__ import annotations

import re

from core.errors import MailboxGone, NeedsRelink, Throttled, Transient, TwinboxError

HOUR = 3600.0
_BACKOFF = re.compile(r"suggested backoff time: (\d+) milliseconds")
_MAKE_ONE = "Make an app password in the account's security settings and link again with it."
_ENABLE_IMAP = "Switch IMAP on in the mailbox's settings (an administrator may have to allow it), then link again."

# (what the lower-case text contains, error class, advice, seconds to wait). The first match counts.
_RULES: tuple[tuple[tuple[str, ...], type[TwinboxError], str, float | None], ...] = (
    (("[overquota]", "exceeded command or bandwidth"), Throttled, "The provider's daily limit is used up.", HOUR),
    (("too many simultaneous", "[limit]", "too many connections"), Throttled, "Close other mail programs.", 120.0),
    (("request is throttled",), Throttled, "", 300.0),
    (("application-specific password", "app password"), NeedsRelink, _MAKE_ONE, None),
    (
        ("web browser", "[webalert", "web login required"),
        NeedsRelink,
        "Sign in to the mailbox in a browser once, answer its security question, then link again.",
        None,
    ),
    (
        (
            "not enabled for imap",
            "imap access is disabled",
            "yet to enable imap",
            "authenticated but not connected",
            "imap is disabled",
        ),
        NeedsRelink,
        _ENABLE_IMAP,
        None,
    ),
    (("lookup failed",), NeedsRelink, "Gmail is not switched on for this user; ask the administrator.", None),
    (
        ("[authenticationfailed]", "invalid credentials", "authentication failed", "login failed", "[expired]"),
        NeedsRelink,
        "Link the account again.",
        None,
    ),
    (("[nonexistent]", "unknown mailbox", "does not exist", "doesn't exist", "[noperm]"), MailboxGone, "", None),
)


def as_imap_error(text: bytes) -> TwinboxError:
    """The error behind the text of a NO, BAD or BYE; Transient when nothing in it is known."""
    shown = _shown(text)
    lower = shown.lower()
    for patterns, kind, advice, wait in _RULES:
        if not any(pattern in lower for pattern in patterns):
            continue
        if issubclass(kind, Transient):
            match = _BACKOFF.search(lower)
            seconds = min(int(match[1]) / 1000, 300.0) if match else wait
            return kind(f"the mail server asks for a pause: {shown}", retry_after=seconds, advice=advice)
        return kind(f"the mail server refused: {shown}", advice=advice)
    return Transient(f"the mail server answered: {shown}")


def is_damage(error: TwinboxError) -> bool:
    """Whether the refusal may be about single messages rather than the account: worth trying them one by one."""
    return type(error) is Transient


def _shown(text: bytes) -> str:
    plain = text[:2_000].decode("utf-8", "replace")
    return "".join(char for char in plain if char.isprintable())[:200].strip()
