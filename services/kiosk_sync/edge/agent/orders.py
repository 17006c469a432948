# SPDX-License-Identifier: Apache-2.0
"""Orders from the centre: each applied once, in order, together with its number."""

from collections.abc import Callable, Mapping
from typing import Final, cast

from services.common.canonical import Json, JsonObject, canonical_json
from services.kiosk_sync import protocol
from services.kiosk_sync.edge.agent.machine import Machine, session_of
from services.kiosk_sync.edge.store.store import DOWN, Transaction, move_lane

Effect = Callable[[Machine, Transaction, JsonObject, str], None]


def apply_order(machine: Machine, document: JsonObject) -> bool:
    """Verify and apply a downlink document; False when it was applied before.

    The order's number, its effect and the journal record of it are one transaction.

    Raises:
        ProtocolError: not signed by the centre for this machine, or an order before it is missing.
    """
    serial = machine.store.identity.serial
    order = protocol.verify_order(machine.centre_sign_key, serial, document)
    data, cseq, order_type = order.get("data"), order.get("cseq"), order.get("type")
    if not isinstance(data, Mapping) or not isinstance(cseq, int):
        raise protocol.ProtocolError("order", "has no number or no data")
    with machine.store.transaction() as tx:
        applied = machine.store.lane(DOWN)
        if cseq <= applied:
            return False
        if cseq != applied + 1:
            raise protocol.ProtocolError("order.cseq", f"expected {applied + 1}, got {cseq}")
        dossier = str(data.get("dossier"))
        tx.rows(
            "INSERT INTO order_in VALUES (?, ?, ?, ?)",
            cseq, str(order_type), dossier, canonical_json(order),
        )  # fmt: skip
        effect = _EFFECTS.get(str(order_type))
        # A type of a newer centre is kept and passed over: it must not stop those behind it.
        if effect is not None:
            effect(machine, tx, order, session_of(machine, dossier, order.get("session")))
        move_lane(tx, DOWN, cseq)
    return True


def _show_payment(_: Machine, tx: Transaction, order: JsonObject, session: str) -> None:
    data = _data(order)
    if data["qr"]:
        tx.append(
            "kiosk.qr_shown", {"dossier": data["dossier"], "token": data["token"]},
            session=session, subject=str(data["dossier"]),
        )  # fmt: skip


def _store_grant(machine: Machine, tx: Transaction, order: JsonObject, session: str) -> None:
    data = _data(order)
    if order.get("code_hash") is None:
        return  # the code was erased: nobody could ever use it, so nothing is announced
    dossier, cell = str(data["dossier"]), cast("int", data["cell"])
    if machine.store.rows("SELECT dossier FROM cell WHERE cell = ?", cell) != [(dossier,)]:
        if machine.store.rows("SELECT 1 FROM recall WHERE dossier = ? AND cell = ?", dossier, cell):
            return  # staff were faster: the office knows from their record where it is
        tx.append(
            "kiosk.custody_unknown",
            {
                "dossier": dossier, "place": "cell", "reason": f"cell {cell} does not hold it",
                "pouch": None,
            },
            session=session, subject=dossier,
        )  # fmt: skip
        return
    tx.append(
        "kiosk.grant_stored", {"grant": data["grant"], "dossier": dossier, "cell": cell},
        session=session, subject=dossier,
    )  # fmt: skip


def _data(order: JsonObject) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", order["data"])


_EFFECTS: Final[dict[str, Effect]] = {
    "grant.payment_offered": _show_payment,
    "grant.release_issued": _store_grant,
}
