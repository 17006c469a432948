# SPDX-License-Identifier: Apache-2.0
"""Identifiers: derived event ids (UUIDv8) and new time-ordered ids (UUIDv7), RFC 9562.

An event id is a pure function of the request that caused it, so that the same request, retried
anywhere and any number of times, always yields the same ids; its first 48 bits are the
milliseconds of the cause, so that ids stay time-ordered (ADR-0001).
"""

import hashlib
import os
from uuid import UUID

from services.common.canonical import canonical_text

_VERSION_SHIFT = 76
_VARIANT = 0b10 << 62
_LOW_62 = (1 << 62) - 1
_MILLIS_MAX = (1 << 48) - 1


def event_id(cause_ms: int, source: str, key: str, index: int) -> UUID:
    """Derive the id of event ``index`` of the request ``(source, key)``.

    Args:
        cause_ms: milliseconds since the epoch of the cause (or of the client's id).
        source: who asked, for example ``intake.reactions`` or ``VT01/3``.
        key: the request's idempotency key within ``source``.
        index: 0-based place of the event in its request.

    Raises:
        ValueError: ``cause_ms`` does not fit 48 bits, or ``index`` is negative.
    """
    if not 0 <= cause_ms <= _MILLIS_MAX or index < 0:
        msg = "cause_ms must fit 48 bits and index must not be negative"
        raise ValueError(msg)
    named = b"[%b,%b,%d]" % (canonical_text(source), canonical_text(key), index)
    digest = hashlib.sha256(named).digest()
    return _assemble(cause_ms, 8, int.from_bytes(digest[:10], "big"))


def new_id(now_ms: int) -> UUID:
    """Return a fresh UUIDv7 for ``now_ms`` milliseconds since the epoch; random, not derived."""
    return _assemble(now_ms, 7, int.from_bytes(os.urandom(10), "big"))


def cause_ms_of(identifier: UUID, otherwise_ms: int) -> int:
    """Return the milliseconds inside a UUIDv7 or v8, or ``otherwise_ms`` for other versions."""
    return identifier.int >> 80 if identifier.version in {7, 8} else otherwise_ms


def _assemble(millis: int, version: int, random_80: int) -> UUID:
    rand_a = random_80 >> 68
    rand_b = random_80 & _LOW_62
    return UUID(
        int=(millis << 80) | (version << _VERSION_SHIFT) | (rand_a << 64) | _VARIANT | rand_b
    )
