# SPDX-License-Identifier: Apache-2.0
"""Deadlines and the calendar behind them, against cases counted apart from the program.

``deadlines.csv`` was counted on a strip of days with the announced days off of 2024–2026 written
beside it: weekends, Tết, substitutes, swapped Saturdays, 24/11, 15:00, postings and pauses.
"""

import csv
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.clock import VIETNAM
from services.intake.domain.calendar import Calendar, evolve
from services.intake.domain.deadline import Term, due_at, extend, first_day
from services.intake.seed.load import calendar_days

CASES = list(csv.DictReader(Path(__file__).with_name("deadlines.csv").open(encoding="utf-8")))
LEAST_CASES = 60


def seeded() -> Calendar:
    """Return the calendar as the seed makes it."""
    calendar = Calendar()
    for day in calendar_days():
        calendar = evolve(calendar, "calendar.day_set", day)
    return calendar


CALENDAR = seeded()


def instant(text: str) -> datetime:
    """Return a local time of Vietnam."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=VIETNAM)


def test_there_are_enough_cases() -> None:
    """At least sixty, with postings and pauses among them."""
    assert len(CASES) >= LEAST_CASES
    assert any(case["stopped"] for case in CASES)
    assert any(case["excluded_days"] != "0" for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['accepted']}+{case['due']}")
def test_counted_by_hand(case: dict[str, str]) -> None:
    """The due day is the one counted by hand, at closing time."""
    term = Term(int(case["working_days"]), int(case["excluded_days"]))
    due = due_at(instant(case["accepted"]), term, CALENDAR)
    if case["stopped"]:
        due = extend(due, instant(case["stopped"]), instant(case["resumed"]), CALENDAR)
    assert due.strftime("%Y-%m-%d %H:%M") == f"{case['due']} 17:00"


SPAN = datetime(2024, 1, 1), datetime(2026, 12, 1)  # noqa: DTZ001 - Hypothesis wants naive
MOMENTS = st.datetimes(*SPAN).map(lambda moment: moment.replace(tzinfo=VIETNAM))


@given(MOMENTS, st.integers(0, 40), st.integers(0, 30))
def test_a_deadline_is_a_working_day_and_grows(moment: datetime, days: int, posted: int) -> None:
    """Due days are working days; one more working day is later, but for the same-day result.

    A posting may end on a day off: the same working day and one working day later are then the same.
    """
    due = due_at(moment, Term(days, posted), CALENDAR)
    assert CALENDAR.is_working(due.date())
    assert due.date() >= first_day(moment, CALENDAR)
    later = due_at(moment, Term(days + 1, posted), CALENDAR)
    assert later > due or (days == 0 and later == due)


@given(MOMENTS, st.integers(0, 40), st.integers(0, 30), st.integers(0, 30))
def test_pauses_add_up(moment: datetime, days: int, first: int, second: int) -> None:
    """Two pauses one after the other are one long pause, and none is nothing."""
    due = due_at(moment, Term(days), CALENDAR)
    one = datetime.fromordinal(moment.toordinal() + first).replace(tzinfo=VIETNAM)
    two = datetime.fromordinal(moment.toordinal() + first + second).replace(tzinfo=VIETNAM)
    apart = extend(extend(due, moment, one, CALENDAR), one, two, CALENDAR)
    assert apart == extend(due, moment, two, CALENDAR)
    assert extend(due, moment, moment, CALENDAR) == due


@pytest.mark.parametrize(
    ("day", "free"),
    [
        ("2026-11-24", True), ("2025-11-24", False), ("2026-09-02", True), ("2026-04-27", True),
        ("2026-11-23", False), ("2027-01-01", True), ("2026-01-02", True), ("2026-01-10", False),
        ("2024-05-04", False), ("2024-04-29", True), ("2028-05-01", True),
    ],
)  # fmt: skip
def test_free_days(day: str, free: bool) -> None:
    """Holidays are free in the years in which the law has them; swapped Saturdays are worked."""
    assert CALENDAR.is_working(date.fromisoformat(day)) is not free


def test_a_day_is_set_changed_and_cleared() -> None:
    """The last word about a day holds."""
    day = {"day": "2026-11-21", "kind": "worked"}
    saturday = date(2026, 11, 21)
    worked = evolve(Calendar(), "calendar.day_set", day)
    assert worked.is_working(saturday)
    off = evolve(worked, "calendar.day_set", {**day, "kind": "holiday"})
    assert not off.is_working(saturday)
    friday = {"day": "2026-11-20", "kind": "holiday"}
    cleared = evolve(evolve(Calendar(), "calendar.day_set", friday), "calendar.day_cleared", friday)
    assert cleared == Calendar()
