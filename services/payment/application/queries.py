# SPDX-License-Identifier: Apache-2.0
"""What the finance office asks; answered from the log."""

from typing import Final

from services.common import contracts
from services.common.canonical import Json
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.payment.application.reactions import payment_of
from services.payment.domain.ledger import Ledger

_PAGE: Final = 5000
_TYPES: Final = (
    "payment.requested", "payment.cash_credited", "payment.bank_credit_received",
    "payment.bank_credit_matched", "payment.settled",
)  # fmt: skip


def payment(log: EventLog, dossier: str) -> dict[str, Json]:
    """Return a dossier's payment; raises Refused ``no_payment``."""
    found = payment_of(log, dossier)
    if not found.version:
        raise Refused("no_payment", "no such payment", "không có khoản này", field="dossier")
    return {
        "dossier": dossier,
        "asked_vnd": found.asked,
        "cash_vnd": found.cash,
        "bank_vnd": found.bank,
        "settled": found.settled,
        "token": found.token,
        "qr": found.qr,
    }


def ledger(log: EventLog) -> Ledger:
    """Return the ledger folded from every payment event."""
    book = Ledger()
    after = 0
    while events := log.read_all(after, limit=_PAGE, types=_TYPES):
        for event in events:
            data = contracts.current(event.type, event.schema, event.data)
            book.apply(event.type, event.subject or "", data)
        after = events[-1].position
    return book


def unmatched(log: EventLog, limit: int) -> list[dict[str, Json]]:
    """Return bank credits that nobody has placed, oldest first."""
    events = log.read_all(0, limit=limit, types=["payment.bank_credit_unmatched"])
    return [
        {
            "bank_credit": event.stream.removeprefix("payment-bank."),
            "reason": event.data["reason"],
            "since": event.recorded_at.isoformat(),
        }
        for event in events
    ]
