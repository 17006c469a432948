# SPDX-License-Identifier: Apache-2.0
"""How often each event failed in this process; after ``FAILURES_MAX`` times it is given up."""

from collections import OrderedDict
from typing import Final

from services.common.errors import Conflict
from services.common.telemetry.logs import get_logger

FAILURES_MAX: Final = 5
REMEMBERED_MAX: Final = 10_000
_LOG = get_logger(__name__)


class Failures:
    """Counts by position; the oldest of ``REMEMBERED_MAX`` are forgotten."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: OrderedDict[int, int] = OrderedDict()

    def failed(self, position: int, error: Exception) -> bool:
        """Count and log a failure; return True when the event is to be given up."""
        count = self._counts.pop(position, 0) + 1
        self._counts[position] = count
        if len(self._counts) > REMEMBERED_MAX:
            self._counts.popitem(last=False)
        # The text of an exception may quote the payload, so only its type and place are logged.
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "?"
        _LOG.error(
            "handler_failed", error=type(error).__qualname__, place=place, attempt=count,
            conflict=isinstance(error, Conflict),
        )  # fmt: skip
        return count >= FAILURES_MAX

    def forget(self, position: int) -> None:
        """Forget an event that succeeded."""
        self._counts.pop(position, None)

    def of(self, position: int) -> int:
        """Return how often the event at ``position`` failed."""
        return self._counts.get(position, 0)
