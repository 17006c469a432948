# SPDX-License-Identifier: Apache-2.0
"""What the finance office asks; answered from the log."""

from typing import Final

from services.common import contracts
from services.common.canonical import Json
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.payment.application.bank_credits import credit_of
from services.payment.application.reactions import payment_of
from services.payment.domain.ledger import TYPES, Ledger

_PAGE: Final = 5000


def payment(log: EventLog, dossier: str) -> dict[str, Json]:
    """Return a dossier's payment; raises Refused ``no_payment``."""
    found = payment_of(log, dossier)
    if not found.version:
        raise Refused("no_payment", "no such payment", "không có khoản này", field="dossier")
    return {
        "dossier": dossier,
        "asked": found.asked,
        "due_vnd": found.due,
        "fees_vnd": found.le_phi + found.phi,
        "advance_vnd": found.advance,
        "overpaid_vnd": found.overpaid,
        "owed_vnd": found.owed,
        "closed": found.closed,
        "refunds": {
            name: {"amount_vnd": one.amount, "approved": bool(one.approved_by), "paid": one.paid}
            for name, one in found.refunds.items()
        },
        "cash_vnd": found.cash,
        "bank_vnd": found.bank,
        "settled": found.settled,
        "receipts": [
            {"symbol": e.data["symbol"], "year": e.data["year"], "number": e.data["number"]}
            for e in log.read_subject(dossier)
            if e.type == "receipt.issued"
        ],
        "token": found.token,
        "qr": found.qr,
    }


def bank_credit(log: EventLog, provider: str, reference: str) -> dict[str, Json]:
    """Return a bank credit; raises Refused ``credit_unknown``."""
    found = credit_of(log, provider, reference)
    if not found.version:
        raise Refused("credit_unknown", "no such bank credit", "không có khoản báo có này")
    return {
        "provider": provider,
        "reference": reference,
        "amount_vnd": found.amount,
        "state": found.state,
        "conflict": found.conflict,
    }


def ledger(log: EventLog) -> Ledger:
    """Return the ledger folded from every payment event."""
    book = Ledger()
    after = 0
    while events := log.read_all(after, limit=_PAGE, types=TYPES):
        for event in events:
            data = contracts.current(event.type, event.schema, event.data)
            book.apply(event.type, event.subject or "", data)
        after = events[-1].position
    return book
