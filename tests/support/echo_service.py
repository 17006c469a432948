# SPDX-License-Identifier: Apache-2.0
"""A service in its own process for tests: publishes an office once for each dossier registered."""

from services.common.messaging.service_runner import Runners, consume, run_service  # isort: skip

import os
import sys
from collections.abc import Sequence

from services.common.config import Settings
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change, Fact
from services.common.messaging.reaction import Reactor
from services.common.messaging.reactor_runner import Arrival, Outcome
from services.common.runtime import Runtime, core_config

QUEUE = "payment.reactions"


class EchoService:
    """Reacts to ``dossier.registered`` with one token event."""

    name = "payment"
    runners = Runners()

    @consume(QUEUE)
    def react(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Handle a batch."""
        return self.runners.run(QUEUE, arrivals)


def token_issued(event: RecordedEvent) -> list[Change]:
    """Answer a dossier with one token on a stream that must be new."""
    fact = Fact(
        type="payment.token_issued",
        data={"token": "K7M2QX9P", "dossier": str(event.event_id)},
        subject=event.subject,
    )
    return [Change(stream=f"payment-{event.event_id}", expected_version=0, facts=(fact,))]


def main() -> int:
    """Run until SIGTERM."""
    settings = Settings(os.environ)
    runtime = Runtime(core_config(settings, "payment"))
    settings.finish()
    reactor = Reactor(name=QUEUE, handlers={"dossier.registered": token_issued})
    return run_service(EchoService, runtime, reactors=[reactor])


if __name__ == "__main__":
    sys.exit(main())
