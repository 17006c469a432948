# SPDX-License-Identifier: Apache-2.0
"""The event log on PostgreSQL: the port's reads here, its append in ``writer``."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Final, LiteralString, Self
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from services.common.clock import to_micros
from services.common.errors import MotCuaError, Refused, Unavailable
from services.common.eventlog.checks import broken, check
from services.common.eventlog.migrate import newest_version
from services.common.eventlog.ownership import key_reused, not_eraser
from services.common.eventlog.record import Appended, AppendRequest, RecordedEvent
from services.common.eventlog.row import COLUMNS, event_of
from services.common.eventlog.writer import Writer
from services.common.personal import Sealed, unwrap_key, wrap_key

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
        return self._read(
            " AND stream = %s AND version > %s ORDER BY version LIMIT %s",
            stream, after_version, limit,
        )  # fmt: skip

    def read_streams(self, streams: Sequence[str]) -> Mapping[str, Sequence[RecordedEvent]]:
        """See ``EventLog.read_streams``."""
        found: dict[str, list[RecordedEvent]] = {stream: [] for stream in streams}
        for event in self._read(" AND stream = ANY (%s) ORDER BY pos", list(found)):
            found[event.stream].append(event)
        return found

    def read_subject(
        self, subject: str, *, until_position: int | None = None, until: datetime | None = None
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_subject``."""
        latest = None if until is None else to_micros(until)
        return self._read(
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
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_all``."""
        last = POSITION_MAX if through is None else through
        if types is None:
            return self._read(
                " AND pos > %s AND pos <= %s ORDER BY pos LIMIT %s", after, last, limit
            )
        return self._read(
            " AND pos > %s AND pos <= %s AND type = ANY (%s) ORDER BY pos LIMIT %s",
            after, last, list(types), limit,
        )  # fmt: skip

    def read_ids(
        self, after: int, *, through: int, types: Sequence[str], limit: int
    ) -> Sequence[tuple[int, UUID]]:
        """See ``EventLog.read_ids``."""
        with lent(self._pool) as connection:
            return connection.execute(
                "SELECT pos, event_id FROM eventlog.event WHERE log_id = %s"
                " AND pos > %s AND pos <= %s AND type = ANY (%s) ORDER BY pos LIMIT %s",
                (self.log_id, after, through, list(types), limit), binary=True,
            ).fetchall()  # fmt: skip

    def read_positions(self, positions: Sequence[int]) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_positions``."""
        return self._read(" AND pos = ANY (%s) ORDER BY pos", list(positions))

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
        with _Ear(self._url) as ear:
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
            return _erased(connection, "SELECT eventlog.forget(%s, %s)", self.log_id, position)

    def handled_among(self, reactor: str, positions: Sequence[int]) -> frozenset[int]:
        """See ``EventLog.handled_among``."""
        with lent(self._pool) as connection:
            rows = connection.execute(
                "SELECT p.pos FROM unnest(%s::bigint[]) AS p(pos) WHERE EXISTS ("
                " SELECT FROM eventlog.handled AS h"
                " WHERE h.log_id = %s AND h.reactor = %s AND h.pos = p.pos) OR p.pos <= coalesce(("
                " SELECT r.done_through FROM eventlog.reactor AS r"
                " WHERE r.log_id = %s AND r.reactor = %s), 0)",
                (list(positions), self.log_id, reactor, self.log_id, reactor),
            ).fetchall()
        return frozenset(row[0] for row in rows)

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


class PostgresKeys:
    """Data keys in their own database, wrapped by a key-encryption key it never sees."""

    def __init__(self, url: str, key_encryption_key: bytes) -> None:
        """Remember the service's login to the key database and the 32-byte wrapping key."""
        self._pool = open_pool(url, name="keys", size=4)
        self._kek = key_encryption_key

    def close(self) -> None:
        """Give all connections back."""
        self._pool.close()

    def put(self, key_id: UUID, purpose: str, secret: bytes) -> None:
        """See ``KeyStore.put``."""
        with lent(self._pool) as connection:
            row = connection.execute(
                "SELECT keys.put(%s, %s, %s)", (key_id, purpose, wrap_key(secret, self._kek))
            ).fetchone()
        if row is None or not row[0]:
            raise Refused(
                "key_id_reused", "the data key's id is taken", "mã khóa dữ liệu đã được dùng"
            )

    def get(self, key_id: UUID) -> tuple[str, bytes] | None:
        """See ``KeyStore.get``."""
        with lent(self._pool) as connection:
            row = connection.execute("SELECT * FROM keys.get(%s)", (key_id,)).fetchone()
        if row is None:
            return None
        purpose, wrapped, granted = row
        if not granted:
            raise Refused(
                "purpose_not_granted",
                "this login may not use keys of that purpose",
                "không có quyền dùng khóa cho mục đích này",
            )
        return str(purpose), unwrap_key(bytes(wrapped), self._kek)

    def destroy(self, key_ids: Sequence[UUID]) -> int:
        """See ``KeyStore.destroy``."""
        with lent(self._pool) as connection:
            return _erased(connection, "SELECT keys.destroy(%s)", list(key_ids))


def _erased(connection: psycopg.Connection[Any], query: LiteralString, *values: object) -> int:
    try:
        row = connection.execute(query, values).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise not_eraser() from error
    return 0 if row is None else int(row[0])


class _Ear:
    """Waits for the log's notification on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def wait(self, seconds: float) -> None:
        """Return after a notification or ``seconds``, whichever comes first."""
        try:
            if self._connection is None:
                # The first round after (re)connecting returns at once: something may have been
                # committed before LISTEN took effect.
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
                self._connection.execute("LISTEN eventlog")
                return
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                pass
        except psycopg.Error:
            self._drop()
            time.sleep(seconds)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                connection.close()
