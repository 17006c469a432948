# SPDX-License-Identifier: Apache-2.0
"""The one-stop adapter against the sandbox's own process and against servers that misbehave."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from infra.local.system import free_port
from services.common.clock import VIETNAM
from services.common.errors import Unavailable
from services.intake.adapters import one_stop as adapter
from services.intake.adapters.one_stop import OneStop, ReturnOrder
from services.intake.application.ports import CounterDossier, NotTakenError
from tests.support.sandboxes import SESSION, OneStopProcess, answering, one_stop_in

CODE = "H30.12-261116-0001"
ACCEPTED = datetime(2026, 11, 16, 8, 0, tzinfo=VIETNAM)
DUE = datetime(2026, 11, 19, 17, 0, tzinfo=VIETNAM)
ROW = {
    "MaHoSo": CODE, "MaTTHC": "2.000635", "NgayTiepNhan": "20261116080000",
    "NgayHenTra": "20261119170000", "TrangThaiHoSo": "2",
}  # fmt: skip


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[OneStopProcess]:
    """A sandbox with an empty book."""
    with one_stop_in(tmp_path) as process:
        yield process


def client(url: str, session: str = SESSION) -> OneStop:
    """Return the adapter as intake makes it."""
    return OneStop(url, session, "H30.12")


def tell(url: str) -> str:
    """Tell of an acceptance."""
    return client(url).upsert(
        CODE, procedure="2.000635", accepted_at=ACCEPTED, due_at=DUE, status=2
    )


def test_the_way_of_a_dossier(sandbox: OneStopProcess) -> None:
    """2, 9 and 10 arrive in this order, each once, with Vietnam's times, however often told."""
    one_stop = client(sandbox.url)
    assert tell(sandbox.url) == tell(sandbox.url)
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


def test_a_dossier_of_the_counter(sandbox: OneStopProcess) -> None:
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


def test_the_book_survives_a_kill(sandbox: OneStopProcess) -> None:
    """What was acknowledged is in the book after the process was killed."""
    reference = tell(sandbox.url)
    sandbox.kill()
    with pytest.raises(Unavailable):
        tell(sandbox.url)
    sandbox.start()
    assert tell(sandbox.url) == reference
    assert len(sandbox.book()["history"]) == 1


def test_ten_without_nine_is_refused(sandbox: OneStopProcess) -> None:
    """A dossier that was never finished cannot be returned, nor can one that nobody knows."""
    one_stop = client(sandbox.url)
    with pytest.raises(NotTakenError, match="404"):
        one_stop.progress(CODE, status=10, at=DUE)
    tell(sandbox.url)
    with pytest.raises(NotTakenError, match="409"):
        one_stop.progress(CODE, status=10, at=DUE)
    assert [row["status"] for row in sandbox.book()["history"]] == [2]


@pytest.mark.parametrize("session", ["another", "khác"])
def test_a_wrong_session_is_refused(sandbox: OneStopProcess, session: str) -> None:
    """A caller without the session secret changes and learns nothing."""
    with pytest.raises(Unavailable, match="101"):
        client(sandbox.url, session).to_return()
    assert sandbox.ask("DongBoHoSoMC", session, data=[ROW])["error_code"] == 101
    assert sandbox.book() == {"dossiers": [], "history": []}


@pytest.mark.parametrize(
    "wrong",
    [{"MaHoSo": "no code"}, {"MaTTHC": ""}, {"NgayTiepNhan": "2026-11-16"}, {"NgayHenTra": None},
     {"NgayHenTra": "20261399000000"}, {"MaHoSo": CODE + "\n"}, {"TrangThaiHoSo": "9"}],
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
    tell(sandbox.url)
    assert sandbox.finish(CODE, machine="") == 404


def test_nobody_listens() -> None:
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
    ],
)
def test_garbage_is_unavailable(status: int, body: bytes) -> None:
    """An answer that is no acknowledgement is never taken for one, and raises nothing else."""
    with answering(status, body) as url:
        with pytest.raises(Unavailable):
            client(url).to_return()
        with pytest.raises(Unavailable):
            client(url).progress(CODE, status=10, at=DUE)


@pytest.mark.parametrize("code", [0, "0", "00"])
def test_every_spelling_of_success(code: object) -> None:
    """0, "0" and "00" are success."""
    body = json.dumps({"error_code": code, "reference": "r"}).encode()
    with answering(200, body) as url:
        assert tell(url) == "r"


def test_silence_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes the call and says nothing is given up after the time-out."""
    monkeypatch.setattr(adapter, "_TIMEOUT_S", (0.2, 0.2))
    with answering(200, b"", silent=True) as url, pytest.raises(Unavailable, match="Timeout"):
        client(url).to_return()
