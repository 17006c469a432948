# SPDX-License-Identifier: Apache-2.0
"""One batch of a reactor: each event decided in order, what was decided committed together.

Every event keeps its own request, key and inbox mark, so one that fails, conflicts or is refused
is settled alone and takes nothing of the others with it. What comes out is what handling them one
by one in the same order gives (``tests/unit/common/messaging/test_reactor_batch.py``).
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final, cast

from structlog.contextvars import bind_contextvars, reset_contextvars

from services.common.clock import Clock
from services.common.errors import (
    Conflict,
    Malformed,
    MotCuaError,
    Problem,
    Refused,
    Unavailable,
)
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import Appended, AppendRequest, Handled, RecordedEvent
from services.common.eventlog.recording import Cause, Change, Recorder
from services.common.messaging.batch_view import BatchView
from services.common.messaging.failures import Failures
from services.common.messaging.reaction import Handler, Reactor
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

CONFLICT_TRIES_MAX: Final = 3
_LOG = get_logger(__name__)


class Outcome(Enum):
    """What became of an event."""

    HANDLED = "handled"
    REFUSED = "refused"
    IGNORED = "ignored"
    FORGED = "forged"
    DEAD = "dead"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a handler wants recorded; nothing of it is in the log yet."""

    event: RecordedEvent
    outcome: Outcome
    request: AppendRequest
    began_s: float

    @property
    def streams(self) -> list[str]:
        return [append.stream for append in self.request.appends]


class ReactorBatch:
    """Handles some events; good for one call of ``handle``."""

    def __init__(
        self, reactor: Reactor, recorder: Recorder, clock: Clock, failures: Failures
    ) -> None:
        """Bind the reactor to its service's recorder."""
        self._reactor = reactor
        self._recorder = recorder
        self._log = recorder.log
        self._clock = clock
        self._failures = failures
        self._view = BatchView(self._log, self._before_read)
        self._handlers: Mapping[str, Handler] = (
            reactor.bind(cast("EventLog", self._view)) if reactor.bind else reactor.handlers
        )
        self._pending: list[_Decided] = []
        self._written: set[str] = set()
        self._outcomes: dict[int, Outcome] = {}

    def handle(self, events: Sequence[RecordedEvent]) -> list[Outcome]:
        """Return what became of each event, in their order.

        Raises:
            Unavailable: a dependency is down; whatever was decided before is durable, and handling
                all of them again is safe.
        """
        self._view.fetch(stream for event in events for stream in self._reads(event))
        try:
            for event in events:
                self._take(event)
                if self._reactor.bind is None:
                    self._commit()
        except Unavailable:
            self._commit()
            raise
        self._commit()
        return [self._outcomes[event.position] for event in events]

    def _reads(self, event: RecordedEvent) -> Sequence[str]:
        try:
            return self._reactor.reads(event)
        except Exception:  # noqa: BLE001 - a guess; what is wrong with the event shows in its handler
            return ()

    def _before_read(self, stream: str | None) -> None:
        if self._pending and (stream is None or stream in self._written):
            self._commit()

    def _take(self, event: RecordedEvent) -> None:
        began_s = self._clock.monotonic_s()
        with self._settling(event, began_s):
            if event.type not in self._handlers:
                self._close(event, Outcome.IGNORED, began_s)
                return
            decided = self._decide(event, began_s)
            if not self._written.isdisjoint(decided.streams):
                # Written without being read: two requests for a stream are two commits.
                self._commit()
            self._pending.append(decided)
            self._written.update(decided.streams)

    def _decide(self, event: RecordedEvent, began_s: float) -> _Decided:
        outcome, changes = Outcome.HANDLED, cast("Sequence[Change]", ())
        try:
            changes = self._handlers[event.type](event)
        except Refused as refusal:
            outcome = Outcome.REFUSED
            _LOG.warning("event_refused", refusal=refusal.code)
        name, identifier = self._reactor.name, str(event.event_id)
        request = self._recorder.prepare(
            changes,
            source=name,
            key=identifier,
            cause=Cause.of(event, f"service:{name.partition('.')[0]}"),
            asked=["reaction", identifier],
            handled=Handled(reactor=name, position=event.position),
        )
        return _Decided(event, outcome, request, began_s)

    def _commit(self) -> None:
        """Append what is pending as one commit and settle each by its own answer."""
        pending, self._pending = self._pending, []
        self._written = set()
        if not pending:
            return
        answers = self._log.append_all([decided.request for decided in pending])
        settled = list(zip(pending, answers, strict=True))
        # Those that have to be decided again come last: while they wait, the others are settled.
        for decided, answer in sorted(settled, key=lambda pair: isinstance(pair[1], MotCuaError)):
            with self._settling(decided.event, decided.began_s):
                self._settle(decided, answer)

    def _settle(self, decided: _Decided, answer: Appended | MotCuaError) -> None:
        for attempt in range(1, CONFLICT_TRIES_MAX):
            if not isinstance(answer, Conflict):
                break
            self._clock.sleep(random.uniform(0.005, 0.05) * attempt)  # noqa: S311
            self._view.forget_all()
            decided = self._decide(decided.event, decided.began_s)
            (answer,) = self._log.append_all([decided.request])
        if isinstance(answer, Refused):
            # Only the log itself refuses here (another digest or a foreign category): a fault of
            # this service, never an answer to the event.
            raise Malformed("reaction", (_problem(answer.code),)) from answer
        if isinstance(answer, MotCuaError):
            raise answer
        self._view.forget(decided.streams)
        self._failures.forget(decided.event.position)
        self._close(decided.event, decided.outcome, decided.began_s)

    @contextmanager
    def _settling(self, event: RecordedEvent, began_s: float) -> Iterator[None]:
        """Keep what goes wrong with one event from the others."""
        bound = bind_contextvars(
            reactor=self._reactor.name,
            event_id=str(event.event_id),
            correlation_id=event.correlation_id,
            causation_id=event.meta.get("causation_id"),
            stream=event.stream,
        )
        try:
            yield
        except Unavailable:
            raise
        except Malformed as error:
            problem_fields = [problem.field for problem in error.problems]
            _LOG.error("event_malformed", what=error.what, problems=problem_fields)
            self._close(event, Outcome.DEAD, began_s)
        except Exception as error:  # noqa: BLE001 - the boundary: counted, logged, not acked
            dead = self._failures.failed(event.position, error)
            self._close(event, Outcome.DEAD if dead else Outcome.FAILED, began_s)
        finally:
            reset_contextvars(**bound)

    def _close(self, event: RecordedEvent, outcome: Outcome, began_s: float) -> None:
        self._outcomes[event.position] = outcome
        took_s = self._clock.monotonic_s() - began_s
        metrics.event_handle_seconds.labels(self._reactor.name, outcome.value).observe(took_s)
        _LOG.info(
            "event_handled", type=event.type, position=event.position, outcome=outcome.value,
            duration_ms=round(took_s * 1000, 1),
        )  # fmt: skip


def _problem(refusal: str) -> Problem:
    return Problem("reaction", refusal, f"the log refused: {refusal}", f"sổ từ chối: {refusal}")
