# SPDX-License-Identifier: Apache-2.0
"""Taking a result out of its cell again: nobody came, or it is to be had elsewhere."""

from typing import cast

from services.common import contracts
from services.common.canonical import Json
from services.common.errors import Refused
from services.kiosk_sync.edge.agent.machine import (
    Intent,
    Machine,
    intend,
    known_dossier,
    require_staff,
    session_of,
)
from services.kiosk_sync.edge.agent.release import (
    DEVICE,
    RECALL,
    await_closed,
    outcome_of_recall,
    settle_locks,
)
from services.kiosk_sync.edge.store.fold import RELEASED


def recall(machine: Machine, dossier: str, *, staff: str) -> int:
    """Let an official take a result out of its cell; the citizen's code opens nothing any more.

    Returns:
        The number of the cell, empty now.

    Raises:
        Refused: ``staff_unknown``, ``not_in_a_cell``, ``already_recalled`` by somebody else,
            ``cell_empty``: the sensor contradicts the journal, which is journalled,
            ``still_inside``: the door was closed with the result inside, ``door_open``.
        Malformed: ``staff`` is no code.
    """
    with machine.busy:
        dossier = known_dossier(dossier)
        settle_locks(machine)
        held = machine.store.rows("SELECT cell FROM cell WHERE dossier = ?", dossier)
        if not held:
            return _before(machine, dossier, staff)
        cell = cast("int", held[0][0])
        recalled: dict[str, Json] = {"dossier": dossier, "cell": cell, "staff": staff}
        contracts.newest("kiosk.result_recalled").check(recalled)
        require_staff(machine, staff)
        session = session_of(machine, dossier)
        intent = Intent(
            device=DEVICE, verb=RECALL, session=session, dossier=dossier, detail=f"{cell} {staff}"
        )
        if not machine.locks.occupied(cell):
            _report(machine, intent, f"cell {cell} is empty")
            raise Refused("cell_empty", f"cell {cell} is empty", f"ngăn {cell} trống")
        with machine.store.transaction() as tx:
            intend(tx, intent)
        machine.locks.unlock(cell, session)
        await_closed(machine, cell)
        if not outcome_of_recall(machine, intent):
            raise Refused(
                "still_inside", "the result is still inside", "kết quả vẫn còn trong ngăn"
            )
        return cell


def _before(machine: Machine, dossier: str, staff: str) -> int:
    """Return the cell when the same official asks again; anybody else finds nothing to take."""
    found = machine.store.rows(
        "SELECT cell, staff FROM recall WHERE dossier = ? ORDER BY seq DESC LIMIT 1", dossier
    )
    if not found or machine.store.rows(
        "SELECT 1 FROM grant_state WHERE dossier = ? AND state = ?", dossier, RELEASED
    ):
        raise Refused(
            "not_in_a_cell", "the result lies in no cell here", "kết quả không nằm trong máy",
            field="dossier",
        )  # fmt: skip
    cell, who = found[0][0], str(found[0][1])
    if who != staff:
        raise Refused(
            "already_recalled", f"{who} took it out already", f"{who} đã lấy kết quả ra",
            field="dossier",
        )  # fmt: skip
    return cast("int", cell)


def _report(machine: Machine, intent: Intent, reason: str) -> None:
    with machine.store.transaction() as tx:
        tx.append(
            "kiosk.custody_unknown",
            {"dossier": intent.dossier, "place": "cell", "reason": reason, "pouch": None},
            session=intent.session, subject=intent.dossier,
        )  # fmt: skip
