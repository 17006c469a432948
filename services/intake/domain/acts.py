# SPDX-License-Identifier: Apache-2.0
"""What people, machines and other systems can do with a dossier: the commands.

A command names the event it asks for in ``event``. Its fields are the event's data; fields that
only the decision needs carry ``NOT_RECORDED``.
"""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final

NOT_RECORDED: Final = {"recorded": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Base of all commands."""

    event: ClassVar[str] = ""
    fixed: ClassVar[dict[str, object]] = {}

    def data(self) -> dict[str, Any]:
        """Return the event's data as this command gives them."""
        own = {
            one.name: _json(getattr(self, one.name))
            for one in fields(self)
            if one.metadata.get("recorded", True)
        }
        return {**own, **self.fixed}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterDossier(Act):
    """Know a dossier that a machine took in."""

    event: ClassVar[str] = "dossier.registered"
    fixed: ClassVar[dict[str, object]] = {"channel": "kiosk"}

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
class ImportDossier(Act):
    """Know a dossier from the counter whose result is to go through a machine."""

    event: ClassVar[str] = "dossier.imported"
    fixed: ClassVar[dict[str, object]] = {"system": "one_stop"}

    code: str
    procedure: str
    procedure_version: int
    office: str
    channel: str
    due_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPouch(Act):
    """Compare what lies in the pouch with the citizen's list."""

    event: ClassVar[str] = "dossier.opened"

    official: str
    as_listed: bool
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptDossier(Act):
    """An official checked the papers and gives a code and a due time."""

    event: ClassVar[str] = "dossier.accepted"

    code: str
    official: str
    due_at: str
    working_days: int
    fee_settled: bool = field(metadata=NOT_RECORDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseDossier(Act):
    """Do not take the dossier, or close it when the papers never came."""

    event: ClassVar[str] = "dossier.refused"
    fixed: ClassVar[dict[str, object]] = {"form": "03"}

    official: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSupplement(Act):
    """Ask for missing papers, all reasons at once; ``policy`` is the procedure version's."""

    event: ClassVar[str] = "dossier.supplement_requested"
    fixed: ClassVar[dict[str, object]] = {"form": "02"}

    official: str
    reasons: tuple[str, ...]
    respond_by: str
    requested_at: str
    policy: str = field(metadata=NOT_RECORDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveSupplement(Act):
    """The papers are complete; a dossier without a code gets code and due time now."""

    event: ClassVar[str] = "dossier.supplement_received"

    official: str
    code: str
    due_at: str
    fee_settled: bool = field(metadata=NOT_RECORDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartProcessing(Act):
    """Hand the dossier over to the agency that resolves it."""

    event: ClassVar[str] = "dossier.processing_started"

    official: str
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskFurtherFee(Act):
    """A further financial duty came up while resolving."""

    event: ClassVar[str] = "dossier.fee_due"

    official: str
    le_phi_vnd: int
    phi_vnd: int
    reason: str
    requested_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearFee(Act):
    """The further duty is paid."""

    event: ClassVar[str] = "dossier.fee_cleared"

    payment_event: str
    due_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawDossier(Act):
    """The citizen wants the dossier back."""

    event: ClassVar[str] = "dossier.withdrawn"

    official: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDossier(Act):
    """The agency stops resolving."""

    event: ClassVar[str] = "dossier.stopped"
    fixed: ClassVar[dict[str, object]] = {"form": "05"}

    official: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reschedule(Act):
    """Apologise and give another due time, once."""

    event: ClassVar[str] = "dossier.rescheduled"
    fixed: ClassVar[dict[str, object]] = {"form": "04"}

    official: str
    reason: str
    due_at: str
    in_time: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteDossier(Act):
    """The result is finished; ``agency`` stands for a hand-over that nobody recorded."""

    event: ClassVar[str] = "dossier.completed"

    result_number: str
    return_channel: str
    return_machine: str | None
    official: str = field(default="system:one_stop", metadata=NOT_RECORDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkReady(Act):
    """The result lies in a cell."""

    event: ClassVar[str] = "dossier.ready"

    machine: str
    cell: int
    loaded_event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallResult(Act):
    """Staff took the result out of its cell again."""

    event: ClassVar[str] = "dossier.recalled"

    machine: str
    cell: int
    staff: str
    recalled_event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnDossier(Act):
    """The citizen has the result."""

    event: ClassVar[str] = "dossier.returned"

    channel: str
    proof: str
    machine: str | None = None
    grant: str | None = None
    released_event: str | None = None
    official: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseReturn(Act):
    """It was not the citizen who has the result."""

    event: ClassVar[str] = "dossier.return_reversed"

    official: str
    reason: str
    incident: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatNotice(Act):
    """Have the last message sent again: the citizen says that it did not come."""

    event: ClassVar[str] = "dossier.notice_repeated"

    official: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReport(Act):
    """The one-stop system acknowledged a status."""

    event: ClassVar[str] = "dossier.reported"
    fixed: ClassVar[dict[str, object]] = {"system": "one_stop"}

    status: int
    reference: str
    reported: str | None = field(default=None, metadata=NOT_RECORDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeReport(Act):
    """The one-stop system refused a status for good."""

    event: ClassVar[str] = "dossier.report_disputed"
    fixed: ClassVar[dict[str, object]] = {"system": "one_stop"}

    status: int
    error: str
    owner: str
    due_at: str
    reported: str = field(metadata=NOT_RECORDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveReport(Act):
    """A person settled a refused status."""

    event: ClassVar[str] = "dossier.report_resolved"

    official: str
    reason: str
    reported: str = field(metadata=NOT_RECORDED)


def _json(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
