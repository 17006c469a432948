# SPDX-License-Identifier: Apache-2.0
"""Time, chance and streams of a generated log: processes that wait, and requests in time order.

A process is a generator that yields how many seconds it waits. Whatever it says is an append
request of the platform's own type, at the moment it is said. The same seed says the same.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from heapq import heappop, heappush
from random import Random
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from services.common import contracts
from services.common.clock import VIETNAM, from_micros, to_micros
from services.common.eventlog.record import AppendRequest, NewEvent, StreamAppend
from services.common.eventlog.recording import Cause
from services.common.ids import event_id
from services.common.personal import NONCE_BYTES, Sealed
from services.intake.domain import calendar as days
from services.intake.domain.calendar import Calendar
from services.intake.seed.load import calendar_days

START: Final = datetime(2026, 1, 5, 7, 0, tzinfo=VIETNAM)
SECOND_US: Final = 1_000_000
_TAG_BYTES: Final = 16
_COMMITMENT_BYTES: Final = 16
_STEP_US: Final = 700
"""Between two things that are said at one moment."""

Process = Iterator[float]
"""Yields the seconds until it goes on."""


NOBODYS: Final[Mapping[str, Sealed]] = MappingProxyType({})


class Told(NamedTuple):
    """One fact to be recorded; ``data`` holds the stubs of what is ``personal``."""

    type: str
    data: Mapping[str, Any]
    subject: str | None = None
    personal: Mapping[str, Sealed] = NOBODYS


Changes = Sequence[tuple[str, Sequence[Told]]]
"""Stream, and what is recorded there."""
Said = tuple[int, AppendRequest]
"""Moment in microseconds, and the request."""


class World:
    """Runs processes and collects what they say.

    Attributes:
        dice: every chance in the world.
        now_us: the moment, microseconds since the epoch.
        closed: (stream, version) of streams that nobody writes to any more; whoever takes them
            clears the list.
    """

    def __init__(self, seed: int) -> None:
        """Begin on a Monday morning."""
        self.dice = Random(seed)  # noqa: S311 - chance, not secrets
        self.now_us = to_micros(START)
        self.closed: list[tuple[str, int]] = []
        self._versions: dict[str, int] = {}
        self._waiting: list[tuple[int, int, Process]] = []
        self._said: list[Said] = []
        self._started = 0
        self._schemas: dict[str, int] = {}

    def start(self, process: Process, in_s: float = 0.0) -> None:
        """Let ``process`` begin in so many seconds."""
        self._started += 1
        heappush(self._waiting, (self.now_us + int(in_s * SECOND_US), self._started, process))

    def requests(self) -> Iterator[Said]:
        """Yield what is said, in time order; ends when nobody waits any more."""
        yield from self._taken()
        while self._waiting:
            at_us, number, process = heappop(self._waiting)
            self.now_us = max(self.now_us, at_us)
            wait_s = next(process, None)
            yield from self._taken()
            if wait_s is not None:
                again_us = self.now_us + int(wait_s * SECOND_US)
                heappush(self._waiting, (again_us, number, process))

    def say(
        self, changes: Changes, *, source: str, key: str, cause: Cause,
        occurred_us: int | None = None, identifiers: Sequence[uuid.UUID] = (),
        metas: Sequence[bytes] = (),
    ) -> list[str]:  # fmt: skip
        """Append as one request; returns the events' ids. What comes next comes a little later.

        ``identifiers`` and ``metas`` are given for what a machine's journal says.
        """
        occurred = self.now_us if occurred_us is None else occurred_us
        meta = b"" if metas else packed(cause.known())
        appends, ids = list[StreamAppend](), list[uuid.UUID]()
        for stream, facts in changes:
            version = self._versions.get(stream, 0)
            self._versions[stream] = version + len(facts)
            events = []
            for fact in facts:
                number = len(ids)
                ids.append(
                    identifiers[number] if identifiers
                    else event_id(occurred // 1000, source, key, number)
                )  # fmt: skip
                events.append(
                    NewEvent(
                        type=fact.type, schema=self.schema(fact.type),
                        data=packed(fact.data), meta=metas[number] if metas else meta,
                        occurred_at_us=occurred, subject=fact.subject, personal=fact.personal,
                        event_id=ids[-1],
                    )
                )  # fmt: skip
            appends.append(
                StreamAppend(stream=stream, expected_version=version, events=tuple(events))
            )
        request = AppendRequest(
            source=source, key=key, digest=hashlib.sha256(f"{source}/{key}".encode()).digest(),
            cause_ms=occurred // 1000, appends=tuple(appends),
        )  # fmt: skip
        self._said.append((self.now_us, request))
        self.now_us += _STEP_US
        return [str(one) for one in ids]

    def version(self, stream: str) -> int:
        """Return how many events ``stream`` has; 0 once it is closed."""
        return self._versions.get(stream, 0)

    def close(self, *streams: str) -> None:
        """Promise that nobody writes to ``streams`` any more, so that they need not be kept."""
        for stream in streams:
            version = self._versions.pop(stream, 0)
            if version:
                self.closed.append((stream, version))

    def close_all(self) -> None:
        """Close every stream: the world ends."""
        self.close(*list(self._versions))

    def chance(self, per_mille: int) -> bool:
        """Say yes so often in a thousand."""
        return self.dice.randrange(1000) < per_mille

    def between(self, low_s: float, high_s: float) -> float:
        """Return some seconds."""
        return low_s + (high_s - low_s) * self.dice.random()

    def uuid(self) -> str:
        """Return a random id."""
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))

    def hex32(self) -> str:
        """Return 32 random bytes, hex."""
        return self.dice.randbytes(32).hex()

    def sealed(self, size: int) -> Sealed:
        """Return what a value of ``size`` bytes looks like once sealed; no key opens it."""
        return Sealed(
            key_id=uuid.UUID(self.uuid()),
            blob=self.dice.randbytes(NONCE_BYTES + size + _TAG_BYTES),
            commitment=self.dice.randbytes(_COMMITMENT_BYTES),
        )

    def now(self) -> datetime:
        """Return the moment."""
        return from_micros(self.now_us)

    def today(self) -> date:
        """Return the day in Vietnam."""
        return self.now().astimezone(VIETNAM).date()

    def to_opening(self) -> float:
        """Return the seconds until some time within the next office hours."""
        local = self.now().astimezone(VIETNAM)
        return opening(local.date(), local.hour) - local.timestamp() + self.between(0, 9 * 3600)

    def schema(self, kind: str) -> int:
        """Return the newest schema of an event type."""
        found = self._schemas.get(kind)
        if found is None:
            found = self._schemas[kind] = contracts.newest(kind).schema
        return found

    def _taken(self) -> Iterator[Said]:
        said, self._said = self._said, []
        return iter(said)


def packed(value: Mapping[str, Any]) -> bytes:
    """Return ``canonical_json`` of what is known to have one; looking for what has none is slow."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


@lru_cache(maxsize=1)
def calendar() -> Calendar:
    """Return the calendar that the log begins with."""
    known = Calendar()
    for day in calendar_days():
        known = days.evolve(known, "calendar.day_set", day)
    return known


@lru_cache(maxsize=1_000)
def opening(day: date, hour: int) -> float:
    """Return when offices open next after an hour of ``day``, seconds since the epoch."""
    if hour >= 8 or not calendar().is_working(day):  # noqa: PLR2004 - eight o'clock
        day += timedelta(days=1)
    while not calendar().is_working(day):
        day += timedelta(days=1)
    return datetime(day.year, day.month, day.day, 8, tzinfo=VIETNAM).timestamp()
