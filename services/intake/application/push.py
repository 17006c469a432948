# SPDX-License-Identifier: Apache-2.0
"""What the one-stop system is told: every status of a dossier with a code, in its order.

The calls are upserts on the other side, so a repeated call is harmless. While the system is down
``Unavailable`` pauses this queue alone and nothing is given up. A definite refusal is never tried
again blindly: it becomes a disputed report with an owner and a due time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change, facts_of
from services.common.messaging.reaction import Handler
from services.intake.application.facts import data_of, facts
from services.intake.application.ports import CalendarOf, NotTakenError, OneStopPort
from services.intake.domain.acts import DisputeReport, RecordReport
from services.intake.domain.deadline import Term, due_at
from services.intake.domain.dossier import Dossier, decide, fold

TOLD: Final = (
    "dossier.accepted", "dossier.refused", "dossier.supplement_requested",
    "dossier.supplement_received", "dossier.processing_started", "dossier.fee_due",
    "dossier.fee_cleared", "dossier.withdrawn", "dossier.stopped", "dossier.completed",
    "dossier.returned", "dossier.return_reversed",
)  # fmt: skip
"""Events that bring a dossier into a status the one-stop system has to know."""
ITS_OWN: Final = "system:one_stop"
"""Actor of what the system itself ordered: it need not be told."""
_ANSWERS: Final = ("dossier.reported", "dossier.report_disputed")
SETTLE_WITHIN: Final = Term(working_days=1)


def one_stop_handlers(
    log: EventLog, one_stop: OneStopPort, calendar_of: CalendarOf
) -> Mapping[str, Handler]:
    """Return the handlers of ``intake.one_stop``: tell, and record the answer."""

    def tell(event: RecordedEvent) -> Sequence[Change]:
        story = log.read_stream(event.stream)
        before = fold(facts_of(story[: event.version - 1]))
        then = fold(facts_of(story[: event.version]))
        if not then.code or event.meta.get("actor") == ITS_OWN:
            return ()
        if _is_answered(story, event):
            return ()  # told again out of its order, an old status would undo a newer one
        known = fold(facts_of(story))
        act: RecordReport | DisputeReport
        try:
            reference = _told(one_stop, event, before, then)
        except NotTakenError as refusal:
            due = due_at(event.occurred_at, SETTLE_WITHIN, calendar_of())
            act = DisputeReport(
                status=then.status, error=str(refusal), owner=then.office,
                due_at=due.isoformat(), reported=str(event.event_id),
            )  # fmt: skip
        else:
            act = RecordReport(
                status=then.status, reference=reference, reported=str(event.event_id)
            )
        decided = facts(decide(act, known), str(event.subject))
        return [Change(stream=event.stream, expected_version=known.version, facts=decided)]

    return dict.fromkeys(TOLD, tell)


def _is_answered(story: Sequence[RecordedEvent], event: RecordedEvent) -> bool:
    """Say whether the system took or refused this very event before."""
    told = (data_of(one)["event"] for one in story if one.type in _ANSWERS)
    return str(event.event_id) in told


def _told(one_stop: OneStopPort, event: RecordedEvent, before: Dossier, then: Dossier) -> str:
    """Tell of the status reached; a dossier that just got its code is made known first."""
    if before.code:
        return one_stop.progress(then.code, status=then.status, at=event.occurred_at)
    return one_stop.upsert(
        then.code,
        procedure=then.procedure,
        accepted_at=event.occurred_at,
        due_at=datetime.fromisoformat(then.due_at),
        status=then.status,
    )
