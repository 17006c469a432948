# SPDX-License-Identifier: Apache-2.0
"""Compare what the log says with what the outside world wrote into its own books."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.payment.application.queries import ledger

RETURNED: Final = 10
_PAGE: Final = 5000
_SAID: Final = {
    "dossier.accepted": 2, "dossier.imported": 4, "dossier.completed": 9, "dossier.reported": None,
}  # fmt: skip
"""Which status the one-stop system holds after an event; a report names its own."""


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
        *(
            line
            for serial, state in books["machines"].items()
            for line in _machine(events, serial, state)
        ),
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
    balances = book.balances()
    boxes = {serial: state["mechanics"] for serial, state in books["machines"].items()}
    transfers = books["bank"]["transfers"]
    received = {
        e.data["reference"]: e.data["amount_vnd"]
        for e in _of(events, "payment.bank_credit_received")
    }
    notes = Counter[str]()
    for event in _of(events, "payment.cash_credited"):
        notes[str(event.data["machine"])] += int(str(event.data["denomination_vnd"]))
    return [
        Line("sum of the ledger", book.total(), 0),
        Line(
            "bank credits by reference", received, {t["reference"]: t["amount"] for t in transfers}
        ),
        Line("bank account", balances.get("bank:payos", 0), sum(t["amount"] for t in transfers)),
        Line(
            "notes stacked",
            len(_of(events, "payment.cash_credited")),
            sum(box["notes"] for box in boxes.values()),
        ),
        *(
            Line(f"money in the cash box of {serial}", notes[serial], box["notes_vnd"])
            for serial, box in boxes.items()
        ),
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
        if event.type in _SAID:
            status[str(event.data["code"])] = _SAID[event.type] or int(str(event.data["status"]))
    told = Counter(
        str(event.data["code"])
        for event in _of(events, "dossier.reported")
        if event.data["status"] == RETURNED
    )
    theirs = {row["code"]: row["status"] for row in books["one_stop"]["dossiers"]}
    tens = Counter(row["code"] for row in books["one_stop"]["history"] if row["status"] == RETURNED)
    return [
        Line("dossiers by status at the one-stop system", status, theirs),
        Line("9 → 10 booked as often as told", dict(told), dict(tens)),
        Line("registered per dossier ≤ 1", _most(events, "dossier.registered"), 1),
        Line("returned per dossier ≤ 1", _most(events, "dossier.returned"), 1),
    ]


def _machine(events: list[RecordedEvent], serial: str, state: dict[str, Any]) -> list[Line]:
    mechanics = state["mechanics"]
    journal = [event for event in events if event.stream.startswith(f"kiosk-{serial}-")]
    pouches = sorted(str(e.data["pouch"]) for e in _of(journal, "kiosk.dossier_deposited"))
    inside = Counter[object]()
    for event in journal:
        inside[event.data.get("cell")] += {
            "kiosk.result_loaded": 1, "kiosk.result_released": -1,
        }.get(event.type, 0)  # fmt: skip
    return [
        Line(f"journal records of {serial}", len(journal), state["seq"]),
        Line(f"pouches in the bin of {serial}", pouches, sorted(mechanics["pouches"])),
        Line(
            f"cells of {serial} with a result",
            sorted(map(str, +inside)),
            sorted(mechanics["cells"]),
        ),
    ]


def _of(events: list[RecordedEvent], event_type: str) -> list[RecordedEvent]:
    return [event for event in events if event.type == event_type]


def _most(events: list[RecordedEvent], event_type: str) -> int:
    counts = Counter(event.stream for event in _of(events, event_type))
    return max(counts.values(), default=1)
