# SPDX-License-Identifier: Apache-2.0
"""A Nameko process for tests of the process itself: handlers wait in PostgreSQL as told.

``TEST_HANDLER_S`` is how long a handler lets PostgreSQL wait before the echo's answer. A greenlet
ticks meanwhile; the longest silence between two ticks is logged at the end. After ``TEST_DIES_S``
a part of the process dies of a fault.
"""

from services.common.messaging.service_runner import Runners, consume, run_service  # isort: skip

import os
import sys
import time
from collections.abc import Callable, Sequence

from services.common.config import Settings
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change
from services.common.messaging.reaction import Reactor
from services.common.messaging.reactor_runner import Arrival, Outcome
from services.common.runtime import Runtime, core_config
from services.common.telemetry.logs import get_logger
from tests.support.echo import QUEUE, token_issued

TICK_S = 0.02


class HubService:
    """Waits, then reacts as the echo does."""

    name = "payment"
    runners = Runners()

    @consume(QUEUE)
    def react(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Handle a batch."""
        return self.runners.run(QUEUE, arrivals)


def main() -> int:
    """Run until SIGTERM; log the longest silence of the hub in seconds."""
    settings, wait_s = Settings(os.environ), float(os.environ.get("TEST_HANDLER_S", "0"))
    runtime = Runtime(core_config(settings, "payment"))
    settings.finish()
    dies_s, silence_s = float(os.environ.get("TEST_DIES_S", "inf")), 0.0

    def handler(event: RecordedEvent) -> list[Change]:
        with runtime.read_models.connection() as connection:
            connection.execute("SELECT pg_sleep(%s)", (wait_s,))
        return token_issued(event)

    def tick(stopping: Callable[[], bool]) -> None:
        nonlocal silence_s
        last_s = began_s = time.monotonic()
        while not stopping():
            if last_s - began_s > dies_s:
                raise ValueError("a fault that nobody thought of")
            time.sleep(TICK_S)
            now_s = time.monotonic()
            silence_s = max(silence_s, now_s - last_s - TICK_S)
            last_s = now_s

    reactor = Reactor(name=QUEUE, handlers={"dossier.registered": handler})
    code = run_service(HubService, runtime, reactors=[reactor], background=[tick])
    get_logger(__name__).info("hub_silence", seconds=silence_s)
    return code


if __name__ == "__main__":
    sys.exit(main())
