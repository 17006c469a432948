# SPDX-License-Identifier: Apache-2.0
"""What a subscriber is owed, page by page, and in one digest.

Without a list of types a page holds what was owed at each position; for past positions that never
changes. With one it holds those types, wherever they stand, of what is granted now: a replay.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from services.common.clock import Clock
from services.common.errors import Malformed, Problem, Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.notify.application.subscribers import FRESH_S, Subscribers
from services.notify.domain.subscriber import Subscriber

LIMIT_MAX: Final = 1_000
WAIT_MAX_S: Final = 25
SPAN_MAX: Final = 50_000
"""Positions that one page looks at, so that a rare type costs bounded time."""
PAGE_BYTES_MAX: Final = 4_000_000
DIGEST_SPAN_MAX: Final = 1_000_000
LOOK_AGAIN_S: Final = 1.5 * FRESH_S
_IDS_PAGE: Final = 20_000

Stretches = Sequence[tuple[int, int, tuple[str, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a subscriber asks for: events behind ``after``, waiting up to ``wait_s`` for one."""

    after: int
    limit: int = 100
    types: tuple[str, ...] = ()
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer.

    Attributes:
        events: in log order.
        through: position up to which was looked; ask on behind it.
        head: the log's highest position when it was asked.
        closed: the same question gets the same answer for ever.
    """

    events: Sequence[RecordedEvent]
    through: int
    head: int
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many events, and SHA-256 over position and id of each."""

    count: int
    digest: str


class Tallying:
    """Adds up position (8 bytes, big endian) and id (16 bytes) of events, in log order."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._digest = hashlib.sha256()
        self._count = 0

    def add(self, position: int, event_id: UUID) -> None:
        """Add one event."""
        self._digest.update(position.to_bytes(8) + event_id.bytes)
        self._count += 1

    def tally(self) -> Tally:
        """Return what was added so far."""
        return Tally(count=self._count, digest=self._digest.hexdigest())


class Feed:
    """Answers subscribers; safe for many threads."""

    def __init__(self, log: EventLog, subscribers: Subscribers, clock: Clock) -> None:
        """Bind; nothing is read before the first question."""
        self._log = log
        self._subscribers = subscribers
        self._clock = clock

    def page(self, name: str, asked: Asked) -> Page:
        """Return what there is for subscriber ``name``, waiting for the first event if asked to.

        Raises:
            Refused: ``type_not_granted``.
            Unavailable: the log is down.
        """
        until_s = self._clock.monotonic_s() + min(asked.wait_s, WAIT_MAX_S)
        while True:
            page = self._look(name, asked)
            left_s = until_s - self._clock.monotonic_s()
            if page.events or page.closed or left_s <= 0:
                return page
            self._clock.sleep(min(FRESH_S, left_s))

    def tally(self, name: str, after: int, through: int) -> Tally:
        """Return the digest of what was owed in (after, through].

        Raises:
            Malformed: behind the head, or too long a stretch.
            Unavailable: the log is down.
        """
        view = self._subscribers.look()
        if through > view.head:
            # A queue is quicker than what is known of the head, which is a tenth of a second old.
            self._clock.sleep(LOOK_AGAIN_S)
            view = self._subscribers.look()
        if not after < through <= min(view.head, after + DIGEST_SPAN_MAX):
            en = f"at most {DIGEST_SPAN_MAX} positions behind after, not above {view.head}"
            vi = f"tối đa {DIGEST_SPAN_MAX} vị trí sau after, không quá {view.head}"
            raise Malformed("digest", (Problem("through", "out_of_range", en, vi),))
        return tally(self._log, view.known[name].owed(after, through))

    def _look(self, name: str, asked: Asked) -> Page:
        view = self._subscribers.look()
        one = view.known.get(name)
        if one is None:
            raise Refused("subscriber_unknown", "removed meanwhile", "đã bị gỡ", field="name")
        last = max(asked.after, min(asked.after + SPAN_MAX, view.head))
        events, whole = read_stretches(self._log, _stretches(one, asked, last), asked.limit)
        through = last if whole else events[-1].position
        closed = not whole or last == asked.after + SPAN_MAX
        return Page(events=events, through=through, head=view.head, closed=closed)


def read_stretches(
    log: EventLog, stretches: Stretches, limit: int
) -> tuple[list[RecordedEvent], bool]:
    """Return at most ``limit`` events, 4 MB, of ``stretches``, and whether these are all."""
    found: list[RecordedEvent] = []
    size = 0
    for after, through, types in stretches:
        left = limit - len(found)
        for event in log.read_all(after, through=through, types=types, limit=left):
            found.append(event)
            size += len(event.raw_data)
            if len(found) == limit or size >= PAGE_BYTES_MAX:
                return found, False
    return found, True


def tally(log: EventLog, stretches: Stretches) -> Tally:
    """Return the digest over every event of ``stretches``."""
    adding = Tallying()
    for after, through, types in stretches:
        for position, event_id in _ids(log, after, through, types):
            adding.add(position, event_id)
    return adding.tally()


def _ids(
    log: EventLog, after: int, through: int, types: tuple[str, ...]
) -> Iterable[tuple[int, UUID]]:
    while page := log.read_ids(after, through=through, types=types, limit=_IDS_PAGE):
        yield from page
        after = page[-1][0]


def _stretches(one: Subscriber, asked: Asked, last: int) -> Stretches:
    if not asked.types:
        return one.owed(asked.after, last)
    foreign = sorted(set(asked.types) - set(one.types))
    if foreign:
        raise Refused(
            "type_not_granted", f"not granted: {', '.join(foreign)[:200]}",
            f"không được cấp loại: {', '.join(foreign)[:200]}", field="types",
        )  # fmt: skip
    return [(asked.after, last, tuple(sorted(asked.types)))]
