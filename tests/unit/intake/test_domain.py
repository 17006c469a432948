# SPDX-License-Identifier: Apache-2.0
"""Dossiers, codes and deadlines: given, when, then."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.clock import VIETNAM
from services.common.errors import Refused
from services.intake.adapters.calendar import vietnam
from services.intake.domain.deadline import Calendar, due_at
from services.intake.domain.dossier_code import make_code, read_code

DEADLINES = [
    # accepted, working days, due (2024–2026, counted by hand)
    ("2026-11-16 08:00", 0, "2026-11-16"),
    ("2026-11-16 15:00", 0, "2026-11-16"),
    ("2026-11-16 15:01", 0, "2026-11-17"),
    ("2026-11-16 08:00", 3, "2026-11-19"),
    ("2026-11-16 16:00", 3, "2026-11-20"),
    ("2026-11-19 08:00", 3, "2026-11-25"),  # 24/11 is a holiday from 2026 on
    ("2026-11-23 08:00", 1, "2026-11-25"),
    ("2025-11-24 08:00", 1, "2025-11-25"),  # not yet in 2025
    ("2026-11-20 16:30", 0, "2026-11-23"),
    ("2026-11-21 09:00", 0, "2026-11-23"),
    ("2026-11-22 23:59", 1, "2026-11-25"),
    ("2026-04-24 08:00", 1, "2026-04-28"),  # Hùng Kings Sunday 26/4, substitute Monday 27/4
    ("2026-04-29 08:00", 1, "2026-05-04"),  # 30/4 and 1/5
    ("2026-08-28 08:00", 1, "2026-09-03"),  # 1/9 and 2/9, Monday 31/8 swapped
    ("2026-08-31 08:00", 1, "2026-09-04"),  # handed in on the swapped Monday
    ("2026-08-21 08:00", 1, "2026-08-22"),  # the Saturday worked for it
    ("2025-12-31 08:00", 1, "2026-01-02"),
    ("2024-02-07 08:00", 1, "2024-02-15"),  # Tết 2024: 8–14/2
    ("2024-02-13 08:00", 0, "2024-02-15"),
    ("2026-11-16 08:00", 10, "2026-12-01"),
    ("2026-11-16 00:10", 2, "2026-11-18"),
    ("2026-12-31 15:30", 0, "2027-01-04"),
]


@pytest.mark.parametrize(("accepted", "days", "due"), DEADLINES)
def test_deadlines_counted_by_hand(accepted: str, days: int, due: str) -> None:
    """Working days, 15:00, weekends and holidays agree with a count by hand."""
    moment = datetime.strptime(accepted, "%Y-%m-%d %H:%M").replace(tzinfo=VIETNAM)
    calendar = vietnam(moment.year)
    assert due_at(moment, days, calendar).strftime("%Y-%m-%d %H:%M") == f"{due} 17:00"


SPAN = datetime(2024, 1, 1), datetime(2026, 12, 1)  # noqa: DTZ001 - Hypothesis wants naive


@given(
    st.datetimes(*SPAN),
    st.integers(0, 40),
)
def test_a_deadline_is_a_working_day_and_grows(moment: datetime, days: int) -> None:
    """Due days are working days, and one more working day is always later."""
    local = moment.replace(tzinfo=VIETNAM)
    calendar = vietnam(local.year)
    due, later = due_at(local, days, calendar), due_at(local, days + 1, calendar)
    assert calendar.is_working(due.date())
    assert due < later


def test_swapped_saturday_is_worked() -> None:
    """A Saturday that a ministry swapped counts as a working day."""
    saturday = date(2026, 11, 21)
    calendar = Calendar(holidays={date(2026, 11, 20)}, worked={saturday})
    accepted = datetime(2026, 11, 19, 9, tzinfo=VIETNAM)
    assert due_at(accepted, 1, calendar).date() == saturday


def test_codes() -> None:
    """Codes are made in the law's form and read tolerantly."""
    assert make_code("H30.12", date(2024, 2, 13), 1) == "H30.12-240213-0001"
    for typed in (" h30.12-240213-0001", "H30.12\u2013240213\u20130001", "000.00.12.H30-240213-0001",
                  "G09.20-20260609-0092637", "H15.50.05.13-261008-0975"):  # fmt: skip
        assert read_code(typed)
    for wrong in ("", "H30.12-24021-0001", "X30-240213-0001", "H30.12-240213-1"):
        with pytest.raises(Refused):
            read_code(wrong)
