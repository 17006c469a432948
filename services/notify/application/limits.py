# SPDX-License-Identifier: Apache-2.0
"""How much one subscriber may ask of one process: requests in a second, and at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from services.common.clock import Clock

RATE_S: Final = 20.0
BURST: Final = 100.0
AT_ONCE_MAX: Final = 8


class BusyError(Exception):
    """Too much at once; ``retry_after_s`` whole seconds later there is room again."""

    def __init__(self, retry_after_s: int) -> None:
        """Keep the seconds."""
        super().__init__(f"again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class _Account:
    left: float
    at_s: float
    running: int = 0


class Gate:
    """Lets requests in by subscriber; safe for many threads."""

    def __init__(self, clock: Clock) -> None:
        """Begin with full accounts."""
        self._clock = clock
        self._guard = threading.Lock()
        self._accounts: dict[str, _Account] = {}

    @contextmanager
    def admitted(self, name: str) -> Iterator[None]:
        """Hold a place for one request of subscriber ``name``.

        Raises:
            BusyError: no place, or too many requests lately.
        """
        with self._guard:
            account = self._account(name)
            if account.running >= AT_ONCE_MAX:
                raise BusyError(1)
            if account.left < 1:
                raise BusyError(1 + int((1 - account.left) / RATE_S))
            account.left -= 1
            account.running += 1
        try:
            yield
        finally:
            with self._guard:
                account.running -= 1

    def _account(self, name: str) -> _Account:
        now_s = self._clock.monotonic_s()
        account = self._accounts.setdefault(name, _Account(BURST, now_s))
        account.left = min(BURST, account.left + (now_s - account.at_s) * RATE_S)
        account.at_s = now_s
        return account
