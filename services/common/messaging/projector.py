# SPDX-License-Identifier: Apache-2.0
"""Read models: folds the log by position; rows and checkpoint move in one transaction.

Appends nothing. One projector is active for each projection, by advisory lock; any projection can
be dropped and is built again from position 0. A batch is folded by whoever moves the checkpoint
from the batch's beginning to its end, so a rebuild by hand beside it counts nothing twice.
"""

import hashlib
import random
from collections.abc import Callable
from typing import Final, Protocol

import psycopg
from psycopg import sql

from services.common.clock import Clock
from services.common.errors import EventsArchived, Unavailable
from services.common.eventlog import away
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

BATCH: Final = 1000
POLL_S: Final = 0.2
LOCK_CLASS: Final = 0x4D435052  # "MCPR"
_LOG = get_logger(__name__)


class Projection(Protocol):
    """A read model in the service's own schema.

    Attributes:
        name: ``intake.status``; the part before the dot is the schema.
        version: raised when tables or fold change; the projector then builds it anew.
        tables: unqualified table names that ``ddl`` makes.
        ddl: idempotent CREATE statements with qualified names.
        types: event types it folds; empty for all.
    """

    name: str
    version: int
    tables: tuple[str, ...]
    ddl: str
    types: tuple[str, ...]

    def fold(self, cursor: psycopg.Cursor, event: RecordedEvent) -> None:
        """Apply one event inside the projector's transaction; never refuses."""
        ...


class Projector:
    """Keeps one projection up to date while it holds the lead."""

    def __init__(
        self, projection: Projection, log: EventLog, clock: Clock, *, database_url: str
    ) -> None:
        """Bind; nothing is opened before ``run``."""
        self._projection = projection
        self._log = log
        self._clock = clock
        self._url = database_url
        self._schema = projection.name.partition(".")[0]
        self._checkpoints = sql.Identifier(self._schema, "projection")

    def run(self, stopping: Callable[[], bool]) -> None:
        """Fold until ``stopping``; waits out outages by itself. Fits ``run_service`` background."""
        while not stopping():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as connection:
                    self._lead(connection, stopping)
            except (psycopg.Error, Unavailable, EventsArchived) as error:
                _LOG.warning("projection_paused", projection=self._projection.name,
                             error=type(error).__name__)  # fmt: skip
                self._clock.sleep(random.uniform(0.5, 2.0))  # noqa: S311

    def catch_up(self, connection: psycopg.Connection) -> int:
        """Fold everything there is; returns the checkpoint. For commands and tests."""
        while True:
            position = self._prepare(connection)
            if self._step(connection, position) == position:
                return position

    def rebuild(self, connection: psycopg.Connection) -> int:
        """Drop the projection's tables and fold the whole log again; returns the checkpoint.

        Safe beside a running projector: both fold, each batch goes to one of them.
        """
        self._prepare(connection, anew=True)
        return self.catch_up(connection)

    def digest(self, connection: psycopg.Connection) -> str:
        """See ``digest_of``."""
        return digest_of(connection, self._projection)

    def _lead(self, connection: psycopg.Connection, stopping: Callable[[], bool]) -> None:
        while not stopping():
            row = connection.execute(
                "select pg_try_advisory_lock(%s, hashtext(%s))",
                (LOCK_CLASS, self._projection.name),
            ).fetchone()
            if row is not None and row[0]:
                break
            self._clock.sleep(1.0)
        while not stopping():
            # Asked again each time, so that a dropped schema is built anew while running.
            position = self._prepare(connection)
            if self._step(connection, position) == position:
                self._clock.sleep(POLL_S)

    def _prepare(self, connection: psycopg.Connection, *, anew: bool = False) -> int:
        with connection.transaction():
            # CREATE … IF NOT EXISTS fails when two do it at once, so one at a time in a schema.
            connection.execute(
                "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK_CLASS, self._schema)
            )
            prepare_checkpoints(connection.cursor(), self._schema)
            row = connection.execute(
                sql.SQL("SELECT version, pos FROM {} WHERE name = %s").format(self._checkpoints),
                (self._projection.name,),
            ).fetchone()
            if row is not None and row[0] > self._projection.version and not anew:
                # A release that is on its way out does not take away what the next one made.
                raise Unavailable(self._projection.name, f"version {row[0]} of it is in place")
            current = row is not None and row[0] == self._projection.version
            if row is not None and current and not anew and self._whole(connection):
                return int(row[1])
            self._require_whole(connection)
            self._drop(connection)
            connection.execute(self._projection.ddl.encode())
            connection.execute(
                sql.SQL("INSERT INTO {} VALUES (%s, %s, 0)").format(self._checkpoints),
                (self._projection.name, self._projection.version),
            )
            return 0

    def _whole(self, connection: psycopg.Connection) -> bool:
        names = [f"{self._schema}.{table}" for table in self._projection.tables]
        row = connection.execute(
            "SELECT bool_and(to_regclass(n) IS NOT NULL) FROM unnest(%s::text[]) AS n", (names,)
        ).fetchone()
        return row is not None and row[0] is not False

    def _require_whole(self, connection: psycopg.Connection) -> None:
        """Raise EventsArchived, before anything is dropped, where the log cannot be folded here."""
        types = self._projection.types or None
        gone = away.thinned(connection, self._log.log_id, 0, 2**63 - 1, types)
        if gone:
            what = f"what {self._projection.name} is made of"
            raise EventsArchived(what, tuple(str(one) for one in gone))

    def _drop(self, connection: psycopg.Connection) -> None:
        # The checkpoint first, as a step does: it is what both wait for.
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE name = %s").format(self._checkpoints),
            (self._projection.name,),
        )
        for table in self._projection.tables:
            name = sql.Identifier(self._schema, table)
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(name))

    def _step(self, connection: psycopg.Connection, position: int) -> int:
        head = self._log.head()
        types = self._projection.types or None
        events = self._log.read_all(position, limit=BATCH, types=types)
        through = (
            events[-1].position
            if len(events) == BATCH
            else max(head, events[-1].position if events else head)
        )
        metrics.projection_lag_events.labels(self._projection.name).set(max(0, head - through))
        if through <= position:
            return position
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "UPDATE {} SET pos = %s WHERE name = %s AND version = %s AND pos = %s"
                ).format(self._checkpoints),
                (through, self._projection.name, self._projection.version, position),
            )
            if cursor.rowcount:
                for event in events:
                    self._projection.fold(cursor, event)
        return through


def digest_of(connection: psycopg.Connection, projection: Projection) -> str:
    """Return SHA-256 over all rows of all tables of a read model in a fixed order."""
    digest = hashlib.sha256()
    schema = projection.name.partition(".")[0]
    for table in projection.tables:
        query = sql.SQL(
            "SELECT line FROM (SELECT to_jsonb(t)::text AS line FROM {} AS t) AS l"
            ' ORDER BY line COLLATE "C"'
        )
        for (row,) in connection.execute(query.format(sql.Identifier(schema, table))):
            digest.update(row.encode() + b"\n")
    return digest.hexdigest()


def prepare_checkpoints(cursor: psycopg.Cursor, schema: str) -> None:
    """Make a service's table of checkpoints where it is missing; whoever calls is alone in it."""
    cursor.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, version integer"
            " NOT NULL, pos bigint NOT NULL)"
        ).format(sql.Identifier(schema, "projection"))
    )
