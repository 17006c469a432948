# SPDX-License-Identifier: Apache-2.0
"""A machine's right to speak: enrolled per epoch, revoked or quarantined at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from services.common.errors import Refused

Data = Mapping[str, object]
Fact = tuple[str, dict[str, str | int]]

MAY_SPEAK: Final = "may_speak"
UNKNOWN: Final = "unknown"
REVOKED: Final = "revoked"
QUARANTINED: Final = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolMachine:
    """Let a machine speak under a new epoch; ``approved_by`` is the second officer."""

    serial: str
    epoch: int
    office: str
    tls_fingerprint: str
    sign_key: str
    approved_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeMachine:
    """Take the right away, for example because the machine was stolen."""

    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineMachine:
    """Two histories were seen under one identity."""

    epoch: int
    seq: int
    reason: str


Command = EnrolMachine | RevokeMachine | QuarantineMachine


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the centre knows of a machine's identity; ``version`` is the stream's."""

    version: int = 0
    standing: str = UNKNOWN
    epoch: int = 0
    office: str = ""
    tls_fingerprint: str = ""
    sign_key: str = ""


def evolve(machine: Machine, event_type: str, data: Data) -> Machine:
    """Apply one ``config.*`` event; never refuses."""
    grown = replace(machine, version=machine.version + 1)
    if event_type == "config.machine_enrolled":
        return replace(
            grown,
            standing=MAY_SPEAK,
            epoch=int(str(data["epoch"])),
            office=str(data["office"]),
            tls_fingerprint=str(data["tls_fingerprint"]),
            sign_key=str(data["sign_key"]),
        )
    if event_type == "config.machine_revoked":
        return replace(grown, standing=REVOKED)
    if event_type == "config.machine_quarantined":
        return replace(grown, standing=QUARANTINED)
    return grown


def fold(events: Sequence[tuple[str, Data]]) -> Machine:
    """Return the machine after ``events``."""
    machine = Machine()
    for event_type, data in events:
        machine = evolve(machine, event_type, data)
    return machine


def decide(command: Command, machine: Machine) -> list[Fact]:
    """Return the events ``command`` causes.

    Raises:
        Refused: ``epoch_not_next`` (an identity never goes back), ``not_enrolled``.
    """
    match command:
        case EnrolMachine():
            return _enrol(command, machine)
        case RevokeMachine():
            _require_enrolled(machine)
            return [("config.machine_revoked", {"reason": command.reason, "by": command.by})]
        case QuarantineMachine():
            _require_enrolled(machine)
            facts: dict[str, str | int] = {
                "epoch": command.epoch, "seq": command.seq, "reason": command.reason,
            }  # fmt: skip
            return (
                [] if machine.standing == QUARANTINED else [("config.machine_quarantined", facts)]
            )
        case _:
            assert_never(command)


def _enrol(command: EnrolMachine, machine: Machine) -> list[Fact]:
    if command.epoch != machine.epoch + 1:
        raise Refused(
            "epoch_not_next",
            f"the next epoch of {command.serial} is {machine.epoch + 1}",
            f"kỳ tiếp theo của máy {command.serial} là {machine.epoch + 1}",
            field="epoch",
        )
    facts: dict[str, str | int] = {
        "serial": command.serial,
        "epoch": command.epoch,
        "office": command.office,
        "tls_fingerprint": command.tls_fingerprint,
        "sign_key": command.sign_key,
        "approved_by": command.approved_by,
    }
    return [("config.machine_enrolled", facts)]


def _require_enrolled(machine: Machine) -> None:
    if machine.standing == UNKNOWN:
        raise Refused(
            "not_enrolled", "no such machine is enrolled", "máy chưa được ghi danh", field="serial"
        )
