# SPDX-License-Identifier: Apache-2.0
"""The Nameko process of intake: reactions, reports to the one-stop system, pull, read model."""

from services.common.messaging.service_runner import Runners, consume, run_service  # isort: skip

from collections.abc import Callable, Sequence

from services.common.errors import Unavailable
from services.common.messaging.projector import Projector
from services.common.messaging.reactor_runner import Arrival, Outcome
from services.common.telemetry.logs import get_logger
from services.intake.application.pull import PullReturns
from services.intake.bootstrap import Intake
from services.intake.projections.custody import CustodyProjection
from services.intake.projections.dossier import DossierProjection

REACTIONS = "intake.reactions"
ONE_STOP = "intake.one_stop"
ONE_STOP_2026 = "intake.one_stop_2026"
_LOG = get_logger(__name__)


class IntakeService:
    """Turns machines' journals into dossiers and tells the one-stop system."""

    name = "intake"
    runners = Runners()

    @consume(REACTIONS)
    def react(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Handle a batch of events."""
        return self.runners.run(REACTIONS, arrivals)

    @consume(ONE_STOP)
    def report(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Tell the one-stop system until it acknowledges."""
        return self.runners.run(ONE_STOP, arrivals)

    @consume(ONE_STOP_2026)
    def report_2026(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Tell the system of the offices that are on the interface of 2026."""
        return self.runners.run(ONE_STOP_2026, arrivals)


def serve(intake: Intake) -> int:
    """Run until SIGTERM; returns the exit code."""
    runtime = intake.runtime
    url = intake.config.core.database_url
    projectors = [
        Projector(projection, runtime.log, runtime.clock, database_url=url)
        for projection in (DossierProjection(), CustodyProjection())
    ]

    def puller(pull: PullReturns) -> Callable[[Callable[[], bool]], None]:
        # Each system has its own: one that is down or slow holds up no other.
        def run(stopping: Callable[[], bool]) -> None:
            while not stopping():
                try:
                    pull.once()
                except Unavailable as error:
                    _LOG.warning("pull_paused", dependency=error.dependency)
                runtime.clock.sleep(intake.config.pull_interval_s)

        return run

    background = (*(one.run for one in projectors), *map(puller, intake.pulls))
    return run_service(IntakeService, runtime, reactors=intake.reactors, background=background)
