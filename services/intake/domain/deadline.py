# SPDX-License-Identifier: Apache-2.0
"""When a result is due: working days in the office's hours (Civil Code 2015, articles 147–148).

The day of acceptance is not counted. What is accepted after 15:00 counts as accepted on the next
working day (Decree 61/2018, article 18). Free days are data: holidays, their substitutes, and the
working Saturdays that a ministry swapped for them.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from services.common.clock import VIETNAM

LATE: Final = time(15, 0)
CLOSING: Final = time(17, 0)
_SATURDAY: Final = 5
_ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Free and swapped days.

    Attributes:
        holidays: days off that would otherwise be working days.
        worked: Saturdays or Sundays that are worked instead of another day.
    """

    holidays: AbstractSet[date]
    worked: AbstractSet[date] = frozenset()

    def is_working(self, day: date) -> bool:
        """Say whether offices work on ``day``."""
        if day in self.worked:
            return True
        return day.weekday() < _SATURDAY and day not in self.holidays


def due_at(accepted: datetime, working_days: int, calendar: Calendar) -> datetime:
    """Return when a result is due: closing time of the last working day, Vietnam time.

    Args:
        accepted: aware instant of acceptance.
        working_days: 0 = the same working day.
        calendar: free and swapped days.
    """
    local = accepted.astimezone(VIETNAM)
    day = local.date()
    if not calendar.is_working(day) or local.timetz().replace(tzinfo=None) > LATE:
        day = next_working_day(day, calendar)
    for _ in range(working_days):
        day = next_working_day(day, calendar)
    return datetime.combine(day, CLOSING, VIETNAM)


def extend(due: datetime, stopped: datetime, resumed: datetime, calendar: Calendar) -> datetime:
    """Return ``due`` moved by the working days after the day of ``stopped`` up to ``resumed``."""
    day, until = stopped.astimezone(VIETNAM).date(), resumed.astimezone(VIETNAM).date()
    later = due.astimezone(VIETNAM).date()
    while day < until:
        day += _ONE_DAY
        if calendar.is_working(day):
            later = next_working_day(later, calendar)
    return datetime.combine(later, CLOSING, VIETNAM)


def next_working_day(day: date, calendar: Calendar) -> date:
    """Return the first working day after ``day``."""
    day += _ONE_DAY
    while not calendar.is_working(day):
        day += _ONE_DAY
    return day
