# SPDX-License-Identifier: Apache-2.0
"""Personal data as ciphertext: sealed before it is hashed, readable only while its key lives.

One data key belongs to one party of one dossier for one purpose. An event keeps, in the place of
the personal value, a *stub*: the random key id, SHA-256(nonce‖ciphertext) and a key commitment;
never a hash of the plaintext. The ciphertext stands beside the log and the wrapped key in another
database, so that destroying the key erases the value and leaves every hash valid (ADR-0007).

Construction: AES-256-GCM, 96-bit random nonce, associated data = event id, field and schema, so a
ciphertext cannot be moved to another place. AES-GCM does not commit to its key, therefore
HMAC-SHA256(key, "motcua/key-commitment/v1")[:16] stands in the event as well.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from services.common.canonical import Json, JsonObject, canonical_json, parse_json

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_COMMITMENT_LABEL: Final = b"motcua/key-commitment/v1"
_AAD_LABEL: Final = b"motcua/personal/v1\x00"
_BOX_LABEL: Final = b"motcua/key-box/v1"


class CannotOpenError(Exception):
    """The ciphertext, its place or its key do not belong together."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A data key in the clear; lives in memory only.

    Attributes:
        key_id: random reference that events carry; says nothing about the person.
        purpose: what the key may be used for, for example ``contact``.
        secret: 32 bytes.
    """

    key_id: UUID
    purpose: str
    secret: bytes

    def __repr__(self) -> str:
        """Show the reference, never the secret."""
        return f"DataKey({self.key_id}, {self.purpose})"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A personal value as ciphertext.

    Attributes:
        key_id: which data key opens it.
        blob: nonce (12 bytes) ‖ ciphertext ‖ tag.
        commitment: 16 bytes that bind the key.
    """

    key_id: UUID
    blob: bytes
    commitment: bytes

    def stub(self) -> dict[str, Json]:
        """Return what stands in the event in the place of the value."""
        return {
            "key": str(self.key_id),
            "digest": hashlib.sha256(self.blob).hexdigest(),
            "commitment": self.commitment.hex(),
        }

    def matches(self, stub: JsonObject) -> bool:
        """Say whether ``stub`` is this ciphertext's stub."""
        return dict(stub) == self.stub()


def new_data_key(purpose: str) -> DataKey:
    """Return a fresh random data key; its id is random too (UUIDv4), not time-ordered."""
    return DataKey(UUID(bytes=os.urandom(16), version=4), purpose, os.urandom(KEY_BYTES))


def seal(value: Json, key: DataKey, *, event_id: UUID, field: str, schema: int) -> Sealed:
    """Encrypt ``value`` for exactly one field of one event; a fresh nonce at every call."""
    nonce = os.urandom(NONCE_BYTES)
    return seal_with_nonce(value, key, nonce, event_id=event_id, field=field, schema=schema)


def seal_with_nonce(
    value: Json, key: DataKey, nonce: bytes, *, event_id: UUID, field: str, schema: int
) -> Sealed:
    """Encrypt with a given nonce: for golden vectors only; a nonce is never used twice."""
    aad = _associated_data(event_id, field, schema)
    blob = nonce + AESGCM(key.secret).encrypt(nonce, canonical_json(value), aad)
    return Sealed(key.key_id, blob, key_commitment(key.secret))


def open_sealed(sealed: Sealed, key: DataKey, *, event_id: UUID, field: str, schema: int) -> Json:
    """Decrypt.

    Raises:
        CannotOpenError: other key, other place, or changed bytes.
    """
    if sealed.key_id != key.key_id or not hmac.compare_digest(
        sealed.commitment, key_commitment(key.secret)
    ):
        msg = "the key is not the one the event committed to"
        raise CannotOpenError(msg)
    aad = _associated_data(event_id, field, schema)
    nonce, ciphertext = sealed.blob[:NONCE_BYTES], sealed.blob[NONCE_BYTES:]
    try:
        return parse_json(AESGCM(key.secret).decrypt(nonce, ciphertext, aad))
    except (InvalidTag, ValueError) as error:
        msg = "ciphertext does not belong to this event, field and schema"
        raise CannotOpenError(msg) from error


def key_commitment(secret: bytes) -> bytes:
    """Return the 16 bytes that bind ``secret``."""
    return hmac.digest(secret, _COMMITMENT_LABEL, "sha256")[:16]


def wrap_key(secret: bytes, key_encryption_key: bytes) -> bytes:
    """Wrap a data key for storage (AES-KW, RFC 3394)."""
    return aes_key_wrap(key_encryption_key, secret)


def unwrap_key(wrapped: bytes, key_encryption_key: bytes) -> bytes:
    """Undo ``wrap_key``; raises CannotOpenError with the wrong key-encryption key."""
    try:
        return aes_key_unwrap(key_encryption_key, wrapped)
    except InvalidUnwrap as error:
        msg = "the key-encryption key does not open this data key"
        raise CannotOpenError(msg) from error


def box_key(key: DataKey, centre: X25519PublicKey) -> bytes:
    """Encrypt a data key to the centre: ephemeral public key (32) ‖ nonce (12) ‖ ciphertext.

    A machine sends this beside its journal and forgets the key once the centre has it.
    """
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    box = _box_secret(ephemeral.exchange(centre), public, centre.public_bytes_raw())
    nonce = os.urandom(NONCE_BYTES)
    return (
        public + nonce + AESGCM(box).encrypt(nonce, key.secret, _box_aad(key.key_id, key.purpose))
    )


def unbox_key(box: bytes, key_id: UUID, purpose: str, centre: X25519PrivateKey) -> DataKey:
    """Undo ``box_key``; raises CannotOpenError when id, purpose or bytes differ."""
    public, nonce, ciphertext = box[:32], box[32:44], box[44:]
    try:
        shared = centre.exchange(X25519PublicKey.from_public_bytes(public))
        own = centre.public_key().public_bytes_raw()
        secret = AESGCM(_box_secret(shared, public, own)).decrypt(
            nonce, ciphertext, _box_aad(key_id, purpose)
        )
    except (InvalidTag, ValueError) as error:
        msg = "the boxed key does not belong to this centre, key id and purpose"
        raise CannotOpenError(msg) from error
    if len(secret) != KEY_BYTES:
        msg = "a data key has 32 bytes"
        raise CannotOpenError(msg)
    return DataKey(key_id, purpose, secret)


def _associated_data(event_id: UUID, field: str, schema: int) -> bytes:
    name = field.encode()
    return _AAD_LABEL + event_id.bytes + len(name).to_bytes(2) + name + schema.to_bytes(4)


def _box_secret(shared: bytes, ephemeral: bytes, centre: bytes) -> bytes:
    kdf = HKDF(hashes.SHA256(), KEY_BYTES, salt=ephemeral + centre, info=_BOX_LABEL)
    return kdf.derive(shared)


def _box_aad(key_id: UUID, purpose: str) -> bytes:
    return _BOX_LABEL + b"\x00" + key_id.bytes + purpose.encode()
