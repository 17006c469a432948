# SPDX-License-Identifier: Apache-2.0
"""The lead over publishing one log: the right, the checkpoint and the reads are one connection."""

from typing import Final

import psycopg

from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.row import COLUMNS, event_of

_LOCK_CLASS: Final = 0x4D43524C  # "MCRL"


class Lead:
    """The lead over one log: lock, checkpoint and reads on one PostgreSQL connection."""

    def __init__(self, connection: psycopg.Connection, log_id: int) -> None:
        """Use an autocommit ``connection`` that nobody else uses."""
        self._connection = connection
        self._log_id = log_id
        self._heard = True
        connection.add_notify_handler(self._hear)

    def _hear(self, _notice: object) -> None:
        self._heard = True

    def listen(self) -> int:
        """Ask for the log's notifications; returns the socket they arrive on."""
        self._connection.execute("listen eventlog")
        return self._connection.fileno()

    def heard(self) -> bool:
        """Say whether a notification came since the last call; never blocks.

        Raises:
            psycopg.Error: the connection is lost, and the lead with it.
        """
        self._connection.pgconn.consume_input()
        while self._connection.pgconn.notifies() is not None:
            self._heard = True
        heard, self._heard = self._heard, False
        return heard

    def take(self) -> bool:
        """Try to become the lead."""
        row = self._connection.execute(
            "select pg_try_advisory_lock(%s, %s)", (_LOCK_CLASS, self._log_id)
        ).fetchone()
        return row is not None and bool(row[0])

    def hold(self) -> None:
        """Show that this lead lives; the server ends a session that says nothing.

        Raises:
            psycopg.Error: the lead is lost.
        """
        self._connection.execute("select 1")

    def checkpoint(self) -> int:
        """Return the highest position with all below confirmed."""
        row = self._connection.execute(
            "select pos from eventlog.relay where log_id = %s", (self._log_id,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def move(self, position: int) -> None:
        """Store the checkpoint; it never falls."""
        self._connection.execute(
            "insert into eventlog.relay as r (log_id, pos) values (%s, %s) on conflict (log_id)"
            " do update set pos = excluded.pos where r.pos < excluded.pos",
            (self._log_id, position),
        )

    def read(self, after: int, limit: int) -> list[RecordedEvent]:
        """Return the next events in position order."""
        rows = self._connection.execute(
            f"select {COLUMNS} from eventlog.event"  # noqa: S608 - constant columns
            " where log_id = %s and pos > %s order by pos limit %s",
            (self._log_id, after, limit),
            binary=True,
        ).fetchall()
        return [event_of(row) for row in rows]
