# SPDX-License-Identifier: Apache-2.0
"""The SMS centre's sandbox as its own process, and sessions to it."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from infra.local.system import free_port
from services.common.clock import SystemClock
from services.notify.adapters.smpp import Account, SMPPGateway
from services.notify.application.ports import Receipt
from tests.support.waiting import wait_until

PASSWORD, SENDER = "pw-of-8c", "MOTCUA247"  # SMPP 3.4 allows eight characters
PHONE, TEXT = "84912345678", "UBND TP Vi Thanh: Da tiep nhan ho so H30.12-261123-0001."


class Centre:
    """The sandbox as its own process; its book outlasts it."""

    def __init__(self, folder: Path) -> None:
        self.port, self.http_port = free_port(), free_port()
        self._folder = folder
        (folder / "password").write_text(PASSWORD)
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        command = [
            sys.executable, "-m", "infra.sandbox.smsc", "--port", str(self.port),
            "--http-port", str(self.http_port), "--book", str(self._folder / "smsc.db"),
            "--password-file", str(self._folder / "password"), "--system-id", "motcua",
            "--sender", SENDER,
        ]  # fmt: skip
        self._child = subprocess.Popen(command)
        wait_until(lambda: self.messages() is not None, what="the SMS centre answers")

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(10)
            self._child = None

    def order(self, **faults: object) -> int:
        """Order faults; returns the HTTP status."""
        url = f"http://127.0.0.1:{self.http_port}/control/faults"
        return requests.post(url, json=faults, timeout=10).status_code

    def messages(self) -> list[dict[str, object]] | None:
        """Return what it took; None while it does not answer."""
        url = f"http://127.0.0.1:{self.http_port}/control/book"
        try:
            return list(requests.get(url, timeout=2).json()["messages"])
        except requests.RequestException:
            return None


@contextmanager
def gateway(
    port: int,
    *,
    password: str = PASSWORD,
    sender: str = SENDER,
    take: Callable[[Receipt], bool] = lambda _receipt: True,
    timeout_s: float = 2.0,
) -> Iterator[tuple[SMPPGateway, list[Receipt]]]:
    """Keep a session; yields the gateway and the receipts that came."""
    receipts: list[Receipt] = []

    def received(receipt: Receipt) -> bool:
        receipts.append(receipt)
        return take(receipt)

    account = Account(
        host="127.0.0.1", port=port, system_id="motcua", password=password, sender=sender
    )
    opened = SMPPGateway(account, SystemClock(), received, response_timeout_s=timeout_s)
    stopping = threading.Event()
    thread = threading.Thread(target=opened.run, args=(stopping.is_set,))
    thread.start()
    try:
        yield opened, receipts
    finally:
        stopping.set()
        thread.join(15)
        assert not thread.is_alive()


@contextmanager
def centre_in(folder: Path) -> Iterator[Centre]:
    """Run the centre with its book in ``folder``."""
    centre = Centre(folder)
    centre.start()
    try:
        yield centre
    finally:
        centre.kill()
