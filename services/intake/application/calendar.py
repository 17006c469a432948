# SPDX-License-Identifier: Apache-2.0
"""Days off and swapped days, set and cleared by the province's editors."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from services.common.canonical import Json
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Cause, Change, Fact, Recorder

STREAM: Final = "calendar-VN"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDay:
    """A day off, or a weekend day that is worked; replaces what was said of it before."""

    day: date
    kind: str
    name_vi: str
    legal_basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearDay:
    """The day is like any other again."""

    day: date
    reason: str


def change_calendar(
    recorder: Recorder, command: SetDay | ClearDay, *, source: str, key: str, cause: Cause
) -> Appended:
    """Record it; due times that were given stay as they are. Idempotent by (source, key).

    Raises:
        Malformed: a kind or text that the contract does not know.
        Conflict: others were faster eight times in a row.
    """
    if isinstance(command, SetDay):
        name, data = "calendar.day_set", _data(command)
    else:
        name, data = "calendar.day_cleared", _data(command)

    def changes() -> list[Change]:
        version = recorder.log.stream_version(STREAM)
        return [
            Change(stream=STREAM, expected_version=version, facts=(Fact(type=name, data=data),))
        ]

    done = recorder.decide(changes, source=source, key=key, cause=cause, asked=[name, data])
    assert done is not None, "it always records something"
    return done


def _data(command: SetDay | ClearDay) -> dict[str, Json]:
    own: dict[str, Json] = {"day": command.day.isoformat()}
    if isinstance(command, SetDay):
        return own | {
            "kind": command.kind, "name_vi": command.name_vi, "legal_basis": command.legal_basis,
        }  # fmt: skip
    return own | {"reason": command.reason}
