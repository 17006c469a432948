# SPDX-License-Identifier: Apache-2.0
"""What goes wrong during the day, each at its share of the day's visits."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Self

import requests

from infra.local import stack
from infra.local.servers import Servers
from infra.local.settings import Stack
from services.common.clock import VIETNAM

_LINE_CUT_S: Final = 6.0
_DOWN_S: Final = 4.0
BANK: Final = {"alter": 3, "duplicate": 5, "conflict": 2}
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
            "bank: 3 altered, 5 doubled and 2 contradicting notifications are coming",
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
        Trouble(0.5, "RabbitMQ killed and started again", partial(_broker, servers)),
        Trouble(0.65, "service payment killed (SIGKILL)", partial(_kill, local, "payment")),
        Trouble(0.8, f"SMS centre down for {_DOWN_S:.0f} s", partial(_down, local, "sandbox-smsc")),
    ]


NEW_AT_CT: Final = "1.001266"
"""Offered at Châu Thành from the middle of the day on."""


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
    url = f"{local.http('intake-web-http')}/catalogue/v1/offices/CT/offers"
    today = datetime.now(VIETNAM).date().isoformat()
    body = {"procedure": NEW_AT_CT, "accept": True, "give_back": True, "valid_from": today}
    headers = {
        "Authorization": f"Bearer {local.tokens['bt001']}", "Idempotency-Key": str(uuid.uuid4()),
    }  # fmt: skip
    requests.post(url, json=body, headers=headers, timeout=20).raise_for_status()


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
