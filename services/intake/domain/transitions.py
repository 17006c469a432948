# SPDX-License-Identifier: Apache-2.0
"""Which event may follow in which of the national portal's ten states, and where it leads.

One table, after Decree 61/2018 (articles 15–21), Decree 118/2025 and the portal's status codes.
Whatever is not in it is refused as ``wrong_status``. ADR-0010.
"""

from dataclasses import dataclass
from typing import Final

UNKNOWN: Final = 0
REGISTERED: Final = 1
ACCEPTED: Final = 2
REFUSED: Final = 3
PROCESSING: Final = 4
SUPPLEMENT: Final = 5
FEE_DUE: Final = 6
WITHDRAWN: Final = 7
STOPPED: Final = 8
COMPLETED: Final = 9
RETURNED: Final = 10

NAMES: Final[dict[int, tuple[str, str]]] = {
    UNKNOWN: ("not registered", "chưa có"),
    REGISTERED: ("newly registered", "mới đăng ký"),
    ACCEPTED: ("accepted", "được tiếp nhận"),
    REFUSED: ("refused", "không được tiếp nhận"),
    PROCESSING: ("being processed", "đang xử lý"),
    SUPPLEMENT: ("papers are missing", "yêu cầu bổ sung giấy tờ"),
    FEE_DUE: ("a fee is due", "yêu cầu thực hiện nghĩa vụ tài chính"),
    WITHDRAWN: ("withdrawn", "công dân yêu cầu rút hồ sơ"),
    STOPPED: ("stopped", "dừng xử lý"),
    COMPLETED: ("finished", "đã xử lý xong"),
    RETURNED: ("result returned", "đã trả kết quả"),
}
"""Portal status → English, Vietnamese (TrangThaiHoSo)."""

CLOSED: Final = frozenset({REFUSED, WITHDRAWN, STOPPED, RETURNED})
"""States in which nobody owes the citizen another step."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A row of the table.

    Attributes:
        sources: states in which the event may happen.
        target: the state after it; None where the state stays.
        who: citizen, official, agency, machine, payment or one_stop.
        form: paper form it stands for, empty where there is none.
    """

    sources: frozenset[int]
    target: int | None
    who: str
    form: str = ""


def _row(sources: tuple[int, ...], target: int | None, who: str, form: str = "") -> Transition:
    return Transition(frozenset(sources), target, who, form)


_KNOWN: Final = tuple(range(REGISTERED, RETURNED + 1))

TRANSITIONS: Final[dict[str, Transition]] = {
    "dossier.registered": _row((UNKNOWN,), REGISTERED, "citizen"),
    "dossier.imported": _row((UNKNOWN,), PROCESSING, "one_stop"),
    "dossier.opened": _row((REGISTERED,), None, "official"),
    "dossier.accepted": _row((REGISTERED,), ACCEPTED, "official", "01"),
    "dossier.refused": _row((REGISTERED, SUPPLEMENT), REFUSED, "official", "03"),
    "dossier.supplement_requested": _row((REGISTERED, PROCESSING), SUPPLEMENT, "official", "02"),
    "dossier.supplement_received": _row((SUPPLEMENT,), PROCESSING, "official", "01"),
    "dossier.processing_started": _row((ACCEPTED,), PROCESSING, "agency", "06"),
    "dossier.fee_due": _row((PROCESSING,), FEE_DUE, "agency"),
    "dossier.fee_cleared": _row((FEE_DUE,), PROCESSING, "payment"),
    "dossier.withdrawn": _row(
        (REGISTERED, ACCEPTED, PROCESSING, SUPPLEMENT, FEE_DUE), WITHDRAWN, "citizen"
    ),
    "dossier.stopped": _row((PROCESSING, SUPPLEMENT), STOPPED, "agency", "05"),
    "dossier.rescheduled": _row((ACCEPTED, PROCESSING), None, "agency", "04"),
    "dossier.completed": _row((PROCESSING,), COMPLETED, "agency"),
    "dossier.ready": _row((COMPLETED,), None, "machine"),
    "dossier.recalled": _row((COMPLETED,), None, "machine"),
    "dossier.returned": _row((COMPLETED,), RETURNED, "machine"),
    "dossier.return_reversed": _row((RETURNED,), COMPLETED, "official"),
    "dossier.notice_repeated": _row(_KNOWN, None, "official"),
    "dossier.reported": _row(_KNOWN, None, "one_stop"),
    "dossier.report_disputed": _row(_KNOWN, None, "one_stop"),
    "dossier.report_resolved": _row(_KNOWN, None, "official"),
}
"""Event → where it may happen and where it leads."""


def target_of(event_type: str, status: int) -> int:
    """Return the state after ``event_type``; events outside the table change nothing."""
    row = TRANSITIONS.get(event_type)
    return status if row is None or row.target is None else row.target
