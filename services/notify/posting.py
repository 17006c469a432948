# SPDX-License-Identifier: Apache-2.0
"""The wiring of the webhooks' process: it has no data keys and no login to the broker."""

from dataclasses import dataclass

from services.common.clock import Clock, SystemClock
from services.common.eventlog.memory import MemoryKeys
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Recorder
from services.notify.adapters.courier import HTTPCourier
from services.notify.adapters.webhook_ledger import PostgresLedger
from services.notify.application.subscribers import Subscribers
from services.notify.application.webhook_rounds import Rounds
from services.notify.application.webhooks import Turns
from services.notify.config import WebhookConfig
from services.notify.domain.address import AddressRule
from services.notify.domain.webhook import SECOND_MS, Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """The webhooks' process, wired."""

    config: WebhookConfig
    clock: Clock
    log: PostgresLog
    courier: HTTPCourier
    subscribers: Subscribers

    def open_ledger(self) -> PostgresLedger:
        """Open the session that may become the lead; raises psycopg.OperationalError."""
        return PostgresLedger.begin(self.config.database_url, self.config.log_id)

    def rounds(self, ledger: PostgresLedger) -> Rounds:
        """Return the rounds of one term of this lead."""
        config = self.config
        turns = Turns(
            # No event of a subscriber has a personal field, so no data key is ever stored.
            recorder=Recorder(self.log, MemoryKeys(), self.clock, config.service_key),
            ledger=ledger,
            courier=self.courier,
            clock=self.clock,
            key=config.webhook_key,
            patience=Patience(
                first_ms=int(config.pause_first_s * SECOND_MS), patience_s=int(config.patience_s)
            ),
            confirm_every_s=config.confirm_s,
        )
        return Rounds(turns, ledger, self.subscribers)


def make_posting(config: WebhookConfig) -> Posting:
    """Wire the process; nothing is opened yet."""
    clock = SystemClock()
    log = PostgresLog(config.database_url, config.log_id)
    rule = AddressRule(config.networks)
    courier = HTTPCourier(rule, clock, timeout_s=config.timeout_s, ca_file=config.ca_file)
    return Posting(
        config=config, clock=clock, log=log, courier=courier, subscribers=Subscribers(log, clock)
    )
