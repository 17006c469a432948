# SPDX-License-Identifier: Apache-2.0
"""How far the broker is behind the log, in events and in seconds, by the log's own word.

Measured beside the publishing, on a session of its own: the figures are as true in a standby, and
while the broker is down, as under load. The age is taken when somebody asks for it, so it grows
also while nothing can be measured any more.
"""

import threading
from typing import Final

import psycopg

from services.common.clock import Clock, to_micros
from services.common.eventlog.session import AnsweredSession
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

MEASURE_EVERY_S: Final = 1.0
_LAG: Final = (
    "select h.pos, coalesce(r.pos, 0), (select e.recorded_at from eventlog.event as e"
    " where e.log_id = h.log_id and e.pos = coalesce(r.pos, 0) + 1)"
    " from eventlog.log_head as h left join eventlog.relay as r on r.log_id = h.log_id"
    " where h.log_id = %s"
)
_LOG = get_logger(__name__)


class Lag:
    """What the log holds and the broker has not confirmed."""

    def __init__(self, database_url: str, log_id: int, clock: Clock) -> None:
        """Bind, and let the two metrics ask this object; nothing is opened before ``run``."""
        self._url = database_url
        self._log_id = log_id
        self._clock = clock
        self._oldest_us: int | None = None
        self.events = 0
        metrics.relay_lag_events.set_function(lambda: self.events)
        metrics.relay_lag_seconds.set_function(lambda: self.seconds)

    @property
    def seconds(self) -> float:
        """Age of the oldest event that is not confirmed; 0 when there is none."""
        oldest_us = self._oldest_us
        if oldest_us is None:
            return 0.0
        return max(0.0, (to_micros(self._clock.now()) - oldest_us) / 1_000_000)

    def run(self, stopping: threading.Event) -> None:
        """Measure each second until ``stopping``; waits out every outage by itself."""
        while not stopping.is_set():
            try:
                with AnsweredSession.begin(self._url, "relay-lag") as session:
                    while not stopping.is_set():
                        self.measure(session)
                        stopping.wait(MEASURE_EVERY_S)
            except psycopg.Error as error:
                _LOG.warning("lag_unknown", error=type(error).__name__)
                stopping.wait(MEASURE_EVERY_S)

    def measure(self, session: psycopg.Connection) -> None:
        """Look once.

        Raises:
            psycopg.Error: the session is lost; what was seen last stays.
        """
        row = session.execute(_LAG, (self._log_id,)).fetchone()
        if row is not None:
            head, confirmed, self._oldest_us = row
            self.events = max(0, head - confirmed)
