# SPDX-License-Identifier: Apache-2.0
"""When a result is due: working days in the office's hours (Civil Code 2015, articles 147–148).

The day of acceptance is not counted. What is accepted after 15:00, or on a day off, counts as
accepted on the next working day (Decree 61/2018 and 309/2026, article 18). A public posting runs
before the working days and is counted in calendar days. While papers or a fee are waited for, the
clock stands still: each working day after the one on which it stopped, up to the one on which it
goes on, is added. It is due at closing time.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from services.common.clock import VIETNAM
from services.intake.domain.calendar import Calendar

LATE: Final = time(15, 0)
CLOSING: Final = time(17, 0)
_ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Term:
    """How long a procedure takes.

    Attributes:
        working_days: 0 = the same working day.
        excluded_days: calendar days before them that do not count, such as a public posting.
    """

    working_days: int
    excluded_days: int = 0


def due_at(accepted: datetime, term: Term, calendar: Calendar) -> datetime:
    """Return when a result is due that was accepted at ``accepted`` (an aware instant)."""
    day = first_day(accepted, calendar) + term.excluded_days * _ONE_DAY
    if not term.working_days and not calendar.is_working(day):
        day = next_working_day(day, calendar)
    return _closing(_count(day, term.working_days, calendar))


def extend(due: datetime, stopped: datetime, resumed: datetime, calendar: Calendar) -> datetime:
    """Return ``due`` after the clock stood still from ``stopped`` to ``resumed``."""
    day, until = stopped.astimezone(VIETNAM).date(), resumed.astimezone(VIETNAM).date()
    waited = 0
    while day < until:
        day += _ONE_DAY
        waited += calendar.is_working(day)
    return _closing(_count(due.astimezone(VIETNAM).date(), waited, calendar))


def first_day(accepted: datetime, calendar: Calendar) -> date:
    """Return the working day on which something counts as accepted."""
    local = accepted.astimezone(VIETNAM)
    if calendar.is_working(local.date()) and local.timetz().replace(tzinfo=None) <= LATE:
        return local.date()
    return next_working_day(local.date(), calendar)


def next_working_day(day: date, calendar: Calendar) -> date:
    """Return the first working day after ``day``."""
    day += _ONE_DAY
    while not calendar.is_working(day):
        day += _ONE_DAY
    return day


def _count(day: date, working_days: int, calendar: Calendar) -> date:
    for _ in range(working_days):
        day = next_working_day(day, calendar)
    return day


def _closing(day: date) -> datetime:
    return datetime.combine(day, CLOSING, VIETNAM)
