# SPDX-License-Identifier: Apache-2.0
"""One bank credit: received, placed by its token or by an officer, or sent back by two officers.

A note that a machine stacked outside a session goes the same way, unmatched from the start.

received → assigned | unmatched → assigned | return asked → return approved → returned. A second
content under the same reference is a conflict beside it, open until an officer has looked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.common.errors import Refused
from services.common.money import NO_MONEY, Vnd
from services.payment.domain.acts import CASH

Data = Mapping[str, object]
Fact = tuple[str, dict[str, object]]

RECEIVED: Final = "received"
UNMATCHED: Final = "unmatched"
ASKED: Final = "return asked"
APPROVED: Final = "return approved"

STATES: Final[dict[str, str]] = {
    "payment.bank_credit_received": RECEIVED,
    "payment.bank_credit_unmatched": UNMATCHED,
    "payment.cash_unplaced": UNMATCHED,
    "payment.bank_credit_assigned": "assigned",
    "payment.bank_credit_return_requested": ASKED,
    "payment.bank_credit_return_approved": APPROVED,
    "payment.bank_credit_returned": "returned",
}
"""Event → the state after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What decisions need.

    Attributes:
        state: one of ``STATES``' values; empty before anything came.
        requested_by: the officer who asked for the return.
        conflict: a second content under this reference waits for an officer.
    """

    version: int = 0
    state: str = ""
    provider: str = ""
    reference: str = ""
    amount: Vnd = NO_MONEY
    requested_by: str = ""
    conflict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceCredit:
    """An officer found out whose it is."""

    dossier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskReturn:
    """An officer wants it sent back: nobody here knows what it is for."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveReturn:
    """A second officer agrees."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayReturn:
    """It went back under this reference."""

    by: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseConflict:
    """An officer asked the bank which content is right."""

    by: str
    reason: str


Command = PlaceCredit | AskReturn | ApproveReturn | PayReturn | CloseConflict

_NEEDS: Final[dict[type, str]] = {
    PlaceCredit: UNMATCHED, AskReturn: UNMATCHED, ApproveReturn: ASKED, PayReturn: APPROVED,
}  # fmt: skip


def fold(events: Sequence[tuple[str, Data]]) -> Credit:
    """Return the credit after ``events``."""
    credit = Credit()
    for event_type, data in events:
        credit = evolve(credit, event_type, data)
    return credit


def evolve(credit: Credit, event_type: str, data: Data) -> Credit:
    """Apply one event of the credit's stream; never refuses."""
    grown = replace(credit, version=credit.version + 1, state=STATES.get(event_type, credit.state))
    match event_type:
        case "payment.bank_credit_received":
            return replace(
                grown, provider=str(data["provider"]), reference=str(data["reference"]),
                amount=Vnd(int(str(data["amount_vnd"]))),
            )  # fmt: skip
        case "payment.cash_unplaced":
            return replace(
                grown, provider=CASH, reference=str(data["note_event"]),
                amount=Vnd(int(str(data["denomination_vnd"]))),
            )  # fmt: skip
        case "payment.bank_credit_return_requested":
            return replace(grown, requested_by=str(data["by"]))
        case "payment.bank_callback_conflict":
            return replace(grown, conflict=True)
        case "payment.bank_callback_conflict_closed":
            return replace(grown, conflict=False)
        case _:
            return grown


def decide(command: Command, credit: Credit) -> Fact:
    """Return the event that ``command`` causes.

    Raises:
        Refused: ``credit_unknown``, ``credit_not_waiting``, ``same_person``, ``no_conflict``.
    """
    if not credit.version:
        raise Refused(
            "credit_unknown", "no such bank credit", "không có khoản báo có này", field="reference"
        )
    needs = _NEEDS.get(type(command), credit.state)
    if credit.state != needs:
        raise Refused(
            "credit_not_waiting", f"it is {credit.state}, not {needs}",
            "khoản báo có không ở bước này", field="reference",
        )  # fmt: skip
    match command:
        case PlaceCredit(dossier=dossier):
            return "payment.bank_credit_assigned", {"dossier": dossier}
        case AskReturn(by=by, reason=reason):
            facts = {"by": by, "reason": reason}
            return "payment.bank_credit_return_requested", {**_money(credit), **facts}
        case ApproveReturn(by=by):
            if by == credit.requested_by:
                raise Refused(
                    "same_person", "a second officer has to approve", "phải do người thứ hai duyệt"
                )
            return "payment.bank_credit_return_approved", {"by": by}
        case PayReturn(by=by, reference=reference):
            facts = {"by": by, "paid_reference": reference}
            return "payment.bank_credit_returned", {**_money(credit), **facts}
        case CloseConflict(by=by, reason=reason):
            if not credit.conflict:
                raise Refused(
                    "no_conflict", "nothing contradicts it", "không có nội dung mâu thuẫn"
                )
            return "payment.bank_callback_conflict_closed", {"by": by, "reason": reason}


def _money(credit: Credit) -> dict[str, object]:
    return {
        "provider": credit.provider,
        "reference": credit.reference,
        "amount_vnd": credit.amount,
    }
