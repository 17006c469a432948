# SPDX-License-Identifier: Apache-2.0
"""What the finance office asks; answered from the log."""

from collections.abc import Iterator
from typing import Final

from services.common import contracts
from services.common.canonical import Json
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
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
        "token": found.token,
        "qr": found.qr,
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


def in_accounts(log: EventLog, prefix: str, limit: int) -> list[dict[str, Json]]:
    """Return dossiers that hold money in an account of this kind, the most first."""
    held = [
        (-amount, name.removeprefix(prefix))
        for name, amount in ledger(log).balances().items()
        if name.startswith(prefix)
    ]
    return [
        {"dossier": dossier, "amount_vnd": amount}
        for amount, dossier in sorted(held, reverse=True)[:limit]
    ]


def conflicts(log: EventLog, limit: int) -> list[dict[str, Json]]:
    """Return bank references that came with two contents, oldest first."""
    events = log.read_all(0, limit=limit, types=["payment.bank_callback_conflict"])
    return [
        {
            "bank_credit": event.stream.removeprefix("payment-bank."),
            "amount_vnd": event.data["amount_vnd"],
            "since": event.recorded_at.isoformat(),
        }
        for event in events
    ]


def unmatched(log: EventLog, limit: int) -> list[dict[str, Json]]:
    """Return bank credits that nobody has placed, oldest first."""
    placed = {event.stream for event in _every(log, "payment.bank_credit_assigned")}
    waiting = [e for e in _every(log, "payment.bank_credit_unmatched") if e.stream not in placed]
    return [
        {
            "bank_credit": event.stream.removeprefix("payment-bank."),
            "reason": event.data["reason"],
            "since": event.recorded_at.isoformat(),
        }
        for event in waiting[:limit]
    ]


def _every(log: EventLog, event_type: str) -> Iterator[RecordedEvent]:
    after = 0
    while events := log.read_all(after, limit=_PAGE, types=[event_type]):
        yield from events
        after = events[-1].position
