# SPDX-License-Identifier: Apache-2.0
"""Finds events of a reactor's types that no message brought, and handles them from the log.

One sweeper leads for each reactor (session advisory lock). What it does is safe beside the
consumer: both go through the same runner and the same inbox.
"""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import psycopg

from services.common.clock import Clock
from services.common.errors import Unavailable
from services.common.eventlog.port import EventLog
from services.common.messaging.reactor_runner import Outcome, ReactorRunner
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

SWEEP_EVERY_S: Final = 5.0
SWEEP_OLDER_THAN: Final = timedelta(seconds=5)
POISON_RETRY_MAX_S: Final = 300.0
BATCH_MAX: Final = 500
TOGETHER_MAX: Final = 100
_LOCK_CLASS: Final = 0x4D435357  # "MCSW"
_LOG = get_logger(__name__)


class Sweeper:
    """Sweeps one reactor while it holds the lead."""

    def __init__(
        self, runner: ReactorRunner, log: EventLog, clock: Clock, *, database_url: str
    ) -> None:
        """Bind to a runner and its log; ``database_url`` is for the lead's own connection."""
        self._runner = runner
        self._log = log
        self._clock = clock
        self._url = database_url
        self._not_before_s: dict[int, tuple[int, float]] = {}

    def run(self, stopping: Callable[[], bool]) -> None:
        """Sweep until ``stopping`` says so; waits out every outage by itself."""
        while not stopping():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as lead:
                    self._lead(lead, stopping)
            except (psycopg.Error, Unavailable) as error:
                _LOG.warning("sweep_paused", reactor=self._runner.reactor.name,
                             error=type(error).__name__)  # fmt: skip
                self._wait(stopping, random.uniform(1.0, SWEEP_EVERY_S))  # noqa: S311

    def sweep(self) -> int:
        """Handle everything overdue once; returns how many events this sweep settled.

        Raises:
            Unavailable: a dependency is down.
        """
        reactor = self._runner.reactor
        before = self._clock.now() - SWEEP_OLDER_THAN
        settled = 0
        overdue = self._log.unhandled(
            reactor.name, reactor.types, recorded_before=before,
            limit=BATCH_MAX + len(self._not_before_s),
        )  # fmt: skip
        due = [event.position for event in overdue if self._is_due(event.position)]
        events = {event.position: event for event in overdue}
        for first in range(0, len(due), TOGETHER_MAX):
            part = due[first : first + TOGETHER_MAX]
            outcomes = self._runner.handle_all([events[position] for position in part])
            for position, outcome in zip(part, outcomes, strict=True):
                settled += self._note(position, outcome)
        self._log.advance_done_through(reactor.name, reactor.types, recorded_before=before)
        return settled

    def _is_due(self, position: int) -> bool:
        _tries, not_before_s = self._not_before_s.get(position, (0, 0.0))
        return self._clock.monotonic_s() >= not_before_s

    def _note(self, position: int, outcome: Outcome) -> int:
        """Return 1 when the event is settled; another one is tried again later and later."""
        if outcome in {Outcome.HANDLED, Outcome.REFUSED, Outcome.IGNORED}:
            self._not_before_s.pop(position, None)
            metrics.reactor_swept_total.labels(self._runner.reactor.name).inc()
            return 1
        tries, _not_before_s = self._not_before_s.get(position, (0, 0.0))
        delay_s = min(POISON_RETRY_MAX_S, SWEEP_EVERY_S * 2.0 ** min(tries, 10))
        self._not_before_s[position] = (tries + 1, self._clock.monotonic_s() + delay_s)
        return 0

    def _lead(self, lead: psycopg.Connection, stopping: Callable[[], bool]) -> None:
        while not stopping():
            row = lead.execute(
                "select pg_try_advisory_lock(%s, hashtext(%s))",
                (_LOCK_CLASS, self._runner.reactor.name),
            ).fetchone()
            if row is not None and row[0]:
                break
            self._wait(stopping, SWEEP_EVERY_S)
        while not stopping():
            lead.execute("select 1")
            self.sweep()
            self._wait(stopping, SWEEP_EVERY_S)

    def _wait(self, stopping: Callable[[], bool], seconds: float) -> None:
        until_s = self._clock.monotonic_s() + seconds
        while not stopping() and self._clock.monotonic_s() < until_s:
            self._clock.sleep(0.2)
