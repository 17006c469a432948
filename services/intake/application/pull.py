# SPDX-License-Identifier: Apache-2.0
"""Ask the one-stop system which results are to be returned at a machine.

Runs in every replica: each result is one keyed request, so the second replica changes nothing.
"""

import uuid
from datetime import timedelta
from typing import Final

from services.common.errors import Conflict, Malformed, Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.recording import Cause
from services.common.telemetry.logs import get_logger
from services.intake.application.codes import Codes
from services.intake.application.commands import Commands
from services.intake.application.facts import data_of
from services.intake.application.imports import Complete, counter_id
from services.intake.application.ports import CounterDossier, OneStopPort, ReturnOrderLike
from services.intake.domain.dossier_code import read_code

SOURCE: Final = "timer:one_stop_pull"
_GIVES_CODE: Final = ("dossier.accepted", "dossier.supplement_received")
_SAME_MOMENT: Final = timedelta(minutes=1)
"""The one-stop system writes whole seconds, some whole minutes."""
_LOG = get_logger(__name__)


class PullReturns:
    """One look at the one-stop system."""

    def __init__(self, log: EventLog, one_stop: OneStopPort, commands: Commands) -> None:
        """Bind the log, the system and intake's commands."""
        self._log = log
        self._one_stop = one_stop
        self._commands = commands
        self._codes = Codes(log)

    def once(self) -> int:
        """Record every new result to be returned; returns how many were new.

        Raises:
            Unavailable: one-stop system or log down; the next look makes up for it.
        """
        new = 0
        self._codes.learn()
        for order in self._one_stop.to_return():
            try:
                new += self._take(order)
            except Refused as refusal:
                _LOG.info("return_order_refused", reason=refusal.code)
            except (Conflict, Malformed, ValueError, OverflowError) as error:
                # One order must not hold up those behind it; the next look tries it again.
                # ValueError: a text or time that has no place in the log, whatever the system sent.
                _LOG.warning("return_order_left_out", reason=type(error).__name__)
        return new

    def _take(self, order: ReturnOrderLike) -> bool:
        """Record one order; says whether it was new."""
        code = _code_of(order)
        dossier = None if code is None else self._dossier_of(code, order)
        if code is None or dossier is None:
            _LOG.warning("return_order_for_unknown_code")
            return False
        command = Complete(
            dossier=dossier,
            code=code,
            result_number=order.result_number,
            machine=order.machine,
            counter=order.counter,
        )
        cause = Cause(correlation_id=str(uuid.UUID(dossier)), actor="system:one_stop")
        done = self._commands.complete(command, source=SOURCE, key=f"{code}/9", cause=cause)
        return done is not None and not done.duplicate

    def _dossier_of(self, code: str, order: ReturnOrderLike) -> str | None:
        """Return the dossier's id; a new one's where the order itself tells what it is.

        Raises:
            Refused: ``code_taken``: the order tells of another dossier than ours with that code.
        """
        known = self._codes.find(code)
        if order.counter is None:
            return known
        if known is None:
            return counter_id(code, order.counter)
        if not self._may_be(known, order.counter):
            raise Refused(
                "code_taken", "two dossiers have this code", "hai hồ sơ trùng mã", field="code"
            )
        return known

    def _may_be(self, dossier: str, told: CounterDossier) -> bool:
        """Say whether what is told may be of ``dossier``; one from the counter is known by code."""
        events = self._log.read_stream(f"dossier-{dossier}")
        ours = [e for e in events if e.type in {"dossier.registered", *_GIVES_CODE}]
        if len(ours) < 2:  # noqa: PLR2004 - imported: told in one event
            return True
        apart = abs(ours[1].occurred_at - told.accepted_at)
        return apart < _SAME_MOMENT and data_of(ours[0])["procedure"] == told.procedure


def _code_of(order: ReturnOrderLike) -> str | None:
    """Return the order's code in the form of the law, None for what is no code."""
    try:
        return read_code(order.code)
    except Refused:
        return None
