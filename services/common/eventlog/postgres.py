# SPDX-License-Identifier: Apache-2.0
"""The event log on PostgreSQL: the port's reads here, its append in ``writer``."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from services.common.clock import to_micros
from services.common.errors import MotCuaError, Unavailable
from services.common.eventlog import away, reads
from services.common.eventlog.checks import broken, check
from services.common.eventlog.ear import Ear
from services.common.eventlog.migrate import newest_version
from services.common.eventlog.ownership import key_reused, not_eraser
from services.common.eventlog.record import Appended, AppendRequest, RecordedEvent
from services.common.eventlog.row import COLUMNS, event_of
from services.common.eventlog.writer import Writer
from services.common.personal import Sealed

POSITION_MAX: Final = 2**63 - 1
_POLL_S: Final = 1.0
_POOL_WAIT_S: Final = 10.0
_ALL: Final[LiteralString] = f"SELECT {COLUMNS} FROM eventlog.event WHERE log_id = %s"  # noqa: S608


def open_pool(url: str, *, name: str, size: int = 8) -> ConnectionPool:
    """Return a pool that opens lazily and checks connections before lending them."""
    return ConnectionPool(
        url,
        min_size=0,
        max_size=size,
        name=name,
        open=False,
        timeout=_POOL_WAIT_S,
        check=ConnectionPool.check_connection,
        kwargs={
            "autocommit": True,
            "connect_timeout": 5,
            "options": "-c statement_timeout=30000",
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
    )


@contextmanager
def lent(pool: ConnectionPool) -> Iterator[psycopg.Connection[Any]]:
    """Lend a connection; every error of the driver leaves as ``Unavailable``."""
    try:
        pool.open(wait=False)
        with pool.connection() as connection:
            yield connection
    except (psycopg.Error, PoolTimeout) as error:
        raise Unavailable("postgresql", str(error)) from error


def erased(connection: psycopg.Connection[Any], query: LiteralString, *values: object) -> int:
    """Return how many the function erased; raises Refused ``not_eraser``."""
    try:
        row = connection.execute(query, values).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise not_eraser() from error
    return 0 if row is None else int(row[0])


class PostgresLog:
    """An event log in PostgreSQL; one object per process, safe for many threads."""

    def __init__(self, url: str, log_id: int, *, pool_size: int = 8) -> None:
        """Remember the service's own login; nothing is opened before the first use."""
        self.log_id = log_id
        self._url = url
        self._pool_size = pool_size
        self._pool = open_pool(url, name="eventlog", size=pool_size)
        self._writer = Writer(url, log_id)

    def close(self) -> None:
        """Answer what is queued and give all connections back."""
        self._writer.close()
        self._pool.close()

    def append(self, request: AppendRequest, *, timeout_s: float = 30.0) -> Appended:
        """See ``EventLog.append``."""
        check(request)
        (answer,) = self._writer.append([request], timeout_s)
        if isinstance(answer, Appended):
            return answer
        raise answer

    def append_all(
        self, requests: Sequence[AppendRequest], *, timeout_s: float = 30.0
    ) -> Sequence[Appended | MotCuaError]:
        """See ``EventLog.append_all``."""
        wrong = {place: error for place, one in enumerate(requests) if (error := broken(one))}
        good = [one for place, one in enumerate(requests) if place not in wrong]
        answers = iter(self._writer.append(good, timeout_s))
        return [wrong.get(place) or next(answers) for place in range(len(requests))]

    def ready(self) -> None:
        """Raise Unavailable unless the database answers and has the schema this release needs."""
        with lent(self._pool) as connection:
            row = connection.execute("SELECT max(number) FROM eventlog.migration").fetchone()
        if row is None or row[0] is None or row[0] < newest_version():
            raise Unavailable("postgresql", f"schema {row and row[0]}, needs {newest_version()}")

    def answer_of(self, source: str, key: str, digest: bytes) -> Appended | None:
        """See ``EventLog.answer_of``."""
        with lent(self._pool) as connection:
            row = connection.execute(
                "SELECT digest, first_pos, n FROM eventlog.append_key"
                " WHERE log_id = %s AND source = %s AND key = %s",
                (self.log_id, source, key),
            ).fetchone()
        if row is None:
            return None
        if bytes(row[0]) != digest:
            raise key_reused(source, key)
        return Appended(first_position=row[1], count=row[2], duplicate=True)

    def head(self) -> int:
        """See ``EventLog.head``."""
        with lent(self._pool) as connection:
            row = connection.execute(
                "SELECT pos FROM eventlog.log_head WHERE log_id = %s", (self.log_id,)
            ).fetchone()
        return 0 if row is None else int(row[0])

    def stream_version(self, stream: str) -> int:
        """See ``EventLog.stream_version``."""
        with lent(self._pool) as connection:
            row = connection.execute(
                "SELECT version FROM eventlog.stream_head WHERE log_id = %s AND stream = %s",
                (self.log_id, stream),
            ).fetchone()
        return 0 if row is None else int(row[0])

    def read_stream(
        self, stream: str, *, after_version: int = 0, limit: int = 10_000
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_stream``."""
        return self._whole(
            away.OF_STREAM, (stream,), f"stream {stream}",
            " AND stream = %s AND version > %s ORDER BY version LIMIT %s",
            stream, after_version, limit,
        )  # fmt: skip

    def read_streams(self, streams: Sequence[str]) -> Mapping[str, Sequence[RecordedEvent]]:
        """See ``EventLog.read_streams``."""
        found: dict[str, list[RecordedEvent]] = {stream: [] for stream in streams}
        names = list(found)
        for event in self._framed(
            away.OF_STREAMS, (names,), f"one of {len(found)} streams",
            reads.OF_STREAMS, (names, self.log_id),
        ):  # fmt: skip
            found[event.stream].append(event)
        return found

    def read_subject(
        self, subject: str, *, until_position: int | None = None, until: datetime | None = None
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_subject``."""
        latest = None if until is None else to_micros(until)
        return self._whole(
            away.OF_SUBJECT, (subject,), f"dossier {subject}",
            " AND subject = %s AND pos <= coalesce(%s, 9223372036854775807)"
            " AND recorded_at <= coalesce(%s, 9223372036854775807) ORDER BY pos",
            subject, until_position, latest,
        )  # fmt: skip

    def category_versions(self, category: str) -> Mapping[str, int]:
        """See ``EventLog.category_versions``."""
        with lent(self._pool) as connection:
            # "." follows "-" in the column's collation, so this is one range of the primary key.
            rows = connection.execute(
                "SELECT stream, version FROM eventlog.stream_head"
                " WHERE log_id = %s AND stream >= %s AND stream < %s",
                (self.log_id, f"{category}-", f"{category}."),
            ).fetchall()
        return {str(row[0]): int(row[1]) for row in rows}

    def read_all(
        self,
        after: int,
        *,
        limit: int = 1000,
        types: Sequence[str] | None = None,
        through: int | None = None,
        present_only: bool = False,
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_all``."""
        last = POSITION_MAX if through is None else through
        where: LiteralString = " AND pos > %s AND pos <= %s ORDER BY pos LIMIT %s"
        values: tuple[object, ...] = (after, last, limit)
        if types is not None:
            where = " AND pos > %s AND pos <= %s AND type = ANY (%s) ORDER BY pos LIMIT %s"
            values = (after, last, list(types), limit)
        if present_only:
            return self._read(where, *values)
        rows = self._page(_ALL + where, values, types, after=after, last=last, limit=limit, place=1)
        return [event_of(row) for row in rows]

    def read_ids(
        self, after: int, *, through: int, types: Sequence[str], limit: int
    ) -> Sequence[tuple[int, UUID]]:
        """See ``EventLog.read_ids``."""
        rows = self._page(
            "SELECT pos, event_id FROM eventlog.event WHERE log_id = %s"
            " AND pos > %s AND pos <= %s AND type = ANY (%s) ORDER BY pos LIMIT %s",
            (after, through, list(types), limit), types, after=after, last=through, limit=limit,
            place=0,
        )  # fmt: skip
        return [(row[0], row[1]) for row in rows]

    def read_positions(self, positions: Sequence[int]) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_positions``."""
        asked = {"log": self.log_id, "positions": list(set(positions))}
        with lent(self._pool) as connection:
            rows = connection.cursor(binary=True).execute(reads.AT_POSITIONS, asked).fetchall()
        found = [event_of(row) for row in rows]
        self._refuse_away(positions, found)
        return found

    def _refuse_away(self, positions: Sequence[int], found: Sequence[RecordedEvent]) -> None:
        missing = sorted(set(positions) - {event.position for event in found})
        if missing:
            with lent(self._pool) as connection:
                row = connection.execute(
                    "SELECT min(pos) FROM eventlog.detached WHERE log_id = %s AND pos = ANY (%s)",
                    (self.log_id, missing),
                ).fetchone()
                if row is not None and row[0] is not None:
                    what = f"position {row[0]}"
                    raise away.refusal(connection, self.log_id, what, row[0], row[0])

    def subscribe(
        self,
        after: int,
        *,
        types: Sequence[str] | None = None,
        stop_after_idle_s: float | None = None,
    ) -> Iterator[RecordedEvent]:
        """See ``EventLog.subscribe``; a lost LISTEN connection costs latency only."""
        position = after
        idle_since = time.monotonic()
        with Ear(self._url) as ear:
            while True:
                events = self.read_all(position)
                for event in events:
                    position = event.position
                    if types is None or event.type in types:
                        idle_since = time.monotonic()
                        yield event
                if events:
                    continue
                idle_s = time.monotonic() - idle_since
                if stop_after_idle_s is not None and idle_s >= stop_after_idle_s:
                    return
                left_s = _POLL_S if stop_after_idle_s is None else stop_after_idle_s - idle_s
                ear.wait(min(_POLL_S, max(left_s, 0.01)))

    def read_personal(self, event_id: UUID) -> Mapping[str, Sealed]:
        """See ``EventLog.read_personal``."""
        with lent(self._pool) as connection:
            rows = connection.execute(
                "SELECT field, key_id, blob, commitment FROM eventlog.event_pii"
                " WHERE log_id = %s AND event_id = %s",
                (self.log_id, event_id),
            ).fetchall()
        return {row[0]: Sealed(row[1], bytes(row[2]), bytes(row[3])) for row in rows}

    def forget(self, position: int) -> int:
        """See ``EventLog.forget``."""
        with lent(self._pool) as connection:
            return erased(connection, "SELECT eventlog.forget(%s, %s)", self.log_id, position)

    def read_with_marks(
        self, reactor: str, positions: Sequence[int]
    ) -> Sequence[tuple[RecordedEvent, bool]]:
        """See ``EventLog.read_with_marks``."""
        asked = {"log": self.log_id, "reactor": reactor, "positions": list(set(positions))}
        with lent(self._pool) as connection:
            rows = connection.cursor(binary=True).execute(reads.WITH_MARKS, asked).fetchall()
        found = [(event_of(row[:-1]), bool(row[-1])) for row in rows]
        self._refuse_away(positions, [event for event, _ in found])
        return found

    def done_through(self, reactor: str) -> int:
        """See ``EventLog.done_through``."""
        with lent(self._pool) as connection:
            row = connection.execute(
                "SELECT done_through FROM eventlog.reactor WHERE log_id = %s AND reactor = %s",
                (self.log_id, reactor),
            ).fetchone()
        return 0 if row is None else int(row[0])

    def unhandled(
        self, reactor: str, types: Sequence[str], *, recorded_before: datetime, limit: int = 500
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.unhandled``."""
        return self._read(
            " AND pos > %s AND type = ANY (%s) AND recorded_at < %s AND NOT EXISTS ("
            " SELECT FROM eventlog.handled AS h WHERE h.log_id = event.log_id"
            " AND h.reactor = %s AND h.pos = event.pos) ORDER BY pos LIMIT %s",
            self.done_through(reactor), list(types), to_micros(recorded_before), reactor, limit,
        )  # fmt: skip

    def advance_done_through(
        self, reactor: str, types: Sequence[str], *, recorded_before: datetime
    ) -> int:
        """See ``EventLog.advance_done_through``."""
        with lent(self._pool) as connection:
            row = connection.execute(
                "SELECT eventlog.advance_done_through(%s, %s, %s, %s)",
                (self.log_id, reactor, list(types), to_micros(recorded_before)),
            ).fetchone()
        return 0 if row is None else int(row[0])

    def _read(self, where: LiteralString, *values: object) -> list[RecordedEvent]:
        with lent(self._pool) as connection:
            rows = connection.cursor(binary=True).execute(_ALL + where, (self.log_id, *values))
            return [event_of(row) for row in rows]

    def _whole(
        self, gone: LiteralString, asked: tuple[object, ...], what: str, where: LiteralString,
        *values: object,
    ) -> list[RecordedEvent]:  # fmt: skip
        """Read events unless what was asked for has left, by the same snapshot."""
        return self._framed(gone, asked, what, _ALL + where, (self.log_id, *values))

    def _framed(
        self, gone: LiteralString, asked: tuple[object, ...], what: str, query: LiteralString,
        values: tuple[object, ...],
    ) -> list[RecordedEvent]:  # fmt: skip
        with lent(self._pool) as connection:
            rows = (
                connection.cursor(binary=True)
                .execute(away.framed(gone, query), (self.log_id, *asked, *values))
                .fetchall()
            )
            if rows[0][0] is not None:
                raise away.refusal(connection, self.log_id, what, *rows[0][:2])
        return [event_of(row[2:]) for row in rows if row[2] is not None]

    def _page(
        self, query: LiteralString, values: tuple[object, ...], types: Sequence[str] | None,
        *, after: int, last: int, limit: int, place: int,
    ) -> list[tuple[Any, ...]]:  # fmt: skip
        """Read rows, ``place`` their position's column, unless some within the page have left."""
        kinds = None if types is None else list(types)
        with lent(self._pool) as connection:
            found = connection.cursor(binary=True).execute(
                away.framed(away.OF_POSITIONS, query),
                (self.log_id, after, last, kinds, kinds, self.log_id, *values),
            ).fetchall()  # fmt: skip
            rows = [row[2:] for row in found if row[2] is not None]
            first, until = found[0][:2]
            reach = rows[-1][place] if len(rows) == limit else last
            if first is not None and first <= reach:
                what = f"what lies behind position {after}"
                raise away.refusal(connection, self.log_id, what, first, until)
        return rows
