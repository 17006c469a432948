# SPDX-License-Identifier: Apache-2.0
"""A log with small partitions, so that a test comes to their end."""

import psycopg

from tests.support.database import Database


def narrow(database: Database, width: int) -> None:
    """Replace an empty log's partitions by one of ``width`` positions."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("SET ROLE motcua_owner")
        for (name,) in connection.execute("SELECT name FROM eventlog.partitions()").fetchall():
            connection.execute(f"DROP TABLE eventlog.{name}".encode())
        connection.execute(
            "CREATE TABLE eventlog.event_from_1 PARTITION OF eventlog.event"
            f" FOR VALUES FROM (1) TO ({width + 1})".encode()
        )
        connection.execute("UPDATE eventlog.log_head SET room_to = 0")


def bounds(database: Database) -> list[tuple[int, int]]:
    """Return first and last position of every partition."""
    with psycopg.connect(database.owner_url) as connection:
        rows = connection.execute("SELECT first, last FROM eventlog.partitions()").fetchall()
    return [(int(first), int(last)) for first, last in rows]
