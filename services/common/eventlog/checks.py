# SPDX-License-Identifier: Apache-2.0
"""Limits of an append request, checked before it travels; the same for every implementation."""

from typing import Final

from services.common.canonical import INTEGER_LIMIT
from services.common.errors import Malformed, Problem
from services.common.eventlog.record import (
    EVENTS_PER_REQUEST_MAX,
    PAYLOAD_BYTES_MAX,
    STREAMS_PER_REQUEST_MAX,
    AppendRequest,
    NewEvent,
    StreamAppend,
)

NAME_LENGTH_MAX: Final = 200
"""Characters of a stream, key, source, type, subject or reactor; an index row holds two of them."""
_MILLIS_MAX: Final = 2**48 - 1
_SCHEMA_MAX: Final = 9999


def check(request: AppendRequest) -> None:
    """Raise Malformed with every limit that ``request`` breaks; nothing is sent then."""
    error = broken(request)
    if error is not None:
        raise error


def broken(request: AppendRequest) -> Malformed | None:
    """Return what ``check`` raises, or None."""
    problems = [*_shape(request), *_names(request)]
    for append in request.appends:
        problems += _stream(append)
        for event in append.events:
            problems += _event(event)
    return Malformed("append request", tuple(problems)) if problems else None


def _shape(request: AppendRequest) -> list[Problem]:
    found = []
    if not request.appends and request.handled is None:
        found.append(_problem("appends", "empty", "nothing to append and nothing handled"))
    streams = [append.stream for append in request.appends]
    if len(streams) > STREAMS_PER_REQUEST_MAX:
        found.append(_problem("appends", "too_many", f"over {STREAMS_PER_REQUEST_MAX} streams"))
    if len(set(streams)) != len(streams):
        found.append(_problem("appends", "repeated", "a stream stands twice in the request"))
    if sum(len(append.events) for append in request.appends) > EVENTS_PER_REQUEST_MAX:
        found.append(_problem("events", "too_many", f"over {EVENTS_PER_REQUEST_MAX} events"))
    if len(request.digest) != 32:  # noqa: PLR2004 - SHA-256
        found.append(_problem("digest", "length", "a digest has 32 bytes"))
    return found


def _stream(append: StreamAppend) -> list[Problem]:
    found = _name("stream", append.stream)
    if not found and not all(append.stream.partition("-")):
        found.append(_problem("stream", "malformed", f"{append.stream!r} is not category-id"))
    if not 0 <= append.expected_version < INTEGER_LIMIT:
        found.append(_problem("expected_version", "out_of_range", "must be 0 or more"))
    if not append.events:
        found.append(_problem("events", "empty", f"{append.stream}: no events"))
    return found


def _event(event: NewEvent) -> list[Problem]:
    found = _name("type", event.type)
    if event.subject is not None:
        found += _name("subject", event.subject)
    for name in event.personal:
        found += _name("personal", name)
    if len(event.data) + len(event.meta) > PAYLOAD_BYTES_MAX:
        found.append(_problem("data", "too_large", f"{event.type}: over {PAYLOAD_BYTES_MAX} bytes"))
    if not 0 < event.schema <= _SCHEMA_MAX:
        found.append(_problem("schema", "out_of_range", f"must be 1 to {_SCHEMA_MAX}"))
    if not -INTEGER_LIMIT < event.occurred_at_us < INTEGER_LIMIT:
        found.append(_problem("occurred_at", "out_of_range", "is no time"))
    return found


def _names(request: AppendRequest) -> list[Problem]:
    found = _name("source", request.source) + _name("key", request.key)
    if not 0 <= request.cause_ms <= _MILLIS_MAX:
        found.append(_problem("cause_ms", "out_of_range", "must fit 48 bits"))
    mark = request.handled
    if mark is not None:
        found += _name("handled.reactor", mark.reactor)
        if not 0 < mark.position < INTEGER_LIMIT:
            found.append(_problem("handled.position", "out_of_range", "is no position"))
    return found


def _name(field: str, name: str) -> list[Problem]:
    if name.isprintable() and 0 < len(name) <= NAME_LENGTH_MAX:
        return []
    return [_problem(field, "malformed", f"must be 1 to {NAME_LENGTH_MAX} printable characters")]


def _problem(field: str, code: str, en: str) -> Problem:
    return Problem(field, code, en, f"yêu cầu ghi không hợp lệ: {en}")
