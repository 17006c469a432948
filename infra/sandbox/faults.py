# SPDX-License-Identifier: Apache-2.0
"""Faults that are ordered from a sandbox over HTTP; gone with its process."""

import threading
import time
from collections.abc import Iterable
from typing import Final

from infra.sandbox.http import Body

AMOUNT_MAX: Final = 86_400


class Orders:
    """What is ordered and not spent yet: faults that are counted, and faults that take seconds."""

    def __init__(self, counted: Iterable[str], timed: Iterable[str]) -> None:
        """Begin without any of these."""
        self._lock = threading.Lock()
        self._left = dict.fromkeys(counted, 0)
        self._seconds = dict.fromkeys(timed, 0.0)
        self._since_s = dict.fromkeys(timed, 0.0)

    def order(self, body: Body) -> tuple[int, object]:
        """Answer ``POST /control/faults``; what is not named stays as it is, 0 ends a fault."""
        known = (*self._left, *self._seconds)
        right = all(name in known and self._is_amount(name, n) for name, n in body.items())
        if not (body and right):
            return 422, {"error": f"faults are numbers: {', '.join(known)}"}
        with self._lock:
            self._left |= {name: body[name] for name in self._left if name in body}
            for name in set(self._seconds) & set(body):
                self._seconds[name] = float(body[name])
                self._since_s[name] = time.monotonic()
            return 200, {"ordered": {**self._left, **self._seconds}}

    def take(self, name: str) -> bool:
        """Spend one of a counted fault; False where none is left."""
        with self._lock:
            left = self._left[name] > 0
            self._left[name] -= left
            return left

    def seconds(self, name: str) -> float:
        """Return the length of a timed fault as it was ordered."""
        with self._lock:
            return self._seconds[name]

    def lasts(self, name: str) -> bool:
        """Say whether a timed fault, counted from its order, is not over yet."""
        with self._lock:
            return time.monotonic() < self._since_s[name] + self._seconds[name]

    def _is_amount(self, name: str, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return 0 <= value <= AMOUNT_MAX and (name in self._seconds or isinstance(value, int))
