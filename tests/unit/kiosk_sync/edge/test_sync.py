# SPDX-License-Identifier: Apache-2.0
"""Both lanes against a small centre over real HTTP, with faults the network and people cause."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from services.common.errors import Unavailable
from services.common.personal import unbox_key
from services.kiosk_sync.edge.centre import Centre
from services.kiosk_sync.edge.control import Hands
from services.kiosk_sync.edge.store.schema import StoreError
from services.kiosk_sync.edge.store.store import Identity, Store
from services.kiosk_sync.edge.sync import (
    FORK,
    IDLE,
    LOCKED,
    SENT,
    Backoff,
    Receiver,
    Step,
    Uploader,
    run_lane,
)
from tests.support.machines import (
    CENTRE_BOX,
    EPOCH,
    MACHINE_SIGN,
    SERIAL,
    application,
    machine_in,
    order,
)
from tests.support.small_centre import SmallCentre
from tests.support.waiting import wait_until


@pytest.fixture
def centre() -> Iterator[SmallCentre]:
    """A small centre."""
    server = SmallCentre()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def uploader(hands: Hands, centre: SmallCentre) -> Uploader:
    return Uploader(hands.machine.store, Centre(centre.url, SERIAL, EPOCH), MACHINE_SIGN)


def drain(up: Uploader) -> list[Step]:
    steps = []
    while not steps or steps[-1] == SENT:
        steps.append(up.step())
    return steps


def test_what_is_confirmed_is_forgotten_as_a_key(tmp_path: Path, centre: SmallCentre) -> None:
    """The journal arrives whole; its keys open at the centre and are gone at the machine."""
    hands = machine_in(tmp_path)
    hands.deposit(application())
    assert drain(uploader(hands, centre))[-1] == IDLE
    assert centre.records == hands.machine.store.records()
    boxed = centre.keys[0]
    unbox_key(bytes.fromhex(boxed.box), UUID(boxed.key_id), "contact", CENTRE_BOX)
    assert hands.machine.store.rows("SELECT count(*) FROM boxed_key") == [(0,)]


def test_a_lost_answer_is_sent_again_without_effect(tmp_path: Path, centre: SmallCentre) -> None:
    """The centre committed, the answer was lost: the same batch again moves the cursor."""
    hands = machine_in(tmp_path)
    hands.deposit(application())
    up = uploader(hands, centre)
    up.step()
    centre.faults = ["lose"]
    with pytest.raises(Unavailable):
        up.step()
    assert hands.machine.store.lane("up") == 0
    assert drain(up)[-1] == IDLE
    assert (centre.uploads, len(centre.records), hands.machine.store.lane("up")) == (2, 2, 2)


def test_a_centre_restored_from_a_backup_gets_the_tail_again(
    tmp_path: Path, centre: SmallCentre
) -> None:
    """A gap whose head is the machine's own rewinds the cursor."""
    hands = machine_in(tmp_path)
    hands.deposit(application())
    up = uploader(hands, centre)
    drain(up)
    del centre.records[1:]
    hands.deposit(application("P0000002"))
    assert drain(up)[-1] == IDLE
    assert centre.records == hands.machine.store.records()


@pytest.mark.parametrize("status", [200, 409])
def test_another_history_at_the_centre_stops_the_upload(
    tmp_path: Path, centre: SmallCentre, status: int
) -> None:
    """An answer whose head is not the machine's own locks the upload, not the machine."""
    hands = machine_in(tmp_path)
    hands.deposit(application())
    up = uploader(hands, centre)
    up.step()
    centre.faults = [(status, {"error": "gap", "next": 2, "head": "0" * 64}, {})]
    assert up.step() == LOCKED
    assert hands.machine.store.meta(FORK) is not None
    assert uploader(hands, centre).step() == LOCKED
    assert hands.machine.store.lane("up") == 0
    hands.deposit(application("P0000002"))


def test_an_old_disk_finds_the_centre_ahead(tmp_path: Path, centre: SmallCentre) -> None:
    """A machine whose disk was restored finds out at the greeting."""
    hands = machine_in(tmp_path)
    hands.deposit(application())
    drain(uploader(hands, centre))
    (tmp_path / "old").mkdir()
    old = machine_in(tmp_path / "old")
    assert uploader(old, centre).step() == LOCKED
    assert old.machine.store.meta(FORK) is not None


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (503, {"Retry-After": "7"}, Step("wait", 7)),
        (429, {}, Step("wait")),
        (413, {}, Step("wait")),
        (500, {}, Step("wait")),
        (423, {}, LOCKED),
        (422, {}, LOCKED),
        (302, {"Location": "http://127.0.0.1:9/"}, LOCKED),
    ],
)
def test_no_answer_makes_the_machine_drop_a_record(
    tmp_path: Path, centre: SmallCentre, status: int, headers: dict, expected: Step
) -> None:
    """Whatever the centre answers, the record is sent again later."""
    hands = machine_in(tmp_path)
    hands.deposit(application())
    up = uploader(hands, centre)
    up.step()
    centre.faults = [(status, {"code": "any"}, headers)]
    assert up.step() == expected
    assert (hands.machine.store.meta("alarm.up") is not None) is (expected == LOCKED)
    assert drain(up)[-1] == IDLE
    assert centre.records == hands.machine.store.records()
    assert hands.machine.store.meta("alarm.up") is None


def test_too_large_makes_smaller_batches(tmp_path: Path, centre: SmallCentre) -> None:
    """After 413 a batch holds half as many records."""
    hands = machine_in(tmp_path)
    hands.deposit(application())
    up = uploader(hands, centre)
    up.step()
    centre.faults = [(413, {}, {})] * 9
    for _ in range(9):
        up.step()
    drain(up)
    assert centre.uploads == 2


def test_orders_and_catalogue_come_down(tmp_path: Path, centre: SmallCentre) -> None:
    """Orders are applied once and in order; the catalogue replaces the old one."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    offer = {"dossier": dossier, "token": "ABCD2345", "amount_vnd": 4000, "qr": "0002"}
    paid = {"dossier": dossier, "method": "qr", "paid_vnd": 4000, "overpaid_vnd": 0}
    centre.orders = [order(1, "grant.payment_offered", offer), order(2, "grant.not_known_yet", {}),
                     order(3, "grant.payment_confirmed", paid)]  # fmt: skip
    down = Centre(centre.url, SERIAL, EPOCH)
    receiver = Receiver(hands.machine, down, down, wait_s=0)
    assert (receiver.step(), receiver.step()) == (SENT, IDLE)
    assert hands.machine.store.lane("down") == 3
    hands.deposit({**application("P0000002")})
    versions = [r.data["procedure_version"] for r in hands.machine.store.records()
                if r.type == "kiosk.dossier_deposited"]  # fmt: skip
    assert versions == [1, 9]


def test_the_catalogue_is_asked_for_as_often_as_configured(
    tmp_path: Path, centre: SmallCentre
) -> None:
    """A catalogue that is new enough is left alone, and no poll hangs until it is too old."""
    hands, down = machine_in(tmp_path), Centre(centre.url, SERIAL, EPOCH)
    for catalogue_s, asked, waits in ((0.0, 3, [1, 1, 1]), (60.0, 1, [25, 25, 25])):
        centre.catalogues, centre.waits = 0, []
        receiver = Receiver(hands.machine, down, down, wait_s=25, catalogue_s=catalogue_s)
        for _ in range(3):
            receiver.step()
        assert (centre.catalogues, centre.waits) == (asked, waits)


def test_a_forged_order_stops_those_behind_it(tmp_path: Path, centre: SmallCentre) -> None:
    """An order not signed by the centre is not applied and raises an alarm."""
    hands = machine_in(tmp_path)
    forged = order(1, "grant.payment_confirmed", {"dossier": "x"})
    forged["sig"] = "00" * 64
    centre.orders = [forged]
    down = Centre(centre.url, SERIAL, EPOCH)
    assert Receiver(hands.machine, down, down, wait_s=0).step().outcome == "wait"
    assert "order refused" in str(hands.machine.store.meta("alarm.down"))
    assert hands.machine.store.lane("down") == 0


def test_a_lane_outlives_every_fault(tmp_path: Path, centre: SmallCentre) -> None:
    """After faults of every kind the journal is at the centre and nothing is left."""
    hands = machine_in(tmp_path)
    centre.faults = ["lose", (503, {}, {}), (423, {}, {}), (200, {}, {}), (400, {}, {}), "lose"] * 3
    stop = threading.Event()
    lane = threading.Thread(
        target=run_lane, args=(uploader(hands, centre).step, Backoff(0.001, 0.01), stop)
    )
    lane.start()
    try:
        for number in range(20):
            hands.deposit(application(f"P{number:07d}"))
        store = hands.machine.store
        wait_until(lambda: store.lane("up") == store.head()[0] and not centre.faults,
                   what="everything confirmed")  # fmt: skip
    finally:
        stop.set()
        lane.join()
    assert centre.records == hands.machine.store.records()


def test_backoff_grows_to_its_bound_and_obeys_the_centre() -> None:
    """Waits are random below a doubling bound; Retry-After is a lower bound."""
    backoff = Backoff(1.0, 300.0)
    waits = [backoff.next_s() for _ in range(200)]
    assert all(wait <= min(300.0, 2.0**place) for place, wait in enumerate(waits))
    assert max(waits) > 100
    assert backoff.next_s(1000) == 1000


def test_a_file_belongs_to_one_machine_and_epoch(tmp_path: Path) -> None:
    """Another serial or epoch does not write into this machine's file."""
    hands = machine_in(tmp_path)
    hands.machine.store.close()
    box = CENTRE_BOX.public_key()
    for serial, epoch in (("VT02", EPOCH), (SERIAL, EPOCH + 1)):
        with pytest.raises(StoreError, match="VT01/3"):
            Store(tmp_path / "machine.db", Identity(serial, epoch, box), clock=hands.machine.clock)
