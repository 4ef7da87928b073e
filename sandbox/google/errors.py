"""PRETENDS Google's refusals: one exception that carries status, code and text as Google sends them.
Whether it becomes JSON or a page is left to `oauth`."""

from __future__ import annotations


class OAuthError(Exception):
    """A refusal by the authorization or token endpoint (RFC 6749, 4.1.2.1 and 5.2, with Google's texts)."""

    def __init__(self, error: str, description: str, status: int = 400, *, subtype: str | None = None) -> None:
        """`error` is the machine code, `description` Google's text, `subtype` its `error_subtype`."""
        super().__init__(f"{status} {error}: {description}")
        self.error = error
        self.description = description
        self.status = status
        self.subtype = subtype

    def body(self) -> dict[str, str]:
        """The JSON members of the answer."""
        extra = {} if self.subtype is None else {"error_subtype": self.subtype}
        return {"error": self.error, "error_description": self.description, **extra}


def invalid_grant(description: str = "Bad Request", *, subtype: str | None = None) -> OAuthError:
    """400 invalid_grant; Google uses the bare "Bad Request" for most causes."""
    return OAuthError("invalid_grant", description, subtype=subtype)
