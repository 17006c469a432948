# SPDX-License-Identifier: Apache-2.0
"""Commands of officials and timers: fold from the log, decide, record once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.common.canonical import Json
from services.common.clock import VIETNAM, Clock
from services.common.errors import Conflict, Refused
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Cause, Change, Fact, Recorder
from services.intake.application.facts import (
    dossier_of,
    facts,
    fee_settled,
    office_of,
    procedure_of,
)
from services.intake.application.ports import CalendarOf
from services.intake.domain.deadline import due_at
from services.intake.domain.dossier import AcceptDossier, CompleteDossier, decide
from services.intake.domain.dossier_code import make_code

_TRIES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """An official accepts a dossier."""

    dossier: str
    official: str
    office: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """The one-stop system wants a result returned at a machine."""

    dossier: str
    code: str
    result_number: str
    machine: str


class Commands:
    """Intake's command handlers, bound to what they need."""

    def __init__(self, recorder: Recorder, clock: Clock, calendar_of: CalendarOf) -> None:
        """Bind recorder, clock and calendar."""
        self._recorder = recorder
        self._log = recorder.log
        self._clock = clock
        self._calendar_of = calendar_of

    def accept(self, command: Accept, *, source: str, key: str, cause: Cause) -> Appended:
        """Accept a dossier: code, due time, status 2. Idempotent by (source, key).

        The code's running number is the version of the office's code stream of the day, so two
        officials can never give the same code.

        Raises:
            Refused: ``not_registered``, ``wrong_status``, ``fee_unpaid``, ``other_office``.
            Conflict: others were faster eight times in a row.
        """

        def changes() -> list[Change]:
            dossier = dossier_of(self._log, command.dossier)
            if dossier.office and dossier.office != command.office:
                raise Refused(
                    "other_office", "the dossier belongs to another office",
                    "hồ sơ thuộc bộ phận khác", field="dossier",
                )  # fmt: skip
            now = self._clock.now()
            today = now.astimezone(VIETNAM).date()
            office = office_of(self._log, command.office)
            codes = f"office-{command.office}.codes.{today:%y%m%d}"
            number = self._log.stream_version(codes)
            days = 0
            if dossier.procedure:
                procedure = procedure_of(self._log, dossier.procedure, dossier.procedure_version)
                days = int(str(procedure["working_days"]))
            code = make_code(str(office["agency_code"]), today, number + 1)
            decided = decide(
                AcceptDossier(
                    code=code,
                    official=command.official,
                    due_at=due_at(now, days, self._calendar_of(today.year)).isoformat(),
                    working_days=days,
                    fee_settled=fee_settled(self._log, command.dossier),
                ),
                dossier,
            )
            given: dict[str, Json] = {
                "office": command.office, "code": code, "dossier": command.dossier,
            }  # fmt: skip
            assigned = Fact(type="office.code_assigned", data=given, subject=command.dossier)
            return [
                Change(
                    stream=f"dossier-{command.dossier}",
                    expected_version=dossier.version,
                    facts=facts(decided, command.dossier),
                ),
                Change(stream=codes, expected_version=number, facts=(assigned,)),
            ]

        asked: Json = ["accept", command.dossier, command.official]
        appended = self._record(changes, source=source, key=key, cause=cause, asked=asked)
        assert appended is not None, "an acceptance always records something"
        return appended

    def complete(
        self, command: Complete, *, source: str, key: str, cause: Cause
    ) -> Appended | None:
        """Note that the result is to be returned at a machine; None when it is so already.

        Raises:
            Refused: ``not_registered``, ``wrong_status``.
            Conflict: as ``accept``.
        """

        def changes() -> list[Change]:
            dossier = dossier_of(self._log, command.dossier)
            done = CompleteDossier(
                result_number=command.result_number, return_machine=command.machine
            )
            decided = facts(decide(done, dossier), command.dossier)
            if not decided:
                return []
            stream = f"dossier-{command.dossier}"
            return [Change(stream=stream, expected_version=dossier.version, facts=decided)]

        asked: Json = ["complete", command.code, command.machine, command.result_number]
        return self._record(changes, source=source, key=key, cause=cause, asked=asked)

    def _record(
        self,
        changes: Callable[[], list[Change]],
        *,
        source: str,
        key: str,
        cause: Cause,
        asked: Json,
    ) -> Appended | None:
        """Decide and record; fold and decide again when a stream moved on meanwhile."""
        answered = self._recorder.answered(source=source, key=key, asked=asked)
        if answered is not None:
            return answered
        last: Conflict | None = None
        for _ in range(_TRIES):
            decided = changes()
            if not decided:
                return None
            try:
                return self._recorder.record(
                    decided, source=source, key=key, cause=cause, asked=asked
                )
            except Conflict as conflict:
                last = conflict
        assert last is not None, "the loop ends only after a conflict"
        raise last


COMMAND_HANDLERS: Final = {Accept: Commands.accept, Complete: Commands.complete}
