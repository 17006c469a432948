# SPDX-License-Identifier: Apache-2.0
"""Time as a port: wall clock for evidence, monotonic seconds for time-outs.

All instants are aware datetimes in UTC inside the platform; ``VIETNAM`` is for people and papers.
Stored and hashed instants are integer microseconds since 1970-01-01T00:00Z.
"""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

VIETNAM = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """What code may ask about time."""

    def now(self) -> datetime:
        """Return the wall clock, aware, in UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never fall, for time-outs only."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; a test clock moves its hands instead."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Return seconds that never fall."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def to_micros(instant: datetime) -> int:
    """Return whole microseconds since the epoch; raises ValueError for a naive datetime."""
    if instant.tzinfo is None:
        msg = "a naive datetime has no place in the log"
        raise ValueError(msg)
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC datetime of ``micros`` since the epoch; inverse of ``to_micros``."""
    return _EPOCH + timedelta(microseconds=micros)


def to_millis(instant: datetime) -> int:
    """Return whole milliseconds since the epoch, rounded down."""
    return to_micros(instant) // 1000
