# SPDX-License-Identifier: Apache-2.0
"""Dossiers, codes and deadlines: given, when, then."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.clock import VIETNAM
from services.common.errors import Refused
from services.common.lookup import NO_LOOKUP
from services.intake.adapters.calendar import vietnam
from services.intake.domain import dossier as d
from services.intake.domain.deadline import Calendar, due_at
from services.intake.domain.dossier_code import make_code, read_code

REGISTER = d.RegisterDossier(
    procedure="2.000635", procedure_version=1, office="VT", machine="VT01", pouch="P1", copies=1,
    papers=("Tờ khai",), contact_event="e", pages=1, exemption=None, lookup=NO_LOOKUP,
)  # fmt: skip
ACCEPT = d.AcceptDossier(
    code="H30.12-261123-0001", official="cb001", due_at="2026-11-25T17:00:00+07:00",
    working_days=1, fee_settled=True,
)  # fmt: skip
COMPLETE = d.CompleteDossier(result_number="KQ1", return_machine="VT01")
READY = d.MarkReady(machine="VT01", cell=3, loaded_event="e2")
RETURN = d.ReturnDossier(machine="VT01", grant="g", released_event="e3")
LIFE: list[d.Command] = [REGISTER, ACCEPT, COMPLETE, READY, RETURN]


def given_(*commands: d.Command) -> d.Dossier:
    """Return the dossier after ``commands``."""
    state = d.Dossier()
    for command in commands:
        for fact in d.decide(command, state):
            state = d.evolve(state, *fact)
    return state


def test_a_whole_life() -> None:
    """Registered, accepted, completed, ready, returned: statuses 1, 2, 9, 9, 10."""
    statuses = [given_(*LIFE[: n + 1]).status for n in range(len(LIFE))]
    assert statuses == [1, 2, 9, 9, 10]


@pytest.mark.parametrize(
    ("before", "command", "code"),
    [
        ([], ACCEPT, "not_registered"),
        ([REGISTER], REGISTER, "already_registered"),
        ([REGISTER], COMPLETE, "wrong_status"),
        ([REGISTER], RETURN, "wrong_status"),
        ([REGISTER, ACCEPT], ACCEPT, "wrong_status"),
        ([REGISTER, ACCEPT], READY, "wrong_status"),
        ([REGISTER, ACCEPT, COMPLETE], RETURN, "not_ready"),
        (LIFE, RETURN, "wrong_status"),
        (LIFE, COMPLETE, "wrong_status"),
        ([REGISTER], d.RecordReport(status=2, reference="r"), "wrong_status"),
        ([REGISTER, ACCEPT], d.RecordReport(status=10, reference="r"), "wrong_status"),
    ],
)
def test_what_is_not_allowed(before: list[d.Command], command: d.Command, code: str) -> None:
    """Every act out of its order is refused with its code."""
    with pytest.raises(Refused) as caught:
        d.decide(command, given_(*before))
    assert caught.value.code == code
    assert caught.value.vi


def test_unpaid_is_not_accepted() -> None:
    """An official cannot accept before the fee is covered."""
    unpaid = d.AcceptDossier(code="c", official="o", due_at="x", working_days=0, fee_settled=False)
    with pytest.raises(Refused, match="fee_unpaid"):
        d.decide(unpaid, given_(REGISTER))


def test_other_machine_is_refused() -> None:
    """A result meant for one machine is not made ready at another."""
    other = d.MarkReady(machine="CT01", cell=1, loaded_event="e")
    with pytest.raises(Refused, match="other_machine"):
        d.decide(other, given_(REGISTER, ACCEPT, COMPLETE))


def test_report_is_recorded_once() -> None:
    """The same acknowledged status is one event, however often it is acknowledged."""
    report = d.RecordReport(status=2, reference="r")
    assert len(d.decide(report, given_(REGISTER, ACCEPT))) == 1
    assert d.decide(report, given_(REGISTER, ACCEPT, report)) == []


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
