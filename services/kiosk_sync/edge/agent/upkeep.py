# SPDX-License-Identifier: Apache-2.0
"""What staff do inside a machine: take the pouches out of the bin, take back what nobody collected.

Both are journalled with who did it. A list of pouches is what two officials counted, never what
the machine believes; the centre compares the two and opens a case for what is missing.
"""

from collections.abc import Sequence
from typing import Final

from services.common import contracts
from services.common.canonical import Json
from services.common.errors import Refused
from services.kiosk_sync.edge.agent.machine import (
    Intent,
    Machine,
    intend,
    known_dossier,
    session_of,
)
from services.kiosk_sync.edge.agent.release import (
    DEVICE,
    RECALL,
    await_closed,
    outcome_of_recall,
    settle_locks,
)

_EMPTIED: Final = "kiosk.bin_emptied"


def empty_bin(
    machine: Machine, pouches: Sequence[str], *, bin_number: int, staff: str, second: str, seal: str
) -> None:
    """Journal that two officials took the counted pouches out of a bin into a sealed bag.

    Raises:
        Refused: ``two_persons``: the same official twice.
        Malformed: a field is not what the contract asks for.
    """
    if staff == second:
        raise Refused(
            "two_persons", "two officials are needed", "cần hai công chức cùng lấy hồ sơ",
            field="second_staff",
        )  # fmt: skip
    listed: list[Json] = [*pouches]
    data: dict[str, Json] = {
        "bin": bin_number, "staff": staff, "second_staff": second, "pouches": listed, "seal": seal,
    }  # fmt: skip
    contracts.newest(_EMPTIED).check(data)
    with machine.busy, machine.store.transaction() as tx:
        tx.append(_EMPTIED, data, session=machine.boot_session)


def recall(machine: Machine, dossier: str, *, staff: str) -> int:
    """Let an official take a result out of its cell; the citizen's code opens nothing any more.

    Returns:
        The number of the cell, empty now.

    Raises:
        Refused: ``not_in_a_cell``, ``still_inside``: the door was closed with the result inside,
            ``door_open``.
        Malformed: ``staff`` is no code.
    """
    with machine.busy:
        dossier = known_dossier(dossier)
        settle_locks(machine)
        held = machine.store.rows("SELECT cell FROM cell WHERE dossier = ?", dossier)
        if not held:
            raise Refused(
                "not_in_a_cell", "the result lies in no cell here", "kết quả không nằm trong máy",
                field="dossier",
            )  # fmt: skip
        cell = held[0][0]
        assert isinstance(cell, int), "the column is INTEGER in a STRICT table"
        recalled: dict[str, Json] = {"dossier": dossier, "cell": cell, "staff": staff}
        contracts.newest("kiosk.result_recalled").check(recalled)
        session = session_of(machine, dossier)
        intent = Intent(
            device=DEVICE, verb=RECALL, session=session, dossier=dossier, detail=f"{cell} {staff}"
        )
        with machine.store.transaction() as tx:
            intend(tx, intent)
        machine.locks.unlock(cell, session)
        await_closed(machine, cell)
        if not outcome_of_recall(machine, intent):
            raise Refused(
                "still_inside", "the result is still inside", "kết quả vẫn còn trong ngăn"
            )
        return cell
