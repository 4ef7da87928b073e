"""Decides which copies on a server are one message (semantics 4.2); pure, no I/O.
Servers with an own message id (X-GM-MSGID) do not need it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime


def message_identity(
    message_id: str,
    date_header: str,
    size: int,
    internal_date: datetime | None,
    subject: str,
    from_: str,
) -> bytes:
    """16 bytes, equal for copies of one message within a mailbox.

    With a Message-ID: that, the raw Date header and the size in octets. A Message-ID alone is no identity:
    different messages do carry the same one. Without it also subject, sender and the server's internal date.
    """
    parts = [message_id, date_header, str(size)]
    if not message_id:
        arrived = internal_date.astimezone(UTC).isoformat(timespec="seconds") if internal_date else ""
        parts += [subject, from_, arrived]
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        # Lengths first, so that no shift of text between two fields gives the same digest.
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.digest()
