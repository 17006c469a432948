# SPDX-License-Identifier: Apache-2.0
"""Cases about things of which nobody knows where they are: opened by reaction, closed by people.

The custody fold says what an event left unknown; every such thing gets a case of its own with an
owner and a due time, all cases of one event on one stream.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.common.canonical import Json
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import (
    EVENTS_PER_REQUEST_MAX,
    Appended,
    RecordedEvent,
    category_of,
)
from services.common.eventlog.recording import Cause, Change, Fact, Recorder
from services.common.messaging.reaction import Handler
from services.intake.application.facts import data_of, office_of_machine
from services.intake.application.ports import CalendarOf
from services.intake.domain.custody import UNKNOWN, Happening, Item, MemoryShelf, apply
from services.intake.domain.deadline import Term, due_at

Past = Callable[[RecordedEvent], Iterable[RecordedEvent]]
Moved = tuple[Item | None, Item]
"""An item before an event, None where it is new, and after it."""
FIND_WITHIN_DAYS: Final = 1
"""Working days until the owner of a case has to know."""
_PAGE: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseCase:
    """An official found out.

    Attributes:
        case: ``<event>.<number>``.
        official: who.
        office: whose official.
        found: office, citizen or lost.
        found_at: where exactly, in words.
    """

    case: str
    official: str
    office: str
    found: str
    found_at: str


def case_handlers(log: EventLog, calendar_of: CalendarOf) -> Mapping[str, Handler]:
    """Return the part of ``intake.reactions`` that opens cases."""

    def opener(because: str, past_of: Past) -> Handler:
        def open_cases(event: RecordedEvent) -> Sequence[Change]:
            unknown = _left_unknown(log, event, past_of(event))
            if not unknown:
                return ()
            due = due_at(event.occurred_at, Term(working_days=FIND_WITHIN_DAYS), calendar_of())
            office = unknown[0][1].office or office_of_machine(log, machine_of(event))
            opened = [
                _opened(event, number, before, item, because)
                | {"office": office, "owner": office, "due_at": due.isoformat()}
                for number, (before, item) in enumerate(unknown, start=1)
            ]
            return [_change(office, str(event.event_id), opened)]

        return open_cases

    def story(event: RecordedEvent) -> Iterable[RecordedEvent]:
        dossier = event.subject or data_of(event)["dossier"]
        return _story(log, str(dossier)) if dossier is not None else _config(log, event)

    def journal(event: RecordedEvent) -> Iterable[RecordedEvent]:
        machine = machine_of(event)
        yield from _config(log, event)
        last = int(event.stream.rpartition("-")[2])
        for epoch in range(1, last + 1):
            yield from _pages(log, f"kiosk-{machine}-{epoch}")

    return {
        "kiosk.custody_unknown": opener("machine_report", story),
        "kiosk.bin_emptied": opener("missing_in_bag", journal),
        "dossier.return_reversed": opener("reversed", story),
    }


def close_case(
    recorder: Recorder, command: CloseCase, *, source: str, key: str, cause: Cause
) -> Appended | None:
    """Note where it was found; idempotent by (source, key).

    Raises:
        Refused: ``no_such_case`` in this office, ``case_closed``.
    """
    stream = f"office-{command.office}.case.{command.case.rpartition('.')[0]}"
    log = recorder.log

    def changes() -> list[Change]:
        events = log.read_stream(stream)
        ours = [e for e in events if data_of(e)["case"] == command.case]
        if not ours:
            raise Refused("no_such_case", "no such case", "không có vụ việc này", field="case")
        if ours[-1].type == "office.custody_case_closed":
            raise Refused("case_closed", "the case is closed", "vụ việc đã khép lại", field="case")
        data: dict[str, Json] = {
            "case": command.case, "official": command.official, "found": command.found,
            "found_at": command.found_at,
        }  # fmt: skip
        fact = Fact(type="office.custody_case_closed", data=data, subject=ours[0].subject)
        return [Change(stream=stream, expected_version=len(events), facts=(fact,))]

    asked: Json = [command.case, command.office, command.official, command.found, command.found_at]
    return recorder.decide(changes, source=source, key=key, cause=cause, asked=asked)


def happening(event: RecordedEvent) -> Happening:
    """Return ``event`` as the custody fold takes it."""
    return Happening(
        type=event.type,
        data=data_of(event),
        event=str(event.event_id),
        at_us=event.occurred_at_us,
        machine=machine_of(event) if category_of(event.stream) == "kiosk" else "",
        dossier=event.subject or "",
    )


def machine_of(event: RecordedEvent) -> str:
    """Return the serial in ``kiosk-<serial>-<epoch>``."""
    return event.stream.split("-")[1]


def _left_unknown(
    log: EventLog, event: RecordedEvent, past: Iterable[RecordedEvent]
) -> list[Moved]:
    """Return what ``event`` left without a place or without an owner, and no case is about."""
    found = [pair for pair in _moved(past, event) if _homeless(pair)]
    if event.type == "kiosk.bin_emptied":
        # The journal alone does not show that an official has the pouch in hand already.
        told = (again for pair in found for again in _as_told(log, event, pair))
        found = [pair for pair in told if _homeless(pair)]
    return found[:EVENTS_PER_REQUEST_MAX]


def _homeless(moved: Moved) -> bool:
    before, item = moved
    return (item.place == UNKNOWN or before is None) and not item.case


def _as_told(log: EventLog, event: RecordedEvent, moved: Moved) -> list[Moved]:
    item = moved[1]
    if not item.dossier:
        return [moved]
    pairs = _moved(_story(log, item.dossier), event)
    return [pair for pair in pairs if pair[1].key == item.key]


def _moved(past: Iterable[RecordedEvent], event: RecordedEvent) -> list[Moved]:
    """Return each item that ``event`` moves after ``past``."""
    shelf = MemoryShelf()
    for earlier in past:
        if earlier.position < event.position:
            apply(shelf, happening(earlier))
    before = dict(shelf.items)
    apply(shelf, happening(event))
    items = [item for _, item in sorted(shelf.items.items())]
    return [(before.get(one.key), one) for one in items if one.moved_by == str(event.event_id)]


def _story(log: EventLog, dossier: str) -> list[RecordedEvent]:
    """Return a dossier's events, behind those that say whose the machines are."""
    events = log.read_subject(dossier)
    journals = {e.stream: e for e in events if category_of(e.stream) == "kiosk"}
    enrolled = [one for event in journals.values() for one in _config(log, event)]
    return [*enrolled, *events]


def _config(log: EventLog, event: RecordedEvent) -> Iterable[RecordedEvent]:
    return log.read_stream(f"config-{machine_of(event)}")


def _opened(
    event: RecordedEvent, number: int, before: Item | None, item: Item, because: str
) -> dict[str, Json]:
    machine = machine_of(event) if category_of(event.stream) == "kiosk" else None
    no_deposit = item.kind == "pouch" and not item.dossier
    return {
        "case": f"{event.event_id}.{number}",
        "item": item.key,
        "kind": item.kind,
        "because": "no_deposit" if no_deposit else because,
        "machine": machine,
        "place": before.place if before is not None else f"tray:{machine}",
        "pouch": item.barcode or None,
        "dossier": item.dossier or None,
    }


def _change(office: str, event: str, opened: Sequence[dict[str, Json]]) -> Change:
    facts = tuple(
        Fact(
            type="office.custody_case_opened", data=data,
            subject=None if data["dossier"] is None else str(data["dossier"]),
        )
        for data in opened
    )  # fmt: skip
    return Change(stream=f"office-{office}.case.{event}", expected_version=0, facts=facts)


def _pages(log: EventLog, stream: str) -> Iterable[RecordedEvent]:
    after = 0
    while page := log.read_stream(stream, after_version=after, limit=_PAGE):
        yield from page
        after = page[-1].version
