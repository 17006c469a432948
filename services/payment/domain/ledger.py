# SPDX-License-Identifier: Apache-2.0
"""Double entry over payment events: every đồng in exactly one account, the sum always 0.

Debits are positive. Money that came in (``cash:<machine>``, ``bank:<provider>``) stands against
what it is: fees earned, money not yet enough (``advance:<dossier>``), money owed to the citizen
(``overpaid``), or money nobody has placed yet (``unplaced``).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

Data = Mapping[str, object]


@dataclass(slots=True)
class Ledger:
    """Balances by account; ``apply`` keeps their sum at 0."""

    accounts: Counter[str] = field(default_factory=Counter)
    settled: set[str] = field(default_factory=set)
    asked: dict[str, tuple[int, int]] = field(default_factory=dict)

    def apply(self, event_type: str, subject: str, data: Data) -> None:
        """Book one event; other events change nothing.

        Args:
            event_type: ``payment.…``.
            subject: dossier id; empty for a bank credit that nobody has placed.
            data: the event's data.
        """
        match event_type:
            case "payment.requested":
                self.asked[subject] = (_whole(data["le_phi_vnd"]), _whole(data["phi_vnd"]))
            case "payment.cash_credited":
                amount = _whole(data["denomination_vnd"])
                self._move(f"cash:{data['machine']}", self._receiver(subject), amount)
            case "payment.bank_credit_received":
                self._move(f"bank:{data['provider']}", "unplaced", _whole(data["amount_vnd"]))
            case "payment.bank_credit_matched":
                self._move("unplaced", self._receiver(subject), _whole(data["amount_vnd"]))
            case "payment.settled":
                self._settle(subject, data)
            case _:
                return

    def total(self) -> int:
        """Return the sum over all accounts: 0, or a đồng is lost."""
        return sum(self.accounts.values())

    def balances(self) -> dict[str, int]:
        """Return accounts that are not 0, sorted by name."""
        return {name: amount for name, amount in sorted(self.accounts.items()) if amount}

    def _receiver(self, subject: str) -> str:
        return "overpaid" if subject in self.settled else f"advance:{subject}"

    def _settle(self, subject: str, data: Data) -> None:
        le_phi, phi = self.asked.get(subject, (_whole(data["amount_vnd"]), 0))
        advance = f"advance:{subject}"
        self._move(advance, "fee:le_phi", le_phi)
        self._move(advance, "fee:phi", phi)
        self._move(advance, "overpaid", _whole(data["overpaid_vnd"]))
        self.settled.add(subject)

    def _move(self, debit: str, credit: str, amount: int) -> None:
        self.accounts[debit] += amount
        self.accounts[credit] -= amount


def _whole(value: object) -> int:
    return int(str(value))
