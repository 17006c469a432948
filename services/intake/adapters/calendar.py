# SPDX-License-Identifier: Apache-2.0
"""The calendar of working days, from the log: ``calendar-VN``."""

import threading

from services.common import contracts
from services.common.eventlog.port import EventLog
from services.intake.application.calendar import STREAM
from services.intake.domain.calendar import Calendar, evolve


class LogCalendar:
    """Days off and swapped days as the log has them; reads only what is new."""

    def __init__(self, log: EventLog) -> None:
        """Bind the log."""
        self._log = log
        self._lock = threading.Lock()
        self._version = 0
        self._calendar = Calendar()

    def __call__(self) -> Calendar:
        """Return the calendar as it is now."""
        with self._lock:
            for event in self._log.read_stream(STREAM, after_version=self._version):
                data = contracts.current(event.type, event.schema, event.data)
                self._calendar = evolve(self._calendar, event.type, data)
                self._version = event.version
            return self._calendar
