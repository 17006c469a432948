# SPDX-License-Identifier: Apache-2.0
"""Limits of an append request, checked before it travels; the same for every implementation."""

from services.common.errors import Malformed, Problem
from services.common.eventlog.record import (
    EVENTS_PER_REQUEST_MAX,
    PAYLOAD_BYTES_MAX,
    STREAMS_PER_REQUEST_MAX,
    AppendRequest,
    category_of,
)


def check(request: AppendRequest) -> None:
    """Raise Malformed with every limit that ``request`` breaks; nothing is sent then."""
    problems = [*_shape(request), *_events(request)]
    if problems:
        raise Malformed("append request", tuple(problems))


def _shape(request: AppendRequest) -> list[Problem]:
    found = []
    if not request.source or not request.key:
        found.append(_problem("key", "missing", "source and key must not be empty"))
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


def _events(request: AppendRequest) -> list[Problem]:
    found = []
    for append in request.appends:
        try:
            category_of(append.stream)
        except ValueError as error:
            found.append(_problem("stream", "malformed", str(error)))
        if append.expected_version < 0:
            found.append(_problem("expected_version", "negative", "must be 0 or more"))
        if not append.events:
            found.append(_problem("events", "empty", f"{append.stream}: no events"))
        for event in append.events:
            if len(event.data) + len(event.meta) > PAYLOAD_BYTES_MAX:
                message = f"{event.type}: over {PAYLOAD_BYTES_MAX} bytes"
                found.append(_problem("data", "too_large", message))
    return found


def _problem(field: str, code: str, en: str) -> Problem:
    return Problem(field, code, en, f"yêu cầu ghi không hợp lệ: {en}")
