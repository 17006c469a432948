# SPDX-License-Identifier: Apache-2.0
"""A log's rows in position order, from the table and, where some left it, from the archive's files.

Of a range that events left the file has all; what still stands in the table has to be the same, and
what does not has to be written down as having left (ADR-0028).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg

from services.common.errors import EventsArchived
from services.common.eventlog.away import Range, open_file, thinned
from services.common.eventlog.record import RecordedEvent

_PAGE: Final = 2_000
_LAST: Final = 2**63 - 1
_EVENTS: Final = (
    "SELECT pos, event_id, stream, version, type, schema, subject, occurred_at, recorded_at, data,"
    " meta, content_hash, leaf_hash FROM eventlog.event"
    " WHERE log_id = %s AND pos > %s AND pos <= %s ORDER BY pos"
)
_LEFT: Final = (
    "SELECT pos, leaf_hash FROM eventlog.detached"
    " WHERE log_id = %s AND pos > %s AND pos <= %s ORDER BY pos"
)
_AWAY: Final = "SELECT stream FROM eventlog.stream_head WHERE log_id = %s AND away"
Row = Sequence[Any]
Add = Callable[[str, str], None]


class Stitched:
    """One reading of the whole log in the caller's snapshot.

    Attributes:
        ranges: which archived ranges events left.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], log_id: int, archive: Path | None, add: Add
    ) -> None:
        """Look at what left and at the files that are needed; ``add`` takes findings.

        Raises:
            EventsArchived: a file is needed and is not there, or is another one.
        """
        self._connection = connection
        self._log_id = log_id
        self._add = add
        self._absent = set[str]()
        self.ranges = thinned(connection, log_id, 0, _LAST)
        if self.ranges and archive is None:
            raise EventsArchived("a part of the log", tuple(str(one) for one in self.ranges))
        self._paths = {one: open_file(archive, one) for one in self.ranges}

    def rows(self) -> Iterator[Row]:
        """Yield every row: position, id, stream … leaf hash."""
        after = 0
        for one in self.ranges:
            yield from self._cursor(_EVENTS, after, one.first - 1)
            yield from self._range(one)
            after = one.last
        yield from self._cursor(_EVENTS, after, _LAST)

    def heads(self) -> None:
        """Compare what is said to be away with what was not in the table."""
        rows = self._connection.execute(_AWAY, (self._log_id,)).fetchall()
        away = {str(row[0]) for row in rows}
        for stream in sorted(self._absent - away):
            self._add(
                f"stream {stream}", "stands in the archive only, and its head does not say so"
            )
        for stream in sorted(away - self._absent):
            self._add(f"stream {stream}", "is said to stand in the archive only")

    def _range(self, one: Range) -> Iterator[Row]:
        from services.common.eventlog.columns import read_parquet  # noqa: PLC0415 - an extra

        table = self._cursor(_EVENTS, one.first - 1, one.last)
        left = self._cursor(_LEFT, one.first - 1, one.last)
        row, gone = next(table, None), next(left, None)
        for event in read_parquet(self._paths[one]):
            kept = _row(event)
            while gone is not None and gone[0] < event.position:
                gone = next(left, None)
            if row is not None and row[0] == event.position:
                if tuple(_plain(cell) for cell in row) != kept:
                    self._add(f"position {event.position}", "is not what stands in the archive")
                yield row
                row = next(table, None)
                continue
            if gone is None or gone[0] != event.position:
                self._add(f"position {event.position}", "is missing, nothing says that it left")
            elif bytes(gone[1]) != event.leaf_hash:
                self._add(f"position {event.position}", "its leaf is not the one that was kept")
            self._absent.add(event.stream)
            yield kept
        if row is not None:
            yield row
        yield from table

    def _cursor(self, query: str, after: int, last: int) -> Iterator[Row]:
        name = f"stitch-{after}-{'events' if query is _EVENTS else 'left'}"
        with self._connection.cursor(name=name, binary=True) as cursor:
            cursor.itersize = _PAGE
            yield from cursor.execute(query.encode(), (self._log_id, after, last))


def _plain(cell: object) -> object:
    return bytes(cell) if isinstance(cell, memoryview) else cell


def _row(event: RecordedEvent) -> Row:
    return (
        event.position, event.event_id, event.stream, event.version, event.type, event.schema,
        event.subject, event.occurred_at_us, event.recorded_at_us, event.raw_data, event.raw_meta,
        event.content_hash, event.leaf_hash,
    )  # fmt: skip
