# SPDX-License-Identifier: Apache-2.0
"""The bank's sandbox misbehaves as ordered, and its statement tells everything all the same."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from infra.sandbox.bank import SCHEMA, Bank
from infra.sandbox.book import Book
from services.common.money import Vnd
from services.payment.adapters.payos import is_signed
from services.payment.domain.vietqr import dynamic_payload
from tests.support.waiting import wait_until

KEY, ACCOUNT = "a-checksum-key-of-the-bank", "113366668888"


@contextmanager
def listening() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Answer 200 to what is signed, 401 to the rest; gives the address and what came."""
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            came.append(body)
            self.send_response(200 if is_signed(body["data"], body["signature"], KEY) else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", came
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def bank_in(folder: Path, address: str) -> Iterator[Bank]:
    """A bank on a book."""
    bank = Bank(Book(folder / "bank.db", SCHEMA), address, KEY)
    try:
        yield bank
    finally:
        bank.close()


def pay(bank: Bank, **other: object) -> str:
    """Scan a code of 8,000 đồng; returns the reference."""
    code = dynamic_payload(
        bank_bin="970415", account=ACCOUNT, amount=Vnd(8000), purpose="TTHC K7F3Q2A9"
    )
    return str(cast("Any", bank.pay({"qr": code, **other})[1])["reference"])


def statement(bank: Bank, after: int) -> list[dict[str, Any]]:
    """Ask as the account's holder."""
    signed = hmac.new(KEY.encode(), f"{ACCOUNT}/{after}".encode(), hashlib.sha256).hexdigest()
    asked = {"account": ACCOUNT, "after": str(after), "authorization": signed}
    status, answer = bank.statement(asked)
    assert status == 200
    return list(cast("Any", answer)["credits"])


CALLS = {
    "alter": [401, 200],
    "duplicate": [200, 200],
    "lose": [],
    "conflict": [200, 200],
    "": [200],
}


@pytest.mark.parametrize("fault", CALLS)
def test_one_fault_for_one_transfer(tmp_path: Path, fault: str) -> None:
    """The next transfer is told as ordered, the one after it as it should be; both are booked."""
    with listening() as (address, came), bank_in(tmp_path, address) as bank:
        if fault:
            assert bank.faults({fault: 1})[0] == 200
        odd, even = pay(bank), pay(bank)
        expected = len(CALLS[fault]) + 1
        wait_until(lambda: len(came) == expected, timeout_s=10, what="every call")
        told = [body for body in came if body["data"]["reference"] == odd]
        answers = [200 if is_signed(b["data"], b["signature"], KEY) else 401 for b in told]
        assert answers == CALLS[fault]
        amounts = {body["data"]["amount"] for body in told}
        assert amounts == ({8000, 9000} if fault in {"alter", "conflict"} else {8000} & amounts)
        assert [line["data"]["reference"] for line in statement(bank, 0)] == [odd, even]


def test_a_late_call(tmp_path: Path) -> None:
    """A delayed call is not made before its time; the money is on the statement at once."""
    with listening() as (address, came), bank_in(tmp_path, address) as bank:
        bank.faults({"delay_s": 3600})
        late = pay(bank)
        bank.faults({"delay_s": 0})
        pay(bank)
        wait_until(lambda: len(came) == 1, timeout_s=10, what="the second transfer's call")
        assert came[0]["data"]["reference"] != late
        assert statement(bank, 0)[0]["data"]["reference"] == late


def test_the_statement(tmp_path: Path) -> None:
    """Numbered, signed line by line, after a number, for the account's holder only."""
    with listening() as (address, _), bank_in(tmp_path, address) as bank:
        pay(bank, content="an trua", amount=5000)
        pay(bank)
        lines = statement(bank, 0)
        assert [line["number"] for line in lines] == [1, 2]
        assert all(is_signed(line["data"], line["signature"], KEY) for line in lines)
        assert (lines[0]["data"]["description"], lines[0]["data"]["amount"]) == ("an trua", 5000)
        assert [line["number"] for line in statement(bank, 1)] == [2]
        stranger = {"account": ACCOUNT, "after": "0", "authorization": "0" * 64}
        assert bank.statement(stranger)[0] == 401


@pytest.mark.parametrize("body", [{"forget": 1}, {"lose": -1}, {"lose": "x"}])
def test_orders_that_make_no_sense(tmp_path: Path, body: dict[str, object]) -> None:
    """A misspelt fault is refused, so that no run passes because nothing went wrong."""
    with listening() as (address, _), bank_in(tmp_path, address) as bank:
        assert bank.faults(body)[0] == 422
