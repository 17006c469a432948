# SPDX-License-Identifier: Apache-2.0
"""What finance officers have to look at; folded from the log when they ask."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.common import contracts
from services.common.canonical import Json
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.payment.application.queries import ledger
from services.payment.application.reactions import payment_of
from services.payment.domain import credit
from services.payment.domain.ledger import ADVANCE, OVERPAID, OWED, TYPES, Ledger

Row = dict[str, Json]
_PAGE: Final = 5000
_VISIT_ENDED: Final = "kiosk.cash_closed"
_LOOSE: Final = "payment.cash_unplaced"
_NO_SESSION: Final = "no_session"
_CONFLICT: Final = "payment.bank_callback_conflict"
_TYPES: Final = (*credit.STATES, _CONFLICT, f"{_CONFLICT}_closed")


@dataclass(slots=True)
class _Story:
    """One bank credit, when it got where it is, and what contradicts it."""

    state: credit.Credit = field(default_factory=credit.Credit)
    since: str = ""
    reason: Json = None
    machine: Json = None
    other_amount: Json = None

    def row(self, stream: str) -> Row:
        """Return what every list says about a credit."""
        return {
            "bank_credit": stream.removeprefix("payment-bank."),
            "amount_vnd": self.state.amount,
            "since": self.since,
        }


def unmatched(log: EventLog, limit: int) -> list[Row]:
    """Return bank credits and notes that nobody has placed, oldest first.

    ``machine`` stacked a note outside a session (``reason`` is ``no_session``, ``since`` is when
    it fell); it is null for a bank's credit.
    """
    return [
        {**story.row(stream), "reason": story.reason, "machine": story.machine}
        for stream, story in _stories(log).items()
        if story.state.state == credit.UNMATCHED
    ][:limit]


def returns(log: EventLog, limit: int) -> list[Row]:
    """Return bank credits on their way back to whoever sent them."""
    return [
        {**story.row(stream), "approved": story.state.state == credit.APPROVED}
        for stream, story in _stories(log).items()
        if story.state.state in {credit.ASKED, credit.APPROVED}
    ][:limit]


def conflicts(log: EventLog, limit: int) -> list[Row]:
    """Return bank references that came with two contents and wait for an officer."""
    return [
        {**story.row(stream), "other_amount_vnd": story.other_amount}
        for stream, story in _stories(log).items()
        if story.state.conflict
    ][:limit]


def owed(log: EventLog, limit: int) -> list[Row]:
    """Return dossiers whose money is the citizen's again, the most first."""
    return _held(log, OWED, limit)


def overpaid(log: EventLog, limit: int) -> list[Row]:
    """Return dossiers that paid more than was asked, the most first.

    The ledger has one account for all of it; here it stands by whose it is, until a refund is
    asked or the dossier ends.
    """
    book, held = Ledger(), Counter[str]()
    for event in _every(log, TYPES):
        before = book.accounts[OVERPAID]
        data = contracts.current(event.type, event.schema, event.data)
        book.apply(event.type, event.subject or "", data)
        held[event.subject or ""] += before - book.accounts[OVERPAID]
    return _most((dossier, amount) for dossier, amount in held.items() if amount)[:limit]


def abandoned(log: EventLog, limit: int) -> list[Row]:
    """Return dossiers that paid less than the fee.

    ``due_vnd`` and ``short_vnd`` are null where none was asked; ``visit`` is how the last cash
    session at a machine ended (done, abandoned, fault), null where there was none.
    """
    rows = _held(log, ADVANCE, limit)
    for row in rows:
        dossier = str(row["dossier"])
        known = payment_of(log, dossier)
        row["due_vnd"] = known.due if known.asked else None
        row["short_vnd"] = known.due - known.advance if known.asked else None
        row["visit"] = _last_visit(log, dossier)
    return rows


def _last_visit(log: EventLog, dossier: str) -> Json:
    ended = [e for e in log.read_subject(dossier) if e.type == _VISIT_ENDED]
    if not ended:
        return None
    last = ended[-1]
    return contracts.current(last.type, last.schema, last.data)["reason"]


def _held(log: EventLog, prefix: str, limit: int) -> list[Row]:
    balances = ledger(log).balances().items()
    return _most(
        (name.removeprefix(prefix), -amount) for name, amount in balances if name.startswith(prefix)
    )[:limit]


def _most(held: Iterable[tuple[str, int]]) -> list[Row]:
    most = sorted(((amount, dossier) for dossier, amount in held), reverse=True)
    return [{"dossier": dossier, "amount_vnd": amount} for amount, dossier in most]


def _stories(log: EventLog) -> dict[str, _Story]:
    stories: dict[str, _Story] = {}
    for event in _every(log, _TYPES):
        story = stories.setdefault(event.stream, _Story())
        data = contracts.current(event.type, event.schema, event.data)
        story.state = credit.evolve(story.state, event.type, data)
        if event.type == _LOOSE:
            story.since, story.reason = event.occurred_at.isoformat(), _NO_SESSION
            story.machine = data["machine"]
        elif event.type in credit.STATES:
            story.since = event.recorded_at.isoformat()
            story.reason = data.get("reason")
        elif event.type == _CONFLICT:
            story.other_amount = data["amount_vnd"]
    return stories


def _every(log: EventLog, types: Sequence[str]) -> Iterator[RecordedEvent]:
    after = 0
    while events := log.read_all(after, limit=_PAGE, types=types):
        yield from events
        after = events[-1].position


WORKLISTS: Final[Mapping[str, Callable[[EventLog, int], list[Row]]]] = {
    "unmatched": unmatched, "returns": returns, "conflicts": conflicts, "owed": owed,
    "overpaid": overpaid, "abandoned": abandoned,
}  # fmt: skip
