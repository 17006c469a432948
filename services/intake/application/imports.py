# SPDX-License-Identifier: Apache-2.0
"""Results that the one-stop system orders to a machine, also of dossiers from the counter."""

from dataclasses import dataclass, replace

from services.common import ids
from services.common.clock import VIETNAM, to_millis
from services.common.eventlog.port import EventLog
from services.common.eventlog.recording import Change, Fact
from services.intake.application.facts import data_of, facts, office_of_machine, version_on
from services.intake.application.ports import CounterDossier
from services.intake.domain.acts import CompleteDossier, ImportDossier
from services.intake.domain.dossier import Dossier, decide, fold

_SOURCE = "one_stop.counter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """The one-stop system wants a result returned at a machine.

    Attributes:
        dossier: its id.
        code: its code, in the form of the law.
        result_number: number of the result paper.
        machine: serial of the machine.
        counter: the dossier itself where no machine took it in; None for one that is known.
    """

    dossier: str
    code: str
    result_number: str
    machine: str
    counter: CounterDossier | None = None


def counter_id(code: str, counter: CounterDossier) -> str:
    """Derive the id of a dossier from the counter: one code, one dossier, however often asked."""
    return str(ids.event_id(to_millis(counter.accepted_at), _SOURCE, code, 0))


def imported_as(log: EventLog, code: str, office: str) -> str | None:
    """Return the id of the dossier that an office imported under ``code``, None for none."""
    for event in log.read_stream(_stream(office, code), limit=1):
        return str(data_of(event)["dossier"])
    return None


def import_done(
    log: EventLog, command: Complete, counter: CounterDossier, done: CompleteDossier
) -> list[Change]:
    """Return the changes that make a finished dossier from the counter known.

    Raises:
        Refused: ``unknown_machine``, ``unknown_procedure``.
    """
    office = office_of_machine(log, command.machine)
    accepted_on = counter.accepted_at.astimezone(VIETNAM).date()
    act = ImportDossier(
        code=command.code,
        procedure=counter.procedure,
        procedure_version=version_on(log, counter.procedure, accepted_on),
        office=office,
        channel="counter",
        due_at=counter.due_at.isoformat(),
    )
    decided = decide(act, Dossier())
    (made,) = facts(decided, command.dossier)
    contact = {"contact": {"name": counter.name, "phone": counter.phone}}
    completed = facts(decide(done, fold(decided)), command.dossier)
    code = Fact(
        type="office.code_imported",
        data={"office": office, "code": command.code, "dossier": command.dossier},
        subject=command.dossier,
    )
    return [
        Change(
            stream=f"dossier-{command.dossier}",
            expected_version=0,
            facts=(replace(made, personal=contact), *completed),
        ),
        Change(stream=_stream(office, command.code), expected_version=0, facts=(code,)),
    ]


def _stream(office: str, code: str) -> str:
    return f"office-{office}.imported.{code}"
