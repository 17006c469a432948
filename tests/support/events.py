# SPDX-License-Identifier: Apache-2.0
"""Small append requests for tests of the log."""

import hashlib
import uuid

from services.common.canonical import canonical_json
from services.common.eventlog.record import AppendRequest, Handled, NewEvent, StreamAppend

META = canonical_json({"actor": "test", "correlation_id": "c"})


def new_event(
    number: int = 0, *, subject: str | None = None, kind: str = "dossier.ready"
) -> NewEvent:
    """Return an event with a number in it."""
    return NewEvent(
        type=kind,
        schema=1,
        data=canonical_json({"number": number}),
        meta=META,
        occurred_at_us=1_700_000_000_000_000 + number,
        subject=subject,
    )


def fresh(category: str = "dossier") -> str:
    """Return a stream name that nobody used."""
    return f"{category}-{uuid.uuid4()}"


def request(
    *streams: tuple[str, int, int],
    key: str | None = None,
    source: str = "test",
    asked: str = "",
    handled: Handled | None = None,
    subject: str | None = None,
    kind: str = "dossier.ready",
) -> AppendRequest:
    """Return a request: (stream, expected version, how many events) for each stream."""
    key = key or str(uuid.uuid4())
    return AppendRequest(
        source=source,
        key=key,
        digest=hashlib.sha256(f"{source}/{key}/{asked}".encode()).digest(),
        cause_ms=1_700_000_000_000,
        appends=tuple(
            StreamAppend(
                stream=stream,
                expected_version=expected,
                events=tuple(
                    new_event(number, subject=subject, kind=kind) for number in range(count)
                ),
            )
            for stream, expected, count in streams
        ),
        handled=handled,
    )
