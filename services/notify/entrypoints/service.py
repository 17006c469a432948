# SPDX-License-Identifier: Apache-2.0
"""The Nameko process of notify: what to say, the session to the SMS centre, the delivery log."""

from services.common.messaging.service_runner import Runners, consume, run_service  # isort: skip

from collections.abc import Callable, Sequence

from services.common.errors import Unavailable
from services.common.messaging.projector import Projector
from services.common.messaging.reactor_runner import Arrival, Outcome
from services.common.telemetry.logs import get_logger
from services.notify.adapters.subscriber_queues import keep_queues
from services.notify.bootstrap import Notify
from services.notify.projections.notification import NotificationProjection

REACTIONS = "notify.reactions"
SENDING = "notify.sending"
_LOG = get_logger(__name__)


class NotifyService:
    """Turns events into messages and sends each at most once."""

    name = "notify"
    runners = Runners()

    @consume(REACTIONS)
    def react(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Handle a batch of events."""
        return self.runners.run(REACTIONS, arrivals)

    @consume(SENDING)
    def send(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Send requested messages."""
        return self.runners.run(SENDING, arrivals)


def serve(notify: Notify) -> int:
    """Run until SIGTERM; returns the exit code."""
    runtime = notify.runtime
    runtime.health.register("smsc", notify.gateway.ready)
    projector = Projector(
        NotificationProjection(),
        runtime.log,
        runtime.clock,
        database_url=notify.config.core.database_url,
    )

    def remind(stopping: Callable[[], bool]) -> None:
        while not stopping():
            try:
                notify.reminders.once()
            except Unavailable as error:
                _LOG.warning("reminders_paused", dependency=error.dependency)
            runtime.clock.sleep(notify.config.reminder_interval_s)

    def keep(stopping: Callable[[], bool]) -> None:
        keep_queues(notify.queues, notify.subscribers, runtime.clock, stopping)

    background = (projector.run, notify.gateway.run, remind, keep)
    return run_service(NotifyService, runtime, reactors=notify.reactors, background=background)
