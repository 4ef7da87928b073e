"""Seals secrets for the database (AES-256-GCM) and opens them: the only place that makes a Secret of ciphertext.
Where the keys come from is left to `sync.keys`, what a secret is used for to `sync.access` and `sync.linking`."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from core.errors import Misconfigured
from core.secret import Secret
from models.accounts import SecretRow
from models.db import Database
from sync.ids import new_id
from sync.keys import Key

_NONCE = 12  # NIST SP 800-38D 8.2: 96 bits; random ones are safe up to 2**32 seals per key
_ROTATE_BATCH = 100


@dataclass(frozen=True, slots=True)
class Place:
    """The row a secret belongs to. It is the associated data of the seal: a value moved elsewhere does not open."""

    row_id: str
    owner: str
    kind: str

    def associated(self) -> bytes:
        """Unambiguous bytes: ids and kinds hold no NUL."""
        return "\0".join(("secrets", "sealed", self.row_id, self.owner, self.kind)).encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """Ciphertext with its nonce in front, and the id of the key that opens it."""

    key_id: str
    data: bytes


class Vault:
    """The key ring in use. `repr` shows key ids only."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        """Raises Misconfigured for an empty ring."""
        if not keys:
            raise Misconfigured("no encryption key is set", advice="Run `twinbox init` or set TWINBOX_KEYS.")
        self._ciphers = {key.id: AESGCM(key.value) for key in keys}
        self.sealing_key = keys[0].id

    def __repr__(self) -> str:
        return f"Vault({', '.join(self._ciphers)})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of all keys of the ring, the sealing one first."""
        return tuple(self._ciphers)

    def seal(self, place: Place, secret: Secret) -> Sealed:
        """Encrypt for exactly this place, with the first key."""
        nonce = secrets.token_bytes(_NONCE)
        cipher = self._ciphers[self.sealing_key]
        return Sealed(self.sealing_key, nonce + cipher.encrypt(nonce, secret.reveal().encode(), place.associated()))

    def open(self, place: Place, sealed: Sealed) -> Secret:
        """Decrypt. Raises Misconfigured when the key is not in the ring or the value was changed or moved."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise Misconfigured(
                f"the {place.kind} is sealed with key {sealed.key_id}, which is not in the key ring",
                advice="Put that key back into TWINBOX_KEYS or keys.txt, after the first one.",
            )
        try:
            text = cipher.decrypt(sealed.data[:_NONCE], sealed.data[_NONCE:], place.associated())
        except (InvalidTag, ValueError) as error:
            raise Misconfigured(
                f"the stored {place.kind} does not fit its row or key {sealed.key_id}",
                advice="The key or the database was changed: restore both from one backup, or link again.",
            ) from error
        return Secret(text.decode())


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """An opened secret with what its row says about it. `sealed` and `version` differ after every write."""

    row_id: str
    secret: Secret
    sealed: bytes = field(repr=False)
    expires_at: datetime | None

    @property
    def version(self) -> bytes:
        """Names this very write: the random nonce of its seal."""
        return self.sealed[:_NONCE]


def read_secret(session: Session, vault: Vault, owner: str, kind: str) -> StoredSecret | None:
    """The secret of that owner and kind, None if there is none."""
    row = session.scalar(select(SecretRow).where(SecretRow.owner == owner, SecretRow.kind == kind))
    if row is None:
        return None
    secret = vault.open(_place(row), Sealed(row.key_id, row.sealed))
    return StoredSecret(row.id, secret, row.sealed, row.expires_at)


@dataclass(frozen=True, slots=True)
class Keep:
    """A secret to store: whose, what kind, and until when it is good."""

    workspace_id: str
    owner: str
    kind: str
    secret: Secret
    expires_at: datetime | None = None


def write_secret(session: Session, vault: Vault, keep: Keep, now: datetime) -> None:
    """Store or replace one secret. A lease on the old value ends, since it was a lease on refreshing that value."""
    row = session.scalar(select(SecretRow).where(SecretRow.owner == keep.owner, SecretRow.kind == keep.kind))
    if row is None:
        row = SecretRow(id=new_id(), workspace_id=keep.workspace_id, owner=keep.owner, kind=keep.kind)
        session.add(row)
    sealed = vault.seal(_place(row), keep.secret)
    row.key_id, row.sealed = sealed.key_id, sealed.data
    row.expires_at, row.lease_until, row.modified_at = keep.expires_at, None, now
    session.flush()


def erase_secrets(session: Session, owner: str, kinds: Collection[str] = ()) -> int:
    """Delete the secrets of one owner (of `kinds`, or all); the number deleted."""
    found = select(SecretRow.id).where(SecretRow.owner == owner)
    if kinds:
        found = found.where(SecretRow.kind.in_(kinds))
    ids = list(session.scalars(found))
    session.execute(delete(SecretRow).where(SecretRow.id.in_(ids)))
    return len(ids)


def key_usage(db: Database) -> dict[str, int]:
    """How many stored secrets each key id opens; a key with any must stay in the ring."""
    with db.reading() as session:
        rows = session.execute(select(SecretRow.key_id, func.count().label("number")).group_by(SecretRow.key_id))
        return {row.key_id: row.number for row in rows}


def sealed_and_unopened(db: Database, vault: Vault) -> tuple[int, dict[str, int]]:
    """How many secrets are stored, and how many of them do not open, by the id of their key."""
    sealed, unopened, after = 0, Counter[str](), ""
    while True:
        with db.reading() as session:
            batch = select(SecretRow).where(SecretRow.id > after).order_by(SecretRow.id).limit(_ROTATE_BATCH)
            rows = list(session.scalars(batch))
        if not rows:
            return sealed, dict(unopened)
        for row in rows:
            try:
                vault.open(_place(row), Sealed(row.key_id, row.sealed))
            except Misconfigured:
                unopened[row.key_id] += 1
        sealed, after = sealed + len(rows), rows[-1].id


def rotate(db: Database, vault: Vault) -> int:
    """Seal everything with the first key again; the number of secrets changed.

    In small transactions, so it may be killed and repeated; a value that changes meanwhile is left to its writer,
    who already seals with the first key.
    """
    done, after = 0, ""
    while True:
        with db.transaction() as session:
            old = select(SecretRow).where(SecretRow.key_id != vault.sealing_key, SecretRow.id > after)
            rows = list(session.scalars(old.order_by(SecretRow.id).limit(_ROTATE_BATCH)))
            if not rows:
                return done
            done += sum(_reseal(session, vault, row) for row in rows)
            after = rows[-1].id


def _reseal(session: Session, vault: Vault, row: SecretRow) -> int:
    place = _place(row)
    fresh = vault.seal(place, vault.open(place, Sealed(row.key_id, row.sealed)))
    changed = session.execute(
        update(SecretRow)
        .where(SecretRow.id == row.id, SecretRow.key_id == row.key_id, SecretRow.sealed == row.sealed)
        .values(key_id=fresh.key_id, sealed=fresh.data)
        .execution_options(synchronize_session=False)
        .returning(SecretRow.id)
    )
    return len(changed.all())


def _place(row: SecretRow) -> Place:
    return Place(row.id, row.owner, row.kind)
