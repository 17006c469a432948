# SPDX-License-Identifier: Apache-2.0
"""Readings of personal data, found by their streams: as many as there are, however long the log."""

from collections.abc import Sequence
from typing import Final, LiteralString

from services.auditing.application.access import Asked
from services.common.eventlog.postgres import PostgresLog, lent, open_pool
from services.common.eventlog.record import RecordedEvent

_POOL: Final = 4
# Materialized: with a LIMIT over it the planner would else walk the whole log backwards. "."
# follows "-" in the columns' collation, so the streams are one range of the index.
_READINGS: Final[LiteralString] = (
    "WITH found AS MATERIALIZED ("
    " SELECT pos FROM eventlog.event WHERE log_id = %(log)s"
    " AND stream >= 'access-' AND stream < 'access.'"
    " AND stream = coalesce(%(stream)s::text, stream) AND type = 'access.personal_read'"
    " AND pos < %(below)s AND recorded_at >= %(since)s AND recorded_at <= %(until)s"
    " AND (%(reader)s = '' OR convert_from(data, 'UTF8')::jsonb ->> 'reader' = %(reader)s))"
    " SELECT pos FROM found ORDER BY pos DESC LIMIT %(limit)s"
)
_LAST: Final = 2**63 - 1


class PostgresAccess:
    """Readings in one log."""

    def __init__(self, url: str, log: PostgresLog) -> None:
        """Bind; nothing is opened before the first question."""
        self._log = log
        self._pool = open_pool(url, name="access", size=_POOL)

    def close(self) -> None:
        """Give the connections back."""
        self._pool.close()

    def readings(self, asked: Asked, limit: int) -> Sequence[RecordedEvent]:
        """See ``AccessStore.readings``."""
        with lent(self._pool) as connection:
            rows = connection.execute(
                _READINGS,
                {
                    "log": self._log.log_id, "reader": asked.reader, "limit": limit,
                    "stream": f"access-{asked.dossier}" if asked.dossier else None,
                    "below": _LAST if asked.below is None else asked.below,
                    "since": 0 if asked.since_us is None else asked.since_us,
                    "until": _LAST if asked.until_us is None else asked.until_us,
                },
            ).fetchall()  # fmt: skip
        return self._log.read_positions([int(row[0]) for row in rows])[::-1]
