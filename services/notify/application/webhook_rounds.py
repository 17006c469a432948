# SPDX-License-Identifier: Apache-2.0
"""The lead's rounds: who is due gets a turn, at most one at a time for each webhook.

A webhook that hangs costs one of ``SENDERS`` threads for one turn; the others have theirs. When the
lead is lost, nothing new begins, and what is under way cannot be counted any more.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

from services.common.clock import to_micros
from services.common.errors import MotCuaError, Unavailable
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger
from services.notify.application.ports import LeadLostError, Ledger
from services.notify.application.subscribers import Subscribers
from services.notify.application.webhooks import Place, Turns
from services.notify.domain.subscriber import Subscriber
from services.notify.domain.webhook import begin, is_due, way

SENDERS: Final = 16
TICK_S: Final = 0.2
HOLD_S: Final = 1.0
MEASURE_S: Final = 2.0
PRUNE_S: Final = 60.0
PAUSED_S: Final = 5.0
DRAIN_S: Final = 30.0
_LOG = get_logger(__name__)


class LedLedger(Ledger, Protocol):
    """A ledger with the lead over it."""

    def hold(self) -> None:
        """Show that the lead lives; raises LeadLostError."""
        ...

    def prune(self) -> int:
        """Delete what is too old; raises LeadLostError."""
        ...


class Rounds:
    """One term of one lead."""

    def __init__(self, turns: Turns, ledger: LedLedger, subscribers: Subscribers) -> None:
        """Bind; ``run`` begins."""
        self._turns = turns
        self._ledger = ledger
        self._subscribers = subscribers
        self._clock = turns.clock
        self._places: dict[str, Place] = {}
        self._under_way: dict[str, Future[None]] = {}
        self._not_before_s: dict[str, float] = {}
        self._shown: set[str] = set()
        self._ended = threading.Event()
        self._due_s = dict.fromkeys(("hold", "measure", "prune"), 0.0)

    def run(self, stopping: Callable[[], bool], beat: Callable[[], None]) -> None:
        """Give turns until ``stopping``; returns after what is under way.

        Raises:
            LeadLostError: somebody else may lead now.
        """
        metrics.webhook_leader.set(1)
        pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="webhook")
        try:
            while not stopping():
                beat()
                self._upkeep()
                with contextlib.suppress(Unavailable):
                    self._round(pool)
                self._clock.sleep(TICK_S)
        finally:
            self._ended.set()
            metrics.webhook_leader.set(0)
            self._show_only(set())
            until_s = self._clock.monotonic_s() + DRAIN_S
            while self._clock.monotonic_s() < until_s and not all(
                one.done() for one in self._under_way.values()
            ):
                beat()
                self._clock.sleep(TICK_S)
            pool.shutdown(wait=False, cancel_futures=True)

    def _upkeep(self) -> None:
        if self._is_time("hold", HOLD_S):
            self._ledger.hold()
        if self._is_time("prune", PRUNE_S):
            self._ledger.prune()

    def _round(self, pool: ThreadPoolExecutor) -> None:
        self._collect()
        view = self._subscribers.look()
        known = {name: one for name, one in view.known.items() if one.url is not None}
        now_us = to_micros(self._clock.now())
        for name, one in known.items():
            paused = self._clock.monotonic_s() < self._not_before_s.get(name, 0.0)
            if not one.sends or name in self._under_way or paused:
                continue
            place = self._place(name, one)
            waits = not is_due(place.progress, now_us, self._turns.patience)
            if waits or not self._has_work(one, place, view.head):
                continue
            turn = pool.submit(self._turns.take, one, place, view.head, self._ended.is_set)
            self._under_way[name] = turn
        if self._is_time("measure", MEASURE_S):
            self._measure(known, view.head)

    def _has_work(self, one: Subscriber, place: Place, head: int) -> bool:
        if way(place.progress, one, head, 1) is not None:
            return True
        late = self._clock.monotonic_s() >= place.confirm_s
        return late and place.progress.through > max(one.confirmed, one.url_after)

    def _collect(self) -> None:
        """Take note of turns that ended; raises LeadLostError when one found out."""
        for name in [name for name, one in self._under_way.items() if one.done()]:
            turn = self._under_way.pop(name)
            try:
                turn.result()
            except LeadLostError:
                raise
            except Exception as error:  # noqa: BLE001 - one webhook's fault is not the others'
                # A dependency that is down is no surprise; anything else is, and says where.
                surprise = not isinstance(error, MotCuaError)
                _LOG.warning("webhook_paused", subscriber=name, error=type(error).__name__,
                             exc_info=surprise)  # fmt: skip
                self._not_before_s[name] = self._clock.monotonic_s() + PAUSED_S

    def _place(self, name: str, one: Subscriber) -> Place:
        place = self._places.get(name)
        if place is None:
            stored = self._ledger.progress(name)
            soon_s = self._clock.monotonic_s() + self._turns.confirm_every_s
            place = self._places[name] = Place(stored, begin(stored, one), soon_s)
        else:
            place.progress = begin(place.progress, one)
        return place

    def _measure(self, known: Mapping[str, Subscriber], head: int) -> None:
        """Show how far each webhook is behind; an order of 2 s is exact enough."""
        behind = {name: self._place(name, one).progress.through for name, one in known.items()
                  if name not in self._under_way}  # fmt: skip
        behind |= {name: self._places[name].progress.through for name in self._under_way}
        oldest = self._turns.recorder.log.read_positions([at + 1 for at in behind.values()])
        recorded_us = {event.position: event.recorded_at_us for event in oldest}
        now_us = to_micros(self._clock.now())
        self._show_only(set(behind))
        for name, through in behind.items():
            since_us = recorded_us.get(through + 1, now_us)
            metrics.webhook_lag_events.labels(name).set(max(0, head - through))
            metrics.webhook_lag_seconds.labels(name).set(max(0, now_us - since_us) / 1_000_000)
            waits = name in known and known[name].stopped_itself
            metrics.webhook_suspended.labels(name).set(int(waits))

    def _show_only(self, names: set[str]) -> None:
        for name in self._shown - names:
            for gauge in _GAUGES:
                with contextlib.suppress(KeyError):
                    gauge.remove(name)
        self._shown = names

    def _is_time(self, what: str, every_s: float) -> bool:
        now_s = self._clock.monotonic_s()
        if now_s < self._due_s[what]:
            return False
        self._due_s[what] = now_s + every_s
        return True


_GAUGES: Final = (
    metrics.webhook_lag_events, metrics.webhook_lag_seconds, metrics.webhook_suspended,
)  # fmt: skip
