# SPDX-License-Identifier: Apache-2.0
"""What the province's editors change: procedures, what offices offer, names of offices.

Everything takes effect from a day on that is not past; dossiers that are open keep the version and
the due time they were given (Decree 61/2018 article 17: what applied at the hand-in applies).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from services.common.canonical import Json
from services.common.clock import VIETNAM, Clock
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import Appended, RecordedEvent
from services.common.eventlog.recording import Cause, Change, Fact, Recorder
from services.common.fees import require_sound
from services.intake.application.facts import data_of, office_of
from services.intake.domain.dossier_code import is_agency_code

_PLAIN: Final = re.compile(r"[A-Za-z0-9 .,:/()'&-]+")


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
            ``not_at_machines``, ``not_an_agency_code``, ``agency_code_taken``, ``not_plain``,
            ``fee_incomplete``, ``exemption_repeated``, ``fee_too_high``.
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


def _require_version(log: EventLog, data: Mapping[str, Json]) -> None:
    _require_later(log.read_stream(f"procedure-{data['code']}"), data)
    require_sound(data)


def _require_later(events: Iterable[RecordedEvent], data: Mapping[str, Json]) -> None:
    """The last word replaces the one before it, from the same day on or later."""
    if any(str(data_of(event)["valid_from"]) > str(data["valid_from"]) for event in events):
        raise Refused(
            "not_later", "what begins on a later day is recorded already",
            "đã có thay đổi với ngày hiệu lực sau", field="valid_from",
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
    offers = log.read_stream(f"office-{data['office']}.offers")
    _require_later((event for event in offers if data_of(event)["procedure"] == code), data)


def _require_name(log: EventLog, data: Mapping[str, Json]) -> None:
    """A name that codes begin with and text messages can hold, or nobody is served under it."""
    office_of(log, str(data["office"]), date.fromisoformat(str(data["valid_from"])))
    if not is_agency_code(str(data["agency_code"])):
        raise Refused(
            "not_an_agency_code", "an agency code looks like H30.12 or 000.00.12.H30",
            "mã cơ quan có dạng H30.12 hoặc 000.00.12.H30", field="agency_code",
        )  # fmt: skip
    if _is_of_another(log, data):
        raise Refused(
            "agency_code_taken", "another office gives or gave codes that begin so",
            "bộ phận khác đang hoặc đã cấp mã hồ sơ với mã cơ quan này", field="agency_code",
        )  # fmt: skip
    if _PLAIN.fullmatch(str(data["name_sms"])) is None:
        raise Refused(
            "not_plain", "text messages take letters without accents, digits and . , : / ( ) ' & -",
            "tin nhắn chỉ dùng chữ không dấu, chữ số và . , : / ( ) ' & -", field="name_sms",
        )  # fmt: skip
    names = log.read_stream(f"office-{data['office']}")
    _require_later((event for event in names if event.type == "office.renamed"), data)


def _is_of_another(log: EventLog, data: Mapping[str, Json]) -> bool:
    """Say whether another office ever had the agency code: its old codes are valid for ever."""
    after = 0
    while events := log.read_all(after, types=["office.opened", "office.renamed"]):
        for event in events:
            named = data_of(event)
            same = named["agency_code"] == data["agency_code"]
            if same and named["office"] != data["office"]:
                return True
        after = events[-1].position
    return False


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
    "procedure.published": _Kind("procedure-{about}", "code", _require_version),
    "office.procedure_offered": _Kind("office-{about}.offers", "office", _require_offerable),
    "office.renamed": _Kind("office-{about}", "office", _require_name),
}
