# SPDX-License-Identifier: Apache-2.0
"""What payers, banks, officers and other services can do with a payment: the commands."""

from dataclasses import dataclass
from typing import Final

from services.common.money import Vnd

CASH: Final = "cash"
"""Provider of credits that are notes stacked outside a session; its references name the notes."""


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
class RequestDuty:
    """Ask a further fee that came up while the dossier was resolved."""

    duty_event: str
    le_phi: Vnd
    phi: Vnd
    token: str
    qr: str
    machine: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditCash:
    """A machine stacked a note."""

    machine: str
    denomination: Vnd
    note_event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchBankCredit:
    """A bank credit named this payment's token, or an officer placed it (or a note) here."""

    provider: str
    reference: str
    amount: Vnd


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePayment:
    """The dossier ended without a result: what is not earned is the citizen's again."""

    because: str
    cause_event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefund:
    """An officer asks that everything owed and overpaid be paid back."""

    refund: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveRefund:
    """A second officer agrees."""

    refund: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayRefund:
    """The money went out under this reference."""

    refund: str
    by: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAdvance:
    """An officer gives up money short of the fee: the citizen left and will not pay the rest."""

    by: str
    reason: str


Command = (
    RequestPayment | RequestDuty | CreditCash | MatchBankCredit | ClosePayment | RequestRefund
    | ApproveRefund | PayRefund | ReleaseAdvance
)  # fmt: skip
