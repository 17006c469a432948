# SPDX-License-Identifier: Apache-2.0
"""What the one-stop system is told: every status and due time of a dossier with a code, in order.

The calls are upserts on the other side, so a repeated call is harmless. While the system is down
``Unavailable`` pauses its queue alone and nothing is given up; each generation's system has a
queue of its own, so one that is down holds up no office of the other. A definite refusal is never
tried again blindly: it becomes a disputed report with an owner and a due time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change
from services.common.messaging.reaction import Handler
from services.intake.application.facts import data_of, facts
from services.intake.application.ports import CalendarOf, NotTakenError, OneStopPort
from services.intake.domain.acts import DisputeReport, RecordReport
from services.intake.domain.deadline import Term, due_at
from services.intake.domain.dossier import Dossier, decide, evolve
from services.intake.domain.dossier import Fact as DomainFact

TOLD: Final = (
    "dossier.accepted", "dossier.refused", "dossier.supplement_requested",
    "dossier.supplement_received", "dossier.processing_started", "dossier.fee_due",
    "dossier.fee_cleared", "dossier.withdrawn", "dossier.stopped", "dossier.completed",
    "dossier.returned", "dossier.return_reversed", "dossier.rescheduled",
)  # fmt: skip
"""Events that bring a dossier a status, or a due time, that the one-stop system has to know."""
KEEPS_STATUS: Final = "dossier.rescheduled"
ITS_OWN: Final = "system:one_stop"
"""Actor of what the system itself ordered: it need not be told."""
SETTLE_WITHIN: Final = Term(working_days=1)
_ANSWERS: Final = ("dossier.reported", "dossier.report_disputed")

OneStopOf = Callable[[str], OneStopPort]
"""Return the one-stop system of an office."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One status to be told.

    Attributes:
        event: what led to it.
        dossier: as it was right after.
        accepted_at: when the dossier got its code.
        first: it just got it; the system does not know it before.
        redated: it became due at another time.
    """

    event: RecordedEvent
    dossier: Dossier
    accepted_at: datetime
    first: bool
    redated: bool


def one_stop_handlers(
    log: EventLog,
    one_stop_of: OneStopOf,
    calendar_of: CalendarOf,
    serves: Callable[[str], bool] = lambda _: True,
) -> Mapping[str, Handler]:
    """Return the handlers of a one-stop queue: tell about offices it serves, record the answer.

    Messages may come in any order (the sweeper, a second replica), the dossier's own order is
    kept all the same: each one tells everything that is still open up to its event.
    """

    def tell(event: RecordedEvent) -> Sequence[Change]:
        known, untold = _untold(log.read_stream(event.stream))
        if not serves(known.office):
            return ()
        version, decided = known.version, list[DomainFact]()
        for step in untold:
            if step.event.version > event.version:
                break
            act = _answer(step, one_stop_of(known.office), calendar_of)
            for name, data in decide(act, known):
                decided.append((name, data))
                known = evolve(known, name, data)
        if not decided:
            return ()
        answers = facts(decided, str(event.subject))
        return [Change(stream=event.stream, expected_version=version, facts=answers)]

    return dict.fromkeys(TOLD, tell)


def _untold(story: Sequence[RecordedEvent]) -> tuple[Dossier, list[Step]]:
    """Return the dossier now and what the system was not told yet, oldest first.

    What the system itself has overtaken is of the past: told now, it would be refused.
    """
    known, steps, accepted_at = Dossier(), list[Step](), None
    for event in story:
        data, before = data_of(event), known
        known = evolve(known, event.type, data)
        accepted_at = accepted_at or (event.occurred_at if known.code else None)
        if event.type in _ANSWERS:
            steps = [step for step in steps if not _is_answer(data, step)]
        elif event.meta.get("actor") == ITS_OWN:
            steps = []
        elif event.type in TOLD and accepted_at is not None:
            steps.append(
                Step(
                    event=event,
                    dossier=known,
                    accepted_at=accepted_at,
                    first=not before.code,
                    redated=known.due_at != before.due_at,
                )
            )
    return known, steps


def _is_answer(data: Mapping[str, object], step: Step) -> bool:
    if data["event"] is None:  # recorded before reports named their event
        return data["status"] == step.dossier.status
    return data["event"] == str(step.event.event_id)


def _answer(
    step: Step, one_stop: OneStopPort, calendar_of: CalendarOf
) -> RecordReport | DisputeReport:
    status, reported = step.dossier.status, str(step.event.event_id)
    try:
        reference = _told(step, one_stop)
    except NotTakenError as refusal:
        due = due_at(step.event.occurred_at, SETTLE_WITHIN, calendar_of())
        return DisputeReport(
            status=status, error=str(refusal), owner=step.dossier.office,
            due_at=due.isoformat(), reported=reported,
        )  # fmt: skip
    return RecordReport(status=status, reference=reference, reported=reported)


def _told(step: Step, one_stop: OneStopPort) -> str:
    """Tell of the status reached; a new dossier, and a new due time, are told with the dossier."""
    dossier, reference = step.dossier, ""
    if not step.first and step.event.type != KEEPS_STATUS:
        reference = one_stop.progress(
            dossier.code, status=dossier.status, at=step.event.occurred_at
        )
    if not step.first and not step.redated:
        return reference
    return one_stop.upsert(
        dossier.code,
        procedure=dossier.procedure,
        accepted_at=step.accepted_at,
        due_at=datetime.fromisoformat(dossier.due_at),
        status=dossier.status,
    )
