# SPDX-License-Identifier: Apache-2.0
"""Compare what the log says with what the outside world wrote into its own books."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.payment.application.queries import ledger

_PAGE: Final = 5000


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison: what, ours, theirs."""

    what: str
    ours: object
    theirs: object

    @property
    def agrees(self) -> bool:
        """Say whether both sides are equal."""
        return self.ours == self.theirs


def whole_log(log: EventLog) -> list[RecordedEvent]:
    """Return every event of a (small) log."""
    events: list[RecordedEvent] = []
    while page := log.read_all(len(events), limit=_PAGE):
        events.extend(page)
    return events


def compare(log: EventLog, books: dict[str, Any]) -> list[Line]:
    """Return every comparison; all must agree."""
    events = whole_log(log)
    return [
        *_order(events),
        *_money(log, events, books),
        *_words(events, books),
        *_dossiers(events, books),
        *_machine(events, books),
    ]


def _order(events: list[RecordedEvent]) -> list[Line]:
    positions = [event.position for event in events]
    versions: Counter[str] = Counter()
    broken = 0
    for event in events:
        versions[event.stream] += 1
        broken += event.version != versions[event.stream]
    times = [event.recorded_at_us for event in events]
    return [
        Line("positions 1 … n without a hole", positions, list(range(1, len(events) + 1))),
        Line("versions out of order", broken, 0),
        Line("recorded_at falls", sum(a > b for a, b in pairwise(times)), 0),
    ]


def _money(log: EventLog, events: list[RecordedEvent], books: dict[str, Any]) -> list[Line]:
    book = ledger(log)
    balances, mechanics = book.balances(), books["machine"]["mechanics"]
    transfers = books["bank"]["transfers"]
    received = {
        e.data["reference"]: e.data["amount_vnd"]
        for e in _of(events, "payment.bank_credit_received")
    }
    notes = [int(str(e.data["denomination_vnd"])) for e in _of(events, "payment.cash_credited")]
    return [
        Line("sum of the ledger", book.total(), 0),
        Line(
            "bank credits by reference", received, {t["reference"]: t["amount"] for t in transfers}
        ),
        Line("bank account", balances.get("bank:payos", 0), sum(t["amount"] for t in transfers)),
        Line("notes stacked", len(notes), mechanics["notes"]),
        Line("money in the cash box", sum(notes), mechanics["notes_vnd"]),
        Line("money nobody placed", balances.get("unplaced", 0), 0),
        Line("settlements per payment ≤ 1", _most(events, "payment.settled"), 1),
    ]


def _words(events: list[RecordedEvent], books: dict[str, Any]) -> list[Line]:
    sent = sorted(str(e.data["provider_message"]) for e in _of(events, "notification.accepted"))
    theirs = sorted(message["id"] for message in books["smsc"]["messages"])
    return [Line("messages the SMS centre took", sent, theirs)]


def _dossiers(events: list[RecordedEvent], books: dict[str, Any]) -> list[Line]:
    status: dict[str, int] = {}
    for event in events:
        if event.type == "dossier.accepted":
            status[str(event.data["code"])] = 2
        elif event.type == "dossier.reported":
            code = str(event.data["code"])
            status[code] = max(status.get(code, 0), int(str(event.data["status"])))
    theirs = {row["code"]: row["status"] for row in books["one_stop"]["dossiers"]}
    tens = Counter(row["code"] for row in books["one_stop"]["history"] if row["status"] == 10)  # noqa: PLR2004
    return [
        Line("dossiers by status at the one-stop system", status, theirs),
        Line("9 → 10 booked more than once", sum(n > 1 for n in tens.values()), 0),
        Line("registered per dossier ≤ 1", _most(events, "dossier.registered"), 1),
        Line("returned per dossier ≤ 1", _most(events, "dossier.returned"), 1),
    ]


def _machine(events: list[RecordedEvent], books: dict[str, Any]) -> list[Line]:
    machine, mechanics = books["machine"], books["machine"]["mechanics"]
    journal = [event for event in events if event.stream.startswith("kiosk-")]
    pouches = sorted(str(e.data["pouch"]) for e in _of(events, "kiosk.dossier_deposited"))
    inside = Counter[object]()
    for event in journal:
        inside[event.data.get("cell")] += {
            "kiosk.result_loaded": 1, "kiosk.result_released": -1,
        }.get(event.type, 0)  # fmt: skip
    return [
        Line("journal records at the centre", len(journal), machine["seq"]),
        Line("pouches in the bin", pouches, sorted(mechanics["pouches"])),
        Line("cells with a result", sorted(map(str, +inside)), sorted(mechanics["cells"])),
    ]


def _of(events: list[RecordedEvent], event_type: str) -> list[RecordedEvent]:
    return [event for event in events if event.type == event_type]


def _most(events: list[RecordedEvent], event_type: str) -> int:
    counts = Counter(event.stream for event in _of(events, event_type))
    return max(counts.values(), default=1)
