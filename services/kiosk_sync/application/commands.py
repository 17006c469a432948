# SPDX-License-Identifier: Apache-2.0
"""Commands on machines: fold the machine's stream, decide, record."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from services.common.canonical import Json
from services.common.errors import Conflict
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Cause, Change, Fact, Recorder, facts_of
from services.kiosk_sync.domain.machine import (
    Command,
    EnrolMachine,
    Machine,
    QuarantineMachine,
    RevokeMachine,
    decide,
    fold,
)

_TRIES: Final = 4


def machine_of(log: EventLog, serial: str) -> Machine:
    """Return the machine as the log knows it."""
    return fold(facts_of(log.read_stream(f"config-{serial}")))


def order_machine(
    recorder: Recorder, serial: str, command: Command, *, source: str, key: str, cause: Cause
) -> Appended | None:
    """Carry out ``command``; None when it changes nothing. Idempotent by (source, key).

    Raises:
        Refused: as ``domain.machine.decide``, or ``idempotency_key_reused``.
        Conflict: the stream kept moving for four tries.
        Unavailable: the log is down.
    """
    asked: Json = [type(command).__name__, serial, asdict(command)]
    answered = recorder.answered(source=source, key=key, asked=asked)
    if answered is not None:
        return answered
    last: Conflict | None = None
    for _ in range(_TRIES):
        machine = machine_of(recorder.log, serial)
        facts = tuple(Fact(type=name, data=data) for name, data in decide(command, machine))
        if not facts:
            return None
        change = Change(stream=f"config-{serial}", expected_version=machine.version, facts=facts)
        try:
            return recorder.record([change], source=source, key=key, cause=cause, asked=asked)
        except Conflict as conflict:
            last = conflict
    assert last is not None, "the loop ends only after a conflict"
    raise last


COMMAND_HANDLERS: Final[dict[type[Command], Callable[..., Appended | None]]] = {
    EnrolMachine: order_machine,
    RevokeMachine: order_machine,
    QuarantineMachine: order_machine,
}
