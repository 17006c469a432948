# SPDX-License-Identifier: Apache-2.0
"""Faults of the one-stop sandbox, as ordered: they hold for both generations of its interface."""

import time
from typing import Final

from infra.sandbox.faults import Orders
from infra.sandbox.http import Body, Route

COUNTED: Final = ("wrong", "refuse", "duplicate_orders")
"""Faults of the next n calls: an answer nobody can read after the call was carried out; a definite
no to what is told; a list of orders that names each twice."""
TIMED: Final = ("down_s", "slow_s")
"""For how long nothing is answered but 503; how long every answer takes."""
_GARBAGE: Final = b"<html><body>502 Bad Gateway"


class Faults(Orders):
    """The orders, and what callers see while they hold."""

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__(COUNTED, TIMED)

    def around(self, route: Route) -> Route:
        """Return ``route`` as callers see it while faults are ordered."""

        def answer(body: Body) -> tuple[int, object]:
            if self.lasts("down_s"):
                return 503, {}
            answered = route(body)
            time.sleep(self.seconds("slow_s"))  # carried out; the caller may have given up
            return (200, _GARBAGE) if self.take("wrong") else answered

        return answer
