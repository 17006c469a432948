# SPDX-License-Identifier: Apache-2.0
"""The machine's program and the centre's application together, without a network between them."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.common.clock import SystemClock
from services.common.errors import Malformed, Refused
from services.common.eventlog.memory import MemoryKeys, MemoryLog
from services.common.eventlog.recording import Cause, Change, Fact, Recorder
from services.common.messaging.reaction import Reactor
from services.common.messaging.reactor_runner import ReactorRunner
from services.kiosk_sync import protocol
from services.kiosk_sync.application.commands import order_machine
from services.kiosk_sync.application.orders import Orders
from services.kiosk_sync.application.upload import GapError, Journals
from services.kiosk_sync.domain.machine import EnrolMachine
from services.kiosk_sync.edge.agent.orders import apply_order
from services.kiosk_sync.edge.agent.start import start
from services.kiosk_sync.edge.centre import Answer
from services.kiosk_sync.edge.control import Hands
from services.kiosk_sync.edge.sync import FORK, IDLE, LOCKED, SENT, Step, Uploader
from services.payment.application import reactions as payment
from services.payment.application.queries import ledger
from services.payment.application.worklists import unmatched
from tests.support.machines import (
    CENTRE_BOX,
    CENTRE_SIGN,
    EPOCH,
    MACHINE_SIGN,
    SERIAL,
    application,
    machine_in,
)
from tests.support.province import BANK

CAUSE = Cause(correlation_id="00000000-0000-4000-8000-000000000009", actor="service:test")
PRINT = "ab" * 32


class NearCentre:
    """The centre's application where the machine expects its connection."""

    def __init__(self) -> None:
        log, keys, clock = MemoryLog(log_id=93), MemoryKeys(), SystemClock()
        self.recorder = Recorder(log, keys, clock, b"k" * 32)
        self.journals = Journals(self.recorder, keys, CENTRE_BOX)
        self.orders = Orders(self.recorder, CENTRE_SIGN)
        for epoch in range(1, EPOCH + 1):
            enrol = EnrolMachine(
                serial=SERIAL,
                epoch=epoch,
                office="H24",
                tls_fingerprint=PRINT,
                sign_key=MACHINE_SIGN.public_key().public_bytes_raw().hex(),
                approved_by="CB02",
            )
            order_machine(self.recorder, SERIAL, enrol, source="test", key=str(epoch), cause=CAUSE)

    def hello(self, next_seq: int, head: str) -> Answer:
        """Answer a greeting."""
        position = self.journals.position(SERIAL, EPOCH)
        return Answer(200, {"next": position.next_seq, "head": position.head}, None)

    def upload(self, body: bytes) -> Answer:
        """Take an upload."""
        try:
            position = self.journals.take(protocol.decode_upload(body), PRINT)
        except GapError as gap:
            return Answer(409, {"error": "gap", "next": gap.next_seq, "head": gap.head}, None)
        except Refused as refused:
            return Answer(423, {"code": refused.code}, None)
        return Answer(200, {"next": position.next_seq, "head": position.head}, None)


def drain(hands: Hands, centre: NearCentre) -> list[Step]:
    up = Uploader(hands.machine.store, centre, MACHINE_SIGN)
    steps = [up.step()]
    while steps[-1] == SENT:
        steps.append(up.step())
    return steps


def test_the_centre_holds_what_the_machine_journalled(tmp_path: Path) -> None:
    """Records, ids, hashes and the readable contact at the centre are the machine's."""
    hands, centre = machine_in(tmp_path), NearCentre()
    dossier = str(hands.deposit(application())["dossier"])
    hands.cash({"dossier": dossier, "notes": [2000, 5000]})
    assert drain(hands, centre)[-1] == IDLE
    events = centre.recorder.log.read_stream(protocol.stream(SERIAL, EPOCH))
    records = hands.machine.store.records()
    assert [(e.version, e.type, e.data) for e in events] == [
        (r.seq, r.type, r.data) for r in records
    ]
    assert centre.recorder.read_personal(events[0].event_id, events[0].schema, "contact") == {
        "name": "Nguyễn Thị An",
        "phone": "0912345678",
    }
    seq, head = hands.machine.store.head()
    position = centre.journals.position(SERIAL, EPOCH)
    assert (position.next_seq, position.head) == (seq + 1, head)


def test_a_note_outside_a_session_is_in_the_books(tmp_path: Path) -> None:
    """From the validator to the ledger and the officers' list, with its value, once."""
    hands, centre = machine_in(tmp_path), NearCentre()
    hands.validator.enable()
    hands.validator.insert(20_000)
    start(hands.machine, "test")
    assert drain(hands, centre)[-1] == IDLE
    log = centre.recorder.log
    reactor = Reactor(name="payment.reactions", handlers=payment.event_handlers(log, BANK))
    runner = ReactorRunner(reactor, centre.recorder, SystemClock())
    for event in [*log.read_all(0), *log.read_all(0)]:
        if event.type in reactor.handlers:
            runner.handle(event)
    assert ledger(log).balances() == {f"cash:{SERIAL}": 20_000, "unplaced": -20_000}
    (row,) = unmatched(log, 10)
    assert (row["machine"], row["amount_vnd"]) == (SERIAL, 20_000)


def test_a_grant_travels_from_the_log_to_the_open_door(tmp_path: Path) -> None:
    """The centre's sealed code opens the cell at the machine and the release comes back."""
    hands, centre = machine_in(tmp_path), NearCentre()
    dossier = str(hands.deposit(application())["dossier"])
    hands.load({"dossier": dossier, "cell": 7, "staff": "CB01"})
    grant = Fact(
        type="grant.release_issued",
        data={"grant": "00000000-0000-4000-8000-000000000001", "dossier": dossier, "cell": 7,
              "not_after": "2099-01-01T00:00:00+07:00"},
        personal={"code": "042042"},
        subject=dossier,
    )  # fmt: skip
    change = Change(stream=f"grant-{SERIAL}", expected_version=0, facts=(grant,))
    centre.recorder.record([change], source="test", key="grant", cause=CAUSE, asked=None)
    for document in centre.orders.after(SERIAL, hands.machine.store.lane("down")):
        assert apply_order(hands.machine, document)
    assert hands.collect({"dossier": dossier, "code": "042042"})["released"] is True
    drain(hands, centre)
    held = centre.recorder.log.read_stream(protocol.stream(SERIAL, EPOCH))
    assert [e.type for e in held][-3:] == [
        "kiosk.grant_stored",
        "kiosk.release_authorised",
        "kiosk.result_released",
    ]


def test_an_enrolment_asked_again_gets_its_first_answer() -> None:
    """Preparing an installation twice changes nothing; another wish under the same key is refused."""
    centre, head = NearCentre(), 0
    for epoch in (1, EPOCH):
        enrol = EnrolMachine(
            serial=SERIAL, epoch=epoch, office="H24", tls_fingerprint=PRINT,
            sign_key=MACHINE_SIGN.public_key().public_bytes_raw().hex(), approved_by="CB02",
        )  # fmt: skip
        head = centre.recorder.log.head()
        answer = order_machine(
            centre.recorder, SERIAL, enrol, source="test", key=str(epoch), cause=CAUSE
        )
        assert answer is not None
        assert answer.duplicate
        assert centre.recorder.log.head() == head
    with pytest.raises(Refused, match="key"):
        order_machine(centre.recorder, SERIAL, enrol, source="test", key="1", cause=CAUSE)


def test_a_journal_of_another_hand_is_refused(tmp_path: Path) -> None:
    """What another key signed is not taken, and nothing of it is kept."""
    hands, centre = machine_in(tmp_path), NearCentre()
    hands.deposit(application())
    forger = Uploader(hands.machine.store, centre, Ed25519PrivateKey.generate())
    assert forger.step() == SENT  # the greeting is not signed
    with pytest.raises(Malformed, match=r"header\.sig"):
        forger.step()
    assert centre.journals.position(SERIAL, EPOCH).next_seq == 1


def test_two_machines_with_one_identity_are_found(tmp_path: Path) -> None:
    """A copy of the machine that goes its own way is quarantined, and the copy notices."""
    centre = NearCentre()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = machine_in(tmp_path / "one"), machine_in(tmp_path / "two")
    one.deposit(application())
    two.deposit(application("P0000002"))
    assert drain(one, centre)[-1] == IDLE
    assert drain(two, centre)[-1] == LOCKED
    assert two.machine.store.meta(FORK) is not None


def test_a_fork_behind_the_greeting_is_quarantined_by_the_centre(tmp_path: Path) -> None:
    """When both copies were greeted before, the centre sees the fork and stops both."""
    centre = NearCentre()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = machine_in(tmp_path / "one"), machine_in(tmp_path / "two")
    ups = [Uploader(hands.machine.store, centre, MACHINE_SIGN) for hands in (one, two)]
    assert [up.step() for up in ups] == [SENT, SENT]
    one.deposit(application())
    two.deposit(application("P0000002"))
    assert [up.step() for up in ups] == [SENT, LOCKED]
    one.deposit(application("P0000003"))
    assert ups[0].step() == LOCKED
    with pytest.raises(Refused, match="quarantined"):
        centre.journals.authorise(SERIAL, EPOCH, PRINT)
