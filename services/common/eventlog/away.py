# SPDX-License-Identifier: Apache-2.0
"""What has left the table: asked in the same statement as the events, so nobody is given less.

A stream stands in the table as a whole or not at all. Which types left which archived range is
recorded beside it, so whoever reads the whole log is told, and whoever asks for what never leaves
reads on (ADR-0028).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from services.common.errors import EventsArchived

OF_STREAM: Final[LiteralString] = (
    "SELECT d.first, d.last FROM eventlog.stream_head AS h JOIN eventlog.detached_stream AS d"
    " USING (log_id, stream) WHERE h.log_id = %s AND h.stream = %s AND h.away"
    " ORDER BY d.moved_at DESC LIMIT 1"
)
OF_STREAMS: Final[LiteralString] = (
    "SELECT min(d.first), max(d.last) FROM eventlog.stream_head AS h"
    " JOIN eventlog.detached_stream AS d USING (log_id, stream)"
    " WHERE h.log_id = %s AND h.stream = ANY (%s) AND h.away"
)
OF_SUBJECT: Final[LiteralString] = (
    "SELECT min(d.first), max(d.last) FROM eventlog.detached_stream AS d"
    " JOIN eventlog.stream_head AS h USING (log_id, stream)"
    " WHERE d.log_id = %s AND d.subject = %s AND h.away"
)
OF_POSITIONS: Final[LiteralString] = (
    "SELECT d.first, d.last FROM eventlog.detached_type AS d WHERE d.log_id = %s AND d.last > %s"
    " AND d.first <= %s AND (%s::text[] IS NULL OR d.type = ANY (%s)) ORDER BY d.last LIMIT 1"
)
_RANGES: Final[LiteralString] = (
    "SELECT r.first, r.last, r.file, r.sha256 FROM eventlog.archived_range AS r"
    " WHERE r.log_id = %s AND r.last >= %s AND r.first <= %s"
)
_THINNED: Final[LiteralString] = (
    " AND EXISTS (SELECT FROM eventlog.detached_type AS d WHERE (d.log_id, d.last) ="
    " (r.log_id, r.last) AND (%s::text[] IS NULL OR d.type = ANY (%s)))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Positions that are in the archive.

    Attributes:
        first: lowest position.
        last: highest.
        file: name in the archive's folder.
        sha256: of the file.
    """

    first: int
    last: int
    file: str
    sha256: bytes

    def __str__(self) -> str:
        """Positions and file."""
        return f"positions {self.first}–{self.last} ({self.file})"


def framed(away: LiteralString, events: LiteralString) -> LiteralString:
    """Return one statement: ``first, last`` of what is away, then the columns of ``events``.

    It has a row even where there are no events; the third column is null then.
    """
    return (
        "SELECT a.*, e.* FROM (VALUES (0)) AS one"  # noqa: S608 - constants
        f" LEFT JOIN ({away}) AS a ON true LEFT JOIN ({events}) AS e ON true"
    )


def archived(
    connection: psycopg.Connection[Any], log_id: int, first: int, last: int
) -> list[Range]:
    """Return the archived ranges that overlap; raises psycopg.Error."""
    return _found(connection, _RANGES, (log_id, first, last))


def thinned(
    connection: psycopg.Connection[Any], log_id: int, after: int, last: int,
    types: Sequence[str] | None = None,
) -> list[Range]:  # fmt: skip
    """Return the ranges in (after, last] of which events left, of ``types`` where given."""
    kinds = None if types is None else list(types)
    query = _RANGES + _THINNED
    return _found(connection, query, (log_id, after + 1, last, kinds, kinds))


def refusal(
    connection: psycopg.Connection[Any], log_id: int, what: str, first: int, last: int
) -> EventsArchived:
    """Return the refusal for ``what``, which left from between two positions."""
    found = archived(connection, log_id, first, last)
    return EventsArchived(what, tuple(str(one) for one in found))


def open_file(archive: Path | None, one: Range) -> Path:
    """Return where the file of a range is.

    Raises:
        EventsArchived: no folder was named, the file is not there, or it is not the one that was
            archived.
    """
    if archive is None:
        raise EventsArchived("what was asked for", (str(one),))
    path = archive / one.file
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise EventsArchived("what was asked for", (f"{one}: {error.strerror}",)) from error
    if found != one.sha256:
        what = f"{one}: it is not the file that was archived"
        raise EventsArchived("what was asked for", (what,))
    return path


def _found(
    connection: psycopg.Connection[Any], query: LiteralString, values: Sequence[object]
) -> list[Range]:
    rows = connection.execute(query + " ORDER BY r.first", values, binary=True).fetchall()
    return [Range(first=a, last=b, file=f, sha256=bytes(h)) for a, b, f, h in rows]
