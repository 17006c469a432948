# SPDX-License-Identifier: Apache-2.0
"""The whole log, fast: binary COPY, parsed here; for replays and exports, not for services.

Yields the same records as ``EventLog.read_all``, in position order. The JSON stays bytes until
somebody asks for ``data`` or ``meta``, which is most of what reading an event costs. Memory is
bounded by a block of rows, whatever the log's size: positions are dense and fixed at the
beginning, so each COPY takes a slice of them and no snapshot is held for long.

Source: PostgreSQL manual, COPY, "Binary Format": 11 bytes of signature, flags, extension; each row
as a field count and each field as length and bytes; a field count of −1 at the end.
"""

import struct
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from sys import intern
from typing import Final, Literal, LiteralString
from uuid import UUID

import psycopg

from services.common.errors import Unavailable
from services.common.eventlog.record import RecordedEvent

SLICE_POSITIONS: Final = 20_000
_BLOCK_BYTES: Final = 256 * 1024
_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00"
_FIELDS: Final = 14
_COUNT: Final = struct.Struct(">h")
_HEAD: Final = struct.Struct(">hiiiqi16si")  # field count, log_id, pos, event_id; stream's length
_LONG: Final = struct.Struct(">iqi")  # version; type's length
_INT: Final = struct.Struct(">iii")  # schema; subject's length
_TIMES: Final = struct.Struct(">iqiqi")  # occurred_at, recorded_at; data's length
_LENGTH: Final = struct.Struct(">i")
_LAST: Final = 2**63 - 1
_COPY: Final[LiteralString] = (
    "COPY (SELECT log_id, pos, event_id, stream, version, type, schema, subject, occurred_at,"
    " recorded_at, data, meta, content_hash, leaf_hash FROM eventlog.event"
    " WHERE log_id = %s AND pos > %s AND pos <= %s"
)
_SEGMENTS: Final[dict[str, LiteralString]] = {
    "stream": " AND get_byte(sha256(convert_to(stream, 'UTF8')), 0) %% %s = %s",
    "subject": " AND get_byte(sha256(convert_to(subject, 'UTF8')), 0) %% %s = %s",
}
_OPTIONS: Final = (
    "-c default_transaction_read_only=on -c statement_timeout=0 -c application_name=eventlog-bulk"
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

    def __init__(self, url: str, log_id: int, *, slice_positions: int = SLICE_POSITIONS) -> None:
        """Remember a login that may read the log; nothing is opened before the first reading."""
        self.log_id = log_id
        self._url = url
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
            Unavailable: the log is down or the reading broke off; begin again after the last one.
        """
        try:
            with self._connect() as connection:
                head = self._head(connection)
                last = head if selection.through is None else min(head, selection.through)
                for low, high in self._slices(selection, last):
                    yield from self._copy(connection, selection, low, high)
        except psycopg.Error as error:
            raise Unavailable("postgresql", str(error)) from error

    def _slices(self, selection: Selection, last: int) -> Iterator[tuple[int, int]]:
        if selection.stream is not None or selection.subject is not None:
            # An index finds these; slices would only ask it again and again.
            if selection.after < last:
                yield selection.after, last
            return
        for low in range(selection.after, last, self._slice):
            yield low, min(low + self._slice, last)

    def _copy(
        self, connection: psycopg.Connection, selection: Selection, low: int, high: int
    ) -> Iterator[RecordedEvent]:
        query = _COPY
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
        query += " ORDER BY pos) TO STDOUT (FORMAT binary)"
        with connection.cursor() as cursor, cursor.copy(query, values) as copy:
            yield from _rows(bytes(part) for part in copy)

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


def _rows(parts: Iterator[bytes]) -> Iterator[RecordedEvent]:
    """Parse a COPY stream; parts may be cut anywhere."""
    held: list[bytes] = []
    size, begun = 0, False
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= _BLOCK_BYTES:
            block = b"".join(held)
            offset, begun = (0, True) if begun else (_skip_header(block), True)
            offset = yield from _whole_rows(block, offset)
            held, size = [block[offset:]], len(block) - offset
    block = b"".join(held)
    offset = yield from _whole_rows(block, 0 if begun else _skip_header(block))
    if block[offset:] != _COUNT.pack(-1):
        raise Unavailable("postgresql", "a COPY broke off within a row")


def _skip_header(block: bytes) -> int:
    if not block.startswith(_SIGNATURE):
        raise Unavailable("postgresql", "no COPY signature")
    (extension,) = _LENGTH.unpack_from(block, len(_SIGNATURE) + 4)
    return len(_SIGNATURE) + 8 + int(extension)


def _whole_rows(block: bytes, offset: int) -> Generator[RecordedEvent, None, int]:
    """Yield the rows that ``block`` holds whole; returns where the rest begins."""
    while True:
        try:
            fields, _, log_id, _, position, _, identifier, size = _HEAD.unpack_from(block, offset)
            stream = slice(begin := offset + _HEAD.size, begin + size)
            _, version, size = _LONG.unpack_from(block, stream.stop)
            kind = slice(begin := stream.stop + _LONG.size, begin + size)
            _, schema, subject_size = _INT.unpack_from(block, kind.stop)
            subject = slice(begin := kind.stop + _INT.size, begin + max(subject_size, 0))
            _, occurred_at, _, recorded_at, size = _TIMES.unpack_from(block, subject.stop)
            data = slice(begin := subject.stop + _TIMES.size, begin + size)
            meta = _sized(block, data.stop)
            content = _sized(block, meta.stop)
            leaf = _sized(block, content.stop)
        except struct.error:
            return offset
        if leaf.stop > len(block):
            return offset
        if fields != _FIELDS:
            raise Unavailable("postgresql", f"a COPY row with {fields} fields")
        yield RecordedEvent(
            log_id=log_id, position=position, event_id=UUID(bytes=identifier),
            stream=block[stream].decode(), version=version, type=intern(block[kind].decode()),
            schema=schema, subject=None if subject_size < 0 else block[subject].decode(),
            occurred_at_us=occurred_at, recorded_at_us=recorded_at, raw_data=block[data],
            raw_meta=block[meta], content_hash=block[content], leaf_hash=block[leaf],
        )  # fmt: skip
        offset = leaf.stop


def _sized(block: bytes, offset: int) -> slice:
    """Return where the value is whose length stands at ``offset``."""
    (size,) = _LENGTH.unpack_from(block, offset)
    return slice(offset + _LENGTH.size, offset + _LENGTH.size + size)
