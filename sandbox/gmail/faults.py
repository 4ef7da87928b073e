"""Scripted faults: what goes wrong, for whom, at which command and how often.

Decides when a fault strikes; carrying it out is left to session.py, wire.py and fetch.py.
"""

from __future__ import annotations

import threading
from collections.abc import Container
from dataclasses import dataclass, replace

LOGIN_FAULTS = frozenset({"login"})
TRANSPORT_FAULTS = frozenset({"cut", "pace"})
COMMAND_FAULTS = frozenset({"cut", "pace", "delay", "no", "bye", "raw", "endless"})
SMTP_FAULTS = frozenset({"smtp"})
FETCH_FAULTS = frozenset({"system_error", "bye_in_literal", "uidless_fetch", "nil_envelope", "huge_literal", "deep"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. Build it with the named constructors.

    `on` limits a command fault to commands whose name holds it (e.g. "FETCH", "UID SEARCH");
    `uid` limits a fetch fault to responses for that UID; `skip` lets the first matches pass.
    """

    kind: str
    number: int = 0
    pause: float = 0.0
    text: str = ""
    payload: bytes = b""
    on: str = ""
    uid: int = 0
    skip: int = 0

    def during(self, on: str) -> Fault:
        """The same fault, only for commands whose name holds `on`."""
        return replace(self, on=on)

    def after(self, skip: int) -> Fault:
        """The same fault, letting the first `skip` matching occasions pass."""
        return replace(self, skip=skip)

    @staticmethod
    def cut_after(bytes: int, on: str = "") -> Fault:
        """Close the connection when that many bytes were sent, counted from the next command (or login)."""
        return Fault("cut", number=bytes, on=on)

    @staticmethod
    def split_packets(size: int = 1, pause: float = 0.0) -> Fault:
        """Send in packets of at most `size` bytes for the rest of the session."""
        return Fault("pace", number=size, pause=pause)

    @staticmethod
    def drip(pause: float = 0.05, size: int = 1, on: str = "") -> Fault:
        """Send `size` bytes at a time with `pause` seconds between, for the rest of the session."""
        return Fault("pace", number=size, pause=pause, on=on)

    @staticmethod
    def delay(seconds: float, on: str = "") -> Fault:
        """Wait (real time) before the answer."""
        return Fault("delay", pause=seconds, on=on)

    @staticmethod
    def no(text: str = "System Error (Failure)", on: str = "") -> Fault:
        """Answer the command with NO and this text."""
        return Fault("no", text=text, on=on)

    @staticmethod
    def bye(text: str = "System Error", on: str = "") -> Fault:
        """Say BYE instead of answering and close."""
        return Fault("bye", text=text, on=on)

    @staticmethod
    def overquota(reply: str = "NO", on: str = "") -> Fault:
        """Gmail's bandwidth limit, as NO or as BYE."""
        text = "[OVERQUOTA] Account exceeded command or bandwidth limits."
        return Fault("bye", text=text, on=on) if reply == "BYE" else Fault.no(f"{text} (Failure)", on)

    @staticmethod
    def raw(payload: bytes, on: str = "") -> Fault:
        """Send these bytes before the answer."""
        return Fault("raw", payload=payload, on=on)

    @staticmethod
    def endless_line(total: int = 1 << 30, on: str = "") -> Fault:
        """An untagged line that does not end before `total` bytes."""
        return Fault("endless", number=total, on=on)

    @staticmethod
    def system_error(uid: int) -> Fault:
        """Any FETCH that touches the UID fails with `System Error (Failure)`."""
        return Fault("system_error", uid=uid, text="System Error (Failure)")

    @staticmethod
    def bye_in_literal(uid: int = 0) -> Fault:
        """BYE in the middle of the next literal, then close."""
        return Fault("bye_in_literal", uid=uid, text="System Error")

    @staticmethod
    def uidless_fetch(sequence: int = 0, flags: str = "\\Deleted") -> Fault:
        """An unsolicited `* n FETCH (FLAGS ...)` without UID inside a FETCH answer."""
        return Fault("uidless_fetch", number=sequence, text=flags)

    @staticmethod
    def nil_envelope(uid: int = 0) -> Fault:
        """ENVELOPE comes as NIL."""
        return Fault("nil_envelope", uid=uid)

    @staticmethod
    def huge_literal(size: int = 1 << 32, uid: int = 0) -> Fault:
        """Announce a literal of `size` bytes and keep sending."""
        return Fault("huge_literal", number=size, uid=uid)

    @staticmethod
    def deep_parentheses(depth: int = 100_000, uid: int = 0) -> Fault:
        """A BODYSTRUCTURE nested that deep."""
        return Fault("deep", number=depth, uid=uid)

    @staticmethod
    def smtp_reply(text: str = "421-4.3.0 Temporary System Problem. Try again later.\r\n421 4.3.0 - gsmtp") -> Fault:
        """Answer the end of DATA with this reply instead of accepting the message."""
        return Fault("smtp", text=text)

    @staticmethod
    def login_no(text: str) -> Fault:
        """Refuse a login whose credentials are right."""
        return Fault("login", text=text)

    @staticmethod
    def lookup_failed() -> Fault:
        """Gmail is not enabled for this Workspace user."""
        return Fault.login_no("Lookup failed (Failure)")

    @staticmethod
    def imap_disabled() -> Fault:
        """The user switched IMAP off."""
        return Fault.login_no(
            "[ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and "
            "enable your account for IMAP access. (Failure)"
        )

    @staticmethod
    def imap_disabled_for_domain() -> Fault:
        """The administrator switched IMAP off."""
        return Fault.login_no("[ALERT] IMAP access is disabled for your domain. (Failure)")

    @staticmethod
    def web_alert(url: str = "https://accounts.example/signin/continue") -> Fault:
        """A risk block: the person must sign in with a browser."""
        return Fault.login_no(f"[WEBALERT {url}] Web login required. (Failure)")

    @staticmethod
    def too_many_connections() -> Fault:
        """The connection limit, whatever the real number."""
        return Fault.login_no("[ALERT] Too many simultaneous connections. (Failure)")


@dataclass(slots=True)
class _Armed:
    fault: Fault
    left: int | None
    skip: int


class Faults:
    """The faults armed per user; safe to arm from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[str, list[_Armed]] = {}
        self.struck: list[tuple[str, Fault]] = []

    def arm(self, user: str, fault: Fault, times: int | None = 1) -> None:
        """Let the fault strike the user's sessions that many times; None means always."""
        with self._lock:
            self._armed.setdefault(user.lower(), []).append(_Armed(fault, times, fault.skip))

    def clear(self, user: str | None = None) -> None:
        """Disarm, for one user or for all."""
        with self._lock:
            if user is None:
                self._armed.clear()
                self.struck.clear()
            else:
                self._armed.pop(user.lower(), None)

    def armed(self, user: str) -> list[Fault]:
        """What is still waiting for the user."""
        with self._lock:
            return [armed.fault for armed in self._armed.get(user.lower(), [])]

    def take(self, user: str, kinds: Container[str], command: str = "", uid: int = 0) -> Fault | None:
        """The first armed fault that fits, used up once."""
        with self._lock:
            waiting = self._armed.get(user.lower())
            for armed in waiting or ():
                fault = armed.fault
                if fault.kind not in kinds or (fault.on and fault.on not in command):
                    continue
                if fault.uid and uid and fault.uid != uid:
                    continue
                if armed.skip:
                    armed.skip -= 1
                    continue
                self._use(waiting or [], armed, user)
                return fault
        return None

    def _use(self, waiting: list[_Armed], armed: _Armed, user: str) -> None:
        self.struck.append((user.lower(), armed.fault))
        if armed.left is not None:
            armed.left -= 1
            if armed.left <= 0:
                waiting.remove(armed)
