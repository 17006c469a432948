# SPDX-License-Identifier: Apache-2.0
"""Faults of the one-stop sandbox, as ordered: they hold for both generations of its interface."""

import threading
import time
from typing import Final

from infra.sandbox.http import Body, Route

COUNTED: Final = ("wrong", "refuse", "duplicate_orders")
"""Faults of the next n calls: an answer nobody can read after the call was carried out; a definite
no to what is told; a list of orders that names each twice."""
TIMED: Final = ("down_s", "slow_s")
"""For how long nothing is answered but 503; how long every answer takes."""
_GARBAGE: Final = b"<html><body>502 Bad Gateway"


class Faults:
    """What is ordered and not spent yet; gone with the process."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()
        self._left = dict.fromkeys(COUNTED, 0)
        self._slow_s = 0.0
        self._down_until = 0.0

    def order(self, body: Body) -> tuple[int, object]:
        """Answer ``POST /control/faults``; what is not named stays as it is."""
        numbers = all(
            isinstance(n, int | float) and not isinstance(n, bool) and n >= 0 for n in body.values()
        )
        if not (body and numbers and set(body) <= {*COUNTED, *TIMED}):
            return 422, {"error": f"faults are numbers: {', '.join((*COUNTED, *TIMED))}"}
        with self._lock:
            self._left |= {name: int(body[name]) for name in COUNTED if name in body}
            self._slow_s = float(body.get("slow_s", self._slow_s))
            if "down_s" in body:
                self._down_until = time.monotonic() + float(body["down_s"])
            return 200, {"ordered": {**self._left, "slow_s": self._slow_s}}

    def take(self, name: str) -> bool:
        """Spend one of a counted fault; False where none is left."""
        with self._lock:
            left = self._left[name] > 0
            self._left[name] -= left
            return left

    def around(self, route: Route) -> Route:
        """Return ``route`` as callers see it while faults are ordered."""

        def answer(body: Body) -> tuple[int, object]:
            if time.monotonic() < self._down_until:
                return 503, {}
            answered = route(body)
            if self._slow_s:
                time.sleep(self._slow_s)  # carried out, and the caller may have given up
            return (200, _GARBAGE) if self.take("wrong") else answered

        return answer
