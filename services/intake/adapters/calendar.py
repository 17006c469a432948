# SPDX-License-Identifier: Apache-2.0
"""Vietnam's free days from the ``holidays`` library, with substitute and swapped days."""

from functools import lru_cache

import holidays

from services.intake.domain.deadline import Calendar


@lru_cache(maxsize=8)
def vietnam(year: int) -> Calendar:
    """Return the calendar of ``year`` and the next two, as far as 400 working days reach."""
    days = holidays.country_holidays("VN", years=range(year, year + 3), observed=True)
    return Calendar(holidays=frozenset(days), worked=frozenset(days.weekend_workdays))
