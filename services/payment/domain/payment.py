# SPDX-License-Identifier: Apache-2.0
"""One dossier's payment: asked, credited by notes and transfers in any order, settled once.

Machines work offline, so a note may be credited before the fee is asked. Money that comes after
the payment is settled is recorded all the same; the ledger holds it for the citizen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from services.common.errors import Refused
from services.common.money import NO_MONEY, Vnd

Data = Mapping[str, object]
Fact = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPayment:
    """Ask the fee of a dossier."""

    procedure: str
    procedure_version: int
    le_phi: Vnd
    phi: Vnd
    token: str
    qr: str
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditCash:
    """A machine stacked a note."""

    machine: str
    denomination: Vnd
    note_event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchBankCredit:
    """A bank credit named this payment's token."""

    provider: str
    reference: str
    amount: Vnd


Command = RequestPayment | CreditCash | MatchBankCredit


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What decisions need; ``asked`` is None until the fee is asked."""

    version: int = 0
    asked: Vnd | None = None
    token: str = ""
    qr: str = ""
    machine: str = ""
    cash: Vnd = NO_MONEY
    bank: Vnd = NO_MONEY
    settled: bool = False
    credits: frozenset[str] = frozenset()

    @property
    def paid(self) -> Vnd:
        """Everything that came in."""
        return Vnd(self.cash + self.bank)


def evolve(payment: Payment, event_type: str, data: Data) -> Payment:
    """Apply one event of the payment's stream; never refuses."""
    grown = replace(payment, version=payment.version + 1)
    match event_type:
        case "payment.requested":
            return replace(
                grown,
                asked=_vnd(data["amount_vnd"]),
                token=str(data["token"]),
                qr=str(data["qr"]),
                machine=str(data["machine"]),
            )
        case "payment.cash_credited":
            return replace(
                grown,
                cash=Vnd(grown.cash + _vnd(data["denomination_vnd"])),
                credits=grown.credits | {str(data["note_event"])},
            )
        case "payment.bank_credit_matched":
            return replace(
                grown,
                bank=Vnd(grown.bank + _vnd(data["amount_vnd"])),
                credits=grown.credits | {f"{data['provider']}/{data['reference']}"},
            )
        case "payment.settled":
            return replace(grown, settled=True)
        case _:
            return grown


def fold(events: Sequence[tuple[str, Data]]) -> Payment:
    """Return the payment after ``events``."""
    payment = Payment()
    for event_type, data in events:
        payment = evolve(payment, event_type, data)
    return payment


def decide(command: Command, payment: Payment) -> list[Fact]:
    """Return the events ``command`` causes, with the settlement where it covers the fee.

    Raises:
        Refused: ``already_requested``, ``already_credited``.
    """
    facts = [_first(command, payment)]
    after = evolve(payment, *facts[0])
    if after.asked is not None and not after.settled and after.paid >= after.asked:
        facts.append(("payment.settled", _settlement(after, after.asked)))
    return facts


def _first(command: Command, payment: Payment) -> Fact:
    match command:
        case RequestPayment():
            return _request(command, payment)
        case CreditCash():
            _require_new(payment, command.note_event)
            return "payment.cash_credited", {
                "machine": command.machine,
                "denomination_vnd": command.denomination,
                "note_event": command.note_event,
            }
        case MatchBankCredit():
            _require_new(payment, f"{command.provider}/{command.reference}")
            return "payment.bank_credit_matched", {
                "provider": command.provider,
                "reference": command.reference,
                "amount_vnd": command.amount,
            }
        case _:
            assert_never(command)


def _request(command: RequestPayment, payment: Payment) -> Fact:
    if payment.asked is not None:
        raise Refused("already_requested", "the fee is asked already", "đã yêu cầu thanh toán")
    return "payment.requested", {
        "procedure": command.procedure,
        "procedure_version": command.procedure_version,
        "le_phi_vnd": command.le_phi,
        "phi_vnd": command.phi,
        "amount_vnd": command.le_phi + command.phi,
        "token": command.token,
        "qr": command.qr,
        "machine": command.machine,
    }


def _settlement(payment: Payment, asked: Vnd) -> dict[str, object]:
    both = bool(payment.cash) and bool(payment.bank)
    method = "mixed" if both else "cash" if payment.cash else "qr" if payment.bank else "none"
    return {
        "method": method,
        "amount_vnd": asked,
        "paid_vnd": payment.paid,
        "overpaid_vnd": payment.paid - asked,
    }


def _require_new(payment: Payment, credit: str) -> None:
    if credit in payment.credits:
        raise Refused("already_credited", "this money is credited", "khoản tiền đã được ghi nhận")


def _vnd(value: object) -> Vnd:
    return Vnd(int(str(value)))
