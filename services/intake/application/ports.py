# SPDX-License-Identifier: Apache-2.0
"""What intake needs from outside: calendar and one-stop system."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from services.intake.domain.calendar import Calendar

CalendarOf = Callable[[], Calendar]
"""Return the calendar as it is now."""


class ReturnOrderLike(Protocol):
    """A result to be returned at a machine."""

    @property
    def code(self) -> str:
        """Dossier code."""
        ...

    @property
    def result_number(self) -> str:
        """Number of the result paper."""
        ...

    @property
    def machine(self) -> str:
        """Serial of the machine."""
        ...


class OneStopPort(Protocol):
    """The one-stop system; every call may be repeated and raises Unavailable when it is down."""

    def upsert(self, code: str, *, procedure: str, accepted_at: datetime, due_at: datetime) -> str:
        """Make an accepted dossier known; returns a reference."""
        ...

    def progress(self, code: str, *, status: int, at: datetime) -> str:
        """Report a status; returns a reference."""
        ...

    def to_return(self) -> Sequence[ReturnOrderLike]:
        """Return results to be returned at machines."""
        ...
