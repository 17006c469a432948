# SPDX-License-Identifier: Apache-2.0
"""Compare what the log says with what the outside world wrote into its own books."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from services.common.clock import VIETNAM
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.intake.application.cases import happening
from services.intake.application.facts import data_of
from services.intake.domain.custody import UNKNOWN, MemoryShelf, apply
from services.intake.domain.dossier import Dossier, evolve
from services.payment.application.queries import ledger

RETURNED: Final = 10
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
        *_machines(events, books),
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
    booked = [*_of(events, "payment.cash_credited"), *_of(events, "payment.cash_unplaced")]
    for event in booked:
        notes[str(event.data["machine"])] += int(str(event.data["denomination_vnd"]))
    return [
        Line("sum of the ledger", book.total(), 0),
        Line(
            "bank credits by reference", received, {t["reference"]: t["amount"] for t in transfers}
        ),
        Line("bank account", balances.get("bank:payos", 0), sum(t["amount"] for t in transfers)),
        Line(
            "notes stacked",
            len(booked),
            sum(box["notes"] for box in boxes.values()),
        ),
        *(
            Line(f"money in the cash box of {serial}", notes[serial], box["notes_vnd"])
            for serial, box in boxes.items()
        ),
        Line("money nobody placed", balances.get("unplaced", 0), 0),
        Line("settlements that nobody asked for", _unasked(events), 0),
        *_strange(events, books["bank"]["strange_calls"]),
    ]


def _unasked(events: list[RecordedEvent]) -> int:
    """Return how many settlements there are above the fees asked for, over all payments."""
    balance = Counter[str]()
    for event in events:
        balance[event.stream] += {
            "payment.requested": -1, "payment.duty_requested": -1, "payment.settled": 1,
        }.get(event.type, 0)  # fmt: skip
    return sum((+balance).values())


def _strange(events: list[RecordedEvent], calls: list[dict[str, Any]]) -> list[Line]:
    """Compare what the bank was answered when it called as it should not."""
    answers = Counter((call["fault"], call["status"]) for call in calls)
    made = Counter(call["fault"] for call in calls)
    conflicts = _of(events, "payment.bank_callback_conflict")
    return [
        Line("altered notifications refused", answers["alter", 401], made["alter"]),
        Line("doubled notifications taken once", answers["duplicate", 200], made["duplicate"]),
        Line("contradictions on the worklist", len(conflicts), made["conflict"]),
    ]


def _words(events: list[RecordedEvent], books: dict[str, Any]) -> list[Line]:
    sent = {str(e.data["provider_message"]) for e in _of(events, "notification.accepted")}
    theirs = {str(message["id"]) for message in books["smsc"]["messages"]}
    unknown = len(_of(events, "notification.outcome_unknown"))
    return [
        Line("messages the SMS centre took", sorted(sent), sorted(sent & theirs)),
        Line("messages that no unknown outcome explains", max(len(theirs - sent) - unknown, 0), 0),
    ]


def dossiers_of(events: Iterable[RecordedEvent]) -> dict[str, Dossier]:
    """Return every dossier, folded, by its id."""
    dossiers = defaultdict[str, Dossier](Dossier)
    for event in events:
        if event.stream.startswith("dossier-"):
            name = str(event.subject)
            dossiers[name] = evolve(dossiers[name], event.type, data_of(event))
    return dossiers


def _dossiers(events: list[RecordedEvent], books: dict[str, Any]) -> list[Line]:
    folded = dossiers_of(events).values()
    ours = {one.code: one.status for one in folded if one.code and not one.disputed}
    disputed = {one.code for one in folded if one.disputed}
    rows = books["one_stop"]["dossiers"]
    theirs = {row["code"]: row["status"] for row in rows if row["code"] not in disputed}
    due = {one.code: _stamp(one.due_at) for one in folded if one.code in theirs}
    told = Counter(
        str(event.data["code"])
        for event in _of(events, "dossier.reported")
        if event.data["status"] == RETURNED
    )
    tens = Counter(row["code"] for row in books["one_stop"]["history"] if row["status"] == RETURNED)
    corrected = Counter(event.stream for event in _of(events, "dossier.return_reversed"))
    handed = Counter(event.stream for event in _of(events, "dossier.returned"))
    return [
        Line("status of every dossier at the one-stop software", ours, theirs),
        Line(
            "due time of every dossier at the one-stop software",
            due,
            {row["code"]: row["due"] for row in rows if row["code"] in due},
        ),
        Line("9 → 10 booked as often as told", dict(told), dict(tens)),
        Line("registered per dossier ≤ 1", _most(events, "dossier.registered"), 1),
        Line("returned per dossier ≤ 1", max((handed - corrected).values(), default=1), 1),
    ]


def _stamp(instant: str) -> str:
    return datetime.fromisoformat(instant).astimezone(VIETNAM).strftime("%Y%m%d%H%M%S")


def shelf_of(events: Iterable[RecordedEvent]) -> MemoryShelf:
    """Return where every pouch, paper and result is."""
    shelf = MemoryShelf()
    for event in events:
        apply(shelf, happening(event))
    return shelf


def _machines(events: list[RecordedEvent], books: dict[str, Any]) -> list[Line]:
    shelf = shelf_of(events)
    unknown = [item for item in shelf.items.values() if item.place == UNKNOWN and not item.case]
    lines = [Line("things that nobody knows of and nobody looks for", len(unknown), 0)]
    for serial, state in books["machines"].items():
        journal = [event for event in events if event.stream.startswith(f"kiosk-{serial}-")]
        lines += _machine(len(journal), shelf, serial, state)
    return lines


def _machine(journal: int, shelf: MemoryShelf, serial: str, state: dict[str, Any]) -> list[Line]:
    mechanics = state["mechanics"]
    in_bins, in_cells = list[str](), list[str]()
    for item in shelf.items.values():
        if item.place.startswith(f"bin:{serial}/"):
            in_bins.append(item.barcode)
        elif item.place.startswith(f"cell:{serial}/"):
            in_cells.append(item.place.rpartition("/")[2])
    return [
        Line(f"journal records of {serial}", journal, state["seq"]),
        Line(f"pouches in the bin of {serial}", sorted(in_bins), sorted(mechanics["pouches"])),
        Line(
            f"cells of {serial} with a result",
            sorted(in_cells),
            sorted(mechanics["cells"]),
        ),
    ]


def _of(events: list[RecordedEvent], event_type: str) -> list[RecordedEvent]:
    return [event for event in events if event.type == event_type]


def _most(events: list[RecordedEvent], event_type: str) -> int:
    counts = Counter(event.stream for event in _of(events, event_type))
    return max(counts.values(), default=1)
