# SPDX-License-Identifier: Apache-2.0
"""Put the first procedures and the first office into the log; changes nothing when repeated."""

import json
import uuid
from importlib import resources
from typing import Final

from services.common.canonical import Json
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Cause, Change, Fact, Recorder

SOURCE: Final = "seed"
OFFICE: Final[dict[str, Json]] = {
    "office": "VT",
    "agency_code": "H30.12",
    "name_vi": "Bộ phận một cửa thành phố Vị Thanh",
    "name_sms": "UBND TP Vi Thanh",
}


def procedures() -> list[dict[str, Json]]:
    """Return the procedures this project begins with: 37 returned, 23 of them accepted."""
    text = resources.files("services.intake.seed").joinpath("procedures.json")
    rows: list[dict[str, Json]] = json.loads(text.read_text(encoding="utf-8"))
    return rows


def seed(recorder: Recorder) -> int:
    """Publish procedures and open the office; returns how many events are new."""
    cause = Cause(correlation_id=str(uuid.uuid4()), actor="system:seed")
    facts = [(f"procedure-{row['code']}", "procedure.published", row) for row in procedures()]
    facts.append((f"office-{OFFICE['office']}", "office.opened", OFFICE))
    new = 0
    for stream, event_type, data in facts:
        change = Change(
            stream=stream, expected_version=0, facts=(Fact(type=event_type, data=data),)
        )
        answer: Appended = recorder.record(
            [change], source=SOURCE, key=f"{stream}/1", cause=cause, asked=data
        )
        new += 0 if answer.duplicate else answer.count
    return new
