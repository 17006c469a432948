# SPDX-License-Identifier: Apache-2.0
"""The secret on a slip: with the code it lets anybody ask how a dossier stands, and nothing else.

The machine derives it from a key of its own, so a slip can be printed again; the journal keeps a
slow salted digest, so neither the log nor a subscriber can find it out (Decree 224/2026 article 15
asks for such a look-up).
"""

import hashlib
import hmac
import secrets
from typing import Final
from uuid import UUID

ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
SECRET_CHARS: Final = 8
KEY_BYTES: Final = 32
NO_LOOKUP: Final = "0" * 64
"""The digest of no secret: nobody can look the dossier up."""
_DRAWN_BYTES: Final = 5
_COST: Final = 2**14
_BLOCK: Final = 8
_MEMORY: Final = 64 * 1024 * 1024


def new_key() -> bytes:
    """Return a machine's key for secrets; it never leaves the machine."""
    return secrets.token_bytes(KEY_BYTES)


def secret_of(key: bytes, dossier: UUID) -> str:
    """Return eight characters that nobody mistakes for others (40 bits)."""
    drawn = int.from_bytes(hmac.digest(key, dossier.bytes, "sha256")[:_DRAWN_BYTES])
    letters = (ALPHABET[drawn >> (5 * place) & 31] for place in range(SECRET_CHARS))
    return "".join(letters)


def digest(secret: str, dossier: UUID) -> str:
    """Return the scrypt digest of ``secret`` salted with the dossier's id, 64 hex digits."""
    return hashlib.scrypt(
        secret.strip().upper().encode(),
        salt=dossier.bytes, n=_COST, r=_BLOCK, p=1, maxmem=_MEMORY, dklen=32,
    ).hex()  # fmt: skip


def matches(secret: str, dossier: UUID, expected: str) -> bool:
    """Say in constant time whether ``secret`` belongs to ``expected``."""
    return hmac.compare_digest(digest(secret, dossier), expected)
