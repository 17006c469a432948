# SPDX-License-Identifier: Apache-2.0
"""The webhooks' progress and delivery log, read for people with notify's own login."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.common.clock import from_micros, to_micros
from services.common.eventlog.postgres import lent, open_pool
from services.notify.adapters.webhook_ledger import deliveries_of, progress_of, taken_of
from services.notify.application.ports import Delivery
from services.notify.domain.webhook import Progress

_POOL: Final = 4


class PostgresDeliveries:
    """See ``Deliveries``; safe for many threads."""

    def __init__(self, url: str, log_id: int) -> None:
        """Bind; nothing is opened before the first question."""
        self._log_id = log_id
        self._pool = open_pool(url, name="deliveries", size=_POOL)

    def close(self) -> None:
        """Give the connections back."""
        self._pool.close()

    def progress(self) -> Mapping[str, Progress]:
        """See ``Deliveries.progress``."""
        with lent(self._pool) as connection:
            return progress_of(connection, self._log_id)

    def newest(
        self, name: str, limit: int, *, failed: bool, below_us: int | None
    ) -> Sequence[Delivery]:
        """See ``Deliveries.newest``."""
        before = None if below_us is None else from_micros(below_us)
        with lent(self._pool) as connection:
            rows = deliveries_of(
                connection, self._log_id, name, limit, failed=failed, before=before
            )
        return [
            Delivery(
                at_us=to_micros(at), position=position, event_id=event_id, number=number,
                outcome=outcome, status=status, latency_ms=latency_ms, redriven=redriven,
            )
            for at, position, event_id, number, outcome, status, latency_ms, redriven in rows
        ]  # fmt: skip

    def taken(self, name: str, positions: Sequence[int], since_us: int) -> frozenset[int]:
        """See ``Deliveries.taken``."""
        with lent(self._pool) as connection:
            return taken_of(connection, self._log_id, name, positions, since=from_micros(since_us))
