"""Any IMAP and SMTP server with a password, as data.
Host names come from an administrator's row; the registry refuses a row that leaves them out."""

from __future__ import annotations

from core.provider import Endpoint, LoginFormat, ProviderSpec, SentCopy
from core.types import Security

PROVIDERS = (
    ProviderSpec(
        name="imap",
        title="Other mail server (IMAP and SMTP)",
        imap=Endpoint("", 993, Security.TLS),
        smtp=Endpoint("", 465, Security.TLS),
        login=LoginFormat.ADDRESS,
        sent_copy=SentCopy.PROBE,
        advice="Ask the operator for host names, ports and the form of the login name; with two-factor sign-in an "
        "app password is usually needed.",
    ),
)
