"""The error tree: one class per thing the caller must do next.
Adapters translate at their edge; anything that is not in this tree is a bug and escapes.

TwinboxError
├── Transient        wait (retry_after) and try the same again
│   └── Throttled    the provider asked for a pause: nothing is wrong with the account
├── NeedsRelink      only the user can mend it: link the account again
├── NotGranted       one channel lacks its permission; the others go on
├── Misconfigured    only an administrator can mend it: settings, client secret, certificate, disk
├── Refused          the guard would not connect there
├── BadInput         correct what was asked for; nothing was changed
├── NotFound         no such user, account, provider, run or message in this workspace
├── Conflict         the name or record is taken, or the thing is in another state
├── CursorExpired    start once more from nothing
├── MailboxGone      one folder vanished: leave it, go on with the others
├── VersionConflict  one record changed since it was read: read it again, decide again
├── RecordGone       one record does not exist any more
├── ItemRejected     one record cannot be processed: set it aside, go on
├── Held             a person must say yes or choose before anything is written
├── LeaseLost        another worker owns this run now: stop without writing
└── SkipRun          someone else is already running it
"""

from __future__ import annotations


class TwinboxError(Exception):
    """Base of every expected failure.

    `advice` is one sentence that says what to do next; it is shown to people and never holds a secret.
    """

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class Transient(TwinboxError):
    """A passing fault. `retry_after` is in seconds, None when the provider named no time."""

    def __init__(self, message: str, *, retry_after: float | None = None, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.retry_after = retry_after


class Throttled(Transient):
    """The provider limits us (bandwidth, connections, quota); the account itself is well. `writes_only`: what there is
    may still be read."""

    def __init__(
        self, message: str, *, retry_after: float | None = None, advice: str = "", writes_only: bool = False
    ) -> None:
        super().__init__(message, retry_after=retry_after, advice=advice)
        self.writes_only = writes_only


class NeedsRelink(TwinboxError):
    """The grant or password no longer opens the account; only its owner can link it again."""


class NotGranted(TwinboxError):
    """The owner did not allow what this channel needs; the account's other channels are not affected."""


class Misconfigured(TwinboxError):
    """An administrator must change something: a setting, a client secret, a certificate, free disk space."""


class Refused(TwinboxError):
    """The connection guard would not open a connection to that address."""


class BadInput(TwinboxError):
    """What was asked for cannot be: a value out of range, a record of the wrong kind. Nothing was changed."""


class NotFound(TwinboxError):
    """No such record in this workspace."""


class Conflict(TwinboxError):
    """The name is taken, or the record is in a state that does not allow this."""


class CursorExpired(TwinboxError):
    """The provider no longer knows our cursor: read everything once more."""


class MailboxGone(TwinboxError):
    """One mailbox (IMAP folder) does not exist any more."""


class VersionConflict(TwinboxError):
    """The record changed since it was read: read it again and decide again."""


class RecordGone(TwinboxError):
    """The record does not exist any more."""


class Held(TwinboxError):
    """The run would change so much, or lacks something so basic, that a person must decide. Nothing was written.

    `kind` is `mass_change`, `side_empty`, `group_gone` or `tag_gone`; `keys` name the actions a person may confirm,
    none where a setting must be chosen anew. `lines` tells them to people, as far as they are kept.
    """

    def __init__(self, message: str, *, kind: str, keys: tuple[str, ...] = (), advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.kind = kind
        self.keys = keys
        self.lines: list[dict[str, str]] = []


class ItemRejected(TwinboxError):
    """One record cannot be read or written; the rest goes on."""


class NoSeries(ItemRejected):
    """An occurrence cannot be written here: the series it belongs to is not in this calendar."""


class LeaseLost(TwinboxError):
    """The lease of this run has passed to another worker; nothing more may be written."""


class SkipRun(TwinboxError):
    """The account and channel are already being run. `run_id` names that run."""

    def __init__(self, message: str, *, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id
