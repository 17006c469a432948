# SPDX-License-Identifier: Apache-2.0
"""Cash: a note is credited exactly once, because the validator counts what it stacks.

The credit and the validator's count are one record. After a crash the count says whether a credit
that is delivered again was journalled. A note outside a session is journalled with its value and
without a dossier, so that the books have it and an officer places it; what the validator counted
and cannot name any more is a discrepancy for people, never a guess.

There is no change. What a citizen puts in above the fee is owed back by the office; what is short
of it is kept for the dossier. Both are said before the validator takes a note, and it takes none
after the one that covers the fee.
"""

from collections.abc import Mapping
from typing import Final, cast

from services.common.canonical import Json, parse_json
from services.common.errors import Refused
from services.kiosk_sync.edge.agent.lease import require_lease
from services.kiosk_sync.edge.agent.machine import (
    Intent,
    Machine,
    finish,
    intend,
    intent_of,
    known_dossier,
    session_of,
)
from services.kiosk_sync.edge.devices.ports import Credit

_DEVICE: Final = "cash"
DONE: Final = "done"
ABANDONED: Final = "abandoned"
FAULT: Final = "fault"
TERMS: Final[dict[str, Json]] = {
    "vi": (
        "Máy không trả lại tiền thừa: số tiền nộp quá mức phải thu vẫn là của người nộp và được"
        " hoàn trả tại bộ phận một cửa. Nộp chưa đủ thì số đã nộp được giữ cho hồ sơ này; phần còn"
        " thiếu nộp tiếp bằng tiền mặt hoặc mã QR."
    ),
    "en": (
        "The machine gives no change: what you put in above the amount due stays yours and the"
        " office pays it back. What you put in short of it is kept for this dossier; pay the rest"
        " in notes or by QR code."
    ),
}


def open_cash(machine: Machine, dossier: str) -> None:
    """Let the citizen pay in notes for a dossier that was handed in here.

    Whoever calls has shown ``TERMS`` (``dossier_view`` has them) before.

    Raises:
        Refused: ``money_lease_expired``, ``dossier_not_here``, ``already_paid``, ``nothing_due``,
            ``cash_busy``.
    """
    with machine.busy:
        require_lease(machine)
        dossier = known_dossier(dossier)
        if not machine.store.rows("SELECT 1 FROM deposit WHERE dossier = ?", dossier):
            raise Refused("dossier_not_here", "not handed in here", "hồ sơ không nộp tại máy này")
        if machine.store.rows(
            "SELECT 1 FROM order_in WHERE dossier = ? AND type = 'grant.payment_confirmed'"
            " AND cseq > (SELECT coalesce(max(cseq), 0) FROM order_in WHERE dossier = ?"
            " AND type = 'grant.payment_offered')",
            dossier,
            dossier,
        ):
            raise Refused("already_paid", "the fee is paid", "lệ phí đã được nộp")
        if not due_vnd(machine, dossier):
            raise Refused("nothing_due", "nothing is to be paid", "hồ sơ này không phải nộp tiền")
        if intent_of(machine.store, _DEVICE) is not None:
            raise Refused("cash_busy", "another cash session is open", "máy đang nhận tiền")
        settle_cash(machine)
        with machine.store.transaction() as tx:
            intend(tx, Intent(device=_DEVICE, verb="accept", dossier=dossier, detail="",
                              session=session_of(machine, dossier)))  # fmt: skip
        machine.cash.enable()


def due_vnd(machine: Machine, dossier: str) -> int:
    """Return what was asked last: the centre's offer or, before one came, the fee at the hand-in.

    0 for a dossier that costs nothing, also while the line is cut, and for one that ended.
    """
    if is_withdrawn(machine, dossier):
        return 0
    offered = machine.store.rows(
        "SELECT document FROM order_in WHERE dossier = ? AND type = 'grant.payment_offered'"
        " ORDER BY cseq DESC LIMIT 1",
        dossier,
    )
    if offered:
        order = cast("Mapping[str, Mapping[str, Json]]", parse_json(cast("bytes", offered[0][0])))
        return cast("int", order["data"]["amount_vnd"])
    found = machine.store.rows("SELECT fee_vnd FROM deposit WHERE dossier = ?", dossier)
    return cast("int", found[0][0]) if found else 0


def is_withdrawn(machine: Machine, dossier: str) -> bool:
    """Say whether the centre took back what it asked: the dossier ended before it was paid."""
    return bool(machine.store.rows(
        "SELECT 1 FROM order_in WHERE dossier = ? AND type = 'grant.payment_withdrawn'", dossier
    ))  # fmt: skip


def take_credits(machine: Machine) -> None:
    """Journal the credits the validator holds; call it at every poll while notes go in.

    Once the notes of the session cover what is due, the validator takes no further one.
    """
    with machine.busy:
        intent = intent_of(machine.store, _DEVICE)
        while (credit := machine.cash.next_credit()) is not None:
            _take(machine, credit, intent)
            machine.cash.acknowledge(credit)
        if intent is not None and _since_opened(machine, intent)[1] >= due_vnd(
            machine, intent.dossier
        ):
            machine.cash.disable()


def close_cash(machine: Machine, reason: str = DONE) -> int:
    """End the session; returns what was put in during it, in đồng."""
    with machine.busy:
        return settle_cash(machine, reason)


def settle_cash(machine: Machine, reason: str = FAULT) -> int:
    """Disable, take what is held, compare the counts, end an open session; returns its sum.

    A session that nobody ended was cut off by a fault; one whose notes do not add up ends so too.
    """
    machine.cash.disable()
    if not _compare(machine, _counted(machine)):
        reason = FAULT
    intent = intent_of(machine.store, _DEVICE)
    if intent is None:
        return 0
    notes, total = _since_opened(machine, intent)
    with machine.store.transaction() as tx:
        tx.append(
            "kiosk.cash_closed",
            {
                "dossier": intent.dossier,
                "notes": notes,
                "total_vnd": total,
                "reason": reason,
            },
            session=intent.session,
            subject=intent.dossier,
        )
        finish(tx, _DEVICE)
    return total


def _counted(machine: Machine) -> int:
    """Take every credit and return the validator's count, with no note fallen in between."""
    while True:
        take_credits(machine)
        count = machine.cash.stacked_count()
        if machine.cash.next_credit() is None:
            return count


def _since_opened(machine: Machine, intent: Intent) -> tuple[int, int]:
    """Return how many notes the open session took, and their sum."""
    return cast("tuple[int, int]", machine.store.rows(
        "SELECT count(*), coalesce(sum(denomination_vnd), 0) FROM cash_note WHERE dossier = ?1"
        " AND seq > (SELECT coalesce(max(seq), 0) FROM cash_closed WHERE dossier = ?1)",
        intent.dossier,
    )[0])  # fmt: skip


def _take(machine: Machine, credit: Credit, intent: Intent | None) -> None:
    if credit.stacked_count <= _journalled(machine):
        return  # delivered again: it is on disk, only the acknowledgement was lost
    _compare(machine, credit.stacked_count - 1)
    note: dict[str, Json] = {
        "denomination_vnd": credit.denomination_vnd,
        "stacked_count": credit.stacked_count,
    }
    with machine.store.transaction() as tx:
        if intent is None:
            tx.append("kiosk.cash_note_unplaced", note, session=machine.boot_session)
            return
        tx.append(
            "kiosk.cash_note_credited",
            {"dossier": intent.dossier, **note},
            session=intent.session,
            subject=intent.dossier,
        )


def _compare(machine: Machine, stacked_count: int) -> bool:
    """Say whether the journal explains the count; journal the difference where it does not."""
    journalled = _journalled(machine)
    if stacked_count == journalled:
        return True
    with machine.store.transaction() as tx:
        tx.append(
            "kiosk.cash_discrepancy",
            {"stacked_count": stacked_count, "journalled_count": journalled},
            session=machine.boot_session,
        )
    return False


def _journalled(machine: Machine) -> int:
    found = machine.store.rows("SELECT value FROM device_cursor WHERE device = 'cash'")
    return cast("int", found[0][0]) if found else 0
