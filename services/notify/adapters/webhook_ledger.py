# SPDX-License-Identifier: Apache-2.0
"""The lead over a log's webhooks, their progress and their delivery log, on one session.

Whoever holds the advisory lock sends. Progress moves on the session that holds it, and only from
where this lead found it: a lead that lost its lock has no session to move with, and one that does
not know yet finds another value there. The tables stand in notify's own schema and are made by the
lead. Were they lost, sending would go on from what the log itself says was confirmed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from services.common.clock import from_micros
from services.common.eventlog.session import AnsweredSession
from services.notify.application.ports import Attempt, LeadLostError
from services.notify.domain.webhook import Progress, Trouble

KEEP_DAYS: Final = 30
PRUNED_MAX: Final = 5_000
_LOCK_CLASS: Final = 0x4D435748  # "MCWH"
_DDL: Final = """
    CREATE TABLE IF NOT EXISTS notify.webhook_progress (
        log_id integer NOT NULL,
        subscriber text NOT NULL,
        through bigint NOT NULL,
        redrive bigint NOT NULL,
        redriven bigint NOT NULL,
        position bigint,
        attempts integer,
        since_us bigint,
        retry_at_us bigint,
        released bigint,
        PRIMARY KEY (log_id, subscriber)
    ) WITH (fillfactor = 50);
    CREATE TABLE IF NOT EXISTS notify.webhook_delivery (
        log_id integer NOT NULL,
        subscriber text NOT NULL,
        position bigint NOT NULL,
        event_id uuid NOT NULL,
        attempt integer NOT NULL,
        redriven boolean NOT NULL,
        outcome text NOT NULL,
        status integer,
        latency_ms integer NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE INDEX IF NOT EXISTS webhook_delivery_of
        ON notify.webhook_delivery (log_id, subscriber, at DESC);
    CREATE INDEX IF NOT EXISTS webhook_delivery_at ON notify.webhook_delivery (at)
"""
_NAMES: Final = "through, redrive, redriven, position, attempts, since_us, retry_at_us, released"
_FOUND: Final = sql.SQL(
    "SELECT {} FROM notify.webhook_progress WHERE log_id = %s AND subscriber = %s"
).format(sql.SQL(_NAMES))
_INSERT: Final = sql.SQL(
    "INSERT INTO notify.webhook_progress (log_id, subscriber, {})"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING 1"
).format(sql.SQL(_NAMES))
_UPDATE: Final = sql.SQL(
    "UPDATE notify.webhook_progress SET ({}) = (%s, %s, %s, %s, %s, %s, %s, %s)"
    " WHERE log_id = %s AND subscriber = %s"
    " AND (through, redrive, redriven, coalesce(retry_at_us, 0)) = (%s, %s, %s, %s) RETURNING 1"
).format(sql.SQL(_NAMES))
_MOVED_ONLY: Final = sql.SQL("WITH moved AS ({}) SELECT count(*) FROM moved")
_LOGGED: Final = sql.SQL(
    "WITH moved AS ({}), logged AS (INSERT INTO notify.webhook_delivery (log_id, subscriber,"
    " position, event_id, attempt, redriven, outcome, status, latency_ms)"
    " SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s FROM moved RETURNING 1)"
    " SELECT count(*) FROM logged"
)


class PostgresLedger:
    """Lock, progress and delivery log of one log's webhooks."""

    def __init__(self, connection: psycopg.Connection[Any], log_id: int) -> None:
        """Use an autocommit ``connection`` that nobody else uses."""
        self._connection = connection
        self._log_id = log_id

    @classmethod
    def begin(cls, url: str, log_id: int) -> "PostgresLedger":
        """Open a session; raises psycopg.OperationalError."""
        return cls(AnsweredSession.begin(url, "webhooks"), log_id)

    def close(self) -> None:
        """Give up the session, and the lead with it; safe to call twice."""
        self._connection.close()

    def take(self) -> bool:
        """Try to become the lead; makes the tables where they are missing.

        Raises:
            LeadLostError: the session is gone.
        """
        row = self._one("SELECT pg_try_advisory_lock(%s, %s)", (_LOCK_CLASS, self._log_id))
        if row is None or not row[0]:
            return False
        self._one(_DDL, None)
        return True

    def hold(self) -> None:
        """Show that this lead lives; raises LeadLostError when it does not any more."""
        self._one("SELECT 1", ())

    def progress(self, name: str) -> Progress | None:
        """See ``Ledger.progress``."""
        row = self._one(_FOUND, (self._log_id, name))
        return None if row is None else _progress(row)

    def record(
        self, name: str, before: Progress | None, after: Progress, attempt: Attempt | None
    ) -> None:
        """See ``Ledger.record``."""
        whose = (self._log_id, name)
        values: tuple[Any, ...]
        if before is None:
            moved, values = _INSERT, (*whose, *_row(after))
        else:
            old = _row(before)
            moved, values = _UPDATE, (*_row(after), *whose, *old[:3], old[6] or 0)
        query = _MOVED_ONLY if attempt is None else _LOGGED
        if attempt is not None:
            answer = attempt.answer
            values += (
                *whose, attempt.position, attempt.event_id, attempt.number, attempt.redriven,
                answer.outcome, answer.status, answer.latency_ms,
            )  # fmt: skip
        row = self._one(query.format(moved), values)
        if row is None or row[0] != 1:
            raise LeadLostError("another lead has moved on")

    def prune(self) -> int:
        """Delete lines of the delivery log that are too old, some thousands at a time."""
        row = self._one(
            "WITH old AS (SELECT ctid FROM notify.webhook_delivery"
            " WHERE at < now() - make_interval(days => %s) LIMIT %s), gone AS"
            " (DELETE FROM notify.webhook_delivery AS d USING old WHERE d.ctid = old.ctid"
            " RETURNING 1) SELECT count(*) FROM gone",
            (KEEP_DAYS, PRUNED_MAX),
        )
        return 0 if row is None else int(row[0])

    def _one(self, query: Any, values: Sequence[Any] | None) -> tuple[Any, ...] | None:
        try:
            done = self._connection.execute(query, values)
            return None if done.description is None else done.fetchone()
        except psycopg.Error as error:
            raise LeadLostError(type(error).__name__) from error


def progress_of(connection: psycopg.Connection[Any], log_id: int) -> dict[str, Progress]:
    """Return the stored progress of every webhook, for people; empty before the first lead."""
    if not _exists(connection, "webhook_progress"):
        return {}
    rows = connection.execute(
        sql.SQL("SELECT {}, subscriber FROM notify.webhook_progress WHERE log_id = %s").format(
            sql.SQL(_NAMES)
        ),
        (log_id,),
    ).fetchall()
    return {str(row[-1]): _progress(row) for row in rows}


def deliveries_of(
    connection: psycopg.Connection[Any],
    log_id: int,
    name: str,
    limit: int,
    *,
    failed: bool,
    before: datetime | None = None,
) -> list[tuple[datetime, int, str, int, str, int | None, int, bool]]:
    """Return the newest lines of the delivery log of ``name``, newest first; older than ``before``.

    Each is (when, position, event id, attempt, outcome, status, milliseconds, redriven).
    """
    if not _exists(connection, "webhook_delivery"):
        return []
    rows = connection.execute(
        "SELECT at, position, event_id::text, attempt, outcome, status, latency_ms, redriven"
        " FROM notify.webhook_delivery WHERE log_id = %s AND subscriber = %s"
        " AND NOT (%s AND coalesce(status, 0) BETWEEN 200 AND 299)"
        " AND (%s::timestamptz IS NULL OR at < %s) ORDER BY at DESC, position DESC LIMIT %s",
        (log_id, name, failed, before, before, limit),
    ).fetchall()
    return [(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]) for r in rows]


def taken_of(
    connection: psycopg.Connection[Any],
    log_id: int,
    name: str,
    positions: Sequence[int],
    *,
    since: datetime,
) -> frozenset[int]:
    """Return those of ``positions`` that the receiver took at or after ``since``."""
    if not _exists(connection, "webhook_delivery"):
        return frozenset()
    rows = connection.execute(
        "SELECT DISTINCT position FROM notify.webhook_delivery WHERE log_id = %s"
        " AND subscriber = %s AND at >= %s AND status BETWEEN 200 AND 299"
        " AND position = ANY(%s)",
        (log_id, name, since, list(positions)),
    ).fetchall()
    return frozenset(int(row[0]) for row in rows)


def retry_at(progress: Progress) -> datetime | None:
    """Return when a webhook in trouble is tried again, in UTC."""
    return None if progress.trouble is None else from_micros(progress.trouble.retry_at_us)


def _exists(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"notify.{table}",)).fetchone()
    return row is not None and bool(row[0])


def _row(progress: Progress) -> tuple[int | None, ...]:
    way = (progress.through, progress.order, progress.redriven)
    held = progress.trouble
    if held is None:
        return (*way, None, None, None, None, None)
    return (*way, held.position, held.attempts, held.since_us, held.retry_at_us, held.released)


def _progress(row: tuple[Any, ...]) -> Progress:
    trouble = None
    if row[3] is not None:
        trouble = Trouble(
            position=row[3], attempts=row[4], since_us=row[5], retry_at_us=row[6], released=row[7]
        )
    return Progress(through=row[0], order=row[1], redriven=row[2], trouble=trouble)
