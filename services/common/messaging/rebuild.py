# SPDX-License-Identifier: Apache-2.0
"""Builds a read model anew beside the one that serves, and puts it in its place at once.

The new tables are made in the service's second schema (``intake_next``), filled by COPY from a fold
in memory, and caught up by the projection's own fold. Then, in one transaction: the checkpoint is
locked, the last events are folded, the old tables go and the new ones come, the checkpoint moves.
Until then the old ones serve and their projector goes on; readers see the old rows or the new ones,
never fewer. Nothing is appended and nothing is handled: a projection has no other effects than its
rows, so there are no side effects to hold back. Whatever breaks off leaves the old tables as they
are; what it made is removed at the next rebuild.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from services.common.errors import Refused, Unavailable
from services.common.eventlog.bulk import BulkReader, Selection
from services.common.eventlog.migrate import NEXT
from services.common.messaging.building import (
    EVENTS_PER_SEGMENT,
    BulkProjection,
    Progress,
    build,
    parts_of,
    workers_here,
)
from services.common.messaging.projector import LOCK_CLASS, Projection, prepare_checkpoints

CLOSE: Final = 1_000
ROUNDS_MAX: Final = 1_000
SWAPS_MAX: Final = 20
BATCH: Final = 5_000
RUN_LOCK_CLASS: Final = 0x4D435242  # "MCRB"
_SESSION: Final = "-c statement_timeout=0 -c application_name=rebuild"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What was done.

    Attributes:
        position: checkpoint of the new tables.
        copied: up to which position they were made by COPY; 0 when by the projection's own fold.
        rows: how many were copied.
    """

    position: int
    copied: int
    rows: int


class Rebuild:
    """One rebuild of one projection, with its service's login."""

    def __init__(
        self, projection: Projection, database_url: str, log_id: int,
        *, workers: int = 0, each: int = EVENTS_PER_SEGMENT, archive: Path | None = None,
        progress: Progress = lambda _done, _total: None,
    ) -> None:  # fmt: skip
        """Bind; ``run`` connects. About ``each`` events are folded at once in a child.

        ``archive`` is the archive's folder, for what has left the database.
        """
        self._projection = projection
        self._url = database_url
        self._reader = BulkReader(database_url, log_id, archive=archive)
        self._schema = projection.name.partition(".")[0]
        self._next = f"{self._schema}{NEXT}"
        self._workers = workers or workers_here()
        self._each, self._progress = each, progress

    def run(self) -> Rebuilt:
        """Rebuild; returns once the new tables serve.

        Raises:
            Refused: ``rebuild_running``, ``wrong_login``.
            EventsArchived: events have left, and the archive's file is needed; nothing was changed.
            Unavailable: the database is down, or the tables were in use for too long; nothing was
                changed, begin anew.
        """
        try:
            with psycopg.connect(
                self._url, autocommit=True, connect_timeout=5, options=_SESSION,
                cursor_factory=_renaming(self._schema, self._next),
            ) as connection:  # fmt: skip
                self._alone(connection)
                self._clear(connection)
                copied, rows = self._copied(connection)
                position = self._close(connection, copied)
                position = self._swapped(connection, position)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName) as error:
            raise Refused(
                "wrong_login", f"this login does not own {self._schema} and {self._next}",
                f"tài khoản này không sở hữu {self._schema} và {self._next}",
            ) from error  # fmt: skip
        except psycopg.Error as error:
            raise Unavailable("postgresql", str(error)) from error
        return Rebuilt(position=position, copied=copied, rows=rows)

    def _alone(self, connection: psycopg.Connection[Any]) -> None:
        row = connection.execute(
            "SELECT pg_try_advisory_lock(%s, hashtext(%s))",
            (RUN_LOCK_CLASS, self._projection.name),
        ).fetchone()
        if row is None or not row[0]:
            raise Refused(
                "rebuild_running", f"{self._projection.name} is being rebuilt already",
                f"{self._projection.name} đang được dựng lại",
            )  # fmt: skip

    def _clear(self, connection: psycopg.Connection[Any]) -> None:
        """Remove what an interrupted run left and make empty tables."""
        with connection.transaction():
            for table in self._projection.tables:
                name = sql.Identifier(self._next, table)
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(name))
            connection.execute(self._projection.ddl.encode())

    def _copied(self, connection: psycopg.Connection[Any]) -> tuple[int, int]:
        """Fill the tables from a fold in memory; returns up to which position, how many rows."""
        projection = self._projection
        if not isinstance(projection, BulkProjection):
            return 0, 0
        through, rows = self._reader.head(), 0
        parts = parts_of(projection, self._reader, through, each=self._each)
        for chunk in build(parts, self._workers, self._progress):
            copy_in(connection, sql.Identifier(self._next, chunk.table), chunk.columns, chunk.rows)
            rows += len(chunk.rows)
        for table in projection.tables:
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(self._next, table)))
        return through, rows

    def _close(self, connection: psycopg.Connection[Any], position: int) -> int:
        """Fold what came meanwhile until little is left; returns the position reached."""
        for _ in range(ROUNDS_MAX):
            head = self._reader.head()
            if head - position <= CLOSE:
                return position
            position = self._folded(connection, position, head)
        raise Unavailable("rebuild", "the log grows faster than it is folded")

    def _folded(self, connection: psycopg.Connection[Any], position: int, through: int) -> int:
        """Fold (position, through] by the projection's own fold, a transaction a batch."""
        events = self._reader.read(
            Selection(after=position, through=through, types=self._projection.types or None)
        )
        while batch := list(islice(events, BATCH)):
            with connection.transaction(), connection.cursor() as cursor:
                for event in batch:
                    self._projection.fold(cursor, event)
            self._progress(batch[-1].position, through)
        return through

    def _swapped(self, connection: psycopg.Connection[Any], position: int) -> int:
        for _ in range(SWAPS_MAX):
            try:
                return self._swap(connection, position)
            except psycopg.errors.LockNotAvailable:
                position = self._close(connection, position)
        raise Unavailable("postgresql", "the tables were in use for too long; begin anew")

    def _swap(self, connection: psycopg.Connection[Any], position: int) -> int:
        """Lock the checkpoint, fold the rest, exchange the tables; returns the new checkpoint."""
        name, version = self._projection.name, self._projection.version
        checkpoints = sql.Identifier(self._schema, "projection")
        with connection.transaction(), psycopg.Cursor(connection) as plain:
            plain.execute("SET LOCAL lock_timeout = '60s'")
            plain.execute(
                "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK_CLASS, self._schema)
            )
            prepare_checkpoints(plain, self._schema)
            plain.execute(
                sql.SQL("SELECT pos FROM {} WHERE name = %s FOR UPDATE").format(checkpoints),
                (name,),
            )
            row = plain.fetchone()
            through = max(position, self._reader.head(), 0 if row is None else int(row[0]))
            self._folded(connection, position, through)
            # Readers queue behind the exchange, so it waits for no reader longer than this.
            plain.execute("SET LOCAL lock_timeout = '3s'")
            for table in self._projection.tables:
                old, new = sql.Identifier(self._schema, table), sql.Identifier(self._next, table)
                plain.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(old))
                plain.execute(
                    sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(
                        new, sql.Identifier(self._schema)
                    )
                )
            plain.execute(
                sql.SQL(
                    "INSERT INTO {} (name, version, pos) VALUES (%s, %s, %s) ON CONFLICT (name)"
                    " DO UPDATE SET version = excluded.version, pos = excluded.pos"
                ).format(checkpoints),
                (name, version, through),
            )
        return through


def copy_in(
    connection: psycopg.Connection[Any], table: sql.Identifier, columns: Sequence[str],
    rows: Sequence[Sequence[object]],
) -> None:  # fmt: skip
    """Copy ``rows`` into ``table``."""
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(
        table, sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with psycopg.Cursor(connection) as cursor, cursor.copy(query) as copy:
        for row in rows:
            copy.write_row(row)


def _renaming(schema: str, into: str) -> type[psycopg.Cursor[Any]]:
    """Return a cursor class that reads every ``schema.table`` of a fold as ``into.table``."""
    named = re.compile(rf'(?<![\w."])(?:{schema}|"{schema}")\.(?=[a-z"])'.encode())

    class Renaming(psycopg.Cursor[Any]):
        """Executes in the schema of the tables to come."""

        def execute(self, query: Any, params: Any = None, **kwargs: Any) -> "Renaming":
            """Execute ``query`` with its tables renamed."""
            if isinstance(query, sql.Composable):
                text = query.as_bytes(self)
            else:
                text = query if isinstance(query, bytes) else str(query).encode()
            super().execute(named.sub(f"{into}.".encode(), text), params, **kwargs)
            return self

    return Renaming
