# SPDX-License-Identifier: Apache-2.0
"""What the machine does for citizens and staff, and what its journal says about it."""

from pathlib import Path
from uuid import UUID

import pytest

from services.common.canonical import NotCanonicalError
from services.common.errors import Malformed, Refused
from services.common.personal import Sealed, open_sealed, unbox_key
from services.kiosk_sync import protocol
from services.kiosk_sync.edge.agent.cash import close_cash, open_cash
from services.kiosk_sync.edge.agent.orders import apply_order
from services.kiosk_sync.edge.agent.start import start
from services.kiosk_sync.edge.agent.view import dossier_view
from services.kiosk_sync.edge.control import Hands
from services.kiosk_sync.edge.store.schema import StoreError
from tests.support.machines import (
    CENTRE_BOX,
    CENTRE_SIGN,
    EPOCH,
    MACHINE_SIGN,
    SERIAL,
    application,
    machine_in,
    order,
    release_order,
)


def types(hands: Hands) -> list[str]:
    return [record.type for record in hands.machine.store.records()]


def loaded(hands: Hands, cell: int = 7) -> str:
    dossier = str(hands.deposit(application())["dossier"])
    hands.load({"dossier": dossier, "cell": cell, "staff": "CB01"})
    return dossier


def upload_of(hands: Hands) -> protocol.Upload:
    batch = hands.machine.store.pending(records_max=500, bytes_max=900_000)
    assert batch is not None
    signature = protocol.sign_batch(MACHINE_SIGN, SERIAL, EPOCH, batch.records, batch.head)
    body = protocol.encode_upload(
        protocol.Upload(serial=SERIAL, epoch=EPOCH, head=batch.head, signature=signature,
                        records=batch.records, parcels=batch.parcels, keys=batch.keys)
    )  # fmt: skip
    return protocol.decode_upload(body)


def test_deposit_is_journalled_with_the_contact_only_as_ciphertext(tmp_path: Path) -> None:
    """A deposit's upload decodes, and only the centre's key opens the contact in it."""
    hands = machine_in(tmp_path)
    hands.deposit(application())
    upload = upload_of(hands)
    assert [r.type for r in upload.records] == ["kiosk.dossier_deposited", "kiosk.receipt_printed"]
    assert upload.records[0].data["fee_vnd"] == 4000
    parcel, boxed = upload.parcels[0], upload.keys[0]
    key = unbox_key(bytes.fromhex(boxed.box), UUID(boxed.key_id), boxed.purpose, CENTRE_BOX)
    sealed = Sealed(
        UUID(parcel.key_id), bytes.fromhex(parcel.blob), bytes.fromhex(parcel.commitment)
    )
    opened = open_sealed(
        sealed,
        key,
        event_id=UUID(parcel.event_id),
        field="contact",
        schema=upload.records[0].schema,
    )
    assert opened == {"name": "Nguyễn Thị An", "phone": "0912345678"}
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert "Nguyễn".encode() not in content
        assert b"0912345678" not in content
        assert key.secret not in content


def test_the_same_pouch_is_the_same_deposit(tmp_path: Path) -> None:
    """A deposit sent twice answers with the dossier of the first time."""
    hands = machine_in(tmp_path)
    assert hands.deposit(application()) == hands.deposit(application())
    assert types(hands).count("kiosk.dossier_deposited") == 1
    assert hands.mechanics.state["bin"] == ["P0000001"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"procedure": "1.000001"}, Refused),
        ({"phone": "một"}, Refused),
        ({"phone": "091234567"}, Refused),
        ({"phone": "0293 3123 456"}, Refused),
        ({"name": " "}, Refused),
        ({"name": "An \ud800"}, NotCanonicalError),
        ({"papers": ["\udfff"]}, NotCanonicalError),
        ({"copies": 0}, Malformed),
        ({"pouch": "có dấu cách"}, Malformed),
    ],
)
def test_what_is_refused_never_opens_the_slot(
    tmp_path: Path, wrong: dict, error: type[Exception]
) -> None:
    """A wrong application leaves journal and tray untouched."""
    hands = machine_in(tmp_path)
    with pytest.raises(error):
        hands.deposit({**application(), **wrong})
    assert (types(hands), hands.mechanics.state["tray"]) == ([], None)


@pytest.mark.parametrize(
    ("pouch", "told"), [("P-STRANGE", "P-STRANGE"), ("x" * 300, None), ("Túi của ai?", None)]
)
def test_a_strange_pouch_is_reported_and_stops_nobody(
    tmp_path: Path, pouch: str, told: str | None
) -> None:
    """Whatever its barcode says, it is journalled once and the next citizen is served."""
    hands = machine_in(tmp_path)
    hands.mechanics.change("leave", lambda state: state.update(tray=pouch))
    hands.deposit(application())
    found = [r for r in hands.machine.store.records() if r.type == "kiosk.custody_unknown"]
    assert [record.data["pouch"] for record in found] == [told]
    assert hands.mechanics.state["bin"][0] == pouch
    upload_of(hands)


def test_payment_is_shown_paid_in_notes_and_confirmed(tmp_path: Path) -> None:
    """Offer, notes and confirmation reach the screen; each order is applied once."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    offer = order(1, "grant.payment_offered",
                  {"dossier": dossier, "token": "ABCD2345", "amount_vnd": 4000, "qr": "0002"})  # fmt: skip
    assert apply_order(hands.machine, offer)
    assert not apply_order(hands.machine, offer)
    assert types(hands).count("kiosk.qr_shown") == 1
    assert hands.cash({"dossier": dossier, "notes": [2000, 2000]})["credited_vnd"] == 4000
    paid = {"dossier": dossier, "method": "cash", "paid_vnd": 4000, "overpaid_vnd": 0}
    apply_order(hands.machine, order(2, "grant.payment_confirmed", paid))
    view = dossier_view(hands.machine, dossier)
    assert view["screen"] == "ĐÃ NHẬN · ĐÃ THANH TOÁN"
    assert view["cash"] == {"notes": 2, "total_vnd": 4000}
    with pytest.raises(Refused, match="already_paid"):
        hands.cash({"dossier": dossier, "notes": [2000]})


def test_a_further_fee_is_asked_and_taken_after_the_first(tmp_path: Path) -> None:
    """What was confirmed covers only what was asked before; the screen asks again, notes count."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    offer = {"dossier": dossier, "token": "ABCD2345", "amount_vnd": 4000, "qr": "0002"}
    paid = {"dossier": dossier, "method": "cash", "paid_vnd": 4000, "overpaid_vnd": 0}
    apply_order(hands.machine, order(1, "grant.payment_offered", offer))
    apply_order(hands.machine, order(2, "grant.payment_confirmed", paid))
    more = {**offer, "amount_vnd": 20_000, "qr": "0003"}
    apply_order(hands.machine, order(3, "grant.payment_offered", more))
    view = dossier_view(hands.machine, dossier)
    assert view["screen"] == "ĐÃ NHẬN · PHẢI NỘP 20000 ₫"
    assert view["paid"] is None
    assert hands.cash({"dossier": dossier, "notes": [20_000]})["credited_vnd"] == 20_000
    apply_order(hands.machine, order(4, "grant.payment_confirmed", {**paid, "paid_vnd": 24_000}))
    with pytest.raises(Refused, match="already_paid"):
        hands.cash({"dossier": dossier, "notes": [2000]})


def test_nothing_is_asked_for_a_dossier_that_ended(tmp_path: Path) -> None:
    """Refused or withdrawn before it was paid: no code, no sum on the screen, no note taken."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    offer = {"dossier": dossier, "token": "ABCD2345", "amount_vnd": 4000, "qr": "0002"}
    apply_order(hands.machine, order(1, "grant.payment_offered", offer))
    apply_order(hands.machine, order(2, "grant.payment_withdrawn", {"dossier": dossier}))
    view = dossier_view(hands.machine, dossier)
    assert (view["screen"], view["offer"]) == ("HỒ SƠ ĐÃ KẾT THÚC · KHÔNG PHẢI NỘP TIỀN", None)
    assert view["cash_terms"] is None
    with pytest.raises(Refused, match="nothing_due"):
        hands.cash({"dossier": dossier, "notes": [2000]})


def test_what_becomes_of_money_is_said_before_the_first_note(tmp_path: Path) -> None:
    """No change is given and what is short is kept: on the screen until the fee is paid."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    told = dossier_view(hands.machine, dossier)
    assert told["cash"] == {"notes": 0, "total_vnd": 0}
    assert "không trả lại tiền thừa" in told["cash_terms"]["vi"]
    assert "no change" in told["cash_terms"]["en"]
    offer = {"dossier": dossier, "token": "ABCD2345", "amount_vnd": 4000, "qr": "0002"}
    paid = {"dossier": dossier, "method": "cash", "paid_vnd": 5000, "overpaid_vnd": 1000}
    apply_order(hands.machine, order(1, "grant.payment_offered", offer))
    apply_order(hands.machine, order(2, "grant.payment_confirmed", paid))
    assert dossier_view(hands.machine, dossier)["cash_terms"] is None


def test_what_costs_nothing_takes_no_money(tmp_path: Path) -> None:
    """Also while the line is cut and nobody has said that it is settled; a further fee is taken."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit({**application(), "exemption": "poor"})["dossier"])
    assert dossier_view(hands.machine, dossier)["cash_terms"] is None
    with pytest.raises(Refused, match="nothing_due"):
        hands.cash({"dossier": dossier, "notes": [10_000]})
    assert hands.validator.stacked_count() == 0
    offer = {"dossier": dossier, "token": "ABCD2345", "amount_vnd": 20_000, "qr": "0002"}
    apply_order(hands.machine, order(1, "grant.payment_offered", offer))
    assert dossier_view(hands.machine, dossier)["cash_terms"] is not None
    assert hands.cash({"dossier": dossier, "notes": [20_000]})["credited_vnd"] == 20_000


def test_no_note_is_taken_after_the_one_that_covers_the_fee(tmp_path: Path) -> None:
    """The rest stays in the citizen's hand; a large note is the last one."""
    hands = machine_in(tmp_path)
    first, second = (str(hands.deposit(application(f"P{n}"))["dossier"]) for n in range(2))
    assert hands.cash({"dossier": first, "notes": [2000] * 5})["credited_vnd"] == 4000
    assert hands.cash({"dossier": second, "notes": [1000, 50_000, 1000]})["credited_vnd"] == 51_000
    assert hands.validator.stacked_count() == 4
    assert types(hands).count("kiosk.cash_note_credited") == 4


def test_a_cash_session_says_why_it_ended(tmp_path: Path) -> None:
    """Done, walked away, or cut off: the money in the box is the same, the reason is not."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    hands.cash({"dossier": dossier, "notes": [1000]})
    left = hands.cash({"dossier": dossier, "notes": [1000, 500], "abandon": True})
    assert (left["credited_vnd"], left["cash"]) == (1500, {"notes": 3, "total_vnd": 2500})
    open_cash(hands.machine, dossier)
    hands.validator.insert(2000)
    start(hands.machine, "test")
    ends = [r.data for r in hands.machine.store.records() if r.type == "kiosk.cash_closed"]
    assert [(end["reason"], end["total_vnd"]) for end in ends] == [
        ("done", 1000), ("abandoned", 1500), ("fault", 2000),
    ]  # fmt: skip


def loose(hands: Hands, note: int) -> None:
    """A note that was on its way when the validator was told to stop."""
    hands.validator.enable()
    hands.validator.insert(note)
    hands.validator.disable()


@pytest.mark.parametrize("settle", ["the next start", "the next session"])
def test_a_note_outside_a_session_is_journalled_with_its_value(tmp_path: Path, settle: str) -> None:
    """Once, also when it is delivered again; it is nobody's, and no later session counts it."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    hands.cash({"dossier": dossier, "notes": [1000]})
    loose(hands, 20_000)
    held = hands.validator.next_credit()
    if settle == "the next start":
        start(hands.machine, "test")
    assert hands.cash({"dossier": dossier, "notes": [500]})["credited_vnd"] == 500
    hands.mechanics.state["credits"].insert(0, [held.denomination_vnd, held.stacked_count])
    start(hands.machine, "test")
    found = [r for r in hands.machine.store.records() if r.type == "kiosk.cash_note_unplaced"]
    assert [r.data for r in found] == [{"denomination_vnd": 20_000, "stacked_count": 2}]
    assert dossier_view(hands.machine, dossier)["cash"] == {"notes": 2, "total_vnd": 1500}
    assert "kiosk.cash_discrepancy" not in types(hands)
    assert found[0].data in [r.data for r in upload_of(hands).records]
    hands.machine.store.check()


def test_notes_unknown_before_a_loose_one_stay_a_discrepancy(tmp_path: Path) -> None:
    """What the validator forgot has no value that anybody knows; the note after it has."""
    hands = machine_in(tmp_path)
    loose(hands, 50_000)
    hands.validator.lose_credits()
    loose(hands, 20_000)
    start(hands.machine, "test")
    found = [(r.type, r.data) for r in hands.machine.store.records() if "cash" in r.type]
    assert found == [
        ("kiosk.cash_discrepancy", {"stacked_count": 1, "journalled_count": 0}),
        ("kiosk.cash_note_unplaced", {"denomination_vnd": 20_000, "stacked_count": 2}),
    ]


def test_a_note_that_falls_while_the_session_is_counted_is_credited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stacked after the credits were taken and before the count was read: still this session's."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    open_cash(hands.machine, dossier)
    count, late = hands.validator.stacked_count, [2000]

    def counted() -> int:
        while late:
            loose(hands, late.pop())
        return count()

    monkeypatch.setattr(hands.validator, "stacked_count", counted)
    assert close_cash(hands.machine) == 2000
    assert "kiosk.cash_discrepancy" not in types(hands)


def test_an_order_is_taken_only_from_the_centre_and_in_order(tmp_path: Path) -> None:
    """A changed order, another machine's order and a number too far ahead change nothing."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    forged = release_order(1, dossier)
    forged["order"] = {**forged["order"], "cell": 8}
    other = protocol.sign_order(CENTRE_SIGN, "VT02", release_order(1, dossier)["order"])
    for document in (forged, other, release_order(2, dossier)):
        with pytest.raises(protocol.ProtocolError):
            apply_order(hands.machine, document)
    assert "kiosk.grant_stored" not in types(hands)
    assert hands.machine.store.lane("down") == 0


def test_the_right_code_opens_the_cell_once(tmp_path: Path) -> None:
    """The door opens after the authorisation, for its id, and never again after the release."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    apply_order(hands.machine, release_order(1, dossier))
    assert hands.collect({"dossier": dossier, "code": "123456"})["released"] is True
    allowed = next(r for r in hands.machine.store.records() if r.type.endswith("authorised"))
    identifier = protocol.event_id(SERIAL, EPOCH, allowed.seq, allowed.occurred_at_us)
    assert hands.mechanics.state["unlocked"][-1] == [7, str(identifier)]
    assert types(hands)[-1] == "kiosk.result_released"
    with pytest.raises(Refused, match="already_returned"):
        hands.collect({"dossier": dossier, "code": "123456"})


def test_a_result_left_inside_can_be_collected_later(tmp_path: Path) -> None:
    """Uncollected keeps the grant."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    apply_order(hands.machine, release_order(1, dossier))
    again = {"dossier": dossier, "code": "123456"}
    assert hands.collect({**again, "leave": True})["released"] is False
    assert types(hands)[-1] == "kiosk.result_uncollected"
    assert hands.collect(again)["released"] is True


def test_five_wrong_codes_lock_the_grant(tmp_path: Path) -> None:
    """After five wrong codes the right one opens nothing."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    apply_order(hands.machine, release_order(1, dossier))
    doors = len(hands.mechanics.state["unlocked"])
    for code in ("000000", "1", "", "999999", "12345"):
        with pytest.raises(Refused, match="wrong_code"):
            hands.collect({"dossier": dossier, "code": code})
    with pytest.raises(Refused, match="locked"):
        hands.collect({"dossier": dossier, "code": "123456"})
    lefts = [r.data["tries_left"] for r in hands.machine.store.records()
             if r.type == "kiosk.release_refused"]  # fmt: skip
    assert lefts == [4, 3, 2, 1, 0, 0]
    assert len(hands.mechanics.state["unlocked"]) == doors


def test_an_expired_grant_opens_nothing(tmp_path: Path) -> None:
    """After its last instant a grant is refused even with the right code."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    apply_order(hands.machine, release_order(1, dossier, not_after="2020-01-01T00:00:00+07:00"))
    with pytest.raises(Refused, match="expired"):
        hands.collect({"dossier": dossier, "code": "123456"})


def test_a_file_of_the_release_before_is_taken_over(tmp_path: Path) -> None:
    """The tables that came since are there, and the file still proves itself."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    store = hands.machine.store
    for statement in ("DROP TABLE recall", "DROP TABLE bin_emptied", "PRAGMA user_version=1"):
        store.rows(statement)
    store.close()
    hands = machine_in(tmp_path)
    hands.machine.store.check()
    assert hands.recall({"dossier": dossier, "staff": "CB01"})["cell"] == 7
    hands.machine.store.check()


def test_the_file_proves_itself_and_shows_tampering(tmp_path: Path) -> None:
    """Folded tables equal a fresh fold; a changed row, record or owner is found."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    apply_order(hands.machine, release_order(1, dossier))
    hands.cash({"dossier": dossier, "notes": [50000]})
    store = hands.machine.store
    store.check()
    with store.transaction() as tx:
        tx.rows("UPDATE cash_note SET denomination_vnd = 500000")
    with pytest.raises(StoreError, match="cash_note"):
        store.check()
    with store.transaction() as tx:
        tx.rows("UPDATE cash_note SET denomination_vnd = 50000")
        tx.rows("UPDATE journal SET hash = ? WHERE seq = 2", "0" * 64)
    with pytest.raises(StoreError, match="chain breaks at 2"):
        store.check()
