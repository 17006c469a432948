# SPDX-License-Identifier: Apache-2.0
"""A moment in the log, as people name one: a position, a time, or the end."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.common.clock import VIETNAM
from services.common.errors import Malformed, Problem
from services.common.eventlog.record import RecordedEvent

_DIGITS_MAX: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What had been recorded up to and with ``position`` or ``until_us``; neither: everything."""

    position: int | None = None
    until_us: int | None = None

    def covers(self, event: RecordedEvent) -> bool:
        """Say whether ``event`` was recorded by then."""
        if self.position is not None:
            return event.position <= self.position
        return self.until_us is None or event.recorded_at_us <= self.until_us


def read_moment(text: str, *, field: str = "at") -> Moment:
    """Return the moment that ``text`` names; a time without a zone is Vietnam's, empty the end.

    Raises:
        Malformed: neither a position nor a time.
    """
    if not text:
        return Moment()
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX:
        return Moment(position=int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        shown = text[:64]
        found = Problem(
            field, "not_a_moment", f"{shown!r} is no position and no time like 2026-11-23T16:00",
            f"{shown!r} không phải vị trí hay thời điểm, ví dụ 2026-11-23T16:00",
        )  # fmt: skip
        raise Malformed("moment", (found,)) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=VIETNAM)
    return Moment(until_us=int(moment.timestamp() * 1_000_000))
