# SPDX-License-Identifier: Apache-2.0
"""One batch of append requests as the arrays that the append function takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import psycopg

from services.common.eventlog.arrays import blobs, ints, longs, texts, uuids
from services.common.eventlog.record import AppendRequest, NewEvent, content_bytes, content_hash

_APPEND: Final = (
    "SELECT eventlog.append(%s::int, %s::text[], %s::text[], %s::bytea[], %s::int[], %s::int[],"
    " %s::text[], %s::bigint[], %s::int[], %s::uuid[], %s::text[], %s::bigint[], %s::text[],"
    " %s::int[], %s::text[], %s::bigint[], %s::bytea[], %s::bytea[], %s::bytea[], %s::text[],"
    " %s::bigint[], %s::uuid[], %s::text[], %s::uuid[], %s::bytea[], %s::bytea[])"
)
_SETTLE: Final = (
    "SELECT request, outcome, first_pos, n, stream, expected, actual FROM eventlog.settle("
    "%s::int, %s::text[], %s::text[], %s::bytea[], %s::int[], %s::text[], %s::bigint[])"
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose ids and hashes are computed before the lock is taken."""

    request: AppendRequest
    events: tuple[tuple[UUID, str, int, NewEvent, bytes], ...]

    @classmethod
    def of(cls, request: AppendRequest, log_id: int) -> "Prepared":
        """Derive event ids, versions and content hashes."""
        events: list[tuple[UUID, str, int, NewEvent, bytes]] = []
        for append in request.appends:
            for offset, event in enumerate(append.events, start=1):
                identifier = event.event_id or request.event_id(len(events))
                version = append.expected_version + offset
                content = content_bytes(
                    log_id=log_id,
                    event_id=identifier,
                    stream=append.stream,
                    version=version,
                    event=event,
                )
                events.append((identifier, append.stream, version, event, content_hash(content)))
        return cls(request, tuple(events))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the settling function says of one request."""

    outcome: str
    first_position: int | None
    count: int | None
    stream: str | None
    expected: int | None
    actual: int | None


def append(cursor: psycopg.Cursor[tuple[int]], log_id: int, batch: Sequence[Prepared]) -> list[int]:
    """Append the whole batch; return each request's first position.

    Commits by itself on an autocommit connection; joins the transaction where one is running.
    """
    requests = [prepared.request for prepared in batch]
    firsts, total = [], 1
    for prepared in batch:
        firsts.append(total)
        total += len(prepared.events)
    streams = [append_ for request in requests for append_ in request.appends]
    events = [event for prepared in batch for event in prepared.events]
    handled = [request.handled for request in requests if request.handled is not None]
    personal = [
        (identifier, name, sealed)
        for identifier, _, _, event, _ in events
        for name, sealed in event.personal.items()
    ]
    row = cursor.execute(
        _APPEND,
        (
            log_id,
            texts([request.source for request in requests]),
            texts([request.key for request in requests]),
            blobs([request.digest for request in requests]),
            ints(firsts),
            ints([len(prepared.events) for prepared in batch]),
            texts([append_.stream for append_ in streams]),
            longs([append_.expected_version for append_ in streams]),
            ints([len(append_.events) for append_ in streams]),
            uuids([identifier for identifier, _, _, _, _ in events]),
            texts([stream for _, stream, _, _, _ in events]),
            longs([version for _, _, version, _, _ in events]),
            texts([event.type for _, _, _, event, _ in events]),
            ints([event.schema for _, _, _, event, _ in events]),
            texts([event.subject for _, _, _, event, _ in events]),
            longs([event.occurred_at_us for _, _, _, event, _ in events]),
            blobs([event.data for _, _, _, event, _ in events]),
            blobs([event.meta for _, _, _, event, _ in events]),
            blobs([digest for _, _, _, _, digest in events]),
            texts([mark.reactor for mark in handled]),
            longs([mark.position for mark in handled]),
            uuids([identifier for identifier, _, _ in personal]),
            texts([name for _, name, _ in personal]),
            uuids([sealed.key_id for _, _, sealed in personal]),
            blobs([sealed.blob for _, _, sealed in personal]),
            blobs([sealed.commitment for _, _, sealed in personal]),
        ),
        prepare=True,
        binary=True,
    ).fetchone()
    assert row is not None, "a scalar function returns one row"
    return [
        row[0] + first if prepared.events else 0
        for first, prepared in zip(firsts, batch, strict=True)
    ]


def settle(
    cursor: psycopg.Cursor[tuple[int, str, int, int, str, int, int]],
    log_id: int,
    batch: Sequence[Prepared],
) -> list[Verdict]:
    """Take the log's lock and return what may be done with each request."""
    requests = [prepared.request for prepared in batch]
    streams = [
        (place, append_.stream, append_.expected_version)
        for place, request in enumerate(requests, start=1)
        for append_ in request.appends
    ]
    rows = cursor.execute(
        _SETTLE,
        (
            log_id,
            texts([request.source for request in requests]),
            texts([request.key for request in requests]),
            blobs([request.digest for request in requests]),
            ints([place for place, _, _ in streams]),
            texts([stream for _, stream, _ in streams]),
            longs([expected for _, _, expected in streams]),
        ),
    ).fetchall()
    return [Verdict(*row[1:]) for row in rows]
