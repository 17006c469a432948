# SPDX-License-Identifier: Apache-2.0
"""The only place where tests wait."""

import time
from collections.abc import Callable


def wait_until(predicate: Callable[[], object], *, timeout_s: float = 60.0, what: str) -> None:
    """Return once ``predicate`` is true; fail the test naming ``what`` after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
        time.sleep(0.05)
