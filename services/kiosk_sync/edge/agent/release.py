# SPDX-License-Identifier: Apache-2.0
"""Results: an official lays one into a cell, a citizen with the code takes it out.

A door opens only after the record that allows it is on disk. After a cut the door and the sensor
say how it ended: empty and closed is released, full and closed is not collected and the grant
still stands. One door at a time.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from services.common import contracts
from services.common.canonical import Json, parse_json
from services.common.errors import Refused
from services.kiosk_sync.edge.agent.machine import (
    CELLS,
    Intent,
    Machine,
    finish,
    intend,
    intent_of,
    known_dossier,
    require_staff,
    session_of,
)
from services.kiosk_sync.edge.store.fold import RECALLED, RELEASED
from services.kiosk_sync.protocol import event_id

DEVICE: Final = "locks"
RECALL: Final = "recall"
_LOAD: Final = "load"
_RELEASE: Final = "release"
_DOOR_S: Final = 120
_POLL_S: Final = 0.1
_SCRYPT_MEMORY: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A right to release one result, as the machine holds it."""

    grant: str
    dossier: str
    cell: int
    state: str
    tries_left: int
    not_after: datetime
    code_hash: Mapping[str, Json] | None


def load(machine: Machine, dossier: str, *, cell: int, staff: str) -> None:
    """Let an official lay a result into a cell.

    Raises:
        Refused: ``cell_taken``, ``cell_unknown``, ``cell_empty``, ``staff_unknown``, ``door_open``.
        Malformed: ``staff`` is no code.
    """
    with machine.busy:
        dossier = known_dossier(dossier)
        settle_locks(machine)
        if not 1 <= cell <= CELLS:
            raise Refused("cell_unknown", f"cells are 1 to {CELLS}", "không có ngăn này")
        held = machine.store.rows(
            "SELECT cell, dossier FROM cell WHERE cell = ? OR dossier = ?", cell, dossier
        )
        if held == [(cell, dossier)]:
            return
        if held:
            raise Refused("cell_taken", "cell or dossier is in use", "ngăn hoặc hồ sơ đã được dùng")
        loaded: dict[str, Json] = {"dossier": dossier, "cell": cell, "staff": staff}
        contracts.newest("kiosk.result_loaded").check(loaded)
        require_staff(machine, staff)
        session = session_of(machine, dossier)
        intent = Intent(
            device=DEVICE, verb=_LOAD, session=session, dossier=dossier, detail=f"{cell} {staff}"
        )
        with machine.store.transaction() as tx:
            intend(tx, intent)
        machine.locks.unlock(cell, session)
        await_closed(machine, cell)
        occupied = machine.locks.occupied(cell)
        with machine.store.transaction() as tx:
            finish(tx, DEVICE)
            if occupied:
                tx.append("kiosk.result_loaded", loaded, session=session, subject=dossier)
        if not occupied:
            raise Refused("cell_empty", "nothing lies in the cell", "ngăn vẫn trống")


def collect(machine: Machine, dossier: str, code: str) -> bool:
    """Release the result to whoever knows the code; False when it was left in the cell.

    Raises:
        Refused: ``no_grant``, ``already_returned``, ``expired``, ``locked``, ``wrong_code``,
            ``recalled``, ``door_open``.
    """
    with machine.busy:
        dossier = known_dossier(dossier)
        settle_locks(machine)
        grant = grant_of(machine, dossier)
        if grant is None:
            raise Refused("no_grant", "no result to collect here", "chưa có kết quả tại máy")
        if grant.state == RELEASED:
            raise Refused("already_returned", "it was taken already", "kết quả đã được lấy")
        if grant.state == RECALLED:
            raise Refused(
                "recalled", "collect it at the counter", "mời nhận kết quả tại bộ phận một cửa"
            )
        if not machine.store.rows(
            "SELECT 1 FROM cell WHERE cell = ? AND dossier = ?", grant.cell, dossier
        ):
            # A right that came after the recall: the cell is empty or somebody else's.
            raise Refused("no_grant", "no result to collect here", "chưa có kết quả tại máy")
        session = session_of(machine, dossier)
        _verify(machine, grant, code, session)
        intent = Intent(
            device=DEVICE, verb=_RELEASE, session=session, dossier=dossier,
            detail=f"{grant.cell} {grant.grant}",
        )  # fmt: skip
        with machine.store.transaction() as tx:
            record = tx.append(
                "kiosk.release_authorised",
                {"grant": grant.grant, "dossier": dossier, "cell": grant.cell},
                session=session,
                subject=dossier,
            )
            intend(tx, intent)
        identity = machine.store.identity
        reason = event_id(identity.serial, identity.epoch, record.seq, record.occurred_at_us)
        machine.locks.unlock(grant.cell, str(reason))
        await_closed(machine, grant.cell)
        return _outcome(machine, intent)


def grant_of(machine: Machine, dossier: str) -> Grant | None:
    """Return the newest right to release the dossier's result."""
    found = machine.store.rows(
        "SELECT grant_id, cell, state, tries_left FROM grant_state WHERE dossier = ?"
        " ORDER BY seq DESC LIMIT 1",
        dossier,
    )
    if not found:
        return None
    grant, cell, state, tries_left = found[0]
    for row in machine.store.rows(
        "SELECT document FROM order_in WHERE dossier = ? AND type = 'grant.release_issued'", dossier
    ):
        order = cast("Mapping[str, Mapping[str, Json]]", parse_json(cast("bytes", row[0])))
        if order["data"]["grant"] == grant:
            return Grant(
                grant=str(grant),
                dossier=dossier,
                cell=cast("int", cell),
                state=str(state),
                tries_left=cast("int", tries_left),
                not_after=datetime.fromisoformat(str(order["data"]["not_after"])),
                code_hash=order.get("code_hash"),
            )
    return None


def settle_locks(machine: Machine) -> None:
    """Finish what a cut left at a cell, by what door and sensor say.

    Raises:
        Refused: ``door_open``: the outcome cannot be known yet, no other door may open.
    """
    intent = intent_of(machine.store, DEVICE)
    if intent is None:
        return
    cell = int(intent.detail.split(" ")[0])
    if not machine.locks.door_closed(cell):
        raise Refused("door_open", f"close the door of cell {cell}", f"hãy đóng cửa ngăn {cell}")
    if intent.verb == _RELEASE:
        _outcome(machine, intent)
        return
    if intent.verb == RECALL:
        outcome_of_recall(machine, intent)
        return
    occupied = machine.locks.occupied(cell)
    with machine.store.transaction() as tx:
        finish(tx, DEVICE)
        if occupied:
            reason = f"loading of cell {cell} was cut off"
            tx.append(
                "kiosk.custody_unknown",
                {"dossier": intent.dossier, "place": "cell", "reason": reason, "pouch": None},
                session=intent.session, subject=intent.dossier,
            )  # fmt: skip


def outcome_of_recall(machine: Machine, intent: Intent) -> bool:
    """Journal a recall if the cell is empty; says whether it is."""
    cell, staff = intent.detail.split(" ")
    empty = not machine.locks.occupied(int(cell))
    with machine.store.transaction() as tx:
        if empty:
            tx.append(
                "kiosk.result_recalled",
                {"dossier": intent.dossier, "cell": int(cell), "staff": staff},
                session=intent.session, subject=intent.dossier,
            )  # fmt: skip
        finish(tx, DEVICE)
    return empty


def _outcome(machine: Machine, intent: Intent) -> bool:
    cell, grant = intent.detail.split(" ")
    released = not machine.locks.occupied(int(cell))
    name = "kiosk.result_released" if released else "kiosk.result_uncollected"
    with machine.store.transaction() as tx:
        tx.append(
            name, {"grant": grant, "dossier": intent.dossier, "cell": int(cell)},
            session=intent.session, subject=intent.dossier,
        )  # fmt: skip
        finish(tx, DEVICE)
    return released


def _verify(machine: Machine, grant: Grant, code: str, session: str) -> None:
    if machine.clock.now() > grant.not_after:
        _refuse(machine, grant, session, "expired")
        raise Refused("expired", "the right to release has run out", "đã quá hạn nhận tại máy")
    if grant.tries_left == 0:
        _refuse(machine, grant, session, "locked")
        raise Refused("locked", "too many wrong codes", "nhập sai mã quá nhiều lần")
    if not _code_is_right(code, grant.code_hash):
        _refuse(machine, grant, session, "wrong_code")
        raise Refused("wrong_code", "the code is wrong", "mã nhận không đúng", field="code")


def _refuse(machine: Machine, grant: Grant, session: str, reason: str) -> None:
    left = grant.tries_left - (reason == "wrong_code")
    with machine.store.transaction() as tx:
        tx.append(
            "kiosk.release_refused",
            {"grant": grant.grant, "dossier": grant.dossier, "reason": reason, "tries_left": left},
            session=session, subject=grant.dossier,
        )  # fmt: skip


def _code_is_right(code: str, wanted: Mapping[str, Json] | None) -> bool:
    if wanted is None:
        return False
    n, r, p, length = (cast("int", wanted[name]) for name in ("n", "r", "p", "length"))
    got = hashlib.scrypt(
        code.encode(), salt=bytes.fromhex(str(wanted["salt"])), n=n, r=r, p=p, dklen=length,
        maxmem=_SCRYPT_MEMORY,
    )  # fmt: skip
    return hmac.compare_digest(got, bytes.fromhex(str(wanted["hash"])))


def await_closed(machine: Machine, cell: int) -> None:
    """Wait until the door is closed; raises Refused ``door_open`` after two minutes."""
    deadline = machine.clock.monotonic_s() + _DOOR_S
    while not machine.locks.door_closed(cell):
        if machine.clock.monotonic_s() > deadline:
            raise Refused("door_open", f"close the door of cell {cell}", f"hãy đóng ngăn {cell}")
        machine.clock.sleep(_POLL_S)
