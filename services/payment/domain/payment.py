# SPDX-License-Identifier: Apache-2.0
"""One dossier's payment: asked, credited in any order, settled, closed, paid back.

Machines work offline, so a note may be credited before the fee is asked. Money is in exactly one of
four places: ``advance`` (not yet enough), ``fees``, ``overpaid`` (above the fee) and ``owed`` (the
citizen's again: refused, withdrawn or stopped dossiers, and what is claimed back).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.common.errors import Refused
from services.common.money import NO_MONEY, Vnd
from services.payment.domain.acts import (
    CASH,
    ApproveRefund,
    ClosePayment,
    Command,
    CreditCash,
    MatchBankCredit,
    PayRefund,
    ReleaseAdvance,
    RequestDuty,
    RequestPayment,
    RequestRefund,
)

Data = Mapping[str, object]
Fact = tuple[str, dict[str, object]]

FEES_RETURNED: Final[dict[str, bool]] = {"refused": True, "withdrawn": True, "stopped": False}
"""How a dossier ended → whether its fees go back; the work of a stopped one has been done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money on its way back.

    Attributes:
        amount: how much.
        requested_by: the first officer.
        approved_by: the second, empty until then.
        paid: whether it went out.
    """

    amount: Vnd
    requested_by: str
    approved_by: str = ""
    paid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What decisions need.

    Attributes:
        asked: whether the fee was asked.
        due: what is asked and not settled, lệ phí and phí together.
        settled: nothing is due any more.
        closed: how the dossier ended, empty while it goes on.
        credits: names of everything credited.
    """

    version: int = 0
    asked: bool = False
    le_phi_due: Vnd = NO_MONEY
    phi_due: Vnd = NO_MONEY
    le_phi: Vnd = NO_MONEY
    phi: Vnd = NO_MONEY
    advance: Vnd = NO_MONEY
    overpaid: Vnd = NO_MONEY
    owed: Vnd = NO_MONEY
    settled: bool = False
    closed: str = ""
    token: str = ""
    qr: str = ""
    machine: str = ""
    cash: Vnd = NO_MONEY
    bank: Vnd = NO_MONEY
    credits: frozenset[str] = frozenset()
    refunds: Mapping[str, Refund] = field(default_factory=dict)

    @property
    def due(self) -> Vnd:
        """Return what is asked and not settled."""
        return Vnd(self.le_phi_due + self.phi_due)

    @property
    def paid(self) -> Vnd:
        """Return everything that came in."""
        return Vnd(self.cash + self.bank)


def evolve(payment: Payment, event_type: str, data: Data) -> Payment:
    """Apply one event of the payment's stream; never refuses."""
    grown = replace(payment, version=payment.version + 1)
    change = _EVOLUTIONS.get(event_type)
    return grown if change is None else replace(grown, **change(payment, data))


def fold(events: Sequence[tuple[str, Data]]) -> Payment:
    """Return the payment after ``events``."""
    payment = Payment()
    for event_type, data in events:
        payment = evolve(payment, event_type, data)
    return payment


def decide(command: Command, payment: Payment) -> list[Fact]:
    """Return the events ``command`` causes, with the settlement where it covers the fee.

    Raises:
        Refused: ``already_requested``, ``already_credited``, ``already_closed``,
            ``payment_closed``, ``nothing_short``, ``nothing_owed``, ``refund_unknown``,
            ``refund_not_open``, ``same_person``.
    """
    facts = [_DECISIONS[type(command)](command, payment)]
    after = evolve(payment, *facts[0])
    if after.asked and not after.settled and not after.closed and after.advance >= after.due:
        facts.append(("payment.settled", _settlement(after)))
    return facts


# --- decisions -----------------------------------------------------------------------------------


def _request(command: RequestPayment, payment: Payment) -> Fact:
    if payment.asked:
        raise Refused("already_requested", "the fee is asked already", "đã yêu cầu thanh toán")
    _require_going_on(payment)
    return "payment.requested", {
        "procedure": command.procedure,
        "procedure_version": command.procedure_version,
        **_asked(command),
    }


def _request_duty(command: RequestDuty, payment: Payment) -> Fact:
    _require_going_on(payment)
    return "payment.duty_requested", {"duty_event": command.duty_event, **_asked(command)}


def _asked(command: RequestPayment | RequestDuty) -> dict[str, object]:
    return {
        "le_phi_vnd": command.le_phi,
        "phi_vnd": command.phi,
        "amount_vnd": command.le_phi + command.phi,
        "token": command.token,
        "qr": command.qr,
        "machine": command.machine,
    }


def _credit_cash(command: CreditCash, payment: Payment) -> Fact:
    _require_new(payment, command.note_event)
    return "payment.cash_credited", {
        "machine": command.machine,
        "denomination_vnd": command.denomination,
        "note_event": command.note_event,
    }


def _match(command: MatchBankCredit, payment: Payment) -> Fact:
    _require_new(payment, f"{command.provider}/{command.reference}")
    return "payment.bank_credit_matched", {
        "provider": command.provider,
        "reference": command.reference,
        "amount_vnd": command.amount,
    }


def _close(command: ClosePayment, payment: Payment) -> Fact:
    if payment.closed:
        raise Refused("already_closed", "the payment is closed", "khoản thanh toán đã đóng")
    back = FEES_RETURNED[command.because]
    parts = {
        "le_phi_vnd": payment.le_phi if back else 0,
        "phi_vnd": payment.phi if back else 0,
        "advance_vnd": payment.advance,
        "overpaid_vnd": payment.overpaid,
    }
    return "payment.closed", {
        "because": command.because,
        "cause_event": command.cause_event,
        **parts,
        "owed_vnd": sum(parts.values()),
    }


def _release(command: ReleaseAdvance, payment: Payment) -> Fact:
    if not payment.advance:
        raise Refused("nothing_short", "no money waits for more", "không có khoản nộp chưa đủ")
    return "payment.advance_released", {
        "amount_vnd": payment.advance,
        "by": command.by,
        "reason": command.reason,
    }


def _request_refund(command: RequestRefund, payment: Payment) -> Fact:
    under_way = sum(one.amount for one in payment.refunds.values() if not one.paid)
    amount = payment.owed + payment.overpaid - under_way
    if amount <= 0:
        raise Refused("nothing_owed", "nothing is owed", "không có khoản phải hoàn")
    return "payment.refund_requested", {
        "refund": command.refund,
        "amount_vnd": amount,
        "overpaid_vnd": payment.overpaid,
        "by": command.by,
    }


def _approve(command: ApproveRefund, payment: Payment) -> Fact:
    refund = _refund(payment, command.refund)
    if refund.approved_by:
        raise Refused("refund_not_open", "it is approved already", "khoản hoàn đã được duyệt")
    if refund.requested_by == command.by:
        raise Refused(
            "same_person", "a second officer has to approve", "phải do người thứ hai duyệt"
        )
    return "payment.refund_approved", {"refund": command.refund, "by": command.by}


def _pay_refund(command: PayRefund, payment: Payment) -> Fact:
    refund = _refund(payment, command.refund)
    if refund.paid or not refund.approved_by:
        raise Refused(
            "refund_not_open", "it is not approved, or paid", "khoản hoàn chưa duyệt hoặc đã trả"
        )
    return "payment.refund_paid", {
        "refund": command.refund,
        "amount_vnd": refund.amount,
        "reference": command.reference,
        "by": command.by,
    }


def _refund(payment: Payment, name: str) -> Refund:
    if name not in payment.refunds:
        raise Refused("refund_unknown", "no such refund", "không có khoản hoàn này", field="refund")
    return payment.refunds[name]


def _settlement(payment: Payment) -> dict[str, object]:
    both = bool(payment.cash) and bool(payment.bank)
    method = "mixed" if both else "cash" if payment.cash else "qr" if payment.bank else "none"
    return {
        "method": method if payment.due else "none",
        "amount_vnd": payment.due,
        "paid_vnd": payment.advance,
        "overpaid_vnd": payment.advance - payment.due,
    }


def _require_new(payment: Payment, credit: str) -> None:
    if credit in payment.credits:
        raise Refused("already_credited", "this money is credited", "khoản tiền đã được ghi nhận")


def _require_going_on(payment: Payment) -> None:
    if payment.closed:
        raise Refused(
            "payment_closed", f"the dossier was {payment.closed}", "hồ sơ đã kết thúc, không thu"
        )


_DECISIONS: Final[dict[type, Callable[..., Fact]]] = {
    RequestPayment: _request,
    RequestDuty: _request_duty,
    CreditCash: _credit_cash,
    MatchBankCredit: _match,
    ClosePayment: _close,
    RequestRefund: _request_refund,
    ApproveRefund: _approve,
    PayRefund: _pay_refund,
    ReleaseAdvance: _release,
}


# --- what each event changes ---------------------------------------------------------------------


def _on_asked(payment: Payment, data: Data) -> dict[str, Any]:
    machine = data["machine"]
    return {
        "asked": True,
        "settled": False,
        "le_phi_due": Vnd(payment.le_phi_due + _vnd(data["le_phi_vnd"])),
        "phi_due": Vnd(payment.phi_due + _vnd(data["phi_vnd"])),
        "token": str(data["token"]),
        "qr": str(data["qr"]),
        "machine": payment.machine if machine is None else str(machine),
    }


def _on_cash(payment: Payment, data: Data) -> dict[str, Any]:
    amount = _vnd(data["denomination_vnd"])
    known = payment.credits | {str(data["note_event"])}
    return {"cash": Vnd(payment.cash + amount), "credits": known, **_received(payment, amount)}


def _on_bank(payment: Payment, data: Data) -> dict[str, Any]:
    amount = _vnd(data["amount_vnd"])
    known = payment.credits | {f"{data['provider']}/{data['reference']}"}
    way = "cash" if data["provider"] == CASH else "bank"
    came = Vnd(getattr(payment, way) + amount)
    return {way: came, "credits": known, **_received(payment, amount)}


def _received(payment: Payment, amount: Vnd) -> dict[str, Any]:
    name = receiver(closed=bool(payment.closed), settled=payment.settled)
    return {name: Vnd(getattr(payment, name) + amount)}


def receiver(*, closed: bool, settled: bool) -> str:
    """Return where money goes that comes in now: ``owed``, ``overpaid`` or ``advance``."""
    if closed:
        return "owed"
    return "overpaid" if settled else "advance"


def _on_settled(payment: Payment, data: Data) -> dict[str, Any]:
    return {
        "settled": True,
        "le_phi": Vnd(payment.le_phi + payment.le_phi_due),
        "phi": Vnd(payment.phi + payment.phi_due),
        "le_phi_due": NO_MONEY,
        "phi_due": NO_MONEY,
        "advance": NO_MONEY,
        "overpaid": Vnd(payment.overpaid + _vnd(data["overpaid_vnd"])),
    }


def _on_closed(payment: Payment, data: Data) -> dict[str, Any]:
    return {
        "closed": str(data["because"]),
        "le_phi": Vnd(payment.le_phi - _vnd(data["le_phi_vnd"])),
        "phi": Vnd(payment.phi - _vnd(data["phi_vnd"])),
        "le_phi_due": NO_MONEY,
        "phi_due": NO_MONEY,
        "advance": NO_MONEY,
        "overpaid": NO_MONEY,
        "owed": Vnd(payment.owed + _vnd(data["owed_vnd"])),
    }


def _on_released(payment: Payment, data: Data) -> dict[str, Any]:
    amount = _vnd(data["amount_vnd"])
    return {"advance": Vnd(payment.advance - amount), "owed": Vnd(payment.owed + amount)}


def _on_refund(payment: Payment, data: Data) -> dict[str, Any]:
    claimed = _vnd(data["overpaid_vnd"])
    one = Refund(amount=_vnd(data["amount_vnd"]), requested_by=str(data["by"]))
    return {
        "overpaid": Vnd(payment.overpaid - claimed),
        "owed": Vnd(payment.owed + claimed),
        "refunds": {**payment.refunds, str(data["refund"]): one},
    }


def _on_approved(payment: Payment, data: Data) -> dict[str, Any]:
    name = str(data["refund"])
    one = replace(payment.refunds[name], approved_by=str(data["by"]))
    return {"refunds": {**payment.refunds, name: one}}


def _on_paid_back(payment: Payment, data: Data) -> dict[str, Any]:
    name = str(data["refund"])
    one = replace(payment.refunds[name], paid=True)
    return {"owed": Vnd(payment.owed - one.amount), "refunds": {**payment.refunds, name: one}}


def _vnd(value: object) -> Vnd:
    return Vnd(int(str(value)))


_EVOLUTIONS: Final[dict[str, Callable[[Payment, Data], dict[str, Any]]]] = {
    "payment.requested": _on_asked,
    "payment.duty_requested": _on_asked,
    "payment.cash_credited": _on_cash,
    "payment.bank_credit_matched": _on_bank,
    "payment.settled": _on_settled,
    "payment.closed": _on_closed,
    "payment.advance_released": _on_released,
    "payment.refund_requested": _on_refund,
    "payment.refund_approved": _on_approved,
    "payment.refund_paid": _on_paid_back,
}
