# SPDX-License-Identifier: Apache-2.0
"""Makes the log's partitions before they are needed, beside the sealer's work (ADR-0017).

Its login can do that through one function only, which makes them at the log's end and nowhere else.
"""

import threading
from typing import Any, Final

import psycopg

from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

EVERY_S: Final = 30.0
AHEAD: Final = 2
_SESSION: Final = "-c statement_timeout=30000 -c lock_timeout=2000 -c application_name=partitions"
_LOG = get_logger(__name__)


def make_room(connection: psycopg.Connection[Any], log_id: int) -> float:
    """Make what is missing; returns how many partitions lie empty before the head.

    Raises:
        psycopg.Error: the database is down, or a lock was not free within two seconds.
    """
    ahead, _ = _ahead(connection, log_id)
    if ahead < AHEAD:
        connection.execute("SELECT eventlog.make_partitions(%s, %s)", (log_id, AHEAD))
        ahead, last = _ahead(connection, log_id)
        _LOG.info("partitions_made", through=last)
    metrics.partitions_ahead.set(ahead)
    return ahead


def start_rooming(database_url: str, log_id: int, stopping: threading.Event) -> threading.Thread:
    """Look after the partitions in a thread until ``stopping``."""

    def run() -> None:
        while not stopping.is_set():
            try:
                with psycopg.connect(
                    database_url, autocommit=True, connect_timeout=5, options=_SESSION,
                    keepalives_idle=5, keepalives_interval=2, keepalives_count=3,
                ) as connection:  # fmt: skip
                    make_room(connection, log_id)
            except psycopg.Error as error:
                _LOG.warning("partitions_interrupted", error=type(error).__name__)
            stopping.wait(EVERY_S)

    thread = threading.Thread(target=run, name="partitions", daemon=True)
    thread.start()
    return thread


def _ahead(connection: psycopg.Connection[Any], log_id: int) -> tuple[float, int]:
    row = connection.execute(
        "SELECT (p.last - h.pos)::float / (p.last - p.first + 1), p.last"
        " FROM eventlog.log_head AS h, eventlog.partitions() AS p"
        " WHERE h.log_id = %s ORDER BY p.last DESC LIMIT 1",
        (log_id,),
    ).fetchone()
    return (0.0, 0) if row is None else (float(row[0]), int(row[1]))
