# SPDX-License-Identifier: Apache-2.0
"""How far sealing is behind, as the log's database knows it."""

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from services.common.clock import Clock, to_micros
from services.common.errors import Unavailable

# Positions have no gaps, so the oldest event under no checkpoint is the one behind the newest.
_OLDEST = (
    "SELECT e.recorded_at FROM eventlog.event AS e WHERE e.log_id = %s AND e.pos = 1 + coalesce(("
    "SELECT max(c.size) FROM eventlog.checkpoint AS c WHERE c.log_id = %s), 0)"
)


class PostgresSeals:
    """``application.leases.Seals`` on the service's own login."""

    def __init__(self, pool: ConnectionPool, log_id: int, clock: Clock) -> None:
        """Bind the service's pool."""
        self._pool = pool
        self._log_id = log_id
        self._clock = clock

    def lag_s(self) -> float:
        """See ``Seals.lag_s``."""
        try:
            with self._pool.connection() as connection:
                row = connection.execute(_OLDEST, (self._log_id, self._log_id)).fetchone()
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable("postgresql", type(error).__name__) from error
        if row is None:
            return 0.0
        return max(0, to_micros(self._clock.now()) - int(row[0])) / 1e6
