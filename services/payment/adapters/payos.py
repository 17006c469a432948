# SPDX-License-Identifier: Apache-2.0
"""payOS notifications: {code, desc, success, data, signature}.

The signature is HMAC-SHA256, hex, over ``key=value`` pairs of ``data`` joined by ``&``, keys
sorted, null as the empty text (payOS documentation).
"""

import hashlib
import hmac
from collections.abc import Mapping

from services.common.canonical import canonical_json

Value = str | int | bool | None


def sign(data: Mapping[str, Value], checksum_key: str) -> str:
    """Return the signature of ``data``, hex."""
    text = "&".join(f"{name}={_text(data[name])}" for name in sorted(data))
    return hmac.new(checksum_key.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_signed(data: Mapping[str, Value], signature: str, checksum_key: str) -> bool:
    """Say whether ``signature`` is payOS's over ``data``; constant time."""
    expected = sign(data, checksum_key).encode()
    return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))


def digest(data: Mapping[str, Value]) -> str:
    """Return SHA-256 over the notification's data in canonical form, hex: kept as evidence."""
    return hashlib.sha256(canonical_json(dict(data))).hexdigest()


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
