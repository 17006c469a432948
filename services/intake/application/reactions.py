# SPDX-License-Identifier: Apache-2.0
"""What intake does about machines' journals and about payments."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change
from services.common.messaging.reaction import Handler
from services.intake.application.cases import case_handlers
from services.intake.application.facts import (
    data_of,
    dossier_of,
    facts,
    office_of_machine,
    settles_last_duty,
)
from services.intake.application.ports import CalendarOf
from services.intake.domain.acts import (
    Act,
    ClearFee,
    MarkReady,
    RecallResult,
    RegisterDossier,
    ReturnDossier,
)
from services.intake.domain.deadline import extend
from services.intake.domain.dossier import Fact as DomainFact
from services.intake.domain.dossier import decide, evolve
from services.intake.domain.transitions import COMPLETED, FEE_DUE

_CELLS: Final = ("kiosk.result_loaded", "kiosk.result_released", "kiosk.result_recalled")


def event_handlers(log: EventLog, calendar_of: CalendarOf) -> Mapping[str, Handler]:
    """Return the handlers of ``intake.reactions``."""

    def register(event: RecordedEvent) -> Sequence[Change]:
        data = data_of(event)
        machine = _machine(event)
        papers = data["papers"]
        assert isinstance(papers, list), "the contract lists the papers"
        command = RegisterDossier(
            procedure=str(data["procedure"]),
            procedure_version=int(str(data["procedure_version"])),
            office=office_of_machine(log, machine),
            machine=machine,
            pouch=str(data["pouch"]),
            copies=int(str(data["copies"])),
            papers=tuple(str(paper) for paper in papers),
            contact_event=str(event.event_id),
            pages=int(str(data["pages"])),
            exemption=None if data["exemption"] is None else str(data["exemption"]),
            lookup=str(data["lookup"]),
        )
        return _changes(log, str(data["dossier"]), command)

    def clear_fee(event: RecordedEvent) -> Sequence[Change]:
        dossier = _subject(event)
        known = dossier_of(log, dossier)
        if known.status != FEE_DUE or not settles_last_duty(log, dossier, event):
            return ()
        now, calendar = event.occurred_at, calendar_of()
        due, stopped = (datetime.fromisoformat(text) for text in (known.due_at, known.stopped_at))
        later = extend(due, stopped, now, calendar).isoformat()
        return _changes(log, dossier, ClearFee(payment_event=str(event.event_id), due_at=later))

    return {
        **_result_handlers(log),
        **case_handlers(log, calendar_of),
        "payment.settled": clear_fee,
        "kiosk.dossier_deposited": register,
    }


def _result_handlers(log: EventLog) -> Mapping[str, Handler]:
    def mark_ready(event: RecordedEvent) -> Sequence[Change]:
        return _changes(log, str(data_of(event)["dossier"]), _ready(event))

    def look_into_cells(event: RecordedEvent) -> Sequence[Change]:
        """A result that was laid in before anybody had said that it is finished."""
        data, dossier = data_of(event), _subject(event)
        known = dossier_of(log, dossier)
        loaded = _load_of(log, dossier, str(data["return_machine"]))
        if loaded is None or known.status != COMPLETED or known.ready_at:
            return ()
        return _changes(log, dossier, _ready(loaded))

    def return_result(event: RecordedEvent) -> Sequence[Change]:
        data = data_of(event)
        command = ReturnDossier(
            channel="kiosk",
            proof=f"grant {data['grant']}",
            machine=_machine(event),
            grant=str(data["grant"]),
            released_event=str(event.event_id),
        )
        return _changes(log, str(data["dossier"]), command)

    def recall(event: RecordedEvent) -> Sequence[Change]:
        data, machine = data_of(event), _machine(event)
        dossier = str(data["dossier"])
        command = RecallResult(
            machine=machine,
            cell=int(str(data["cell"])),
            staff=str(data["staff"]),
            recalled_event=str(event.event_id),
        )
        # Handled before its load: the machine's own order counts, or it would be ready for ever.
        loaded = None if dossier_of(log, dossier).ready_at else _load_of(
            log, dossier, machine, before=event
        )  # fmt: skip
        return _changes(log, dossier, *(() if loaded is None else (_ready(loaded),)), command)

    return {
        "dossier.completed": look_into_cells,
        "kiosk.result_loaded": mark_ready,
        "kiosk.result_released": return_result,
        "kiosk.result_recalled": recall,
    }


def _ready(loaded: RecordedEvent) -> MarkReady:
    return MarkReady(
        machine=_machine(loaded),
        cell=int(str(data_of(loaded)["cell"])),
        loaded_event=str(loaded.event_id),
    )


def _load_of(
    log: EventLog, dossier: str, machine: str, *, before: RecordedEvent | None = None
) -> RecordedEvent | None:
    """Return how a result came into the cell where it lies (or lay right ``before``), or None."""
    lies: RecordedEvent | None = None
    for event in log.read_subject(dossier):
        if before is not None and event.position >= before.position:
            break
        if event.type in _CELLS and _machine(event) == machine:
            lies = event if event.type == "kiosk.result_loaded" else None
    return lies


def streams_read(event: RecordedEvent) -> Sequence[str]:
    """Return the streams that the handler of ``event`` reads whole."""
    return () if event.subject is None else (f"dossier-{event.subject}",)


EVENT_HANDLERS: Final = {"intake.reactions": event_handlers}


def _changes(log: EventLog, dossier: str, *commands: Act) -> list[Change]:
    known = dossier_of(log, dossier)
    version, decided = known.version, list[DomainFact]()
    for command in commands:
        for name, data in decide(command, known):
            decided.append((name, data))
            known = evolve(known, name, data)
    if not decided:
        return []
    stream = f"dossier-{dossier}"
    return [Change(stream=stream, expected_version=version, facts=facts(decided, dossier))]


def _machine(event: RecordedEvent) -> str:
    return event.stream.split("-")[1]


def _subject(event: RecordedEvent) -> str:
    if event.subject is None:
        raise Refused("no_subject", "the event is about no dossier", "sự kiện không gắn với hồ sơ")
    return event.subject
