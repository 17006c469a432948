# SPDX-License-Identifier: Apache-2.0
"""Vietnam's calendar as deadlines need it."""

from datetime import date, datetime

import pytest

from services.common.clock import VIETNAM
from services.intake.adapters.calendar import vietnam
from services.intake.domain.deadline import due_at


@pytest.mark.parametrize("year", [2024, 2026, 2027])
def test_the_longest_deadline_stays_within_the_calendar(year: int) -> None:
    """400 working days from the last day of a year never end on a holiday of the year after next."""
    accepted = datetime(year, 12, 31, 16, tzinfo=VIETNAM)
    for days in range(200, 401):
        due = due_at(accepted, days, vietnam(year)).date()
        assert vietnam(due.year).is_working(due), f"{days} days end on {due}"


@pytest.mark.parametrize(
    ("day", "free"),
    [
        ("2026-11-24", True), ("2025-11-24", False), ("2026-09-02", True), ("2026-04-27", True),
        ("2026-11-23", False), ("2027-01-01", True), ("2028-05-01", True),
    ],
)  # fmt: skip
def test_free_days(day: str, free: bool) -> None:
    """Holidays are free in the years in which the law has them."""
    year = min(int(day[:4]), 2026)
    assert vietnam(year).is_working(date.fromisoformat(day)) is not free
