# SPDX-License-Identifier: Apache-2.0
"""Receipts at the moment of collection, numbered without a gap (Decree 254/2026, articles 23–24).

``receipt-<symbol>-<year>``: the stream's version is the number, so two receipts can never have the
same one and none can be missing. The year is the collection's, in Vietnam.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from services.common import contracts
from services.common.canonical import Json
from services.common.clock import VIETNAM
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change, Fact
from services.common.messaging.reaction import Handler
from services.payment.domain.words_vi import amount_in_words

REACTOR: Final = "payment.receipts"


def event_handlers(log: EventLog, symbol: str) -> Mapping[str, Handler]:
    """Return the handlers of ``payment.receipts``; ``symbol`` names the series."""

    def issue(event: RecordedEvent) -> Sequence[Change]:
        settled = contracts.current(event.type, event.schema, event.data)
        amount = int(str(settled["amount_vnd"]))
        if not amount:
            return ()
        collected = event.occurred_at.astimezone(VIETNAM)
        stream = f"receipt-{symbol}-{collected.year}"
        issued = log.stream_version(stream)
        lines: list[Json] = [
            {"kind": kind, "amount_vnd": due} for kind, due in _lines(log, event).items() if due
        ]
        data: dict[str, Json] = {
            "symbol": symbol,
            "year": collected.year,
            "number": issued + 1,
            "dossier": event.subject,
            "lines": lines,
            "amount_vnd": amount,
            "amount_words_vi": amount_in_words(amount),
            "settled_event": str(event.event_id),
            "collected_at": collected.isoformat(timespec="seconds"),
        }
        fact = Fact(type="receipt.issued", data=data, subject=event.subject)
        return [Change(stream=stream, expected_version=issued, facts=(fact,))]

    return {"payment.settled": issue}


def streams_read(event: RecordedEvent) -> Sequence[str]:
    """Return the streams that the handler of ``event`` reads whole."""
    return (event.stream,)


def _lines(log: EventLog, settled: RecordedEvent) -> dict[str, int]:
    """Return what this settlement covers: everything asked since the one before."""
    due = {"le_phi": 0, "phi": 0}
    for event in log.read_stream(settled.stream):
        if event.version >= settled.version:
            break
        data = contracts.current(event.type, event.schema, event.data)
        if event.type in {"payment.requested", "payment.duty_requested"}:
            for kind in due:
                due[kind] += int(str(data[f"{kind}_vnd"]))
        elif event.type == "payment.settled":
            due = dict.fromkeys(due, 0)
    return due


EVENT_HANDLERS: Final = {REACTOR: event_handlers}
