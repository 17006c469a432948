# SPDX-License-Identifier: Apache-2.0
"""A projection that shows every event folded twice or not at all, and a process that keeps it."""

import sys
import time

import psycopg

from services.common.clock import SystemClock
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent
from services.common.messaging.projector import Projector
from tests.support.database import LOG_ID


class Tally:
    """How many events of each stream there are, and the sum of their positions."""

    name = "notify.tally"
    version = 1
    tables: tuple[str, ...] = ("tally", "total")
    types: tuple[str, ...] = ()
    ddl = """
        CREATE TABLE IF NOT EXISTS notify.tally (stream text PRIMARY KEY, n bigint NOT NULL);
        CREATE TABLE IF NOT EXISTS notify.total (n bigint NOT NULL, positions numeric NOT NULL);
        INSERT INTO notify.total SELECT 0, 0 WHERE NOT EXISTS (SELECT FROM notify.total)
    """

    def fold(self, cursor: psycopg.Cursor, event: RecordedEvent) -> None:
        """Count one event."""
        cursor.execute(
            "INSERT INTO notify.tally AS t VALUES (%s, 1) ON CONFLICT (stream)"
            " DO UPDATE SET n = t.n + 1",
            (event.stream,),
        )
        cursor.execute(
            "UPDATE notify.total SET n = n + 1, positions = positions + %s", (event.position,)
        )


class Slow(Tally):
    """Takes its time, so that a kill meets an open transaction."""

    def fold(self, cursor: psycopg.Cursor, event: RecordedEvent) -> None:
        """Count one event, slowly."""
        time.sleep(0.001)
        super().fold(cursor, event)


if __name__ == "__main__":
    log = PostgresLog(sys.argv[1], LOG_ID)
    Projector(Slow(), log, SystemClock(), database_url=sys.argv[1]).run(lambda: False)
