# SPDX-License-Identifier: Apache-2.0
"""Working days of a province: Monday to Friday, but for days off and swapped weekend days.

Labour Code 2019 article 112; substitutes and swaps are announced year by year, so they are data.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Free and swapped days.

    Attributes:
        holidays: days off that would otherwise be working days, substitutes among them.
        worked: Saturdays or Sundays that are worked instead of another day.
    """

    holidays: AbstractSet[date] = frozenset()
    worked: AbstractSet[date] = frozenset()

    def is_working(self, day: date) -> bool:
        """Say whether offices work on ``day``."""
        if day in self.worked:
            return True
        return day.weekday() < _SATURDAY and day not in self.holidays


def evolve(calendar: Calendar, event_type: str, data: Mapping[str, object]) -> Calendar:
    """Apply one event of ``calendar-VN``; never refuses."""
    day = date.fromisoformat(str(data["day"]))
    calendar = replace(calendar, holidays=calendar.holidays - {day}, worked=calendar.worked - {day})
    if event_type == "calendar.day_cleared":
        return calendar
    if data["kind"] == "worked":
        return replace(calendar, worked=calendar.worked | {day})
    return replace(calendar, holidays=calendar.holidays | {day})
