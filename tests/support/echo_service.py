# SPDX-License-Identifier: Apache-2.0
"""A service in its own process for tests: publishes an office once for each dossier registered."""

from services.common.messaging.service_runner import Runners, consume, run_service  # isort: skip

import os
import sys
from collections.abc import Sequence

from services.common.config import Settings
from services.common.messaging.reaction import Reactor
from services.common.messaging.reactor_runner import Arrival, Outcome
from services.common.runtime import Runtime, core_config
from tests.support.echo import QUEUE, token_issued


class EchoService:
    """Reacts to ``dossier.registered`` with one token event."""

    name = "payment"
    runners = Runners()

    @consume(QUEUE)
    def react(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Handle a batch."""
        return self.runners.run(QUEUE, arrivals)


def main() -> int:
    """Run until SIGTERM."""
    settings = Settings(os.environ)
    runtime = Runtime(core_config(settings, "payment"))
    settings.finish()
    reactor = Reactor.batched(QUEUE, runtime.log, lambda _log: {"dossier.registered": token_issued})
    return run_service(EchoService, runtime, reactors=[reactor])


if __name__ == "__main__":
    sys.exit(main())
