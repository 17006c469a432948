# SPDX-License-Identifier: Apache-2.0
"""Double entry over payment events: every đồng in exactly one account, the sum always 0.

Debits are positive. Money that came in (``cash:<machine>``, ``bank:<provider>``) stands against
what it is: fees earned (``fee:le_phi``, ``fee:phi``), money not yet enough (``advance:<dossier>``),
money above the fee (``overpaid``), money that is the citizen's again
(``owed_to_citizen:<dossier>``), money nobody has placed yet (``unplaced``), and what goes back to
whoever sent it (``owed_to_sender:<provider>/<reference>``). What was paid back stands in
``paid_out``. ADR-0004.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.payment.domain.payment import receiver

Data = Mapping[str, object]
OVERPAID: Final = "overpaid"
OWED: Final = "owed_to_citizen:"
ADVANCE: Final = "advance:"
SENDER: Final = "owed_to_sender:"

TYPES: Final = (
    "payment.requested", "payment.duty_requested", "payment.cash_credited",
    "payment.cash_unplaced", "payment.bank_credit_received", "payment.bank_credit_matched",
    "payment.settled",
    "payment.closed", "payment.refund_requested", "payment.refund_paid",
    "payment.advance_released", "payment.bank_credit_return_requested",
    "payment.bank_credit_returned",
)  # fmt: skip
"""Events that the ledger books or needs."""


@dataclass(slots=True)
class Ledger:
    """Balances by account; ``apply`` keeps their sum at 0."""

    accounts: Counter[str] = field(default_factory=Counter)
    settled: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    asked: dict[str, tuple[int, int]] = field(default_factory=dict)

    def apply(self, event_type: str, subject: str, data: Data) -> None:
        """Book one event; other events change nothing.

        Args:
            event_type: ``payment.…``.
            subject: dossier id; empty for a bank credit that nobody has placed.
            data: the event's data.
        """
        book = _BOOKINGS.get(event_type)
        if book is not None:
            book(self, subject, data)

    def total(self) -> int:
        """Return the sum over all accounts: 0, or a đồng is lost."""
        return sum(self.accounts.values())

    def balances(self) -> dict[str, int]:
        """Return accounts that are not 0, sorted by name."""
        return {name: amount for name, amount in sorted(self.accounts.items()) if amount}

    def move(self, debit: str, credit: str, amount: int) -> None:
        """Book ``amount`` from ``credit`` to ``debit``."""
        self.accounts[debit] += amount
        self.accounts[credit] -= amount

    def receiver(self, subject: str) -> str:
        """Return the account of money that comes in for a dossier now."""
        place = receiver(closed=subject in self.closed, settled=subject in self.settled)
        return {"owed": owed(subject), "overpaid": OVERPAID}.get(place, advance(subject))


def owed(subject: str) -> str:
    """Return the account of what is a citizen's again."""
    return OWED + subject


def advance(subject: str) -> str:
    """Return the account of what is not yet enough."""
    return ADVANCE + subject


def _asked(book: Ledger, subject: str, data: Data) -> None:
    le_phi, phi = book.asked.get(subject, (0, 0))
    book.asked[subject] = le_phi + _whole(data["le_phi_vnd"]), phi + _whole(data["phi_vnd"])
    book.settled.discard(subject)


def _cash(book: Ledger, subject: str, data: Data) -> None:
    amount = _whole(data["denomination_vnd"])
    book.move(f"cash:{data['machine']}", book.receiver(subject), amount)


def _loose(book: Ledger, _subject: str, data: Data) -> None:
    book.move(f"cash:{data['machine']}", "unplaced", _whole(data["denomination_vnd"]))


def _received(book: Ledger, _subject: str, data: Data) -> None:
    book.move(f"bank:{data['provider']}", "unplaced", _whole(data["amount_vnd"]))


def _matched(book: Ledger, subject: str, data: Data) -> None:
    book.move("unplaced", book.receiver(subject), _whole(data["amount_vnd"]))


def _settled(book: Ledger, subject: str, data: Data) -> None:
    le_phi, phi = book.asked.pop(subject, (_whole(data["amount_vnd"]), 0))
    book.move(advance(subject), "fee:le_phi", le_phi)
    book.move(advance(subject), "fee:phi", phi)
    book.move(advance(subject), OVERPAID, _whole(data["overpaid_vnd"]))
    book.settled.add(subject)


def _closed(book: Ledger, subject: str, data: Data) -> None:
    for account, name in (
        ("fee:le_phi", "le_phi_vnd"), ("fee:phi", "phi_vnd"),
        (advance(subject), "advance_vnd"), (OVERPAID, "overpaid_vnd"),
    ):  # fmt: skip
        book.move(account, owed(subject), _whole(data[name]))
    book.asked.pop(subject, None)
    book.closed.add(subject)


def _claimed(book: Ledger, subject: str, data: Data) -> None:
    book.move(OVERPAID, owed(subject), _whole(data["overpaid_vnd"]))


def _paid_back(book: Ledger, subject: str, data: Data) -> None:
    book.move(owed(subject), "paid_out", _whole(data["amount_vnd"]))


def _released(book: Ledger, subject: str, data: Data) -> None:
    book.move(advance(subject), owed(subject), _whole(data["amount_vnd"]))


def _return_asked(book: Ledger, _subject: str, data: Data) -> None:
    book.move("unplaced", _sender(data), _whole(data["amount_vnd"]))


def _returned(book: Ledger, _subject: str, data: Data) -> None:
    book.move(_sender(data), "paid_out", _whole(data["amount_vnd"]))


def _sender(data: Data) -> str:
    return f"{SENDER}{data['provider']}/{data['reference']}"


def _whole(value: object) -> int:
    return int(str(value))


_BOOKINGS: Final[dict[str, Callable[[Ledger, str, Data], None]]] = {
    "payment.requested": _asked,
    "payment.duty_requested": _asked,
    "payment.cash_credited": _cash,
    "payment.cash_unplaced": _loose,
    "payment.bank_credit_received": _received,
    "payment.bank_credit_matched": _matched,
    "payment.settled": _settled,
    "payment.closed": _closed,
    "payment.refund_requested": _claimed,
    "payment.refund_paid": _paid_back,
    "payment.advance_released": _released,
    "payment.bank_credit_return_requested": _return_asked,
    "payment.bank_credit_returned": _returned,
}
