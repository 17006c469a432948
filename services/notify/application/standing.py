# SPDX-License-Identifier: Apache-2.0
"""How subscribers stand: how far behind queue, feed and webhook are, and what is missing.

Nothing here is stored: it is counted when somebody looks, from the log, the sender's notes and the
broker. Counts end at a limit and say so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.common.clock import Clock, to_micros
from services.common.errors import Unavailable
from services.common.eventlog.port import EventLog
from services.notify.application.feed import SPAN_MAX, Stretches
from services.notify.application.ports import Deliveries, Depth, Depths
from services.notify.application.subscribers import Subscribers
from services.notify.domain.subscriber import ALL, WEBHOOK, Subscriber
from services.notify.domain.webhook import Progress, begin

COUNTED_MAX: Final = 10_000
CHECKED_MAX: Final = 1_000
"""So many of the newest events are looked up in the delivery log."""
NOTED_S: Final = 29 * 86_400
"""The delivery log keeps 30 days; older events are not looked up."""
_SKEW_US: Final = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far behind.

    Attributes:
        events: how many are owed and not there yet.
        more: it counted no further.
        seconds: since when the oldest of them waits; 0 when none does.
    """

    events: int = 0
    more: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One subscriber, as of now.

    Attributes:
        one: what the log knows.
        depth: its queue; None when the broker does not answer or has no such queue.
        queue: how far that is behind; the time is that of as many owed events from the end.
        progress: where its webhook is.
        webhook: how far that is behind; None without one.
    """

    one: Subscriber
    depth: Depth | None
    queue: Lag | None
    progress: Progress
    webhook: Lag | None

    @property
    def sending(self) -> str:
        """Say in a word how the webhook does: none, stopped, closed, trying or open."""
        if self.one.url is None:
            return "none"
        if WEBHOOK in self.one.suspended:
            return "stopped"
        if ALL in self.one.suspended:
            return "closed"
        return "open" if self.progress.trouble is None else "trying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """What the delivery log says of the newest events behind which a webhook is.

    Attributes:
        checked: how many were looked up.
        missing: positions of which no delivery is noted.
    """

    checked: int
    missing: tuple[int, ...]


class Standings:
    """Counts how subscribers stand; safe for many threads."""

    def __init__(
        self, log: EventLog, subscribers: Subscribers, clock: Clock, *,
        deliveries: Deliveries, depths: Depths,
    ) -> None:  # fmt: skip
        """Bind; nothing is asked before the first question."""
        self._log = log
        self._subscribers = subscribers
        self._clock = clock
        self._deliveries = deliveries
        self._depths = depths

    def of(self, names: Sequence[str]) -> list[Standing]:
        """Return how those of ``names`` stand that exist, in their order.

        A broker that does not answer costs the queues' figures only.

        Raises:
            Unavailable: the log or notify's own tables are down.
        """
        view = self._subscribers.look()
        known = [view.known[name] for name in names if name in view.known]
        there = [one for one in known if one.present]
        stored = self._deliveries.progress()
        depths = self._ask_broker([one.name for one in there])
        return [
            self._standing(one, depths.get(one.name), stored.get(one.name), view.head)
            for one in there
        ]

    def behind(self, one: Subscriber, after: int) -> Lag:
        """Return how far somebody is behind who followed the feed up to ``after``."""
        head = self._subscribers.look().head
        return self._lag(one.owed(after, head))

    def gaps(self, standing: Standing) -> Gaps:
        """Look up the newest events that a webhook has behind it; raises Unavailable."""
        one, through = standing.one, standing.progress.through
        if one.url is None:
            return Gaps(checked=0, missing=())
        after = max(one.url_after, through - SPAN_MAX)
        found = self._ids(one.posted(after, through), SPAN_MAX)[0][-CHECKED_MAX:]
        oldest = self._now_us() - NOTED_S * 1_000_000
        first = next(iter(self._log.read_positions(found[:1])), None)
        if first is None or first.recorded_at_us < oldest:
            return Gaps(checked=0, missing=())
        taken = self._deliveries.taken(one.name, found, first.recorded_at_us - _SKEW_US)
        return Gaps(checked=len(found), missing=tuple(p for p in found if p not in taken))

    def _standing(
        self, one: Subscriber, depth: Depth | None, stored: Progress | None, head: int
    ) -> Standing:
        progress = begin(stored, one)
        posted = None if one.url is None else self._lag(one.posted(progress.through, head))
        queue = None if depth is None else self._queue(one, depth, head)
        return Standing(one=one, depth=depth, queue=queue, progress=progress, webhook=posted)

    def _queue(self, one: Subscriber, depth: Depth, head: int) -> Lag:
        """Return the queue's lag: its oldest message is about as far from the end as it is long."""
        if depth.waiting == 0:
            return Lag()
        found, _ = self._ids(one.owed(max(0, head - SPAN_MAX), head), SPAN_MAX)
        oldest = found[-depth.waiting :][:1]
        seconds = self._seconds_since(oldest)
        return Lag(events=depth.waiting, more=depth.waiting > len(found), seconds=seconds)

    def _lag(self, stretches: Stretches) -> Lag:
        found, more = self._ids(stretches, COUNTED_MAX)
        return Lag(events=len(found), more=more, seconds=self._seconds_since(found[:1]))

    def _ids(self, stretches: Stretches, limit: int) -> tuple[list[int], bool]:
        """Return at most ``limit`` positions of ``stretches``, and whether there may be more."""
        found: list[int] = []
        for after, through, types in stretches:
            left = limit - len(found)
            page = self._log.read_ids(after, through=through, types=types, limit=left)
            found += [position for position, _ in page]
            if len(found) == limit:
                return found, True
        return found, False

    def _seconds_since(self, positions: Sequence[int]) -> float:
        events = self._log.read_positions(positions) if positions else ()
        return max(0.0, *((self._now_us() - e.recorded_at_us) / 1e6 for e in events), 0.0)

    def _ask_broker(self, names: Sequence[str]) -> Mapping[str, Depth]:
        try:
            return self._depths.depths(names)
        except Unavailable:
            return {}

    def _now_us(self) -> int:
        return to_micros(self._clock.now())
