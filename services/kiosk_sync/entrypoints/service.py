# SPDX-License-Identifier: Apache-2.0
"""The Nameko process of kiosk_sync: orders to machines, and the fleet's read model."""

from services.common.messaging.service_runner import Runners, consume, run_service  # isort: skip

from collections.abc import Callable, Sequence

from services.common.messaging.projector import Projector
from services.common.messaging.reactor_runner import Arrival, Outcome
from services.kiosk_sync.bootstrap import KioskSync
from services.kiosk_sync.projections.machine import MachineProjection

REACTIONS = "kiosk_sync.reactions"


class KioskSyncService:
    """Turns other services' events into orders for machines."""

    name = "kiosk_sync"
    runners = Runners()

    @consume(REACTIONS)
    def react(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Handle a batch of events."""
        return self.runners.run(REACTIONS, arrivals)


def serve(service: KioskSync) -> int:
    """Run until SIGTERM; returns the exit code."""
    runtime = service.runtime
    projector = Projector(
        MachineProjection(),
        runtime.log,
        runtime.clock,
        database_url=service.config.core.database_url,
    )
    background: tuple[Callable[[Callable[[], bool]], None], ...] = (projector.run,)
    return run_service(KioskSyncService, runtime, reactors=service.reactors, background=background)
