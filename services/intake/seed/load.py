# SPDX-License-Identifier: Apache-2.0
"""Put procedures, offices, offers and the calendar into the log; repeated, it changes nothing."""

import json
import uuid
from collections.abc import Iterator
from importlib import resources
from typing import Any, Final

from services.common.canonical import Json
from services.common.eventlog.recording import Cause, Change, Fact, Recorder
from services.intake.application.calendar import STREAM as CALENDAR

SOURCE: Final = "seed"
SINCE: Final = "2024-01-01"


def procedures() -> list[dict[str, Any]]:
    """Return the procedures this project begins with: 37 returned, 23 of them accepted."""
    return _rows("procedures.json")


def offices() -> list[dict[str, Any]]:
    """Return the offices this project begins with, and what their machines offer."""
    return _rows("offices.json")


def calendar_days() -> list[dict[str, Any]]:
    """Return days off and swapped days of 2024–2029."""
    return _rows("calendar.json")


def seed(recorder: Recorder) -> int:
    """Publish procedures and calendar, open the offices; returns how many events are new."""
    cause = Cause(correlation_id=str(uuid.uuid4()), actor="system:seed")
    new = 0
    for stream, facts in streams():
        answer = recorder.record(
            [Change(stream=stream, expected_version=0, facts=facts)],
            source=SOURCE, key=f"{stream}/1", cause=cause, asked=[f.data for f in facts],
        )  # fmt: skip
        new += 0 if answer.duplicate else answer.count
    return new


def streams() -> Iterator[tuple[str, tuple[Fact, ...]]]:
    """Yield each stream and what it begins with."""
    for row in procedures():
        yield f"procedure-{row['code']}", (Fact(type="procedure.published", data=row),)
    for office in offices():
        name = str(office["office"])
        opened: dict[str, Json] = {
            field: office[field] for field in ("office", "agency_code", "name_vi", "name_sms")
        }
        yield f"office-{name}", (Fact(type="office.opened", data=opened),)
        yield (
            f"office-{name}.offers",
            tuple(Fact(type="office.procedure_offered", data=data) for data in _offers(office)),
        )
    yield CALENDAR, tuple(Fact(type="calendar.day_set", data=day) for day in calendar_days())


def _offers(office: dict[str, Any]) -> Iterator[dict[str, Json]]:
    for code in sorted({*office["accept"], *office["give_back"]}):
        yield {
            "office": office["office"],
            "procedure": code,
            "accept": code in office["accept"],
            "give_back": code in office["give_back"],
            "valid_from": SINCE,
        }


def _rows(name: str) -> list[dict[str, Any]]:
    text = resources.files("services.intake.seed").joinpath(name).read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)
    return rows
