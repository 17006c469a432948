# SPDX-License-Identifier: Apache-2.0
"""The whole log, fast; for replays and exports, not for services.

Yields the same records as ``EventLog.read_all``, in position order. Rows arrive in binary and in
chunks while the server sends the next ones, and are parsed by psycopg's compiled code. The JSON
stays bytes until somebody asks for ``data`` or ``meta``, which is most of what reading an event
costs. Memory is bounded by a chunk, whatever the log's size: positions are dense and fixed at the
beginning, so each query takes a slice of them and no snapshot is held for long.

Where events have left the table, the archive's file is read for the whole range, in its place in
the order; without the archive's folder nothing is given at all (ADR-0028).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, LiteralString

import psycopg

from services.common.errors import Unavailable
from services.common.eventlog import away
from services.common.eventlog.away import Range
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.row import COLUMNS, event_of

SLICE_POSITIONS: Final = 20_000
_CHUNK_ROWS: Final = 500
_QUERY: Final[LiteralString] = (
    f"SELECT {COLUMNS} FROM eventlog.event WHERE log_id = %s AND pos > %s AND pos <= %s"  # noqa: S608
)
_SEGMENTS: Final[dict[str, LiteralString]] = {
    "stream": " AND get_byte(sha256(convert_to(stream, 'UTF8')), 0) %% %s = %s",
    "subject": " AND get_byte(sha256(convert_to(subject, 'UTF8')), 0) %% %s = %s",
}
# The table lies in position order, so an index scan finds a slice's pages side by side. A planner
# that believes them far apart takes a bitmap, or the whole table, and sorts a slice on disk.
_OPTIONS: Final = (
    "-c default_transaction_read_only=on -c statement_timeout=0 -c random_page_cost=1.1"
    " -c application_name=eventlog-bulk"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """One of ``of`` parts of a log, cut so that what belongs together stays together.

    Attributes:
        by: ``stream`` or ``subject``; events that have none are in no part.
        number: which part, from 0.
        of: how many there are, at most 256.
    """

    by: Literal["stream", "subject"]
    number: int
    of: int

    def holds(self, event: RecordedEvent) -> bool:
        """Say whether ``event`` is in this part; PostgreSQL computes the same."""
        name = event.stream if self.by == "stream" else event.subject
        return name is not None and sha256(name.encode()).digest()[0] % self.of == self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events; everything by default.

    Attributes:
        after: positions above this one.
        through: up to and with this position; None for all there is when the reading begins.
        types: only these event types; None for all.
        stream: only this stream.
        subject: only this dossier, over all its streams.
        segment: only this part.
    """

    after: int = 0
    through: int | None = None
    types: Sequence[str] | None = None
    stream: str | None = None
    subject: str | None = None
    segment: Segment | None = None


EVERYTHING: Final = Selection()


class BulkReader:
    """Reads one log; each reading has a connection of its own, so many may run at once."""

    def __init__(
        self, url: str, log_id: int, *, archive: Path | None = None,
        slice_positions: int = SLICE_POSITIONS,
    ) -> None:  # fmt: skip
        """Remember a login that may read the log; nothing is opened before the first reading.

        Args:
            url: the login.
            log_id: which log.
            archive: folder of the archive, for what has left the database; None to do without.
            slice_positions: how many positions one query takes.
        """
        self.log_id = log_id
        self._url = url
        self._archive = archive
        self._slice = slice_positions

    def head(self) -> int:
        """Return the highest position; 0 for an empty log.

        Raises:
            Unavailable: the log is down.
        """
        try:
            with self._connect() as connection:
                return self._head(connection)
        except psycopg.Error as error:
            raise Unavailable("postgresql", str(error)) from error

    def read(self, selection: Selection = EVERYTHING) -> Iterator[RecordedEvent]:
        """Yield what ``selection`` names, in position order.

        Raises:
            EventsArchived: some of it has left the database, and the archive's file is not there,
                is another one, or no folder was named; nothing was yielded.
            Unavailable: the log is down, the reading broke off, or events left while it went on;
                begin again after the last one.
        """
        try:
            with self._connect() as connection:
                head = self._head(connection)
                last = head if selection.through is None else min(head, selection.through)
                gone = self._gone(connection, selection, last)
                paths = {one: away.open_file(self._archive, one) for one in gone}
                for low, high, one in _pieces(selection.after, last, gone):
                    if one is None:
                        yield from self._present(connection, selection, low, high)
                    else:
                        yield from _archived(
                            paths[one], replace(selection, after=low, through=high)
                        )
        except psycopg.Error as error:
            raise Unavailable("postgresql", str(error)) from error

    def _present(
        self, connection: psycopg.Connection, selection: Selection, after: int, last: int
    ) -> Iterator[RecordedEvent]:
        for low, high in self._slices(selection, after, last):
            yield from self._stream(connection, selection, low, high)
            if self._gone(connection, replace(selection, after=low), high):
                raise Unavailable("postgresql", "events left the table meanwhile; begin again")

    def _gone(self, connection: psycopg.Connection, selection: Selection, last: int) -> list[Range]:
        """Return the archived ranges whose files are needed in (after, last]."""
        for query, name in (
            (away.OF_STREAM, selection.stream), (away.OF_SUBJECT, selection.subject)
        ):  # fmt: skip
            if name is not None:
                row = connection.execute(query, (self.log_id, name)).fetchone()
                if row is None or row[0] is None:
                    return []
        return away.thinned(connection, self.log_id, selection.after, last, selection.types)

    def _slices(self, selection: Selection, after: int, last: int) -> Iterator[tuple[int, int]]:
        if selection.stream is not None or selection.subject is not None:
            # An index finds these; slices would only ask it again and again.
            if after < last:
                yield after, last
            return
        for low in range(after, last, self._slice):
            yield low, min(low + self._slice, last)

    def _stream(
        self, connection: psycopg.Connection, selection: Selection, low: int, high: int
    ) -> Iterator[RecordedEvent]:
        query = _QUERY
        values: list[object] = [self.log_id, low, high]
        if selection.types is not None:
            query += " AND type = ANY (%s)"
            values.append(list(selection.types))
        if selection.stream is not None:
            query += " AND stream = %s"
            values.append(selection.stream)
        if selection.subject is not None:
            query += " AND subject = %s"
            values.append(selection.subject)
        if selection.segment is not None:
            query += _SEGMENTS[selection.segment.by]
            values += (selection.segment.of, selection.segment.number)
        query += " ORDER BY pos"
        cursor = connection.cursor(row_factory=_records)
        yield from cursor.stream(query, values, binary=True, size=_CHUNK_ROWS)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            self._url, autocommit=True, connect_timeout=5, options=_OPTIONS,
            keepalives_idle=5, keepalives_interval=2, keepalives_count=3,
        )  # fmt: skip

    def _head(self, connection: psycopg.Connection) -> int:
        row = connection.execute(
            "SELECT pos FROM eventlog.log_head WHERE log_id = %s", (self.log_id,)
        ).fetchone()
        return 0 if row is None else int(row[0])


def _pieces(
    after: int, last: int, ranges: Sequence[Range]
) -> Iterator[tuple[int, int, Range | None]]:
    """Cut (after, last] at the archived ranges; None is what stands in the table."""
    for one in ranges:
        if after < one.first - 1:
            yield after, one.first - 1, None
        yield max(after, one.first - 1), min(last, one.last), one
        after = one.last
    if after < last:
        yield after, last, None


def _archived(path: Path, selection: Selection) -> Iterator[RecordedEvent]:
    from services.common.eventlog.columns import read_parquet  # noqa: PLC0415 - an extra

    return read_parquet(path, selection)


def _records(_: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], RecordedEvent]:
    return event_of
