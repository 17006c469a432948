# SPDX-License-Identifier: Apache-2.0
"""Turns "there is an event at this position" into one durable, once-only effect.

Pure of broker and threads: the consumer and the sweeper both call it. The request's key is the
event's id and its handled mark commits with the changes, so a duplicate, a second replica or the
sweeper racing the consumer gets the first answer again instead of a second effect (ADR-0002).
"""

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final
from uuid import UUID

from structlog.contextvars import bound_contextvars

from services.common.clock import Clock
from services.common.errors import Conflict, Malformed, Problem, Refused, Unavailable
from services.common.eventlog.record import Handled, RecordedEvent
from services.common.eventlog.recording import Cause, Change, Recorder
from services.common.messaging.reaction import Reactor
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

CONFLICT_TRIES_MAX: Final = 3
FAILURES_MAX: Final = 5
REMEMBERED_FAILURES_MAX: Final = 10_000
_LOG = get_logger(__name__)


class Outcome(Enum):
    """What became of an event."""

    HANDLED = "handled"
    REFUSED = "refused"
    IGNORED = "ignored"
    FORGED = "forged"
    DEAD = "dead"
    FAILED = "failed"


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
    """Runs one reactor's handlers."""

    def __init__(self, reactor: Reactor, recorder: Recorder, clock: Clock) -> None:
        """Bind the reactor to its service's recorder."""
        self.reactor = reactor
        self._recorder = recorder
        self._log = recorder.log
        self._clock = clock
        self._failures: OrderedDict[int, int] = OrderedDict()

    def run(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Handle ``arrivals`` in order; the answers are in the same order.

        HANDLED, REFUSED and IGNORED may be acknowledged, FORGED (the log knows no such event) and
        DEAD belong in the dead-letter queue, FAILED is to be tried again (``FAILURES_MAX`` times,
        then it becomes DEAD).

        Raises:
            Unavailable: a dependency is down; nothing of the batch is to be acknowledged, and
                running all of it again is safe.
        """
        events = {e.position: e for e in self._log.read_positions([a.position for a in arrivals])}
        return [self._arrived(arrival, events.get(arrival.position)) for arrival in arrivals]

    def handle(self, event: RecordedEvent) -> Outcome:
        """Handle one event of the log.

        Raises:
            Unavailable: a dependency is down.
        """
        started_s = self._clock.monotonic_s()
        with bound_contextvars(
            reactor=self.reactor.name,
            event_id=str(event.event_id),
            correlation_id=event.correlation_id,
            causation_id=event.meta.get("causation_id"),
            stream=event.stream,
        ):
            outcome = self._settle(event)
            took_s = self._clock.monotonic_s() - started_s
            metrics.event_handle_seconds.labels(self.reactor.name, outcome.value).observe(took_s)
            _LOG.info(
                "event_handled", type=event.type, position=event.position, outcome=outcome.value,
                duration_ms=round(took_s * 1000, 1),
            )  # fmt: skip
        return outcome

    def failures_of(self, position: int) -> int:
        """Return how often the event at ``position`` failed in this process."""
        return self._failures.get(position, 0)

    def _arrived(self, arrival: Arrival, event: RecordedEvent | None) -> Outcome:
        wrong = _differences(arrival, event)
        if event is None or wrong:
            _LOG.error(
                "message_without_event", reactor=self.reactor.name, position=arrival.position,
                differs=wrong,
            )  # fmt: skip
            return Outcome.FORGED
        return self.handle(event)

    def _settle(self, event: RecordedEvent) -> Outcome:
        handler = self.reactor.handlers.get(event.type)
        if handler is None:
            return Outcome.IGNORED
        try:
            return self._react(event)
        except Unavailable:
            raise
        except Malformed as error:
            problem_fields = [problem.field for problem in error.problems]
            _LOG.error("event_malformed", what=error.what, problems=problem_fields)
            return Outcome.DEAD
        except Exception as error:  # noqa: BLE001 - the boundary: counted, logged, not acked
            return self._failed(event, error)

    def _react(self, event: RecordedEvent) -> Outcome:
        for attempt in range(1, CONFLICT_TRIES_MAX + 1):
            try:
                changes: Sequence[Change] = self.reactor.handlers[event.type](event)
                outcome = Outcome.HANDLED
            except Refused as refusal:
                changes, outcome = (), Outcome.REFUSED
                _LOG.warning("event_refused", refusal=refusal.code)
            try:
                self._record(event, changes)
            except Conflict:
                if attempt == CONFLICT_TRIES_MAX:
                    raise
                self._clock.sleep(random.uniform(0.005, 0.05) * attempt)  # noqa: S311
            except Refused as refusal:
                # Only the log itself refuses here (another digest or a foreign category): a fault
                # of this service, never an answer to the event.
                raise Malformed("reaction", (_problem(refusal.code),)) from refusal
            else:
                self._failures.pop(event.position, None)
                return outcome
        raise AssertionError

    def _record(self, event: RecordedEvent, changes: Sequence[Change]) -> None:
        name = self.reactor.name
        identifier = str(event.event_id)
        self._recorder.record(
            changes,
            source=name,
            key=identifier,
            cause=Cause.of(event, f"service:{name.partition('.')[0]}"),
            asked=["reaction", identifier],
            handled=Handled(reactor=name, position=event.position),
        )

    def _failed(self, event: RecordedEvent, error: Exception) -> Outcome:
        count = self._failures.pop(event.position, 0) + 1
        self._failures[event.position] = count
        if len(self._failures) > REMEMBERED_FAILURES_MAX:
            self._failures.popitem(last=False)
        # The text of an exception may quote the payload, so only its type and place are logged.
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "?"
        _LOG.error(
            "handler_failed", error=type(error).__qualname__, place=place, attempt=count,
            conflict=isinstance(error, Conflict),
        )  # fmt: skip
        return Outcome.DEAD if count >= FAILURES_MAX else Outcome.FAILED


def _differences(arrival: Arrival, event: RecordedEvent | None) -> list[str]:
    """Return in which points the claim and the log disagree."""
    if event is None:
        return ["position"]
    names = ("log_id", "event_id", "type", "schema")
    return [name for name in names if getattr(arrival, name) != getattr(event, name)]


def _problem(refusal: str) -> Problem:
    return Problem("reaction", refusal, f"the log refused: {refusal}", f"sổ từ chối: {refusal}")
