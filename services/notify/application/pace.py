# SPDX-License-Identifier: Apache-2.0
"""How fast messages go out: as fast as the provider takes them.

After "throttled" (``ESME_RTHROTTLED``, ``ESME_RMSGQFUL``) no attempt is begun for half a second,
and twice as long each time it is said again, up to a minute. Without this the consumer and the
sweeper would each attempt at their own pace, use up a message's attempts within minutes and fill
the log with refusals.
"""

import random
import threading
from typing import Final

from services.common.clock import Clock

PAUSE_FIRST_S: Final = 0.5
PAUSE_LAST_S: Final = 60.0


class Pace:
    """Shared by all threads that send; each pause is shortened by up to a half, at random."""

    def __init__(self, clock: Clock) -> None:
        """Begin at full speed."""
        self._clock = clock
        self._guard = threading.Lock()
        self._pause_s = 0.0
        self._until_s = clock.monotonic_s()

    def holds_back(self) -> bool:
        """Say whether nothing may be attempted now."""
        return self._clock.monotonic_s() < self._until_s

    def throttled(self) -> None:
        """The provider said "not so fast"; several threads hearing it at once count as one."""
        with self._guard:
            if self.holds_back():
                return
            self._pause_s = min(PAUSE_LAST_S, max(PAUSE_FIRST_S, self._pause_s * 2))
            spread_s = random.uniform(self._pause_s / 2, self._pause_s)  # noqa: S311
            self._until_s = self._clock.monotonic_s() + spread_s

    def answered(self) -> None:
        """The provider took a message, or refused it for good: back to full speed."""
        with self._guard:
            self._pause_s = 0.0
