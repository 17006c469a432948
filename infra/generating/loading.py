# SPDX-License-Identifier: Apache-2.0
"""Puts generated requests into an empty log of a scratch database, by binary COPY.

One transaction: the log has all of it or nothing. What stands there afterwards is what the append
functions would have left: events, stream heads, request keys, ciphertexts and the log's head.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, LiteralString

import psycopg

from infra.generating.crowd import said, world_of
from infra.generating.world import Said, World
from services.common.errors import Refused, Unavailable
from services.common.eventlog.batch import Prepared
from services.common.eventlog.record import leaf_hash
from services.common.integrity.merkle import Frontier

Progress = Callable[[int, int], None]
"""``progress(done, total)`` in events."""
SCRATCH: Final = "scratch"
"""The comment on a database that may be filled: ``COMMENT ON DATABASE … IS 'scratch'``."""
_REQUESTS_PER_PART: Final = 4_000
_APPEND_LOCK: Final = 1297040195
_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END: Final = struct.pack(">h", -1)
_EVENT: Final = struct.Struct(">hiiiqi16si")  # 14 fields: log_id, pos, event_id; stream's length
_LONG: Final = struct.Struct(">iqi")
_INT: Final = struct.Struct(">iii")
_TIMES: Final = struct.Struct(">iqiqi")
_LENGTH: Final = struct.Struct(">i")
_KEY: Final = struct.Struct(">iqii")
_TABLES: Final[dict[str, LiteralString]] = {
    "event": "COPY eventlog.event (log_id, pos, event_id, stream, version, type, schema, subject,"
    " occurred_at, recorded_at, data, meta, content_hash, leaf_hash) FROM STDIN (FORMAT binary)",
    "append_key": "COPY eventlog.append_key (log_id, source, key, digest, first_pos, n)"
    " FROM STDIN (FORMAT binary)",
    "event_pii": "COPY eventlog.event_pii (log_id, event_id, field, key_id, blob, commitment)"
    " FROM STDIN (FORMAT binary)",
    "stream_head": "COPY eventlog.stream_head (log_id, stream, version) FROM STDIN (FORMAT binary)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What the log holds now.

    Attributes:
        events: how many; the head's position.
        streams: how many.
        root: of the Merkle tree over all events: the same for the same seed, number and log.
    """

    events: int
    streams: int
    root: bytes


def generate(
    admin_url: str, log_id: int, *, events: int, seed: int,
    progress: Progress = lambda _done, _total: None,
) -> Generated:  # fmt: skip
    """Fill the empty log with ``events``, or a few more so that no request is cut.

    Args:
        admin_url: administrator's login to a migrated database whose comment is ``scratch``.
        log_id: a log that ``migrate`` opened.
        events: how many.
        seed: the same stories for the same seed, number and release.
        progress: told now and then.

    Raises:
        Refused: ``not_scratch``, ``no_such_log``, ``log_not_empty``; nothing is changed.
        Unavailable: the database is down; nothing is changed.
    """
    try:
        with psycopg.connect(
            admin_url, connect_timeout=5, options="-c statement_timeout=0"
        ) as connection:
            _require_scratch(connection, log_id)
            _make_room(connection, log_id, events)
            made = _Loading(connection, log_id, world_of(seed, events)).run(events, progress)
            connection.execute(
                "UPDATE eventlog.log_head SET pos = %s, recorded_at = %s WHERE log_id = %s",
                (made.events, made.last_us, log_id),
            )
        with psycopg.connect(admin_url, connect_timeout=5, autocommit=True) as connection:
            for table in _TABLES:
                connection.execute(f"ANALYZE eventlog.{table}".encode())
    except psycopg.Error as error:
        raise Unavailable("postgresql", str(error)) from error
    return Generated(events=made.events, streams=made.streams, root=made.frontier.root())


def _require_scratch(connection: psycopg.Connection[Any], log_id: int) -> None:
    row = connection.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
        " WHERE datname = current_database()"
    ).fetchone()
    if row is None or row[0] != SCRATCH:
        raise Refused(
            "not_scratch", "the database is not marked: COMMENT ON DATABASE … IS 'scratch'",
            "cơ sở dữ liệu chưa được đánh dấu là bản thử", field="database",
        )  # fmt: skip
    connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_APPEND_LOCK, log_id))
    row = connection.execute(
        "SELECT pos, EXISTS (SELECT FROM eventlog.event AS e WHERE e.log_id = h.log_id)"
        " FROM eventlog.log_head AS h WHERE log_id = %s", (log_id,),
    ).fetchone()  # fmt: skip
    if row is None:
        raise Refused("no_such_log", f"log {log_id} is not open", "chưa mở nhật ký này",
                      field="log_id")  # fmt: skip
    if row[0] or row[1]:
        raise Refused("log_not_empty", f"log {log_id} has events", "nhật ký đã có sự kiện",
                      field="log_id")  # fmt: skip


def _make_room(connection: psycopg.Connection[Any], log_id: int, events: int) -> None:
    row = connection.execute(
        "SELECT last - first + 1 FROM eventlog.partitions() ORDER BY last DESC LIMIT 1"
    ).fetchone()
    assert row is not None, "migrations make partitions"
    ahead = events // int(row[0]) + 2
    connection.execute("SELECT eventlog.make_partitions(%s, %s)", (log_id, ahead))


class _Loading:
    """Packs and copies part by part, so memory is bounded by a part and by who still lives."""

    def __init__(self, connection: psycopg.Connection[Any], log_id: int, world: World) -> None:
        self._connection, self._log_id, self._world = connection, log_id, world
        self._head = _LENGTH.pack(4) + _LENGTH.pack(log_id)
        self._keys, self._personal = list[bytes](), list[bytes]()
        self.frontier = Frontier()
        self.events = self.streams = self.last_us = 0

    def run(self, events: int, progress: Progress) -> "_Loading":
        requests = said(self._world, events)
        while part := list(islice(requests, _REQUESTS_PER_PART)):
            self._copy("event", self._rows(part))
            self._rest()
            progress(min(self.events, events), events)
        self._world.close_all()
        self._rest()
        return self

    def _rows(self, part: list[Said]) -> Iterator[bytes]:
        for recorded_us, request in part:
            prepared = Prepared.of(request, self._log_id)
            self._keys.append(self._key(prepared))
            self.last_us = recorded_us
            for row in prepared.events:
                self.events += 1
                yield self._event(row, recorded_us)

    def _event(self, row: Any, recorded_us: int) -> bytes:
        identifier, stream_name, version, event, content = row
        leaf = leaf_hash(content, recorded_us)
        self.frontier.append(leaf)
        stream, kind = stream_name.encode(), event.type.encode()
        subject = b"" if event.subject is None else event.subject.encode()
        for name, sealed in event.personal.items():
            self._personal.append(
                b"".join(
                    (
                        b"\x00\x06", self._head, *_sized(identifier.bytes, name.encode()),
                        *_sized(sealed.key_id.bytes, sealed.blob, sealed.commitment),
                    )
                )
            )  # fmt: skip
        return b"".join(
            (
                _EVENT.pack(14, 4, self._log_id, 8, self.events, 16, identifier.bytes, len(stream)),
                stream, _LONG.pack(8, version, len(kind)),
                kind, _INT.pack(4, event.schema, -1 if event.subject is None else len(subject)),
                subject, _TIMES.pack(8, event.occurred_at_us, 8, recorded_us, len(event.data)),
                event.data, *_sized(event.meta, content, leaf),
            )
        )  # fmt: skip

    def _key(self, prepared: Prepared) -> bytes:
        asked = prepared.request
        named = _sized(asked.source.encode(), asked.key.encode(), asked.digest)
        return b"".join(
            (
                b"\x00\x06", self._head, *named,
                _KEY.pack(8, self.events + 1, 4, len(prepared.events)),
            )
        )  # fmt: skip

    def _rest(self) -> None:
        """Copy what belongs to the events that are there, and the streams that are done."""
        heads = [
            b"".join((b"\x00\x03", self._head, *_sized(stream.encode()), _LENGTH.pack(8),
                      version.to_bytes(8)))
            for stream, version in self._world.closed
        ]  # fmt: skip
        self.streams += len(heads)
        self._world.closed.clear()
        for table, rows in (
            ("append_key", self._keys), ("event_pii", self._personal), ("stream_head", heads),
        ):  # fmt: skip
            self._copy(table, iter(rows))
            rows.clear()

    def _copy(self, table: str, rows: Iterator[bytes]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(_TABLES[table]) as copy:
            copy.write(_HEADER)
            while block := b"".join(islice(rows, 500)):
                copy.write(block)
            copy.write(_END)


def _sized(*values: bytes) -> Iterator[bytes]:
    for value in values:
        yield _LENGTH.pack(len(value))
        yield value
