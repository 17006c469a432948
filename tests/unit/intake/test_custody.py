# SPDX-License-Identifier: Apache-2.0
"""Where pouches and results are: each step, what nobody knows, and the cases about it."""

import uuid
from collections.abc import Mapping
from datetime import datetime

import pytest

from services.common.canonical import Json
from services.common.clock import VIETNAM
from services.common.errors import Refused
from services.common.eventlog.recording import Cause
from services.intake.application.cases import CloseCase, close_case, happening
from services.intake.domain.custody import MemoryShelf, apply
from tests.support.province import Province


@pytest.fixture
def province() -> Province:
    """A fresh province."""
    return Province()


def shelf_of(province: Province) -> MemoryShelf:
    """Return the fold of the whole log."""
    shelf = MemoryShelf()
    for event in province.log.read_all(0):
        apply(shelf, happening(event))
    return shelf


def places(province: Province) -> dict[str, str]:
    """Return the place of everything."""
    return {key: item.place for key, item in shelf_of(province).items.items()}


def opened_cases(province: Province) -> list[Mapping[str, Json]]:
    """Return what every case began with."""
    return [e.data for e in province.log.read_all(0, types=["office.custody_case_opened"])]


def empty(province: Province, *pouches: str) -> None:
    """Two officials empty the first bin and count these pouches."""
    province.office.journal(
        "kiosk.bin_emptied", bin=1, staff="cb001", second_staff="cb002", pouches=list(pouches),
        seal="NP1",
    )  # fmt: skip
    province.run()


def close(province: Province, case: str, *, office: str = "VT", found: str = "office") -> None:
    """An official closes a case."""
    close_case(
        province.office.recorder("motcua_intake"),
        CloseCase(case=case, official="cb001", office=office, found=found, found_at="Sau tủ"),
        source="http:cb001", key=str(uuid.uuid4()),
        cause=Cause(correlation_id=str(uuid.uuid4()), actor="official:cb001"),
    )  # fmt: skip


def finished(province: Province, **words: str) -> str:
    """Return a dossier whose result is at the office."""
    dossier = province.deposit(pouch=f"P-{uuid.uuid4().hex[:8]}")
    province.pays(dossier, 8_000)
    province.does(dossier, "accept")
    channel = {"return_channel": "machine", "return_machine": "VT01", **words}
    if channel["return_channel"] != "machine":
        channel["return_machine"] = None  # type: ignore[assignment]
    province.does(dossier, "complete", result_number="KQ-1", **channel)
    return dossier


def test_the_way_of_a_pouch_and_its_result(province: Province) -> None:
    """Bin, bag, clerk, agency; shelf, cell, citizen: one place at a time."""
    dossier = province.deposit(pouch="P1")
    mine, its_result = f"papers/{dossier}", f"result/{dossier}"
    seen = [places(province)[mine]]
    empty(province, "P1")
    seen.append(places(province)[mine])
    province.pays(dossier, 8_000)
    for verb, words in (("open", {"differences": []}), ("accept", {}), ("start", {"agency": "X"})):
        province.does(dossier, verb, **words)
        seen.append(places(province)[mine])
    assert seen == [
        "bin:VT01/1",
        "office:VT/bag",
        "office:VT/clerk",
        "office:VT/clerk",
        "agency:VT",
    ]
    assert its_result not in places(province)
    province.does(dossier, "complete", result_number="1", return_channel="machine",
                  return_machine="VT01")  # fmt: skip
    seen = [places(province)[its_result]]
    province.office.load(dossier)
    province.run()
    seen.append(places(province)[its_result])
    province.office.release(dossier)
    province.run()
    seen.append(places(province)[its_result])
    assert seen == ["office:VT/shelf", "cell:VT01/7", "citizen"]
    assert opened_cases(province) == []


def test_said_is_not_carried(province: Province) -> None:
    """Deciding on a dossier does not take its pouch out of a bin; opening or emptying does."""
    decided, opened = province.deposit(pouch="P1"), province.deposit(pouch="P2")
    province.pays(decided, 8_000)
    province.does(decided, "accept")
    province.does(decided, "withdraw", reason="Không còn nhu cầu")
    assert places(province)[f"papers/{decided}"] == "bin:VT01/1"
    province.does(opened, "open", differences=[])
    assert places(province)[f"papers/{opened}"] == "office:VT/clerk"
    empty(province, "P1")
    assert places(province)[f"papers/{decided}"] == "office:VT/bag"


def test_papers_go_back_and_forth(province: Province) -> None:
    """Complete papers go to the agency; those of a stopped dossier wait on the office's shelf."""
    dossier = province.deposit(pouch="P1")
    empty(province, "P1")
    province.pays(dossier, 8_000)
    province.does(dossier, "request-supplement", reasons=["Thiếu"], respond_by=None)
    seen = [places(province)[f"papers/{dossier}"]]
    for verb, words in (("receive-supplement", {}), ("stop", {"reason": "Tranh chấp"})):
        province.does(dossier, verb, **words)
        seen.append(places(province)[f"papers/{dossier}"])
    assert seen == ["office:VT/bag", "agency:VT", "office:VT/shelf"]


def test_a_pouch_in_the_other_bin(province: Province) -> None:
    """A bag that holds a pouch of another bin says where it is."""
    dossier = province.deposit(pouch="P1", bin=2)
    empty(province, "P1")
    assert places(province) == {f"papers/{dossier}": "office:VT/bag"}
    assert opened_cases(province) == []


def test_loaded_before_it_was_recorded_as_finished(province: Province) -> None:
    """A result that lies in a cell already is not put on the shelf by a late completion."""
    dossier = province.deposit(pouch="P1")
    province.pays(dossier, 8_000)
    province.does(dossier, "accept")
    province.office.load(dossier)
    province.run()
    province.does(dossier, "complete", result_number="1", return_channel="machine",
                  return_machine="VT01")  # fmt: skip
    assert places(province)[f"result/{dossier}"] == "cell:VT01/7"


def test_a_pouch_missing_in_the_bag(province: Province) -> None:
    """It is unknown, the office has to find it by the next working day, and finds it."""
    there, gone = province.deposit(pouch="P1"), province.deposit(pouch="P2")
    empty(province, "P1")
    assert places(province) == {f"papers/{there}": "office:VT/bag", f"papers/{gone}": "unknown"}
    (case,) = opened_cases(province)
    assert (case["because"], case["pouch"], case["dossier"]) == ("missing_in_bag", "P2", gone)
    assert (case["owner"], case["place"]) == ("VT", "bin:VT01/1")
    due = datetime.fromisoformat(str(case["due_at"]))
    assert due == datetime(2026, 11, 17, 17, tzinfo=VIETNAM)
    close(province, str(case["case"]))
    assert places(province)[f"papers/{gone}"] == "office:VT/shelf"
    with pytest.raises(Refused, match="case_closed"):
        close(province, str(case["case"]))


def test_an_official_was_faster_than_the_machine(province: Province) -> None:
    """A pouch that was opened before the journal arrived is neither moved back nor missed."""
    listed, left_out = province.deposit(pouch="P1"), province.deposit(pouch="P2")
    for dossier in (listed, left_out):
        province.does(dossier, "open", differences=[])
    empty(province, "P1")
    assert set(places(province).values()) == {"office:VT/clerk"}
    assert len(places(province)) == 2
    assert opened_cases(province) == []


def test_a_strange_pouch(province: Province) -> None:
    """Reported by the machine it has a case at once, and the bag that holds it says where."""
    province.office.journal(
        "kiosk.custody_unknown", dossier=None, place="intake", reason="no deposit", pouch="S1"
    )
    province.run()
    (case,) = opened_cases(province)
    assert (case["because"], case["item"], case["place"]) == (
        "no_deposit", "stray/VT01/S1", "tray:VT01",
    )  # fmt: skip
    assert places(province) == {"stray/VT01/S1": "unknown"}
    empty(province, "S1")
    assert places(province) == {"stray/VT01/S1": "office:VT/bag"}
    assert len(opened_cases(province)) == 1


def test_a_pouch_that_nobody_ever_saw(province: Province) -> None:
    """A bag with a pouch that no machine took in opens a case about whose it is."""
    empty(province, "S9")
    (case,) = opened_cases(province)
    assert (case["because"], case["pouch"], case["dossier"]) == ("no_deposit", "S9", None)
    assert places(province) == {"stray/VT01/S9": "office:VT/bag"}


def test_a_result_that_the_machine_cannot_find(province: Province) -> None:
    """It is unknown with a case; once the citizen has it, the machine's word moves nothing."""
    dossier = finished(province)
    province.office.load(dossier)
    words = {"dossier": dossier, "place": "cell", "reason": "cell 7", "pouch": None}
    province.office.journal("kiosk.custody_unknown", **words)
    province.run()
    assert places(province)[f"result/{dossier}"] == "unknown"
    (case,) = opened_cases(province)
    assert (case["because"], case["kind"], case["place"]) == (
        "machine_report", "result", "cell:VT01/7",
    )  # fmt: skip
    close(province, str(case["case"]), found="citizen")
    province.office.journal("kiosk.custody_unknown", **words)
    province.run()
    assert places(province)[f"result/{dossier}"] == "citizen"
    assert len(opened_cases(province)) == 1


def test_recalled_and_handed_over(province: Province) -> None:
    """Out of the cell it is at the counter, and only there it is returned."""
    dossier = finished(province)
    province.office.load(dossier)
    province.office.journal("kiosk.result_recalled", dossier=dossier, cell=7, staff="cb001")
    province.run()
    known = province.dossier(dossier)
    assert (known.status, known.return_channel, known.ready_at) == (9, "counter", "")
    assert places(province)[f"result/{dossier}"] == "office:VT/shelf"
    province.does(dossier, "return", channel="counter", proof="Ký nhận")
    assert places(province)[f"result/{dossier}"] == "citizen"


def test_given_to_the_wrong_one(province: Province) -> None:
    """A reversed return leaves the result unknown with a case; lost is an answer."""
    dossier = finished(province, return_channel="counter")
    province.does(dossier, "return", channel="counter", proof="Ký nhận")
    province.does(dossier, "reverse-return", reason="Giao nhầm")
    (case,) = opened_cases(province)
    assert (case["because"], case["place"], case["machine"]) == ("reversed", "citizen", None)
    assert places(province)[f"result/{dossier}"] == "unknown"
    close(province, str(case["case"]), found="lost")
    assert places(province)[f"result/{dossier}"] == "lost"


def test_cases_belong_to_their_office(province: Province) -> None:
    """Another office has no such case, and a case that never was is nobody's."""
    province.deposit(pouch="P1")
    empty(province)
    (case,) = opened_cases(province)
    with pytest.raises(Refused, match="no_such_case"):
        close(province, str(case["case"]), office="CT")
    with pytest.raises(Refused, match="no_such_case"):
        close(province, f"{case['case']}1")


def test_a_cell_holds_one_result(province: Province) -> None:
    """What lay in a cell that is loaded again is not there any more: unknown."""
    first, second = finished(province), finished(province)
    province.office.load(first)
    province.office.load(second)
    province.run()
    assert places(province)[f"result/{first}"] == "unknown"
    assert places(province)[f"result/{second}"] == "cell:VT01/7"
