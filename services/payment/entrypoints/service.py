# SPDX-License-Identifier: Apache-2.0
"""The Nameko process of payment."""

from services.common.messaging.service_runner import Runners, consume, run_service  # isort: skip

from collections.abc import Sequence

from services.common.messaging.reactor_runner import Arrival, Outcome
from services.payment.bootstrap import PaymentService

REACTIONS = "payment.reactions"
RECEIPTS = "payment.receipts"


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
    return run_service(PaymentReactions, service.runtime, reactors=service.reactors)
