"""What the server announces and allows: Gmail as it is, or a plain IMAP server with features to choose.

Decides capabilities only; how a feature works is left to the command modules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

APPEND_LIMIT = 35651584

_GMAIL_BEFORE = (
    "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 "
    "AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER"
)
_GMAIL_AFTER = (
    "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE ENABLE "
    "MOVE CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE "
    f"APPENDLIMIT={APPEND_LIMIT}"
)


@dataclass(frozen=True, slots=True)
class PlainProfile:
    """An ordinary IMAP server: folders are containers, every feature can be switched.

    `folders` are (name, special-use attribute or "") pairs that each new user gets.
    `expunge_bumps_modseq` off imitates servers whose HIGHESTMODSEQ ignores expunges.
    """

    condstore: bool = True
    qresync: bool = False
    esearch: bool = True
    move: bool = True
    uidplus: bool = True
    special_use: bool = True
    list_status: bool = True
    idle: bool = True
    unselect: bool = True
    sasl_ir: bool = True
    literal_minus: bool = False
    namespace: bool = True
    expunge_bumps_modseq: bool = True
    delimiter: str = "/"
    folders: tuple[tuple[str, str], ...] = (
        ("INBOX", ""),
        ("Drafts", "\\Drafts"),
        ("Sent", "\\Sent"),
        ("Trash", "\\Trash"),
        ("Junk", "\\Junk"),
    )


@dataclass(frozen=True, slots=True)
class Profile:
    """The server's face: capability lists before and after login and the features behind them."""

    gmail: bool
    before_login: tuple[str, ...]
    after_login: tuple[str, ...]
    plain: PlainProfile = field(default_factory=PlainProfile)

    def has(self, capability: str) -> bool:
        """Whether the capability is announced after login."""
        return capability in self.after_login


def profile_of(choice: Literal["gmail"] | PlainProfile) -> Profile:
    """The profile for a choice given to the double."""
    if not isinstance(choice, PlainProfile):
        return Profile(True, tuple(_GMAIL_BEFORE.split()), tuple(_GMAIL_AFTER.split()))
    always = ["IMAP4rev1", "ID", "ENABLE", "CHILDREN"]
    switched = {
        "NAMESPACE": choice.namespace,
        "IDLE": choice.idle,
        "UNSELECT": choice.unselect,
        "UIDPLUS": choice.uidplus,
        "MOVE": choice.move,
        "CONDSTORE": choice.condstore or choice.qresync,
        "QRESYNC": choice.qresync,
        "ESEARCH": choice.esearch,
        "SPECIAL-USE": choice.special_use,
        "LIST-EXTENDED": choice.list_status or choice.special_use,
        "LIST-STATUS": choice.list_status,
        "LITERAL-": choice.literal_minus,
    }
    after = always + [name for name, on in switched.items() if on]
    before = ["IMAP4rev1", "ID", *(["SASL-IR"] if choice.sasl_ir else []), "AUTH=PLAIN", "AUTH=XOAUTH2"]
    return Profile(False, tuple(before), tuple(after), choice)
