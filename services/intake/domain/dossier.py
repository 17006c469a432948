# SPDX-License-Identifier: Apache-2.0
"""A dossier's life: fold its events, decide its commands (states: ``transitions``).

A machine only registers; accepting is an official's act (Decree 309/2026, article 17).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.common.errors import Refused
from services.intake.domain import acts
from services.intake.domain.transitions import (
    COMPLETED,
    NAMES,
    TRANSITIONS,
    UNKNOWN,
    target_of,
)

Data = Mapping[str, object]
Fact = tuple[str, dict[str, object]]

NOT_STARTED: Final = "not_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """What decisions need.

    Attributes:
        version: of the stream.
        status: the portal's, 0 before registration.
        been: every status it has been in.
        guided: statuses in which papers were asked for; each at most once.
        stopped_at: when the clock was stopped, empty while it runs.
        clock: what the deadline does in a supplement: not_started, pause or restart.
        ready_at: ``machine/cell`` where the result lies.
        reported: events, or statuses, that the one-stop system acknowledged.
        disputed: status by event that the one-stop system refused.
    """

    version: int = 0
    status: int = UNKNOWN
    been: frozenset[int] = frozenset()
    procedure: str = ""
    procedure_version: int = 0
    office: str = ""
    machine: str = ""
    lookup: str = ""
    code: str = ""
    due_at: str = ""
    opened: bool = False
    rescheduled: bool = False
    guided: frozenset[int] = frozenset()
    stopped_at: str = ""
    clock: str = ""
    return_channel: str = ""
    return_machine: str = ""
    ready_at: str = ""
    reported: frozenset[int] = frozenset()
    reported_events: frozenset[str] = frozenset()
    disputed: Mapping[str, int] = field(default_factory=dict)


def evolve(dossier: Dossier, event_type: str, data: Data) -> Dossier:
    """Apply one ``dossier.*`` event; never refuses."""
    status = target_of(event_type, dossier.status)
    grown = replace(
        dossier, version=dossier.version + 1, status=status, been=dossier.been | {status}
    )
    change = _EVOLUTIONS.get(event_type)
    return grown if change is None else replace(grown, **change(dossier, data))


def fold(events: Sequence[tuple[str, Data]]) -> Dossier:
    """Return the dossier after ``events``."""
    dossier = Dossier()
    for event_type, data in events:
        dossier = evolve(dossier, event_type, data)
    return dossier


def decide(command: acts.Act, dossier: Dossier) -> list[Fact]:
    """Return the events ``command`` causes; none where it is already so.

    Raises:
        Refused: ``not_registered``, ``already_registered``, ``wrong_status`` by the table, and
            what the rules below name.
    """
    early = _EARLY.get(type(command))
    if early is not None:
        facts = early(command, dossier)
        if facts is not None:
            return facts
    _require(command.event, dossier)
    rule = _RULES.get(type(command))
    extra = {} if rule is None else rule(command, dossier)
    return [(command.event, {**command.data(), **extra})]


def _require(event_type: str, dossier: Dossier) -> None:
    sources = TRANSITIONS[event_type].sources
    if dossier.status in sources:
        return
    if dossier.status == UNKNOWN:
        raise Refused("not_registered", "no such dossier", "không có hồ sơ này", field="dossier")
    if sources == {UNKNOWN}:
        raise Refused("already_registered", "the dossier is known", "hồ sơ đã được ghi nhận")
    wanted = sorted(sources)
    raise Refused(
        "wrong_status",
        f"the dossier is in status {dossier.status} ({NAMES[dossier.status][0]}), not in "
        + " or ".join(f"{status} ({NAMES[status][0]})" for status in wanted),
        f"hồ sơ đang ở trạng thái {dossier.status} ({NAMES[dossier.status][1]}), không phải "
        + " hoặc ".join(f"{status} ({NAMES[status][1]})" for status in wanted),
        field="status",
    )


# --- rules beyond the table; each returns data that the state adds -------------------------------


def _accept(command: acts.AcceptDossier, _dossier: Dossier) -> dict[str, object]:
    _require_paid(settled=command.fee_settled)
    return {}


def _open(_command: acts.OpenPouch, dossier: Dossier) -> dict[str, object]:
    if dossier.opened:
        raise Refused("already_opened", "the pouch is open", "túi hồ sơ đã được mở")
    return {}


def _request(command: acts.RequestSupplement, dossier: Dossier) -> dict[str, object]:
    if dossier.status in dossier.guided:
        raise Refused(
            "already_guided",
            "papers were asked for in this state; all reasons are given at once",
            "đã hướng dẫn bổ sung; chỉ hướng dẫn một lần với đầy đủ lý do",
        )
    return {"clock": command.policy if dossier.code else NOT_STARTED}


def _receive(command: acts.ReceiveSupplement, dossier: Dossier) -> dict[str, object]:
    if dossier.clock == NOT_STARTED:
        _require_paid(settled=command.fee_settled)
    return {"clock": dossier.clock}


def _reschedule(_command: acts.Reschedule, dossier: Dossier) -> dict[str, object]:
    if dossier.rescheduled:
        raise Refused(
            "already_rescheduled", "there is one new date at most", "chỉ được hẹn lại một lần"
        )
    return {}


def _complete(command: acts.CompleteDossier, dossier: Dossier) -> list[Fact] | None:
    same = (dossier.return_channel, dossier.return_machine) == (
        command.return_channel, command.return_machine or "",
    )  # fmt: skip
    if dossier.status == COMPLETED and same:
        return []
    facts: list[Fact] = []
    if dossier.status in TRANSITIONS["dossier.processing_started"].sources:
        # The hand-over was not recorded: the agency's system is the first to tell of it.
        hand_over = acts.StartProcessing(official=command.official, agency=dossier.office)
        facts = decide(hand_over, dossier)
        dossier = evolve(dossier, *facts[0])
    _require(command.event, dossier)
    return [*facts, (command.event, {**command.data(), "code": dossier.code})]


def _mark_ready(command: acts.MarkReady, dossier: Dossier) -> dict[str, object]:
    if dossier.return_machine != command.machine:
        place = dossier.return_machine or dossier.return_channel
        raise Refused(
            "other_machine",
            f"the result is to be returned at {place}",
            f"kết quả phải trả tại {place}",
            field="machine",
        )
    if dossier.ready_at:
        raise Refused("already_ready", "it lies in a cell", "kết quả đã nằm trong ngăn")
    return {}


def _recall(command: acts.RecallResult, dossier: Dossier) -> dict[str, object]:
    if dossier.ready_at != f"{command.machine}/{command.cell}":
        raise Refused("not_ready", "no result lies there", "không có kết quả trong ngăn này")
    return {}


def _return(command: acts.ReturnDossier, dossier: Dossier) -> dict[str, object]:
    by_machine = command.channel == "kiosk"
    if by_machine and not dossier.ready_at:
        raise Refused("not_ready", "no result lies in a machine", "chưa có kết quả trong máy")
    if not by_machine and dossier.ready_at:
        raise Refused(
            "lies_in_machine",
            f"the result lies in {dossier.ready_at}; take it out first",
            f"kết quả đang nằm ở {dossier.ready_at}; phải lấy ra trước",
        )
    return {}


def _report(command: acts.RecordReport, dossier: Dossier) -> list[Fact] | None:
    done = (
        command.status in dossier.reported
        if command.reported is None
        else command.reported in dossier.reported_events
    )
    return [] if done else None


def _reported(command: acts.RecordReport, dossier: Dossier) -> dict[str, object]:
    _require_reportable(command.status, dossier)
    return {"code": dossier.code, "event": command.reported}


def _dispute(command: acts.DisputeReport, dossier: Dossier) -> dict[str, object]:
    _require_reportable(command.status, dossier)
    if command.reported in dossier.disputed:
        raise Refused("already_disputed", "it is on the worklist", "đã có trong danh sách xử lý")
    return {"code": dossier.code, "event": command.reported}


def _resolve(command: acts.ResolveReport, dossier: Dossier) -> dict[str, object]:
    if command.reported not in dossier.disputed:
        raise Refused("not_disputed", "nothing is disputed there", "không có báo cáo bị từ chối")
    return {"status": dossier.disputed[command.reported], "event": command.reported}


def _require_reportable(status: int, dossier: Dossier) -> None:
    if not dossier.code or status not in dossier.been:
        raise Refused(
            "wrong_status",
            f"the dossier has not been in status {status} with a code",
            f"hồ sơ chưa qua trạng thái {status} hoặc chưa có mã",
            field="status",
        )


def _require_paid(*, settled: bool) -> None:
    if not settled:
        raise Refused("fee_unpaid", "the fee is not paid yet", "hồ sơ chưa nộp đủ phí, lệ phí")


_RULES: Final[dict[type[acts.Act], Callable[..., dict[str, object]]]] = {
    acts.OpenPouch: _open,
    acts.AcceptDossier: _accept,
    acts.RequestSupplement: _request,
    acts.ReceiveSupplement: _receive,
    acts.Reschedule: _reschedule,
    acts.MarkReady: _mark_ready,
    acts.RecallResult: _recall,
    acts.ReturnDossier: _return,
    acts.RecordReport: _reported,
    acts.DisputeReport: _dispute,
    acts.ResolveReport: _resolve,
}
_EARLY: Final[dict[type[acts.Act], Callable[..., list[Fact] | None]]] = {
    acts.CompleteDossier: _complete,
    acts.RecordReport: _report,
}
"""Commands that may be done already, or that cause more than one event."""


# --- what each event changes beside the status ---------------------------------------------------


def _registered(_dossier: Dossier, data: Data) -> dict[str, Any]:
    return {
        "procedure": str(data["procedure"]),
        "procedure_version": int(str(data["procedure_version"])),
        "office": str(data["office"]),
        "machine": str(data["machine"]),
        "lookup": str(data["lookup"]),
    }


def _imported(_dossier: Dossier, data: Data) -> dict[str, Any]:
    return {
        "procedure": str(data["procedure"]),
        "procedure_version": int(str(data["procedure_version"])),
        "office": str(data["office"]),
        "code": str(data["code"]),
        "due_at": str(data["due_at"]),
    }


def _coded(_dossier: Dossier, data: Data) -> dict[str, Any]:
    return {"code": str(data["code"]), "due_at": str(data["due_at"]), "stopped_at": ""}


def _resumed(_dossier: Dossier, data: Data) -> dict[str, Any]:
    return {"due_at": str(data["due_at"]), "stopped_at": ""}


def _asked(dossier: Dossier, data: Data) -> dict[str, Any]:
    return {
        "guided": dossier.guided | {dossier.status},
        "stopped_at": str(data["requested_at"]),
        "clock": str(data["clock"]),
    }


def _finished(_dossier: Dossier, data: Data) -> dict[str, Any]:
    channel, machine = str(data["return_channel"]), data["return_machine"]
    return {
        "return_channel": channel,
        "return_machine": "" if machine is None else str(machine),
    }


def _told(dossier: Dossier, data: Data) -> dict[str, Any]:
    told = set() if data["event"] is None else {str(data["event"])}
    return {
        "reported": dossier.reported | {int(str(data["status"]))},
        "reported_events": dossier.reported_events | told,
    }


_EVOLUTIONS: Final[dict[str, Callable[[Dossier, Data], dict[str, Any]]]] = {
    "dossier.registered": _registered,
    "dossier.imported": _imported,
    "dossier.opened": lambda _d, _data: {"opened": True},
    "dossier.accepted": _coded,
    "dossier.supplement_requested": _asked,
    "dossier.supplement_received": _coded,
    "dossier.fee_due": lambda _d, data: {"stopped_at": str(data["requested_at"])},
    "dossier.fee_cleared": _resumed,
    "dossier.rescheduled": lambda _d, data: {"rescheduled": True, "due_at": str(data["due_at"])},
    "dossier.completed": _finished,
    "dossier.ready": lambda _d, data: {"ready_at": f"{data['machine']}/{data['cell']}"},
    "dossier.recalled": lambda _d, _data: {
        "ready_at": "", "return_channel": "counter", "return_machine": "",
    },
    "dossier.returned": lambda _d, _data: {"ready_at": ""},
    "dossier.return_reversed": lambda dossier, _data: {
        "reported": dossier.reported - {10}, "return_channel": "counter", "return_machine": "",
    },
    "dossier.reported": _told,
    "dossier.report_disputed": lambda dossier, data: {
        "disputed": {**dossier.disputed, str(data["event"]): int(str(data["status"]))},
    },
    "dossier.report_resolved": lambda dossier, data: {
        "disputed": {k: v for k, v in dossier.disputed.items() if k != str(data["event"])},
    },
}  # fmt: skip
