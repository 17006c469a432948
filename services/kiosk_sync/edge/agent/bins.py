# SPDX-License-Identifier: Apache-2.0
"""Emptying a bin: two officials take the pouches out, scan each, and seal the bag.

The machine cannot look into the bin, so the list is what the officials counted, never what the
machine believes (``expected``); the centre opens a case for what is missing. From the opening to
the list no pouch is taken in, also across a cut: the officials go on where they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast
from uuid import uuid4

from services.common import contracts
from services.common.canonical import Json
from services.common.errors import Refused
from services.kiosk_sync.edge.agent.deposit import settle_intake
from services.kiosk_sync.edge.agent.machine import (
    BIN,
    BIN_DEVICE,
    Intent,
    Machine,
    finish,
    intend,
    intent_of,
    require_staff,
)

_EMPTIED: Final = "kiosk.bin_emptied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptying:
    """What two officials do with a bin.

    Attributes:
        bin: its number.
        staff: who opens it.
        second_staff: who watches; somebody else.
        seal: number of the bag's seal; the same seal twice is the same emptying.
        pouches: barcodes scanned on the way into the bag.
    """

    bin: int
    staff: str
    second_staff: str
    seal: str
    pouches: Sequence[str] = ()


def open_bin(machine: Machine, emptying: Emptying) -> None:
    """Unlock the bin for two officials; again after a cut, until its list is journalled.

    Raises:
        Refused: ``bin_unknown``, ``staff_unknown``, ``two_persons``, ``bin_empty``.
        Malformed: an entry does not satisfy the contract; nothing was opened.
    """
    with machine.busy:
        _check(machine, emptying)
        settle_intake(machine)
        intent = intent_of(machine.store, BIN_DEVICE)
        if intent is None:
            if not expected(machine, emptying.bin):
                raise Refused(
                    "bin_empty", f"no pouch lies in bin {emptying.bin}",
                    f"thùng chứa {emptying.bin} không có túi hồ sơ nào", field="bin",
                )  # fmt: skip
            intent = Intent(
                device=BIN_DEVICE, verb="empty", session=str(uuid4()), dossier="",
                detail=f"{emptying.bin} {emptying.staff} {emptying.second_staff}",
            )  # fmt: skip
            with machine.store.transaction() as tx:
                intend(tx, intent)
        machine.intake.open_bin(emptying.bin, intent.session)


def close_bin(machine: Machine, emptying: Emptying) -> None:
    """Journal what the officials counted; what they should have found is ``expected`` before.

    Raises:
        Refused: as ``open_bin``, and ``bin_not_open``, ``bin_door_open``, ``seal_used``.
        Malformed: a barcode that the contract does not take.
    """
    with machine.busy:
        _check(machine, emptying)
        intent = intent_of(machine.store, BIN_DEVICE)
        if intent is None:
            raise Refused("bin_not_open", "open the bin first", "hãy mở thùng chứa trước")
        if not machine.intake.bin_closed(emptying.bin):
            raise Refused("bin_door_open", "close the bin", "hãy đóng thùng chứa")
        if emptied_with(machine, emptying.seal) is not None:
            raise Refused("seal_used", "this seal was used", "niêm phong đã dùng", field="seal")
        with machine.store.transaction() as tx:
            tx.append(_EMPTIED, _data(emptying), session=intent.session)
            tx.rows("DELETE FROM odd_pouch")
            finish(tx, BIN_DEVICE)


def emptied_with(machine: Machine, seal: str) -> list[str] | None:
    """Return the pouches of a seal that was journalled already."""
    found = machine.store.rows("SELECT seq FROM bin_emptied WHERE seal = ?", seal)
    if not found:
        return None
    (record,) = machine.store.records(after=cast("int", found[0][0]) - 1, limit=1)
    return [str(pouch) for pouch in cast("list[Json]", record.data["pouches"])]


def expected(machine: Machine, number: int) -> list[str]:
    """Return the pouches that went into a bin since it was emptied."""
    found = machine.store.rows(
        "SELECT pouch FROM deposit WHERE bin = ?1"
        " AND seq > (SELECT coalesce(max(seq), 0) FROM bin_emptied WHERE bin = ?1)"
        " UNION SELECT pouch FROM odd_pouch ORDER BY 1",
        number,
    )
    return [str(row[0]) for row in found]


def _check(machine: Machine, emptying: Emptying) -> None:
    contracts.newest(_EMPTIED).check(_data(emptying))
    if emptying.bin != BIN:
        raise Refused("bin_unknown", f"there is bin {BIN} only", "không có thùng này", field="bin")
    if emptying.staff == emptying.second_staff:
        raise Refused(
            "two_persons", "two officials are needed", "cần hai công chức cùng lấy hồ sơ",
            field="second_staff",
        )  # fmt: skip
    require_staff(machine, emptying.staff)
    require_staff(machine, emptying.second_staff, field="second_staff")


def _data(emptying: Emptying) -> dict[str, Json]:
    return {
        "bin": emptying.bin,
        "staff": emptying.staff,
        "second_staff": emptying.second_staff,
        "pouches": sorted(set(emptying.pouches)),
        "seal": emptying.seal,
    }
