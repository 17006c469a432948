# SPDX-License-Identifier: Apache-2.0
"""What the province's editors change: procedures, what offices offer, names of offices.

Everything takes effect from a day on that is not past; dossiers that are open keep the version and
the due time they were given (Decree 61/2018 article 17: what applied at the hand-in applies).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from services.common.canonical import Json
from services.common.clock import VIETNAM, Clock
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Cause, Change, Fact, Recorder
from services.intake.application.facts import data_of, office_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of the catalogue.

    Attributes:
        event: ``procedure.published``, ``office.procedure_offered`` or ``office.renamed``.
        about: the procedure's code or the office's id.
        data: the other fields of the event's contract.
    """

    event: str
    about: str
    data: Mapping[str, Any]


def change_catalogue(
    recorder: Recorder, clock: Clock, command: Edit, *, source: str, key: str, cause: Cause
) -> Appended:
    """Record an edit; idempotent by (source, key).

    Raises:
        Refused: ``retroactive``, ``not_later``, ``unknown_office``, ``unknown_procedure``,
            ``not_at_machines``.
        Malformed: a field that the contract does not take.
        Conflict: others were faster eight times in a row.
    """
    kind = _KINDS[command.event]
    data: dict[str, Json] = {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in {**command.data, kind.name: command.about}.items()
    }

    def changes() -> list[Change]:
        _require_not_past(date.fromisoformat(str(data["valid_from"])), clock)
        kind.require(recorder.log, data)
        stream = kind.stream.format(about=command.about)
        return [
            Change(
                stream=stream,
                expected_version=recorder.log.stream_version(stream),
                facts=(Fact(type=command.event, data=data),),
            )
        ]

    asked: list[Json] = [command.event, data]
    done = recorder.decide(changes, source=source, key=key, cause=cause, asked=asked)
    assert done is not None, "it always records something"
    return done


def versions(log: EventLog, code: str) -> list[dict[str, Json]]:
    """Return every version of a procedure with its number; raises ``unknown_procedure``."""
    events = log.read_stream(f"procedure-{code}")
    if not events:
        raise _unknown_procedure(code)
    return [{"version": event.version, **data_of(event)} for event in events]


# --- rules ----------------------------------------------------------------------------------------


def _require_not_past(day: date, clock: Clock) -> None:
    today = clock.now().astimezone(VIETNAM).date()
    if day < today:
        raise Refused(
            "retroactive", f"{day} is past; nothing changes backwards",
            f"{day} đã qua; không thay đổi hồi tố", field="valid_from",
        )  # fmt: skip


def _require_later(log: EventLog, data: Mapping[str, Json]) -> None:
    """A version replaces the one before it, from the same day on or later."""
    events = log.read_stream(f"procedure-{data['code']}")
    if events and str(data_of(events[-1])["valid_from"]) > str(data["valid_from"]):
        raise Refused(
            "not_later", "a later version is published already", "đã có phiên bản hiệu lực sau",
            field="valid_from",
        )  # fmt: skip


def _require_offerable(log: EventLog, data: Mapping[str, Json]) -> None:
    day = date.fromisoformat(str(data["valid_from"]))
    office_of(log, str(data["office"]), day)
    code = str(data["procedure"])
    in_force = [
        version for version in versions(log, code) if str(version["valid_from"]) <= day.isoformat()
    ]
    if not in_force:
        raise _unknown_procedure(code)
    for flag, able in (("accept", "accept_at_machine"), ("give_back", "return_at_machine")):
        if data[flag] and not in_force[-1][able]:
            raise Refused(
                "not_at_machines", "the procedure does not go through machines that way",
                "thủ tục không thực hiện qua máy theo cách này", field=flag,
            )  # fmt: skip


def _require_office(log: EventLog, data: Mapping[str, Json]) -> None:
    office_of(log, str(data["office"]), date.fromisoformat(str(data["valid_from"])))


def _unknown_procedure(code: str) -> Refused:
    return Refused(
        "unknown_procedure", f"no procedure {code} on that day",
        f"không có thủ tục {code} vào ngày đó", field="procedure",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Kind:
    """Which stream an edit goes to, which field names what it is about, and its rule."""

    stream: str
    name: str
    require: Callable[[EventLog, Mapping[str, Json]], None]


_KINDS: Final = {
    "procedure.published": _Kind("procedure-{about}", "code", _require_later),
    "office.procedure_offered": _Kind("office-{about}.offers", "office", _require_offerable),
    "office.renamed": _Kind("office-{about}", "office", _require_office),
}
