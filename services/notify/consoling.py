# SPDX-License-Identifier: Apache-2.0
"""The wiring of the subscribers' pages: no data keys, and a broker login that may do nothing."""

from services.common.eventlog.memory import MemoryKeys
from services.common.eventlog.recording import Recorder
from services.common.runtime import ReadRuntime
from services.notify.adapters.checkpoints import PostgresCheckpoints
from services.notify.adapters.deliveries import PostgresDeliveries
from services.notify.adapters.queue_depths import BrokerDepths
from services.notify.application.certificates import Days, origin_of
from services.notify.application.standing import Standings
from services.notify.application.subscribers import Subscribers
from services.notify.config import ConsoleConfig


class Consoling(ReadRuntime):
    """Everything the pages ask and order; construction touches nothing outside."""

    def __init__(self, config: ConsoleConfig) -> None:
        """Bind everything; connections are made on first use."""
        super().__init__(config.read)
        url, log_id = config.read.database_url, config.read.log_id
        # No event of a subscriber has a personal field, so no data key is ever stored.
        self.recorder = Recorder(self.log, MemoryKeys(), self.clock, config.service_key)
        self.subscribers = Subscribers(self.log, self.clock)
        self.deliveries = PostgresDeliveries(url, log_id)
        self._checkpoints = PostgresCheckpoints(url, log_id)
        self.days = Days(self.log, self._checkpoints, self.clock, origin=origin_of(log_id))
        self.standings = Standings(
            self.log, self.subscribers, self.clock,
            deliveries=self.deliveries, depths=BrokerDepths(config.amqp_url),
        )  # fmt: skip

    def close(self) -> None:
        """See ``ReadRuntime.close``."""
        super().close()
        self.deliveries.close()
        self._checkpoints.close()
