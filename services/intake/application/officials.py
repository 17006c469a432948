# SPDX-License-Identifier: Apache-2.0
"""What officials do with a dossier: from the words of a request to the domain's command.

One function for each verb of ``/office/v1/dossiers/{id}/<verb>``, all in ``ACTS``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from services.common.canonical import Json
from services.common.clock import VIETNAM
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.recording import Change, Fact
from services.intake.application.facts import (
    fee_settled,
    office_of,
    office_of_machine,
    procedure_of,
)
from services.intake.application.ports import CalendarOf
from services.intake.domain import acts
from services.intake.domain.calendar import Calendar
from services.intake.domain.deadline import CLOSING, Term, due_at, extend
from services.intake.domain.dossier import NOT_STARTED, Dossier
from services.intake.domain.dossier_code import make_code

RESPOND_WITHIN: Final = Term(20)
"""How long missing papers are waited for where the official names no day."""


@dataclass(kw_only=True)
class Desk:
    """The official's desk: what a decision may look at, and the code it may give out."""

    log: EventLog
    calendar_of: CalendarOf
    now: datetime
    identifier: str
    dossier: Dossier
    official: str
    office: str
    given: list[Change] = field(default_factory=list)

    def new_code(self) -> str:
        """Give out the office's next code of the day; recorded together with the act."""
        today = self.now.astimezone(VIETNAM).date()
        office = office_of(self.log, self.office, today)
        codes = f"office-{self.office}.codes.{today:%y%m%d}"
        number = self.log.stream_version(codes)
        code = make_code(str(office["agency_code"]), today, number + 1)
        data: dict[str, Json] = {"office": self.office, "code": code, "dossier": self.identifier}
        assigned = Fact(type="office.code_assigned", data=data, subject=self.identifier)
        self.given = [Change(stream=codes, expected_version=number, facts=(assigned,))]
        return code

    def procedure(self) -> Mapping[str, Json]:
        """Return the version that the dossier is pinned to; empty for no dossier."""
        if not self.dossier.procedure:
            return {}
        return procedure_of(self.log, self.dossier.procedure, self.dossier.procedure_version)

    def term(self) -> Term:
        """Return how long the procedure takes."""
        procedure = self.procedure()
        days, excluded = (
            int(str(procedure.get(name, 0))) for name in ("working_days", "excluded_calendar_days")
        )
        return Term(days, excluded)

    def due(self, term: Term) -> str:
        """Return the due time of something that begins now."""
        return due_at(self.now, term, self.calendar()).isoformat()

    def extended(self) -> str:
        """Return the due time after the clock stood still since ``stopped_at``."""
        due, stopped = (
            datetime.fromisoformat(text) for text in (self.dossier.due_at, self.dossier.stopped_at)
        )
        return extend(due, stopped, self.now, self.calendar()).isoformat()

    def calendar(self) -> Calendar:
        """Return the calendar of working days."""
        return self.calendar_of()

    def paid(self) -> bool:
        """Say whether every fee that was asked is covered."""
        return fee_settled(self.log, self.identifier)


FARTHEST: Final = timedelta(days=730)
"""How far ahead an official may set a day; the calendar must know it."""
Words = Mapping[str, Any]


def _open(desk: Desk, words: Words) -> acts.Act:
    differences = tuple(words["differences"])
    return acts.OpenPouch(
        official=desk.official, as_listed=not differences, differences=differences
    )


def _accept(desk: Desk, _words: Words) -> acts.Act:
    term = desk.term()
    return acts.AcceptDossier(
        code=desk.new_code(),
        official=desk.official,
        due_at=desk.due(term),
        working_days=term.working_days,
        fee_settled=desk.paid(),
    )


def _refuse(desk: Desk, words: Words) -> acts.Act:
    return acts.RefuseDossier(official=desk.official, reason=words["reason"])


def _request_supplement(desk: Desk, words: Words) -> acts.Act:
    until = words["respond_by"]
    _require_near(desk, until, "respond_by")
    respond_by = desk.due(RESPOND_WITHIN) if until is None else _evening(until)
    return acts.RequestSupplement(
        official=desk.official,
        reasons=tuple(words["reasons"]),
        respond_by=respond_by,
        requested_at=desk.now.isoformat(),
        policy=str(desk.procedure().get("supplement_clock", "pause")),
    )


def _receive_supplement(desk: Desk, _words: Words) -> acts.Act:
    dossier = desk.dossier
    if dossier.stopped_at and dossier.clock == "pause":
        due = desk.extended()
    else:
        due = desk.due(desk.term())
    code = dossier.code if dossier.clock != NOT_STARTED else desk.new_code()
    return acts.ReceiveSupplement(
        official=desk.official, code=code, due_at=due, fee_settled=desk.paid()
    )


def _start(desk: Desk, words: Words) -> acts.Act:
    return acts.StartProcessing(official=desk.official, agency=words["agency"])


def _ask_fee(desk: Desk, words: Words) -> acts.Act:
    if not words["le_phi_vnd"] + words["phi_vnd"]:
        raise Refused("nothing_due", "the fee is 0", "khoản phải nộp bằng 0", field="phi_vnd")
    return acts.AskFurtherFee(
        official=desk.official,
        le_phi_vnd=words["le_phi_vnd"],
        phi_vnd=words["phi_vnd"],
        reason=words["reason"],
        requested_at=desk.now.isoformat(),
    )


def _withdraw(desk: Desk, words: Words) -> acts.Act:
    return acts.WithdrawDossier(official=desk.official, reason=words["reason"])


def _stop(desk: Desk, words: Words) -> acts.Act:
    return acts.StopDossier(official=desk.official, reason=words["reason"])


def _reschedule(desk: Desk, words: Words) -> acts.Act:
    day: date = words["due_on"]
    _require_near(desk, day, "due_on")
    if not desk.calendar().is_working(day):
        raise Refused(
            "not_a_working_day", f"{day} is not a working day", f"{day} không phải ngày làm việc",
            field="due_on",
        )  # fmt: skip
    old = _day_of(desk.dossier.due_at)
    if old is not None and day <= old:
        raise Refused(
            "not_later", "the new day is not later", "ngày hẹn lại phải sau ngày hẹn cũ",
            field="due_on",
        )  # fmt: skip
    today = desk.now.astimezone(VIETNAM).date()
    return acts.Reschedule(
        official=desk.official,
        reason=words["reason"],
        due_at=_evening(day),
        in_time=old is not None and today < old,
    )


def _complete(desk: Desk, words: Words) -> acts.Act:
    by_machine = words["return_channel"] == "machine"
    if by_machine != (words["return_machine"] is not None):
        raise Refused(
            "machine_mismatch", "a machine is named exactly where it returns the result",
            "chỉ nêu máy khi trả kết quả qua máy", field="return_machine",
        )  # fmt: skip
    if by_machine:
        office_of_machine(desk.log, words["return_machine"])
    return acts.CompleteDossier(
        result_number=words["result_number"],
        return_channel=words["return_channel"],
        return_machine=words["return_machine"],
        official=desk.official,
    )


def _return(desk: Desk, words: Words) -> acts.Act:
    return acts.ReturnDossier(
        channel=words["channel"], proof=words["proof"], official=desk.official
    )


def _reverse_return(desk: Desk, words: Words) -> acts.Act:
    return acts.ReverseReturn(
        official=desk.official, reason=words["reason"], incident=f"SC-{uuid4().hex[:12].upper()}"
    )


def _tell_again(desk: Desk, words: Words) -> acts.Act:
    return acts.RepeatNotice(official=desk.official, reason=words["reason"])


def _resolve_report(desk: Desk, words: Words) -> acts.Act:
    return acts.ResolveReport(
        official=desk.official, reason=words["reason"], reported=str(words["event"])
    )


def _require_near(desk: Desk, day: date | None, field_name: str) -> None:
    today = desk.now.astimezone(VIETNAM).date()
    if day is not None and not today <= day <= today + FARTHEST:
        raise Refused(
            "not_near", f"a day from {today} on, within two years",
            f"ngày phải từ {today} và trong vòng hai năm", field=field_name,
        )  # fmt: skip


def _day_of(instant: str) -> date | None:
    return datetime.fromisoformat(instant).astimezone(VIETNAM).date() if instant else None


def _evening(day: date) -> str:
    return datetime.combine(day, CLOSING, VIETNAM).isoformat()


ACTS: Final[Mapping[str, Callable[[Desk, Words], acts.Act]]] = {
    "open": _open,
    "accept": _accept,
    "refuse": _refuse,
    "request-supplement": _request_supplement,
    "receive-supplement": _receive_supplement,
    "start": _start,
    "ask-fee": _ask_fee,
    "withdraw": _withdraw,
    "stop": _stop,
    "reschedule": _reschedule,
    "complete": _complete,
    "return": _return,
    "reverse-return": _reverse_return,
    "tell-again": _tell_again,
    "resolve-report": _resolve_report,
}
"""Verb → what turns a request into the domain's command."""
