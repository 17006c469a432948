# SPDX-License-Identifier: Apache-2.0
"""A subscriber's secrets: derived where we must be able to say them again, random where not.

Broker passwords and webhook secrets follow from one key, the subscriber's name and a generation:
a broker that lost its users gets the same ones back, and no secret is stored. A token is random;
only its SHA-256 is kept.
"""

import base64
import hashlib
import hmac
from typing import Final

TOKEN_BYTES: Final = 32
_DOMAIN: Final = "motcua/subscriber/v1"


def broker_password(key: bytes, name: str, generation: int) -> str:
    """Return the password of its broker login."""
    return _derived(key, "broker", name, generation).hex()


def webhook_secret(key: bytes, name: str, generation: int) -> bytes:
    """Return the 32 bytes that sign its webhooks."""
    return _derived(key, "webhook", name, generation)


def shown_secret(secret: bytes) -> str:
    """Return a webhook secret as it is handed over: ``whsec_<base64>``."""
    return "whsec_" + base64.b64encode(secret).decode()


def token_of(raw: bytes) -> str:
    """Return the bearer token made of 32 random bytes."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token_digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _derived(key: bytes, purpose: str, name: str, generation: int) -> bytes:
    message = f"{_DOMAIN}\n{purpose}\n{name}\n{generation}".encode()
    return hmac.digest(key, message, "sha256")
