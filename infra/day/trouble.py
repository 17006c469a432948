# SPDX-License-Identifier: Apache-2.0
"""What goes wrong during the day, each at its share of the day's visits."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Self

import requests

from infra.local import stack
from infra.local.servers import Servers
from infra.local.settings import Stack
from services.common.clock import VIETNAM

_LINE_CUT_S: Final = 6.0
_DOWN_S: Final = 4.0
BANK: Final = {"alter": 3, "duplicate": 5, "lose": 3, "conflict": 2}
"""Faults of the bank's next notifications, by name."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that goes wrong.

    Attributes:
        share: after which share of the visits it begins, 0–1.
        what: said aloud.
        do: brings it about and, where it lasts, mends it.
    """

    share: float
    what: str
    do: Callable[[], None]


def troubles(local: Stack, servers: Servers) -> list[Trouble]:
    """Return the day's troubles in their order."""
    return [
        Trouble(
            0.02,
            "bank: 3 notifications altered, 5 doubled, 3 lost, 2 contradicting from now on",
            partial(_order, local, "bank", BANK),
        ),
        Trouble(
            0.15,
            f"one-stop system down for {_DOWN_S:.0f} s",
            partial(_down, local, "sandbox-one-stop"),
        ),
        Trouble(0.3, f"line of machine VT01 cut for {_LINE_CUT_S:.0f} s", partial(_cut, local)),
        Trouble(
            0.4,
            f"Châu Thành offers one procedure more from today on: {NEW_AT_CT}",
            partial(_offer, local),
        ),
        Trouble(
            0.42,
            f"the fee of {DEARER} rises to {NEW_FEE_VND:,} đ from today on; open dossiers keep"
            " theirs",
            partial(_publish, local),
        ),
        Trouble(0.5, "RabbitMQ killed and started again", partial(_broker, servers)),
        Trouble(0.65, "service payment killed (SIGKILL)", partial(_kill, local, "payment")),
        Trouble(0.8, f"SMS centre down for {_DOWN_S:.0f} s", partial(_down, local, "sandbox-smsc")),
    ]


NEW_AT_CT: Final = "1.001266"
"""Offered at Châu Thành from the middle of the day on."""
DEARER, NEW_FEE_VND = "2.000635", 10_000
"""Costs more from the middle of the day on."""


class Watch:
    """Begins each trouble when its time has come; a thread of its own."""

    def __init__(
        self, planned: Sequence[Trouble], progress: Callable[[], float], say: Callable[[str], None]
    ) -> None:
        """Bind the plan, the share of visits that are done, and where to say what happens."""
        self._planned = planned
        self._progress = progress
        self._say = say
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until what is under way is mended."""
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        for trouble in self._planned:
            while self._progress() < trouble.share:
                if self._over.wait(0.1):
                    self.failed.append(f"never happened: {trouble.what}")
                    return
            self._say(trouble.what)
            try:
                trouble.do()
            except Exception as error:  # noqa: BLE001 - told in the account
                self.failed.append(f"{trouble.what}: {error}")


def _order(local: Stack, name: str, faults: dict[str, int]) -> None:
    answer = requests.post(f"{local.http(name)}/control/faults", json=faults, timeout=10)
    answer.raise_for_status()


def _cut(local: Stack) -> None:
    body = {"seconds": _LINE_CUT_S}
    requests.post(
        f"{local.http('line-VT01')}/control/cut", json=body, timeout=10
    ).raise_for_status()
    time.sleep(_LINE_CUT_S)


def _offer(local: Stack) -> None:
    body = {"procedure": NEW_AT_CT, "accept": True, "give_back": True, "valid_from": _today()}
    _edit(local, "/offices/CT/offers", body)


def _publish(local: Stack) -> None:
    url = f"{local.http('intake-web-http')}/catalogue/v1/procedures/{DEARER}"
    answer = requests.get(url, headers=_login(local), timeout=20)
    answer.raise_for_status()
    newest = answer.json()["versions"][-1]
    fees = [{**line, "amount_vnd": NEW_FEE_VND} for line in newest["fees"]]
    body = {**newest, "fees": fees, "valid_from": _today()}
    del body["version"], body["code"]
    _edit(local, f"/procedures/{DEARER}/versions", body)


def _edit(local: Stack, path: str, body: dict[str, Any]) -> None:
    url = f"{local.http('intake-web-http')}/catalogue/v1{path}"
    headers = {**_login(local), "Idempotency-Key": str(uuid.uuid4())}
    requests.post(url, json=body, headers=headers, timeout=20).raise_for_status()


def _login(local: Stack) -> dict[str, str]:
    return {"Authorization": f"Bearer {local.tokens['bt001']}"}


def _today() -> str:
    return datetime.now(VIETNAM).date().isoformat()


def _broker(servers: Servers) -> None:
    if servers.rabbit is None:
        return  # somebody else's broker is left alone
    servers.rabbit.kill()
    servers.rabbit.start()


def _kill(local: Stack, name: str) -> None:
    stack.supervisor(local, "signal", "KILL", name)


def _down(local: Stack, name: str) -> None:
    stack.supervisor(local, "stop", name)
    time.sleep(_DOWN_S)
    stack.supervisor(local, "start", name)
