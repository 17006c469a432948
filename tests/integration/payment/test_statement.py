# SPDX-License-Identifier: Apache-2.0
"""Money whose notification was lost is found on the statement of the bank's own process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from infra.local.system import free_port
from services.common.errors import Refused, Unavailable
from services.common.money import Vnd
from services.payment.adapters import payos
from services.payment.adapters.statement import Statement
from services.payment.application.commands import record_bank_credit
from services.payment.application.statement import ReadStatement
from services.payment.domain.vietqr import dynamic_payload
from tests.support.province import Province
from tests.support.sandboxes import answering_get
from tests.support.waiting import wait_until

KEY, ACCOUNT = "a-checksum-key-of-the-bank", "1234567890"


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[str]:
    """The bank's process, all of whose notifications are lost; gives its address."""
    port, key = free_port(), tmp_path / "key"
    key.write_text(KEY)
    command = [
        sys.executable, "-m", "infra.sandbox.bank", "--port", str(port),
        "--book", str(tmp_path / "bank.db"), "--callback", f"http://127.0.0.1:{free_port()}/",
        "--checksum-key-file", str(key),
    ]  # fmt: skip
    child, url = subprocess.Popen(command), f"http://127.0.0.1:{port}"

    def alive() -> bool:
        try:
            return requests.get(f"{url}/healthz", timeout=1).ok
        except requests.RequestException:
            return False

    try:
        wait_until(alive, what="the bank answers")
        yield url
    finally:
        child.kill()
        child.wait(10)


@pytest.fixture
def province() -> Province:
    """A fresh province."""
    return Province()


def look(province: Province, url: str, key: str = KEY) -> int:
    """Look once at the statement, as a fresh replica does."""
    recorder = province.office.recorder("motcua_payment")
    missed = ReadStatement(recorder, Statement(url, ACCOUNT, key)).once()
    province.run()
    return missed


def transfer(url: str, token: str, amount: int = 8_000) -> str:
    """A citizen pays by banking app; returns the bank's reference."""
    qr = dynamic_payload(
        bank_bin="970418", account=ACCOUNT, amount=Vnd(amount), purpose=f"TTHC {token}"
    )
    answer = requests.post(f"{url}/control/pay", json={"qr": qr}, timeout=10)
    return str(answer.json()["reference"])


def test_a_lost_notification_is_found_once(bank: str, province: Province) -> None:
    """The dossier is settled by what the statement says; a second look finds nothing new."""
    dossier = province.deposit()
    transfer(bank, province.payment(dossier).token)
    assert not province.payment(dossier).settled
    assert look(province, bank) == 1
    assert province.payment(dossier).settled
    assert (look(province, bank), look(province, bank)) == (0, 0)
    (read,) = province.log.read_all(0, types=["payment.statement_read"])
    assert (read.data["through"], read.data["credits"], read.data["missed"]) == (1, 1, 1)
    assert read.data["amount_vnd"] == 8_000


def test_what_was_told_is_not_taken_twice(bank: str, province: Province) -> None:
    """A notification before, and one after: one money each."""
    first, second = province.deposit(pouch="a"), province.deposit(pouch="b")
    references = [transfer(bank, province.payment(one).token) for one in (first, second)]
    lines = Statement(bank, ACCOUNT, KEY).after(0)
    recorder = province.office.recorder("motcua_payment")
    assert lines[0].credit is not None
    assert lines[1].credit is not None
    record_bank_credit(recorder, lines[0].credit, correlation_id="before")
    assert look(province, bank) == 1
    assert record_bank_credit(recorder, lines[1].credit, correlation_id="after").duplicate
    province.run()
    credits_ = province.log.read_all(0, types=["payment.bank_credit_received"])
    assert sorted(str(event.data["reference"]) for event in credits_) == sorted(references)
    assert (province.payment(first).bank, province.payment(second).bank) == (8_000, 8_000)


def test_a_contradiction_is_for_people(bank: str, province: Province) -> None:
    """A line that says otherwise than the notification did is on the worklist; reading goes on."""
    dossier, other = province.deposit(pouch="a"), province.deposit(pouch="b")
    transfer(bank, province.payment(dossier).token)
    transfer(bank, province.payment(other).token)
    line = Statement(bank, ACCOUNT, KEY).after(0)[0].credit
    assert line is not None
    recorder = province.office.recorder("motcua_payment")
    wrong = type(line)(**{**{n: getattr(line, n) for n in line.__slots__}, "amount_vnd": 7_000})
    record_bank_credit(recorder, wrong, correlation_id="wrong")
    assert look(province, bank) == 1
    assert province.payment(other).settled
    assert len(province.log.read_all(0, types=["payment.bank_callback_conflict"])) == 1
    (read,) = province.log.read_all(0, types=["payment.statement_read"])
    assert read.data["disputed"] == 1


def test_many_credits_come_page_by_page(bank: str, province: Province) -> None:
    """More lines than a page holds are all read, in their order."""
    for _ in range(103):
        transfer(bank, "K7F3Q2A9")
    assert (look(province, bank), look(province, bank), look(province, bank)) == (100, 3, 0)


def test_a_stranger_gets_no_statement(bank: str, province: Province) -> None:
    """Without the key there is nothing to read, and nothing is recorded."""
    transfer(bank, "K7F3Q2A9")
    with pytest.raises(Unavailable):
        look(province, bank, key="another-key")
    assert not province.log.read_all(0, types=["payment.bank_credit_received"])


def test_a_forged_line_is_unreadable(province: Province) -> None:
    """A line whose signature or shape is wrong is counted and reported, never taken as money."""
    data: dict[str, payos.Value] = {
        "amount": 8_000, "description": "x", "accountNumber": ACCOUNT, "reference": "FT1",
    }  # fmt: skip
    right = {"data": data, "signature": payos.sign(data, KEY)}
    lines = [
        {"number": 1, **right, "data": {**data, "amount": 9_000}}, {"number": 2, "data": 7},
        {"number": 3, "signature": "x"}, {"number": 4, **right},
    ]  # fmt: skip
    with answering_get(200, json.dumps({"credits": lines}).encode()) as url:
        assert look(province, url) == 1
    (read,) = province.log.read_all(0, types=["payment.statement_read"])
    assert (read.data["unreadable"], read.data["amount_vnd"]) == (3, 8_000)


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (200, b"[]"), (200, b'{"credits": 7}'), (200, b'{"credits": [{}]}'),
     (200, b'{"credits": [{"number": "1"}]}'), (200, b'{"credits": [{"number": 0}]}'),
     (500, b'{"credits": []}'), (302, b'{"credits": []}')],
)  # fmt: skip
def test_garbage_is_unavailable(province: Province, status: int, body: bytes) -> None:
    """What is no statement is never taken for an empty one."""
    with answering_get(status, body) as url, pytest.raises(Unavailable):
        look(province, url)


def test_two_replicas_read_the_same(bank: str, province: Province) -> None:
    """Whoever comes second finds nothing to do and raises nothing."""
    transfer(bank, "K7F3Q2A9")
    recorder = province.office.recorder("motcua_payment")
    slow = ReadStatement(recorder, _While(Statement(bank, ACCOUNT, KEY), province))
    assert slow.once() == 0
    assert len(province.log.read_all(0, types=["payment.statement_read"])) == 1


class _While:
    """A statement during whose reading the other replica reads it too."""

    provider, account = payos.PROVIDER, ACCOUNT

    def __init__(self, statement: Statement, province: Province) -> None:
        self._statement, self._province = statement, province

    def after(self, number: int) -> list:  # type: ignore[type-arg]
        """Return the lines, after the other replica has recorded them."""
        recorder = self._province.office.recorder("motcua_payment")
        ReadStatement(recorder, self._statement).once()
        return self._statement.after(number)


def test_refusals_are_not_swallowed(province: Province) -> None:
    """The same reference with another amount is still refused to whoever notifies."""
    data: dict[str, payos.Value] = {
        "amount": 8_000, "description": "x", "accountNumber": ACCOUNT, "reference": "FT1",
    }  # fmt: skip
    recorder = province.office.recorder("motcua_payment")
    record_bank_credit(recorder, payos.credit_in(data), correlation_id="1")
    with pytest.raises(Refused):
        record_bank_credit(recorder, payos.credit_in({**data, "amount": 1}), correlation_id="2")
