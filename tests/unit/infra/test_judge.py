# SPDX-License-Identifier: Apache-2.0
"""The judge of crash runs finds what is planted: one whole story, then one lie at a time."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from infra.judge import Event, Evidence, canonical, judge

D, CODE = "0193b0a0-0000-7000-8000-000000000001", "H30.12-261123-0001"
STORY: list[tuple[str, str, dict[str, Any]]] = [
    ("kiosk-VT01-1", "kiosk.dossier_deposited", {"pouch": "P1", "dossier": D}),
    (f"dossier-{D}", "dossier.registered", {}),
    (f"payment-{D}", "payment.requested", {"amount_vnd": 18000}),
    ("kiosk-VT01-1", "kiosk.cash_note_credited", {"denomination_vnd": 10000}),
    (f"payment-{D}", "payment.cash_credited", {"denomination_vnd": 10000, "note_event": "e4"}),
    ("payment-bank.payos.R1", "payment.bank_credit_received",
     {"reference": "R1", "amount_vnd": 10000}),
    (f"payment-{D}", "payment.bank_credit_matched", {"reference": "R1", "amount_vnd": 10000}),
    (f"payment-{D}", "payment.settled",
     {"amount_vnd": 18000, "paid_vnd": 20000, "overpaid_vnd": 2000}),
    (f"dossier-{D}", "dossier.accepted", {"code": CODE}),
    ("notification-1", "notification.requested", {}),
    ("notification-1", "notification.attempted", {}),
    ("notification-1", "notification.accepted", {"provider_message": "M1"}),
    (f"dossier-{D}", "dossier.completed", {}),
    ("kiosk-VT01-1", "kiosk.result_loaded", {"cell": 3}),
    (f"dossier-{D}", "dossier.ready", {}),
    ("kiosk-VT01-1", "kiosk.result_released", {"cell": 3}),
    (f"dossier-{D}", "dossier.returned", {}),
    (f"dossier-{D}", "dossier.reported", {"code": CODE, "status": 10}),
]  # fmt: skip


def event(position: int, stream: str, version: int, kind: str, data: dict[str, Any]) -> Event:
    """Return a row whose hashes are right."""
    content = {
        "data": data, "event_id": f"e{position}", "log_id": 93, "meta": {}, "occurred_at": 1,
        "schema": 1, "stream": stream, "subject": D, "type": kind, "version": version,
    }  # fmt: skip
    digest = hashlib.sha256(canonical(content)).digest()
    leaf = hashlib.sha256(b"\x00" + digest + (100 + position).to_bytes(8, "big")).digest()
    return Event(
        position, f"e{position}", stream, version, kind, 1, D, 1, 100 + position,
        canonical(data), b"{}", digest, leaf, data,
    )  # fmt: skip


def log_of(story: list[tuple[str, str, dict[str, Any]]]) -> list[Event]:
    """Return the story as rows of a log."""
    versions: dict[str, int] = {}
    events = []
    for position, (stream, kind, data) in enumerate(story, start=1):
        versions[stream] = versions.get(stream, 0) + 1
        events.append(event(position, stream, versions[stream], kind, data))
    return events


def evidence() -> Evidence:
    """Return a run in which everything agrees."""
    told = [{"what": what, "dossier": D} for what in
            ("deposited", "paid", "completed", "loaded", "collected")]  # fmt: skip
    return Evidence(
        acks=[*told, {"what": "cash", "dossier": D, "notes": [10000]},
              {"what": "transferred", "dossier": D, "reference": "R1"}, {"what": "accepted", "dossier": D, "code": CODE},
              {"what": "reported", "code": CODE}],
        log_id=93,
        events=log_of(STORY),
        transfers=[{"reference": "R1", "amount": 10000}],
        messages=[{"id": "M1", "destination": "84912345678", "text": "da tiep nhan"}],
        dossiers=[{"code": CODE, "status": 10}],
        history=[{"code": CODE, "status": 2}, {"code": CODE, "status": 10}],
        mechanics={"box": [10000], "bin": ["P1"], "cells": {"3": False}},
    )  # fmt: skip


def without(kind: str) -> Callable[[Evidence], Evidence]:
    """Leave an event out, as if it had never been."""
    return lambda seen: replace(seen, events=log_of([e for e in STORY if e[1] != kind]))


def twice(kind: str) -> Callable[[Evidence], Evidence]:
    """Let an event happen again."""
    again = [e for e in STORY if e[1] == kind]
    return lambda seen: replace(seen, events=log_of([*STORY, *again]))


def altered(place: int, **change: Any) -> Callable[[Evidence], Evidence]:
    """Alter a row in the database."""

    def alter(seen: Evidence) -> Evidence:
        events = list(seen.events)
        events[place] = replace(events[place], **change)
        return replace(seen, events=events)

    return alter


def book(**change: Any) -> Callable[[Evidence], Evidence]:
    """Let an outside book or an acknowledgement say something else."""
    return lambda seen: replace(seen, **change)


def unsent(seen: Evidence) -> Evidence:
    """Ask for a message and never begin to send it."""
    gone = {"notification.attempted", "notification.accepted"}
    story = [fact for fact in STORY if fact[1] not in gone]
    return replace(seen, events=log_of(story), messages=[])


LIES = [
    ("promises to clients", without("dossier.registered")),
    ("promises to clients", without("kiosk.result_loaded")),
    ("promises to clients", book(acks=[{"what": "accepted", "dossier": D, "code": "other"}])),
    ("effects once", twice("dossier.returned")),
    ("effects once", twice("dossier.accepted")),
    ("effects once", twice("kiosk.dossier_deposited")),
    ("money", without("payment.bank_credit_matched")),
    ("money", without("payment.bank_credit_received")),
    ("money", without("payment.cash_credited")),
    ("money", twice("payment.cash_credited")),
    ("money", book(transfers=[{"reference": "R1", "amount": 9999}])),
    ("money", book(mechanics={"box": [], "bin": ["P1"], "cells": {}})),
    ("money", without("payment.settled")),
    ("money", book(acks=[{"what": "transferred", "dossier": "other", "reference": "R1"}])),
    ("money", book(acks=[{"what": "cash", "dossier": D, "notes": [10000, 10000]}])),
    ("messages", without("notification.accepted")),
    ("messages", unsent),
    ("messages", without("notification.requested")),
    ("messages", twice("notification.requested")),
    ("messages", twice("notification.attempted")),
    ("messages", book(messages=[])),
    ("messages", book(messages=[
        {"id": name, "destination": "84912345678", "text": "ma 123456"} for name in ("M1", "M2")
    ])),
    ("messages", book(acks=[{"what": "no_code", "dossier": D}])),
    ("one-stop system", without("dossier.reported")),
    ("one-stop system", book(history=[{"code": CODE, "status": 10}] * 2)),
    ("custody", book(mechanics={"box": [10000], "bin": [], "cells": {}})),
    ("custody", book(mechanics={"box": [10000], "bin": ["P1"], "cells": {"3": True}})),
    ("order of the log", altered(3, position=9)),
    ("order of the log", altered(3, version=7)),
    ("order of the log", altered(3, recorded_at=1)),
    ("hashes", altered(8, data={"code": "H30.12-261123-0002"})),
    ("hashes", altered(8, occurred_at=2)),
    ("hashes", altered(8, leaf_hash=bytes(32))),
    ("hashes", altered(8, raw=json.dumps({"code": CODE}).encode())),
]  # fmt: skip


def test_a_whole_story_is_whole() -> None:
    """Nothing is wrong where nothing is wrong."""
    assert not any(judge(evidence()).values())


def test_emptied_bins_and_recalled_results_are_somewhere_else() -> None:
    """What staff took out is not looked for inside; what came after is."""
    upkeep = [
        ("kiosk-VT01-1", "kiosk.result_loaded", {"cell": 4}),
        ("kiosk-VT01-1", "kiosk.result_recalled", {"cell": 4}),
        ("kiosk-VT01-1", "kiosk.bin_emptied", {"pouches": ["P1"]}),
        ("kiosk-VT01-1", "kiosk.dossier_deposited", {"pouch": "P2"}),
    ]
    whole = replace(evidence(), events=log_of([*STORY, *upkeep]))
    whole.mechanics["bin"] = ["P2"]
    assert not judge(whole)["custody"]
    whole.mechanics["cells"] = {"4": True}
    assert judge(whole)["custody"]


def test_a_note_outside_a_session_is_booked_as_nobodys() -> None:
    """It counts with those of the box; forgotten, doubled or given to a dossier it is a lie."""
    note = ("kiosk-VT01-1", "kiosk.cash_note_unplaced", {"denomination_vnd": 20000})
    name = f"e{len(STORY) + 1}"
    data = {"denomination_vnd": 20000, "note_event": name}
    booked = (f"payment-bank.cash.{name}", "payment.cash_unplaced", data)
    credited = (f"payment-{D}", "payment.cash_credited", data)
    box = {**evidence().mechanics, "box": [10000, 20000]}

    def told(*facts: tuple[str, str, dict[str, Any]]) -> list[str]:
        seen = replace(evidence(), events=log_of([*STORY, *facts]), mechanics=box)
        return list(judge(seen)["money"])

    assert not told(note, booked)
    for wrong in ((), (note,), (note, booked, booked), (note, credited), (booked,)):
        assert told(*wrong)


@pytest.mark.parametrize(("check", "lie"), LIES)
def test_a_lie_is_found(check: str, lie: Callable[[Evidence], Evidence]) -> None:
    """Every check finds its kind of lie."""
    assert judge(lie(evidence()))[check]
