# SPDX-License-Identifier: Apache-2.0
"""The machine as its flows see it: memory, devices, and one visit at a time."""

import threading
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

from services.common.clock import Clock
from services.common.errors import Refused
from services.kiosk_sync.edge.devices.ports import (
    CashValidator,
    LockBoard,
    PouchIntake,
    Printer,
)
from services.kiosk_sync.edge.store.store import Store, Transaction

CELLS: Final = 60
BIN: Final = 1
BIN_DEVICE: Final = "bin"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Everything a flow needs.

    Attributes:
        store: the machine's file.
        intake: pouch slot.
        cash: note validator.
        printer: slip printer.
        locks: cells.
        clock: time.
        centre_sign_key: the centre's Ed25519 public key; orders signed otherwise are nothing.
        staff: who may load, recall and empty.
        boot_session: stands for the visit where nobody is there.
        busy: held by the flow that uses the devices.
    """

    store: Store
    intake: PouchIntake
    cash: CashValidator
    printer: Printer
    locks: LockBoard
    clock: Clock
    centre_sign_key: bytes
    staff: frozenset[str] = frozenset()
    boot_session: str = field(default_factory=lambda: str(uuid4()))
    busy: threading.RLock = field(default_factory=threading.RLock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What the machine was about to do with a device when it wrote this down."""

    device: str
    verb: str
    session: str
    dossier: str
    detail: str


def intend(tx: Transaction, intent: Intent) -> None:
    """Write down what comes next with a device; one intent per device."""
    tx.rows(
        "INSERT INTO intent VALUES (?, ?, ?, ?, ?)",
        intent.device, intent.verb, intent.session, intent.dossier, intent.detail,
    )  # fmt: skip


def finish(tx: Transaction, device: str) -> None:
    """Nothing is under way with the device any more."""
    tx.rows("DELETE FROM intent WHERE device = ?", device)


def intent_of(store: Store, device: str) -> Intent | None:
    """Return what is under way with a device."""
    found = store.rows(
        "SELECT device, verb, session, dossier, detail FROM intent WHERE device = ?", device
    )
    if not found:
        return None
    device, verb, session, dossier, detail = (str(value) for value in found[0])
    return Intent(device=device, verb=verb, session=session, dossier=dossier, detail=detail)


def session_of(machine: Machine, dossier: str, otherwise: object = None) -> str:
    """Return the visit in which the dossier was handed in here, or another valid session."""
    found = machine.store.rows("SELECT session FROM deposit WHERE dossier = ?", dossier)
    if found:
        return str(found[0][0])
    try:
        return str(UUID(str(otherwise)))
    except ValueError:
        return machine.boot_session


def require_staff(machine: Machine, staff: str, *, field: str = "staff") -> None:
    """Raise Refused for anybody whom the machine's configuration does not name."""
    if staff not in machine.staff:
        raise Refused(
            "staff_unknown", "this person does not work at this machine",
            "người này không phụ trách máy này", field=field,
        )  # fmt: skip


def known_dossier(dossier: object) -> str:
    """Return the canonical form of a dossier id; raises Refused for anything else."""
    try:
        return str(UUID(str(dossier)))
    except ValueError as error:
        raise Refused(
            "dossier_invalid", "this is not a dossier id", "mã hồ sơ không hợp lệ", field="dossier"
        ) from error
