# SPDX-License-Identifier: Apache-2.0
"""A generated log to read from."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from infra.generating.loading import SCRATCH, generate
from tests.support.database import LOG_ID, Database, fresh_database

_COPIERS: Final = 2
_RENAMED: Final = """
CREATE FUNCTION pg_temp.renamed(name text, turn integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN right(name, 36) ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$'
        THEN left(name, -36) || md5(right(name, 36) || turn)::uuid
        ELSE name || '.' || turn
    END
$$
"""
_AGAIN: Final[tuple[LiteralString, ...]] = (
    """
INSERT INTO eventlog.event
SELECT log_id, pos + %(shift)s, md5(event_id::text || %(turn)s)::uuid,
    pg_temp.renamed(stream, %(turn)s), version, type, schema, pg_temp.renamed(subject, %(turn)s),
    occurred_at, recorded_at, data, meta, content_hash, leaf_hash
FROM eventlog.event WHERE log_id = %(log)s AND pos <= %(size)s ORDER BY pos
""",
    """
INSERT INTO eventlog.append_key
SELECT log_id, source, key || '.' || %(turn)s, digest, first_pos + %(shift)s, n
FROM eventlog.append_key WHERE log_id = %(log)s AND first_pos <= %(size)s
""",
    """
INSERT INTO eventlog.stream_head
SELECT log_id, pg_temp.renamed(stream, %(turn)s), version FROM first_stream_head
""",
)


@contextmanager
def made_log(events: int) -> Iterator[Database]:
    """Lend a scratch database with a log of ``events`` in whole stories."""
    with fresh_database(os.environ["MOTCUA_TEST_DATABASE_URL"]) as database:
        with psycopg.connect(database.owner_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                    sql.Identifier(database.name), sql.Literal(SCRATCH)
                )
            )
        generate(database.owner_url, LOG_ID, events=events, seed=1)
        yield database


def grow(database: Database, times: int) -> int:
    """Make a made log ``times`` as long and return its length.

    Its events are put behind it again and again under other names of streams, subjects, events and
    requests, so tables and indexes are as large and as spread as those of a log that long. Hashes
    stay what they were: such a log is for measuring and cannot be verified.
    """
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT pos FROM eventlog.log_head WHERE log_id = %s", (LOG_ID,)
        ).fetchone()
        assert row is not None
        size = int(row[0])
        connection.execute("CREATE TABLE first_stream_head AS TABLE eventlog.stream_head")
        connection.execute(
            "UPDATE eventlog.log_head SET pos = %s WHERE log_id = %s", (size * times, LOG_ID)
        )
        connection.execute("SELECT eventlog.make_partitions(%s)", (LOG_ID,))
        with ThreadPoolExecutor(_COPIERS) as pool:
            list(pool.map(lambda turn: _again(database, size, turn), range(1, times)))
        connection.execute("DROP TABLE first_stream_head")
        connection.execute("VACUUM ANALYZE")
    return size * times


def _again(database: Database, size: int, turn: int) -> None:
    place = {"log": LOG_ID, "size": size, "shift": size * turn, "turn": turn}
    with psycopg.connect(database.owner_url, options="-c statement_timeout=0") as connection:
        connection.execute(_RENAMED)
        for statement in _AGAIN:
            connection.execute(statement, place)
