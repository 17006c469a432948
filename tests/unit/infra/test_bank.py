# SPDX-License-Identifier: Apache-2.0
"""The bank's sandbox tells of a transfer until it is heard, whatever answers meanwhile."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from infra.sandbox.bank import SCHEMA, Bank
from infra.sandbox.book import Book
from services.common.money import Vnd
from services.payment.domain.vietqr import dynamic_payload
from tests.support.waiting import wait_until


@contextmanager
def listener(first_answer: bytes) -> Iterator[str]:
    """Answer the first call with these bytes, every other with 200; gives the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            answer = first_answer
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("answer", [b"", b"HT", b"\r\n", b"HTTP/1.1 500 Oh\r\n\r\n", b"no\r\n\r\n"])
def test_a_broken_answer_does_not_silence_the_bank(tmp_path: Path, answer: bytes) -> None:
    """A callback that was cut off anywhere is made again."""
    with listener(answer) as address:
        bank = Bank(Book(tmp_path / "bank.db", SCHEMA), address, "key")
        try:
            code = dynamic_payload(
                bank_bin="970415", account="113366668888", amount=Vnd(18000), purpose="K7F3Q2A9"
            )
            assert bank.pay({"qr": code})[0] == 200
            wait_until(lambda: _heard(bank), timeout_s=10, what="the second call")
        finally:
            bank.close()


def _heard(bank: Bank) -> bool:
    (transfer,) = cast("Any", bank.book({})[1])["transfers"]
    return bool(transfer["notified"] and transfer["attempts"] >= 2)
