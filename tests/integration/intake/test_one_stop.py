# SPDX-License-Identifier: Apache-2.0
"""Conformance of the one-stop bridge, the same for both generations of the interface.

The adapters speak to the sandbox's own process, its two doors on one book, to what it does wrong
when ordered, and to servers that answer nonsense.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from infra.local.system import free_port
from services.common.clock import VIETNAM
from services.common.errors import Unavailable
from services.intake.adapters import one_stop as adapter
from services.intake.adapters.one_stop import ReturnOrder
from services.intake.adapters.one_stop_2020 import OneStop2020
from services.intake.adapters.one_stop_2026 import OneStop2026
from services.intake.application.ports import CounterDossier, NotTakenError, OneStopPort
from tests.support.sandboxes import SESSION, OneStopProcess, answering, one_stop_in

CODE = "H30.12-261116-0001"
ACCEPTED = datetime(2026, 11, 16, 8, 0, tzinfo=VIETNAM)
DUE = datetime(2026, 11, 19, 17, 0, tzinfo=VIETNAM)
ROW = {
    "MaHoSo": CODE, "MaTTHC": "2.000635", "NgayTiepNhan": "20261116080000",
    "NgayHenTra": "20261119170000", "TrangThaiHoSo": "2", "LoaiDoiTuong": "1",
}  # fmt: skip
Client = Callable[..., OneStopPort]


def of_2020(url: str, secret: str = SESSION) -> OneStopPort:
    """Return the client of 2020 as intake makes it."""
    return OneStop2020(url, secret, "H30.12")


def of_2026(url: str, secret: str = SESSION) -> OneStopPort:
    """Return the client of 2026 as intake makes it."""
    return OneStop2026(url, client="motcua247", secret=secret, agency="H30.12")


@pytest.fixture(params=[of_2020, of_2026], ids=["2020", "2026"])
def client(request: pytest.FixtureRequest) -> Client:
    """Return what makes a client of each generation."""
    made: Client = request.param
    return made


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[OneStopProcess]:
    """A sandbox with an empty book."""
    with one_stop_in(tmp_path) as process:
        yield process


def tell(one_stop: OneStopPort) -> str:
    """Tell of an acceptance."""
    return one_stop.upsert(CODE, procedure="2.000635", accepted_at=ACCEPTED, due_at=DUE, status=2)


def test_the_way_of_a_dossier(sandbox: OneStopProcess, client: Client) -> None:
    """2, 9 and 10 arrive in this order, each once, with Vietnam's times, however often told."""
    one_stop = client(sandbox.url)
    assert tell(one_stop) == tell(one_stop)
    assert one_stop.to_return() == []
    assert sandbox.finish(CODE) == 200
    assert one_stop.to_return() == [ReturnOrder(code=CODE, result_number="KQ-1", machine="VT01")]
    first = one_stop.progress(CODE, status=10, at=DUE)
    assert one_stop.progress(CODE, status=10, at=DUE) == first
    assert one_stop.to_return() == []
    book = sandbox.book()
    assert [row["status"] for row in book["history"]] == [2, 9, 10]
    (dossier,) = book["dossiers"]
    assert (dossier["accepted"], dossier["due"]) == ("20261116080000", "20261119170000")
    assert dossier["subject"] == "citizen"  # 1 as of 2020, 0 as of 2026


def test_a_dossier_of_the_counter(sandbox: OneStopProcess, client: Client) -> None:
    """What its officials registered and finished comes with all that is needed to know it."""
    told = {
        "MaHoSo": CODE, "MaTTHC": "1.012783", "NgayTiepNhan": "20261116080000",
        "NgayHenTra": "20261119170000", "ChuHoSo": "Trần Văn Út", "SoDienThoai": "0987654321",
    }  # fmt: skip
    assert sandbox.register(**told) == sandbox.register(**told) == 200
    for name in told:
        assert sandbox.register(**{**told, "MaHoSo": CODE + "1", name: ""}) == 422
    assert client(sandbox.url).to_return() == []
    assert sandbox.finish(CODE) == 200
    (order,) = client(sandbox.url).to_return()
    assert order.counter == CounterDossier(
        procedure="1.012783", accepted_at=ACCEPTED, due_at=DUE, name="Trần Văn Út",
        phone="0987654321",
    )  # fmt: skip
    client(sandbox.url).progress(CODE, status=10, at=DUE)
    assert [row["status"] for row in sandbox.book()["history"]] == [4, 9, 10]


def test_the_book_survives_a_kill(sandbox: OneStopProcess, client: Client) -> None:
    """What was acknowledged is in the book after the process was killed."""
    one_stop = client(sandbox.url)
    reference = tell(one_stop)
    sandbox.kill()
    with pytest.raises(Unavailable):
        tell(one_stop)
    sandbox.start()
    assert tell(one_stop) == reference
    assert len(sandbox.book()["history"]) == 1


def test_ten_without_nine_is_refused(sandbox: OneStopProcess, client: Client) -> None:
    """A dossier that was never finished cannot be returned, nor can one that nobody knows."""
    one_stop = client(sandbox.url)
    with pytest.raises(NotTakenError, match="404"):
        one_stop.progress(CODE, status=10, at=DUE)
    tell(one_stop)
    with pytest.raises(NotTakenError, match="not allowed"):
        one_stop.progress(CODE, status=10, at=DUE)
    assert [row["status"] for row in sandbox.book()["history"]] == [2]


@pytest.mark.parametrize("secret", ["another", "khác"])
def test_a_wrong_secret_is_refused(sandbox: OneStopProcess, client: Client, secret: str) -> None:
    """A caller without the secret changes and learns nothing; it is no refusal of a dossier."""
    one_stop = client(sandbox.url, secret)
    for call in (one_stop.to_return, lambda: tell(one_stop)):
        with pytest.raises(Unavailable, match=r"101|401"):
            call()
    assert sandbox.ask("DongBoHoSoMC", secret, data=[ROW])["error_code"] == 101
    assert sandbox.book() == {"dossiers": [], "history": []}


@pytest.mark.parametrize(
    "wrong",
    [{"MaHoSo": "no code"}, {"MaTTHC": ""}, {"NgayTiepNhan": "2026-11-16"}, {"NgayHenTra": None},
     {"NgayHenTra": "20261399000000"}, {"MaHoSo": CODE + "\n"}, {"TrangThaiHoSo": "9"},
     {"LoaiDoiTuong": "0"}],
)  # fmt: skip
def test_bad_fields_are_refused(sandbox: OneStopProcess, wrong: dict[str, object]) -> None:
    """The sandbox takes no dossier with a bad code, procedure, time or status."""
    assert sandbox.ask("DongBoHoSoMC", data=[{**ROW, **wrong}])["error_code"] == 500
    assert sandbox.ask("DongBoHoSoMC", data=[ROW, ROW])["error_code"] == 500
    assert sandbox.ask("KhongCo", data=[ROW])["error_code"] == 500
    assert sandbox.book() == {"dossiers": [], "history": []}


def test_finishing_needs_a_known_dossier(sandbox: OneStopProcess) -> None:
    """Its officials finish only what the book has."""
    assert sandbox.finish(CODE) == 404
    tell(of_2020(sandbox.url))
    assert sandbox.finish(CODE, machine="") == 404


def test_nobody_listens(client: Client) -> None:
    """A system that is down is Unavailable for every call."""
    one_stop = client(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable):
        one_stop.to_return()
    with pytest.raises(Unavailable):
        one_stop.progress(CODE, status=10, at=DUE)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>maintenance</html>"),
        (200, b"[]"),
        (200, b"null"),
        (200, b"\xff\xfe"),
        (200, b"{}"),
        (200, b'{"error_code": [], "reference": "r", "result": []}'),
        (200, b'{"error_code": {}, "reference": "r", "result": []}'),
        (200, b'{"error_code": false, "reference": "r", "result": []}'),
        (200, b'{"error_code": 1, "reference": "r", "result": []}'),
        (200, b'{"error_code": 0}'),
        (200, b'{"error_code": 0, "reference": "", "result": {}}'),
        (200, b'{"error_code": 0, "reference": 7, "result": [7]}'),
        (200, b'{"error_code": 0, "reference": null, "result": [{"MaHoSo": "x"}]}'),
        (500, b'{"error_code": 0, "reference": "r", "result": []}'),
        (302, b'{"error_code": 0, "reference": "r", "result": []}'),
        (200, b'{"access_token": "t"}'),
        (200, b'{"access_token": "t", "status": 0, "reference": "r", "data": []}'),
        (200, b'{"access_token": "t", "status": "1", "reference": "r", "data": []}'),
        (200, b'{"access_token": "t", "status": 1, "reference": "", "data": {}}'),
        (200, b'{"access_token": "t", "status": 1, "reference": 7, "data": [{"MaHoSo": "x"}]}'),
        (200, b'{"access_token": 7, "status": 1, "reference": "r", "data": []}'),
        (200, b'{"access_token": "\\u0111", "status": 1, "reference": "r", "data": []}'),
        (404, b'{"access_token": "t", "status": 0, "code": "NO_ROUTE"}'),
    ],
)
def test_garbage_is_unavailable(client: Client, status: int, body: bytes) -> None:
    """An answer that is no acknowledgement is never taken for one, and raises nothing else."""
    with answering(status, body) as url:
        with pytest.raises(Unavailable):
            client(url).to_return()
        with pytest.raises(Unavailable):
            client(url).progress(CODE, status=10, at=DUE)


@pytest.mark.parametrize("code", [0, "0", "00"])
def test_every_spelling_of_success(code: object) -> None:
    """0, "0" and "00" are success as of 2020."""
    body = json.dumps({"error_code": code, "reference": "r"}).encode()
    with answering(200, body) as url:
        assert tell(of_2020(url)) == "r"


def test_silence_is_unavailable(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes the call and says nothing is given up after the time-out."""
    monkeypatch.setattr(adapter, "TIMEOUT_S", (0.2, 0.2))
    with answering(200, b"", silent=True) as url, pytest.raises(Unavailable, match="Timeout"):
        client(url).to_return()


# --- both doors lead to one book, and every status may be told ------------------------------------


def test_a_long_life_and_a_correction(sandbox: OneStopProcess, client: Client) -> None:
    """All of our statuses, the corrective 9 too, each once however often each is told."""
    one_stop, life = client(sandbox.url), [4, 5, 4, 6, 4, 9, 10, 9, 10]
    tell(one_stop)
    for number, status in enumerate(life, start=1):
        at = ACCEPTED + timedelta(minutes=number)
        first = one_stop.progress(CODE, status=status, at=at)
        assert one_stop.progress(CODE, status=status, at=at) == first
    assert [row["status"] for row in sandbox.book()["history"]] == [2, *life]
    assert sandbox.book()["dossiers"][0]["status"] == 10


@pytest.mark.parametrize("end", [[4, 8], [4, 5, 3], [4, 6, 7]])
def test_every_other_end(sandbox: OneStopProcess, client: Client, end: list[int]) -> None:
    """Stopped, refused after a supplement, withdrawn."""
    one_stop = client(sandbox.url)
    tell(one_stop)
    for number, status in enumerate(end, start=1):
        one_stop.progress(CODE, status=status, at=ACCEPTED + timedelta(minutes=number))
    assert sandbox.book()["dossiers"][0]["status"] == end[-1]


def test_a_known_dossier_becomes_due_at_another_time(
    sandbox: OneStopProcess, client: Client
) -> None:
    """The day moves; status and history stay, however often it is told."""
    one_stop = client(sandbox.url)
    tell(one_stop)
    one_stop.progress(CODE, status=4, at=ACCEPTED + timedelta(minutes=1))
    for _ in range(2):
        one_stop.upsert(
            CODE, procedure="2.000635", accepted_at=ACCEPTED, due_at=DUE + timedelta(days=3),
            status=4,
        )  # fmt: skip
    stamp = (DUE + timedelta(days=3)).astimezone(VIETNAM).strftime("%Y%m%d%H%M%S")
    (row,) = sandbox.book()["dossiers"]
    assert (row["due"], row["status"]) == (stamp, 4)
    assert [one["status"] for one in sandbox.book()["history"]] == [2, 4]


def test_both_doors_lead_to_one_book(sandbox: OneStopProcess) -> None:
    """What one generation was told the other knows, with the same orders."""
    tell(of_2020(sandbox.url))
    assert sandbox.finish(CODE) == 200
    assert of_2020(sandbox.url).to_return() == of_2026(sandbox.url).to_return()
    of_2026(sandbox.url).progress(CODE, status=10, at=DUE)
    assert of_2020(sandbox.url).to_return() == []


def test_an_ended_token_is_replaced(sandbox: OneStopProcess) -> None:
    """401 in the middle of a day costs one question for a new token, nothing else."""
    one_stop = of_2026(sandbox.url)
    reference = tell(one_stop)
    sandbox.control("expire-tokens")
    assert tell(one_stop) == reference


# --- faults as ordered ---------------------------------------------------------------------------


def test_down_is_unavailable_until_it_is_over(sandbox: OneStopProcess, client: Client) -> None:
    """While it is down nothing is booked; afterwards the same call is."""
    one_stop = client(sandbox.url)
    sandbox.control("faults", down_s=600)
    with pytest.raises(Unavailable):
        tell(one_stop)
    with pytest.raises(Unavailable):
        one_stop.to_return()
    assert sandbox.book()["dossiers"] == []
    sandbox.control("faults", down_s=0)
    assert tell(one_stop)


def test_slow_is_carried_out_and_told_again(
    sandbox: OneStopProcess, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that comes too late is none; the repeated call books nothing twice."""
    one_stop = client(sandbox.url)
    one_stop.to_return()
    monkeypatch.setattr(adapter, "TIMEOUT_S", (0.2, 0.2))
    sandbox.control("faults", slow_s=1.0)
    with pytest.raises(Unavailable, match="Timeout"):
        tell(one_stop)
    monkeypatch.undo()
    sandbox.control("faults", slow_s=0)
    assert tell(one_stop)
    assert [row["status"] for row in sandbox.book()["history"]] == [2]


def test_a_garbled_answer_is_no_answer(sandbox: OneStopProcess, client: Client) -> None:
    """It was carried out and the answer cannot be read: told again it books nothing twice."""
    one_stop = client(sandbox.url)
    one_stop.to_return()
    sandbox.control("faults", wrong=1)
    with pytest.raises(Unavailable):
        tell(one_stop)
    assert tell(one_stop)
    assert [row["status"] for row in sandbox.book()["history"]] == [2]


def test_an_ordered_refusal_is_definite(sandbox: OneStopProcess, client: Client) -> None:
    """A no is a no: nothing is booked, and it is not taken for an outage."""
    one_stop = client(sandbox.url)
    sandbox.control("faults", refuse=1)
    with pytest.raises(NotTakenError, match="incorrect"):
        tell(one_stop)
    assert sandbox.book()["dossiers"] == []
    assert tell(one_stop)


def test_orders_named_twice(sandbox: OneStopProcess, client: Client) -> None:
    """A list may name an order twice; both are read."""
    one_stop = client(sandbox.url)
    tell(one_stop)
    sandbox.finish(CODE)
    sandbox.control("faults", duplicate_orders=1)
    assert [len(one_stop.to_return()) for _ in range(2)] == [2, 1]


@pytest.mark.parametrize("wrong", [{}, {"explode": 1}, {"down_s": -1}, {"wrong": "1"}])
def test_faults_nobody_knows_are_not_ordered(
    sandbox: OneStopProcess, wrong: dict[str, object]
) -> None:
    """A misspelt fault is told, not ignored."""
    assert sandbox.control("faults", **wrong) == 422
