# SPDX-License-Identifier: Apache-2.0
"""What staff do inside a machine, also when the current fails in the middle of it."""

from pathlib import Path

import pytest

from services.common.errors import Malformed, Refused
from services.kiosk_sync.edge.agent.bins import Emptying, close_bin, open_bin
from services.kiosk_sync.edge.agent.orders import apply_order
from services.kiosk_sync.edge.agent.release import settle_locks
from services.kiosk_sync.edge.agent.view import dossier_view
from services.kiosk_sync.edge.control import Hands
from tests.support.machines import application, machine_in, release_order

OFFICERS = {"staff": "CB01", "second_staff": "CB02", "seal": "NP0001"}


def types(hands: Hands) -> list[str]:
    """Return the journal's record types."""
    return [record.type for record in hands.machine.store.records()]


def loaded(hands: Hands, cell: int = 7) -> str:
    """Return a dossier whose result lies in a cell."""
    dossier = str(hands.deposit(application())["dossier"])
    hands.load({"dossier": dossier, "cell": cell, "staff": "CB01"})
    return dossier


def test_two_officials_empty_the_bin(tmp_path: Path) -> None:
    """What they counted is journalled; the bin is empty and takes the next pouch."""
    hands = machine_in(tmp_path)
    for number in (1, 2):
        hands.deposit({**application(), "pouch": f"P{number}"})
    assert hands.empty_bin({**OFFICERS, "missing": ["P2"]}) == {"pouches": ["P1"]}
    record = list(hands.machine.store.records())[-1]
    assert (record.type, record.data["pouches"]) == ("kiosk.bin_emptied", ["P1"])
    assert (record.data["staff"], record.data["second_staff"]) == ("CB01", "CB02")
    assert hands.mechanics.state["bin"] == []
    hands.deposit({**application(), "pouch": "P3"})
    assert hands.mechanics.state["bin"] == ["P3"]
    assert hands.empty_bin(dict(OFFICERS)) == {"pouches": ["P1"]}, "the same seal, the same bag"
    assert hands.mechanics.state["bin"] == ["P3"]
    assert hands.empty_bin({**OFFICERS, "seal": "NP0002"}) == {"pouches": ["P3"]}
    assert types(hands).count("kiosk.bin_emptied") == 2
    hands.machine.store.check()


@pytest.mark.parametrize(
    "wrong",
    [
        {"second_staff": "CB01"},
        {"staff": ""},
        {"seal": ""},
        {"seal": "x" * 33},
        {"bin": 2},
        {"staff": "CB99"},
        {"second_staff": "CB99"},
    ],
)
def test_a_wrong_emptying_is_not_journalled(tmp_path: Path, wrong: dict[str, str]) -> None:
    """One official twice, a stranger, or fields that no contract takes: nothing happens."""
    hands = machine_in(tmp_path)
    hands.deposit(application())
    before = types(hands)
    with pytest.raises((Refused, Malformed)):
        hands.empty_bin({**OFFICERS, **wrong})
    assert types(hands) == before
    assert len(hands.mechanics.state["bin"]) == 1


def test_an_empty_bin_is_not_opened(tmp_path: Path) -> None:
    """The machine says that nothing is there; a pouch that nobody knows is something."""
    hands = machine_in(tmp_path)
    with pytest.raises(Refused, match="bin_empty"):
        hands.empty_bin(dict(OFFICERS))
    hands.mechanics.change("leave", lambda state: state.update(tray="P-STRANGE"))
    assert hands.empty_bin(dict(OFFICERS)) == {"pouches": ["P-STRANGE"]}
    with pytest.raises(Refused, match="bin_empty"):
        hands.empty_bin({**OFFICERS, "seal": "NP0002"})
    assert hands.mechanics.state["bags"] == {"NP0001": ["P-STRANGE"]}


def test_nothing_is_taken_in_between_the_opening_and_the_list(tmp_path: Path) -> None:
    """A pouch that falls into an open bin would be on nobody's list."""
    hands = machine_in(tmp_path)
    hands.deposit(application())
    emptying = Emptying(bin=1, pouches=["P0000001"], **OFFICERS)
    open_bin(hands.machine, emptying)
    with pytest.raises(Refused, match="bin_door_open"):
        close_bin(hands.machine, emptying)
    hands.intake.take_out()
    with pytest.raises(Refused, match="bin_open"):
        hands.deposit(application("P0000002"))
    close_bin(hands.machine, emptying)
    hands.deposit(application("P0000002"))
    with pytest.raises(Refused, match="bin_not_open"):
        close_bin(hands.machine, emptying)


@pytest.mark.parametrize("act", ["load", "recall"])
def test_a_stranger_opens_no_cell(tmp_path: Path, act: str) -> None:
    """Only staff whom the machine's configuration names."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    doors = len(hands.mechanics.state["unlocked"])
    other = "00000000-0000-7000-8000-000000000001"
    body = {"dossier": other if act == "load" else dossier, "cell": 8, "staff": "CB99"}
    with pytest.raises(Refused, match="staff_unknown"):
        getattr(hands, act)(body)
    assert len(hands.mechanics.state["unlocked"]) == doors


def test_a_cell_that_is_empty_against_the_journal_is_reported(tmp_path: Path) -> None:
    """Nobody is said to have taken out what was not there."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    hands.mechanics.change("stolen", lambda state: state["cells"].update({"7": False}))
    with pytest.raises(Refused, match="cell_empty"):
        hands.recall({"dossier": dossier, "staff": "CB02"})
    assert types(hands)[-1] == "kiosk.custody_unknown"
    assert "kiosk.result_recalled" not in types(hands)


def test_a_recalled_result_is_nobodys_any_more(tmp_path: Path) -> None:
    """The cell is free; the code opens nothing; the screen sends the citizen to the counter."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    apply_order(hands.machine, release_order(1, dossier))
    assert hands.recall({"dossier": dossier, "staff": "CB02"})["cell"] == 7
    assert types(hands)[-1] == "kiosk.result_recalled"
    assert not hands.locks.occupied(7)
    assert "BỘ PHẬN MỘT CỬA" in str(dossier_view(hands.machine, dossier)["screen"])
    with pytest.raises(Refused, match="recalled"):
        hands.collect({"dossier": dossier, "code": "123456"})
    assert hands.recall({"dossier": dossier, "staff": "CB02"})["cell"] == 7, "asked again"
    with pytest.raises(Refused, match="already_recalled"):
        hands.recall({"dossier": dossier, "staff": "CB01"})
    assert types(hands).count("kiosk.result_recalled") == 1
    other = str(hands.deposit({**application(), "pouch": "P9"})["dossier"])
    hands.load({"dossier": other, "cell": 7, "staff": "CB01"})
    with pytest.raises(Refused, match="recalled"):
        hands.collect({"dossier": dossier, "code": "123456"})
    assert hands.locks.occupied(7)


def test_a_right_that_comes_after_the_recall_opens_nothing(tmp_path: Path) -> None:
    """The centre did not know yet; the empty cell must not be journalled as handed over."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    hands.recall({"dossier": dossier, "staff": "CB02"})
    apply_order(hands.machine, release_order(1, dossier))
    with pytest.raises(Refused, match="no_grant"):
        hands.collect({"dossier": dossier, "code": "123456"})
    assert "kiosk.result_released" not in types(hands)
    assert "kiosk.custody_unknown" not in types(hands), "the office knows where it is"
    assert "BỘ PHẬN MỘT CỬA" in str(dossier_view(hands.machine, dossier)["screen"])


def test_a_result_that_was_never_here_cannot_be_recalled(tmp_path: Path) -> None:
    """Neither before it was laid in nor after the citizen took it."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    body = {"dossier": dossier, "staff": "CB01"}
    with pytest.raises(Refused, match="not_in_a_cell"):
        hands.recall(body)
    hands.load({**body, "cell": 7})
    apply_order(hands.machine, release_order(1, dossier))
    hands.collect({"dossier": dossier, "code": "123456"})
    with pytest.raises(Refused, match="not_in_a_cell"):
        hands.recall(body)


def test_a_result_left_inside_stays_the_citizens(tmp_path: Path) -> None:
    """The door was opened and closed, nothing taken: no record, the code still works."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)
    apply_order(hands.machine, release_order(1, dossier))
    with pytest.raises(Refused, match="still_inside"):
        hands.recall({"dossier": dossier, "staff": "CB02", "leave": True})
    assert hands.collect({"dossier": dossier, "code": "123456"})["released"]


@pytest.mark.parametrize("taken", [True, False])
def test_the_current_fails_during_a_recall(tmp_path: Path, taken: bool) -> None:
    """After the cut the sensor says how it ended."""
    hands = machine_in(tmp_path)
    dossier = loaded(hands)

    class CutError(Exception):
        """The current is gone."""

    def cut(cell: int, reason: str) -> None:
        if taken:
            hands.mechanics.change("taken", lambda state: state["cells"].update({str(cell): False}))
        raise CutError(reason)

    hands.machine.locks.unlock, before = cut, hands.machine.locks.unlock  # type: ignore[method-assign]
    with pytest.raises(CutError):
        hands.recall({"dossier": dossier, "staff": "CB02"})
    hands.machine.locks.unlock = before  # type: ignore[method-assign]
    settle_locks(hands.machine)
    assert ("kiosk.result_recalled" in types(hands)) == taken
    settle_locks(hands.machine)
    assert types(hands).count("kiosk.result_recalled") == taken
