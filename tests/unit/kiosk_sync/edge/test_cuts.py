# SPDX-License-Identifier: Apache-2.0
"""Cuts at every step: the program dies after a step of a device or around a commit, then starts."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from services.common.errors import Refused, Unavailable
from services.kiosk_sync.edge.agent.cash import close_cash, open_cash, settle_cash, take_credits
from services.kiosk_sync.edge.agent.orders import apply_order
from services.kiosk_sync.edge.agent.start import start
from services.kiosk_sync.edge.control import Hands
from services.kiosk_sync.edge.store.store import Store, Transaction
from tests.support.machines import application, machine_in, release_order


class CutError(BaseException):
    """The power went; nothing in the program may catch it."""


class Cutter:
    """Cuts at the n-th step, or by chance."""

    def __init__(self, at: int = -1, *, chance: float = 0.0, seed: int = 0) -> None:
        self.left = at
        self.chance = chance
        self.random = random.Random(seed)
        self.steps = 0

    def __call__(self, step: str) -> None:
        self.steps += 1
        self.left -= 1
        if self.left == 0 or self.random.random() < self.chance:
            raise CutError(step)


def machine(folder: Path, cutter: Cutter) -> Hands:
    """Return the machine of ``folder`` with ``cutter`` after every step; making it never cuts."""
    live = False

    def fault(step: str) -> None:
        if live:
            cutter(step)

    class CutStore(Store):
        @contextmanager
        def transaction(self) -> Iterator[Transaction]:
            with super().transaction() as tx:
                yield tx
                fault("before commit")
            fault("after commit")

    hands = machine_in(folder, fault=fault, store_type=CutStore)
    live = True
    return hands


def credited(hands: Hands) -> tuple[int, int]:
    rows = hands.machine.store.rows(
        "SELECT count(*), coalesce(sum(denomination_vnd), 0) FROM cash_note"
    )
    return rows[0]


def test_no_note_is_lost_or_doubled_by_cuts(tmp_path: Path) -> None:
    """With a cut after 8 % of all steps, credited notes equal the notes in the box."""
    cutter = Cutter(chance=0.08, seed=7)
    hands = machine_in(tmp_path)
    # So many copies that no session covers the fee.
    dossier = str(hands.deposit({**application(), "copies": 200})["dossier"])
    hands.machine.store.close()
    hands = machine(tmp_path, cutter)
    cuts = 0
    for round_ in range(150):
        try:
            settle_cash(hands.machine)
            open_cash(hands.machine, dossier)
            for note in (10_000, 20_000, 50_000):
                hands.validator.insert(note)
                take_credits(hands.machine)
            settle_cash(hands.machine)
        except CutError:
            cuts += 1
            hands.machine.store.close()
            hands = machine(tmp_path, cutter)
            if round_ % 3 == 0:  # a note goes in while the program is dead
                with suppress(CutError):
                    hands.validator.insert(100_000)
    cutter.chance = 0.0
    settle_cash(hands.machine)
    box = hands.mechanics.state["box"]
    assert cuts > 40
    assert len(box) > 100
    assert credited(hands) == (len(box), sum(box))
    assert not any(r.type == "kiosk.cash_discrepancy" for r in hands.machine.store.records())
    hands.machine.store.check()


def test_a_validator_that_forgot_its_credits_is_a_discrepancy(tmp_path: Path) -> None:
    """Notes the count knows and no credit explains are declared, not guessed."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    open_cash(hands.machine, dossier)
    hands.validator.insert(20_000)
    hands.validator.lose_credits()
    close_cash(hands.machine)
    found = [r.data for r in hands.machine.store.records() if r.type == "kiosk.cash_discrepancy"]
    assert found == [{"stacked_count": 1, "journalled_count": 0}]
    (closed,) = [r.data for r in hands.machine.store.records() if r.type == "kiosk.cash_closed"]
    assert closed["reason"] == "fault"
    assert credited(hands) == (0, 0)


def finish(folder: Path) -> Hands:
    """Start again after the cut, twice: a start may be cut off and repeated."""
    hands = machine_in(folder)
    start(hands.machine, "test")
    hands.machine.store.close()
    hands = machine_in(folder)
    start(hands.machine, "test")
    return hands


@pytest.mark.parametrize("step", range(1, 16))
def test_a_pouch_is_known_wherever_a_deposit_is_cut(tmp_path: Path, step: int) -> None:
    """Every pouch in the bin is one deposit or one reported pouch; the tray is empty again."""
    hands = machine(tmp_path, Cutter(step))
    answered = False
    with suppress(CutError):
        hands.deposit(application())
        answered = True
    hands.machine.store.close()
    hands = finish(tmp_path)
    kinds = [r.type for r in hands.machine.store.records()]
    deposits = kinds.count("kiosk.dossier_deposited")
    pouches = hands.mechanics.state["bin"]
    assert hands.mechanics.state["tray"] is None
    assert len(pouches) == deposits + kinds.count("kiosk.custody_unknown")
    assert not answered or deposits == 1


@pytest.mark.parametrize("step", range(1, 14))
def test_a_result_is_known_wherever_a_release_is_cut(tmp_path: Path, step: int) -> None:
    """After a cut the journal says released exactly when the cell is empty."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    hands.load({"dossier": dossier, "cell": 7, "staff": "CB01"})
    apply_order(hands.machine, release_order(1, dossier))
    hands.machine.store.close()
    hands = machine(tmp_path, Cutter(step))
    with suppress(CutError):
        hands.collect({"dossier": dossier, "code": "123456"})
    hands.machine.store.close()
    hands = machine_in(tmp_path)
    hands.locks.close_door(7)
    hands.machine.store.close()
    hands = finish(tmp_path)
    kinds = [r.type for r in hands.machine.store.records()]
    empty = not hands.mechanics.state["cells"]["7"]
    assert kinds.count("kiosk.result_released") == int(empty)
    if not empty:
        assert hands.collect({"dossier": dossier, "code": "123456"})["released"] is True


@pytest.mark.parametrize("step", range(1, 9))
def test_a_result_is_known_wherever_loading_is_cut(tmp_path: Path, step: int) -> None:
    """After a cut the official can repeat the loading, and it is journalled once."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    hands.machine.store.close()
    hands = machine(tmp_path, Cutter(step))
    with suppress(CutError):
        hands.load({"dossier": dossier, "cell": 7, "staff": "CB01"})
    hands.machine.store.close()
    hands = machine_in(tmp_path)
    hands.locks.close_door(7)
    hands.machine.store.close()
    hands = finish(tmp_path)
    hands.load({"dossier": dossier, "cell": 7, "staff": "CB01"})
    kinds = [r.type for r in hands.machine.store.records()]
    assert kinds.count("kiosk.result_loaded") == 1


@pytest.mark.parametrize("step", range(1, 9))
def test_a_result_is_known_wherever_a_recall_is_cut(tmp_path: Path, step: int) -> None:
    """After a cut the official can ask again; it is journalled once, and the cell is empty."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    hands.load({"dossier": dossier, "cell": 7, "staff": "CB01"})
    hands.machine.store.close()
    hands = machine(tmp_path, Cutter(step))
    with suppress(CutError):
        hands.recall({"dossier": dossier, "staff": "CB01"})
    hands.machine.store.close()
    hands = machine_in(tmp_path)
    hands.locks.close_door(7)
    hands.machine.store.close()
    hands = finish(tmp_path)
    hands.recall({"dossier": dossier, "staff": "CB01"})
    kinds = [r.type for r in hands.machine.store.records()]
    assert kinds.count("kiosk.result_recalled") == 1
    assert "kiosk.custody_unknown" not in kinds
    assert not hands.locks.occupied(7)


@pytest.mark.parametrize("step", range(1, 12))
def test_every_pouch_is_in_one_bag_wherever_an_emptying_is_cut(tmp_path: Path, step: int) -> None:
    """After a cut the officials go on; one list, the pouches in the bag that it names."""
    asked = {"staff": "CB01", "second_staff": "CB02", "seal": "NP0001"}
    hands = machine_in(tmp_path)
    for number in range(3):
        hands.deposit(application(f"P{number}"))
    hands.machine.store.close()
    hands = machine(tmp_path, Cutter(step))
    with suppress(CutError):
        hands.empty_bin(asked)
    hands.machine.store.close()
    hands = finish(tmp_path)
    assert hands.empty_bin(asked) == {"pouches": ["P0", "P1", "P2"]}
    kinds = [r.type for r in hands.machine.store.records()]
    state = hands.mechanics.state
    assert kinds.count("kiosk.bin_emptied") == 1
    assert (state["bin"], state["table"]) == ([], [])
    assert state["bags"] == {"NP0001": ["P0", "P1", "P2"]}
    hands.deposit(application("P9"))
    hands.machine.store.check()


def test_no_second_door_opens_while_one_stands_open(tmp_path: Path) -> None:
    """A door left open by a cut refuses every other act at the cells."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    hands.load({"dossier": dossier, "cell": 7, "staff": "CB01"})
    apply_order(hands.machine, release_order(1, dossier))
    hands.machine.store.close()

    def cut(step: str) -> None:
        if step == "opened":
            raise CutError(step)

    hands = machine_in(tmp_path, fault=cut)
    with suppress(CutError):
        hands.collect({"dossier": dossier, "code": "123456"})
    hands.machine.store.close()
    hands = finish(tmp_path)
    other = "00000000-0000-7000-8000-000000000001"
    with pytest.raises(Refused, match="door_open"):
        hands.load({"dossier": other, "cell": 8, "staff": "CB01"})
    hands.locks.close_door(7)
    hands.load({"dossier": other, "cell": 8, "staff": "CB01"})
    kinds = [r.type for r in hands.machine.store.records()]
    assert kinds.count("kiosk.result_uncollected") == 1


def test_a_full_disk_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """On a full disk acts are refused whole; with room again everything agrees."""
    hands = machine_in(tmp_path)
    store = hands.machine.store
    pages = store.rows("PRAGMA page_count")[0][0]
    store.rows(f"PRAGMA max_page_count = {pages + 1}")
    answered = 0
    with suppress(Unavailable):
        for number in range(200):
            hands.deposit(application(f"P{number:07d}"))
            answered += 1
    assert answered < 200
    store.check()
    store.rows("PRAGMA max_page_count = 100000")
    start(hands.machine, "test")
    kinds = [r.type for r in store.records()]
    # A deposit whose slip could not be journalled is there although it was not answered.
    assert kinds.count("kiosk.dossier_deposited") in {answered, answered + 1}
    known = kinds.count("kiosk.dossier_deposited") + kinds.count("kiosk.custody_unknown")
    assert len(hands.mechanics.state["bin"]) == known
    assert hands.mechanics.state["tray"] is None
