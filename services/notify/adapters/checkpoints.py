# SPDX-License-Identifier: Apache-2.0
"""Signed checkpoints of the log, as the sealer wrote them."""

from services.common.eventlog.postgres import lent, open_pool


class PostgresCheckpoints:
    """Reads checkpoints with the process's own login."""

    def __init__(self, url: str, log_id: int) -> None:
        """Bind; nothing is opened before the first question."""
        self._pool = open_pool(url, name="checkpoints", size=2)
        self._log_id = log_id

    def covering(self, size: int) -> str | None:
        """Return the first checkpoint of at least ``size`` events; raises Unavailable."""
        with lent(self._pool) as connection:
            row = connection.execute(
                "SELECT note FROM eventlog.checkpoint WHERE log_id = %s AND size >= %s"
                " ORDER BY size LIMIT 1",
                (self._log_id, size),
            ).fetchone()
        return None if row is None else str(row[0])

    def close(self) -> None:
        """Give the connections back."""
        self._pool.close()
