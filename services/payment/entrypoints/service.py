# SPDX-License-Identifier: Apache-2.0
"""The Nameko process of payment."""

from services.common.messaging.service_runner import Runners, consume, run_service  # isort: skip

from collections.abc import Callable, Sequence

from services.common.errors import Unavailable
from services.common.messaging.reactor_runner import Arrival, Outcome
from services.common.telemetry.logs import get_logger
from services.payment.bootstrap import PaymentService

REACTIONS = "payment.reactions"
RECEIPTS = "payment.receipts"
_LOG = get_logger(__name__)


class PaymentReactions:
    """Asks fees, credits notes, places bank credits and issues receipts."""

    name = "payment"
    runners = Runners()

    @consume(REACTIONS)
    def react(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Handle a batch of events."""
        return self.runners.run(REACTIONS, arrivals)

    @consume(RECEIPTS)
    def receipt(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Issue receipts for a batch of settlements."""
        return self.runners.run(RECEIPTS, arrivals)


def serve(service: PaymentService) -> int:
    """Run until SIGTERM; returns the exit code."""
    runtime = service.runtime

    def read_statement(stopping: Callable[[], bool]) -> None:
        while not stopping():
            try:
                service.statement.once()
            except Unavailable as error:
                _LOG.warning("statement_paused", dependency=error.dependency)
            runtime.clock.sleep(service.config.statement_interval_s)

    return run_service(
        PaymentReactions, runtime, reactors=service.reactors, background=(read_statement,)
    )
