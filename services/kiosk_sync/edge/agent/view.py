# SPDX-License-Identifier: Apache-2.0
"""What the screen shows about a dossier, from disk only."""

from typing import cast

from services.common.canonical import Json, parse_json
from services.kiosk_sync.edge.agent.cash import TERMS, due_vnd, is_withdrawn
from services.kiosk_sync.edge.agent.lease import may_take_money
from services.kiosk_sync.edge.agent.machine import Machine, known_dossier
from services.kiosk_sync.edge.agent.release import grant_of
from services.kiosk_sync.edge.store.fold import RECALLED, RELEASED


def dossier_view(machine: Machine, dossier: str) -> dict[str, Json]:
    """Return offer, payment, cash, grant and the sentence on the screen.

    Raises:
        Refused: ``dossier_invalid``.
    """
    dossier = known_dossier(dossier)
    asked, offer = _order(machine, dossier, "grant.payment_offered")
    confirmed, paid = _order(machine, dossier, "grant.payment_confirmed")
    if confirmed < asked:
        paid = None  # a further fee came up since
    withdrawn = is_withdrawn(machine, dossier)
    if withdrawn:
        offer = None
    notes, total = cast("tuple[int, int]", machine.store.rows(
        "SELECT count(*), coalesce(sum(denomination_vnd), 0) FROM cash_note WHERE dossier = ?",
        dossier,
    )[0])  # fmt: skip
    grant = grant_of(machine, dossier)
    deposited = machine.store.rows("SELECT bin FROM deposit WHERE dossier = ?", dossier)
    payable = bool(deposited) and paid is None and due_vnd(machine, dossier) > 0
    state = None if grant is None else grant.state
    if _at_the_office(machine, dossier):
        state = RECALLED
    return {
        "dossier": dossier,
        "deposited": bool(deposited),
        "offer": offer and {name: offer[name] for name in ("token", "amount_vnd", "qr")},
        "paid": paid and {name: paid[name] for name in ("method", "paid_vnd", "overpaid_vnd")},
        "cash": {"notes": notes, "total_vnd": total},
        "cash_terms": TERMS if payable and may_take_money(machine) else None,
        "grant": None if grant is None or state in {RELEASED, RECALLED} else grant.cell,
        "released": state == RELEASED,
        "screen": _screen(
            deposited=bool(deposited), offer=offer, paid=paid, state=state, withdrawn=withdrawn
        ),
    }


def _at_the_office(machine: Machine, dossier: str) -> bool:
    """Say whether staff took the result out again; also where no right had come yet."""
    return bool(machine.store.rows(
        "SELECT 1 FROM recall WHERE dossier = ?1 AND NOT EXISTS (SELECT 1 FROM cell"
        " WHERE dossier = ?1) AND NOT EXISTS (SELECT 1 FROM grant_state WHERE dossier = ?1"
        " AND state = ?2)", dossier, RELEASED,
    ))  # fmt: skip


def _screen(
    *, deposited: bool, offer: dict[str, Json] | None, paid: dict[str, Json] | None,
    state: str | None, withdrawn: bool,
) -> str:  # fmt: skip
    if state == RELEASED:
        return "ĐÃ TRẢ KẾT QUẢ"
    if state == RECALLED:
        return "MỜI NHẬN KẾT QUẢ TẠI BỘ PHẬN MỘT CỬA"
    if state is not None:
        return "MỜI NHẬP MÃ NHẬN KẾT QUẢ"
    if withdrawn:
        return "HỒ SƠ ĐÃ KẾT THÚC · KHÔNG PHẢI NỘP TIỀN"
    if paid is not None:
        return "ĐÃ NHẬN · ĐÃ THANH TOÁN"
    if offer is not None:
        return f"ĐÃ NHẬN · PHẢI NỘP {offer['amount_vnd']} ₫"
    return "ĐÃ NHẬN" if deposited else "KHÔNG CÓ HỒ SƠ NÀY"


def _order(machine: Machine, dossier: str, order_type: str) -> tuple[int, dict[str, Json] | None]:
    """Return the newest order of a type with its place in the lane; 0 and None for none."""
    found = machine.store.rows(
        "SELECT cseq, document FROM order_in WHERE dossier = ? AND type = ?"
        " ORDER BY cseq DESC LIMIT 1",
        dossier,
        order_type,
    )
    if not found:
        return 0, None
    cseq, document = cast("tuple[int, bytes]", found[0])
    order = cast("dict[str, dict[str, Json]]", parse_json(document))
    return cseq, order["data"]
