# SPDX-License-Identifier: Apache-2.0
"""How a dossier stands, told to whoever holds its slip: no personal data, in two languages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.common.clock import VIETNAM
from services.intake.domain.dossier import Dossier
from services.intake.domain.transitions import (
    ACCEPTED,
    COMPLETED,
    FEE_DUE,
    NAMES,
    PROCESSING,
    REFUSED,
    REGISTERED,
    RETURNED,
    STOPPED,
    SUPPLEMENT,
    WITHDRAWN,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told.

    Attributes:
        status: of the national portal, 1–10.
        name_vi: its name, Vietnamese.
        name_en: its name, English.
        due_on: day on which the result is due; None where the clock does not run.
        next_vi: what comes next, and who has to do it, Vietnamese.
        next_en: the same in English.
    """

    status: int
    name_vi: str
    name_en: str
    due_on: str | None
    next_vi: str
    next_en: str


def tell(dossier: Dossier, *, paid: bool) -> Told:
    """Tell how ``dossier`` stands; one that no machine's journal has registered yet is new."""
    status = dossier.status or REGISTERED
    running = status in {ACCEPTED, PROCESSING} and dossier.due_at
    next_vi, next_en = _next_step(dossier, status, paid=paid)
    name_en, name_vi = NAMES[status]
    return Told(
        status=status,
        name_vi=name_vi,
        name_en=name_en,
        due_on=_day(dossier.due_at) if running else None,
        next_vi=next_vi,
        next_en=next_en,
    )


def _next_step(dossier: Dossier, status: int, *, paid: bool) -> tuple[str, str]:
    if status == REGISTERED and not paid:
        return _PAY
    if status == COMPLETED and dossier.ready_at:
        machine = dossier.ready_at.partition("/")[0]
        return (
            f"Nhận kết quả tại máy {machine} bằng mã trong tin nhắn.",
            f"Take the result from machine {machine} with the code in the message.",
        )
    if status == COMPLETED:
        return _RESULT.get(dossier.return_channel, _RESULT["counter"])
    return _NEXT[status]


def _day(instant: str) -> str:
    return datetime.fromisoformat(instant).astimezone(VIETNAM).date().isoformat()


_PAY: Final = (
    "Nộp phí, lệ phí tại máy, bằng mã QR hoặc tại bộ phận một cửa.",
    "Pay the fee at the machine, with the QR code or at the office.",
)
_NEXT: Final = {
    REGISTERED: (
        "Bộ phận một cửa kiểm tra hồ sơ và nhắn tin cho bạn.",
        "The office checks the dossier and sends you a message.",
    ),
    ACCEPTED: (
        "Chờ kết quả; bạn không phải làm gì.",
        "Wait for the result; there is nothing to do.",
    ),
    REFUSED: (
        "Nhận lại giấy tờ và thông báo lý do tại bộ phận một cửa.",
        "Collect your papers and the reason in writing at the office.",
    ),
    PROCESSING: (
        "Chờ kết quả; bạn không phải làm gì.",
        "Wait for the result; there is nothing to do.",
    ),
    SUPPLEMENT: (
        "Bổ sung giấy tờ còn thiếu tại bộ phận một cửa.",
        "Bring the missing papers to the office.",
    ),
    FEE_DUE: (
        "Nộp khoản phải nộp thêm tại máy, bằng mã QR hoặc tại bộ phận một cửa.",
        "Pay the further fee at the machine, with the QR code or at the office.",
    ),
    WITHDRAWN: (
        "Nhận lại giấy tờ tại bộ phận một cửa.",
        "Collect your papers at the office.",
    ),
    STOPPED: (
        "Nhận lại giấy tờ và thông báo lý do tại bộ phận một cửa.",
        "Collect your papers and the reason in writing at the office.",
    ),
    RETURNED: ("Hồ sơ đã xong.", "The dossier is done."),
}
_RESULT: Final = {
    "machine": (
        "Kết quả đang được đưa vào máy; chờ tin nhắn có mã nhận.",
        "The result is on its way to the machine; wait for the message with the code.",
    ),
    "counter": ("Nhận kết quả tại bộ phận một cửa.", "Collect the result at the office."),
    "post": ("Kết quả được gửi qua bưu điện.", "The result comes by post."),
}
