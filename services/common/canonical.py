# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON: one sequence of bytes for one value, so that hashes mean something.

Allowed are objects with ASCII keys, arrays, strings, booleans, null and integers below 2^53 in
magnitude; no floats. Within that subset sorted keys without white space is RFC 8785, which a
property test holds against an independent implementation (ADR-0001).
"""

from collections.abc import Mapping, Sequence

import orjson

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = Mapping[str, Json]

INTEGER_LIMIT = 2**53
_OPTIONS = orjson.OPT_SORT_KEYS


class NotCanonicalError(ValueError):
    """The value has no canonical form here; ``path`` says where."""

    def __init__(self, path: str, reason: str) -> None:
        """Name the place (``$.fees[0].vnd``) and the reason."""
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def canonical_json(value: Json) -> bytes:
    """Return the canonical bytes of ``value``.

    Raises:
        NotCanonicalError: a float, a non-ASCII or non-string key, an integer of 2^53 or more, a
            lone surrogate, or a type that JSON does not have.
    """
    _check(value, "$")
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise NotCanonicalError("$", str(error)) from error


def canonical_text(value: str | None) -> bytes:
    """Return ``canonical_json`` of one text or null, without walking it."""
    return orjson.dumps(value)


def parse_json(data: bytes) -> Json:
    """Return the value of JSON ``data``; raises NotCanonicalError when it is not JSON."""
    try:
        value: Json = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise NotCanonicalError("$", str(error)) from error
    return value


def _check(value: Json, path: str) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if abs(value) >= INTEGER_LIMIT:
            raise NotCanonicalError(path, "integer of 2^53 or more")
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise NotCanonicalError(path, "object keys must be ASCII strings")
            _check(item, f"{path}.{key}")
        return
    if isinstance(value, list | tuple):
        for place, item in enumerate(value):
            _check(item, f"{path}[{place}]")
        return
    raise NotCanonicalError(path, f"{type(value).__name__} is not allowed")
