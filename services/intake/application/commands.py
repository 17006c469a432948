# SPDX-License-Identifier: Apache-2.0
"""Commands of officials and timers: fold from the log, decide, record once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from services.common.canonical import Json
from services.common.clock import Clock
from services.common.errors import Refused
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Cause, Change, Recorder
from services.intake.application.facts import dossier_of, facts, office_of_machine
from services.intake.application.imports import Complete, import_done
from services.intake.application.officials import ACTS, Desk
from services.intake.application.ports import CalendarOf
from services.intake.domain.acts import CompleteDossier
from services.intake.domain.dossier import decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Perform:
    """An official does something with a dossier of the own office.

    Attributes:
        verb: a word of ``officials.ACTS``.
        dossier: its id.
        official: who.
        office: whose official.
        words: what the official gave, as the verb's schema loads it.
    """

    verb: str
    dossier: str
    official: str
    office: str
    words: Mapping[str, Any] = field(default_factory=dict)


class Commands:
    """Intake's command handlers, bound to what they need."""

    def __init__(self, recorder: Recorder, clock: Clock, calendar_of: CalendarOf) -> None:
        """Bind recorder, clock and calendar."""
        self._recorder = recorder
        self._log = recorder.log
        self._clock = clock
        self._calendar_of = calendar_of

    def perform(self, command: Perform, *, source: str, key: str, cause: Cause) -> Appended | None:
        """Do what an official asks; idempotent by (source, key); None when it is so already.

        A dossier code's running number is the version of the office's code stream of the day, so
        two officials can never give the same code.

        Raises:
            Refused: ``other_office``, ``not_registered``, ``wrong_status``, and what the verb's
                rules name (``officials``, ``domain.dossier``).
            Conflict: others were faster eight times in a row.
        """

        def changes() -> list[Change]:
            dossier = dossier_of(self._log, command.dossier)
            if dossier.office and dossier.office != command.office:
                raise Refused(
                    "other_office", "the dossier belongs to another office",
                    "hồ sơ thuộc bộ phận khác", field="dossier",
                )  # fmt: skip
            desk = Desk(
                log=self._log,
                calendar_of=self._calendar_of,
                now=self._clock.now(),
                identifier=command.dossier,
                dossier=dossier,
                official=command.official,
                office=command.office,
            )
            decided = decide(ACTS[command.verb](desk, command.words), dossier)
            if not decided:
                return []
            done = Change(
                stream=f"dossier-{command.dossier}",
                expected_version=dossier.version,
                facts=facts(decided, command.dossier),
            )
            return [done, *desk.given]

        asked: Json = [command.verb, command.dossier, command.official, _plain(command.words)]
        return self._recorder.decide(changes, source=source, key=key, cause=cause, asked=asked)

    def complete(
        self, command: Complete, *, source: str, key: str, cause: Cause
    ) -> Appended | None:
        """Note that the result is to be returned at a machine; None when it is so already.

        A dossier from the counter is imported in the same request (Decree 61/2018 article 14: the
        result may be collected at any place of the one-stop mechanism).

        Raises:
            Refused: ``not_registered``, ``wrong_status``, ``unknown_procedure``,
                ``unknown_machine``.
            Conflict: as ``perform``.
        """

        def changes() -> list[Change]:
            dossier = dossier_of(self._log, command.dossier)
            office_of_machine(self._log, command.machine)
            done = CompleteDossier(
                result_number=command.result_number,
                return_channel="machine",
                return_machine=command.machine,
            )
            if dossier.version == 0 and command.counter is not None:
                return import_done(self._log, command, command.counter, done)
            decided = facts(decide(done, dossier), command.dossier)
            if not decided:
                return []
            stream = f"dossier-{command.dossier}"
            return [Change(stream=stream, expected_version=dossier.version, facts=decided)]

        asked: Json = ["complete", command.code, command.machine, command.result_number]
        return self._recorder.decide(changes, source=source, key=key, cause=cause, asked=asked)


def _plain(words: Mapping[str, Any]) -> dict[str, Json]:
    return {
        name: value.isoformat() if isinstance(value, date) else value
        if isinstance(value, str | int | list | None) else str(value)
        for name, value in words.items()
    }  # fmt: skip


COMMAND_HANDLERS: Final = {Perform: Commands.perform, Complete: Commands.complete}
