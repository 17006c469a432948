# SPDX-License-Identifier: Apache-2.0
"""A dossier's life in the national portal's states (Decree 61/2018 and its successors).

1 registered · 2 accepted · 9 completed · 10 returned. A machine only registers; accepting is an
official's act (Decree 309/2026, article 17).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from services.common.errors import Refused

Data = Mapping[str, object]
Fact = tuple[str, dict[str, object]]

REGISTERED: Final = 1
ACCEPTED: Final = 2
COMPLETED: Final = 9
RETURNED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterDossier:
    """Know a dossier that a machine took in."""

    procedure: str
    procedure_version: int
    office: str
    machine: str
    pouch: str
    copies: int
    papers: tuple[str, ...]
    contact_event: str
    pages: int
    exemption: str | None
    lookup: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptDossier:
    """An official checked the papers and gives a code and a due time."""

    code: str
    official: str
    due_at: str
    working_days: int
    fee_settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteDossier:
    """The one-stop system says that the result is to be returned at a machine."""

    result_number: str
    return_machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkReady:
    """The result lies in a cell."""

    machine: str
    cell: int
    loaded_event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnDossier:
    """The citizen took the result."""

    machine: str
    grant: str
    released_event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReport:
    """The one-stop system acknowledged a status."""

    status: int
    reference: str


Command = (
    RegisterDossier | AcceptDossier | CompleteDossier | MarkReady | ReturnDossier | RecordReport
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """What decisions need; ``version`` is the stream's, ``status`` 0 before registration."""

    version: int = 0
    status: int = 0
    procedure: str = ""
    procedure_version: int = 0
    office: str = ""
    code: str = ""
    due_at: str = ""
    return_machine: str = ""
    ready_at: str = ""
    reported: frozenset[int] = frozenset()


def evolve(dossier: Dossier, event_type: str, data: Data) -> Dossier:
    """Apply one ``dossier.*`` event; never refuses."""
    grown = replace(dossier, version=dossier.version + 1)
    match event_type:
        case "dossier.registered":
            return replace(
                grown,
                status=REGISTERED,
                procedure=str(data["procedure"]),
                procedure_version=int(str(data["procedure_version"])),
                office=str(data["office"]),
            )
        case "dossier.accepted":
            return replace(
                grown, status=ACCEPTED, code=str(data["code"]), due_at=str(data["due_at"])
            )
        case "dossier.completed":
            return replace(grown, status=COMPLETED, return_machine=str(data["return_machine"]))
        case "dossier.ready":
            return replace(grown, ready_at=f"{data['machine']}/{data['cell']}")
        case "dossier.returned":
            return replace(grown, status=RETURNED)
        case "dossier.reported":
            return replace(grown, reported=grown.reported | {int(str(data["status"]))})
        case _:
            return grown


def fold(events: Sequence[tuple[str, Data]]) -> Dossier:
    """Return the dossier after ``events``."""
    dossier = Dossier()
    for event_type, data in events:
        dossier = evolve(dossier, event_type, data)
    return dossier


def decide(command: Command, dossier: Dossier) -> list[Fact]:
    """Return the events ``command`` causes; none where it is already so.

    Raises:
        Refused: ``already_registered``, ``not_registered``, ``wrong_status``, ``fee_unpaid``,
            ``other_machine``, ``not_ready``.
    """
    match command:
        case RegisterDossier():
            return _register(command, dossier)
        case AcceptDossier():
            return _accept(command, dossier)
        case CompleteDossier():
            return _complete(command, dossier)
        case MarkReady():
            return _mark_ready(command, dossier)
        case ReturnDossier():
            return _return(command, dossier)
        case RecordReport():
            return _report(command, dossier)
        case _:
            assert_never(command)


def _register(command: RegisterDossier, dossier: Dossier) -> list[Fact]:
    if dossier.status:
        raise Refused("already_registered", "the dossier is known", "hồ sơ đã được ghi nhận")
    facts: dict[str, object] = {
        "procedure": command.procedure,
        "procedure_version": command.procedure_version,
        "office": command.office,
        "channel": "kiosk",
        "machine": command.machine,
        "pouch": command.pouch,
        "copies": command.copies,
        "papers": list(command.papers),
        "contact_event": command.contact_event,
        "pages": command.pages,
        "exemption": command.exemption,
        "lookup": command.lookup,
    }
    return [("dossier.registered", facts)]


def _accept(command: AcceptDossier, dossier: Dossier) -> list[Fact]:
    _require(dossier, REGISTERED)
    if not command.fee_settled:
        raise Refused("fee_unpaid", "the fee is not paid yet", "hồ sơ chưa nộp đủ phí, lệ phí")
    facts: dict[str, object] = {
        "code": command.code,
        "official": command.official,
        "due_at": command.due_at,
        "working_days": command.working_days,
    }
    return [("dossier.accepted", facts)]


def _complete(command: CompleteDossier, dossier: Dossier) -> list[Fact]:
    if dossier.status == COMPLETED and dossier.return_machine == command.return_machine:
        return []
    _require(dossier, ACCEPTED)
    facts: dict[str, object] = {
        "code": dossier.code,
        "result_number": command.result_number,
        "return_machine": command.return_machine,
    }
    return [("dossier.completed", facts)]


def _mark_ready(command: MarkReady, dossier: Dossier) -> list[Fact]:
    _require(dossier, COMPLETED)
    if dossier.return_machine != command.machine:
        raise Refused(
            "other_machine",
            f"the result is to be returned at {dossier.return_machine}",
            f"kết quả phải trả tại máy {dossier.return_machine}",
            field="machine",
        )
    facts: dict[str, object] = {
        "machine": command.machine,
        "cell": command.cell,
        "loaded_event": command.loaded_event,
    }
    return [("dossier.ready", facts)]


def _return(command: ReturnDossier, dossier: Dossier) -> list[Fact]:
    _require(dossier, COMPLETED)
    if not dossier.ready_at:
        raise Refused("not_ready", "no result lies in a machine", "chưa có kết quả trong máy")
    facts: dict[str, object] = {
        "channel": "kiosk",
        "machine": command.machine,
        "grant": command.grant,
        "released_event": command.released_event,
    }
    return [("dossier.returned", facts)]


def _report(command: RecordReport, dossier: Dossier) -> list[Fact]:
    if not dossier.code or dossier.status < command.status:
        raise _wrong_status(dossier, command.status)
    if command.status in dossier.reported:
        return []
    facts: dict[str, object] = {
        "system": "one_stop",
        "status": command.status,
        "code": dossier.code,
        "reference": command.reference,
    }
    return [("dossier.reported", facts)]


def _require(dossier: Dossier, status: int) -> None:
    if not dossier.status:
        raise Refused("not_registered", "no such dossier", "không có hồ sơ này", field="dossier")
    if dossier.status != status:
        raise _wrong_status(dossier, status)


def _wrong_status(dossier: Dossier, status: int) -> Refused:
    return Refused(
        "wrong_status",
        f"the dossier is in status {dossier.status}, not {status}",
        f"hồ sơ đang ở trạng thái {dossier.status}, không phải {status}",
        field="status",
    )
