# SPDX-License-Identifier: Apache-2.0
"""Turns "there is an event at this position" into one durable, once-only effect.

Pure of broker and threads: the consumer and the sweeper both call it. The request's key is the
event's id and its handled mark commits with the changes, so a duplicate, a second replica or the
sweeper racing the consumer gets the first answer again instead of a second effect (ADR-0002).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.common.clock import Clock
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Recorder
from services.common.messaging.failures import FAILURES_MAX, Failures
from services.common.messaging.reaction import Reactor
from services.common.messaging.reactor_batch import CONFLICT_TRIES_MAX, Outcome, ReactorBatch
from services.common.telemetry.logs import get_logger

_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message's claim: the event with this id stands at this position of this log.

    Attributes:
        type: ``dossier.accepted`` with its ``schema``; the log must agree with all of it.
    """

    position: int
    event_id: UUID
    log_id: int
    type: str
    schema: int


class ReactorRunner:
    """Runs one reactor's handlers; safe to call from several threads."""

    def __init__(self, reactor: Reactor, recorder: Recorder, clock: Clock) -> None:
        """Bind the reactor to its service's recorder."""
        self.reactor = reactor
        self._recorder = recorder
        self._log = recorder.log
        self._clock = clock
        self._failures = Failures()

    def run(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Handle ``arrivals`` in order; the answers are in the same order.

        HANDLED, REFUSED and IGNORED may be acknowledged, FORGED (the log knows no such event) and
        DEAD belong in the dead-letter queue, FAILED is to be tried again (``FAILURES_MAX`` times,
        then it becomes DEAD). What the reactor has handled already is HANDLED without being
        decided again.

        Raises:
            Unavailable: a dependency is down; nothing of the batch is to be acknowledged, and
                running all of it again is safe.
        """
        positions = [arrival.position for arrival in arrivals]
        found = self._log.read_with_marks(self.reactor.name, positions)
        events = {event.position: event for event, _ in found}
        handled = {event.position for event, is_handled in found if is_handled}
        true = [self._is_true(one, events.get(one.position)) for one in arrivals]
        claimed = dict.fromkeys(at for at, is_true in zip(positions, true, strict=True) if is_true)
        todo = [events[at] for at in claimed if at not in handled]
        outcomes = dict(zip([e.position for e in todo], self.handle_all(todo), strict=True))
        return [
            outcomes.get(at, Outcome.HANDLED) if is_true else Outcome.FORGED
            for at, is_true in zip(positions, true, strict=True)
        ]

    def handle_all(self, events: Sequence[RecordedEvent]) -> list[Outcome]:
        """Handle events of the log, one commit where their handlers allow it.

        Raises:
            Unavailable: a dependency is down; handling all of them again is safe.
        """
        batch = ReactorBatch(self.reactor, self._recorder, self._clock, self._failures)
        return batch.handle(events)

    def handle(self, event: RecordedEvent) -> Outcome:
        """Handle one event of the log.

        Raises:
            Unavailable: a dependency is down.
        """
        return self.handle_all([event])[0]

    def failures_of(self, position: int) -> int:
        """Return how often the event at ``position`` failed in this process."""
        return self._failures.of(position)

    def _is_true(self, arrival: Arrival, event: RecordedEvent | None) -> bool:
        wrong = _differences(arrival, event)
        if event is None or wrong:
            _LOG.error(
                "message_without_event", reactor=self.reactor.name, position=arrival.position,
                differs=wrong,
            )  # fmt: skip
            return False
        return True


def _differences(arrival: Arrival, event: RecordedEvent | None) -> list[str]:
    """Return in which points the claim and the log disagree."""
    if event is None:
        return ["position"]
    names = ("log_id", "event_id", "type", "schema")
    return [name for name in names if getattr(arrival, name) != getattr(event, name)]


__all__ = [
    "CONFLICT_TRIES_MAX", "FAILURES_MAX", "Arrival", "Outcome", "ReactorRunner",
]  # fmt: skip
