# SPDX-License-Identifier: Apache-2.0
"""What intake needs from outside: calendar and one-stop system."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.intake.domain.calendar import Calendar

CalendarOf = Callable[[], Calendar]
"""Return the calendar as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterDossier:
    """What the one-stop system says of a dossier that was handed in elsewhere.

    Attributes:
        procedure: its code.
        accepted_at: when the counter took it, an aware instant.
        due_at: when the result is due.
        name: whose dossier it is; personal.
        phone: where the citizen is reached; personal.
    """

    procedure: str
    accepted_at: datetime
    due_at: datetime
    name: str
    phone: str

    def __repr__(self) -> str:
        """Show nothing personal."""
        return f"CounterDossier({self.procedure})"


class NotTakenError(Exception):
    """The one-stop system understood and said no: trying again would not help."""


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

    @property
    def counter(self) -> CounterDossier | None:
        """The dossier itself, where the one-stop system tells all of it."""
        ...


class OneStopPort(Protocol):
    """The one-stop system; every call may be repeated.

    All raise Unavailable when it is down, slow or talks nonsense; telling also raises
    NotTakenError when it refuses for good.
    """

    def upsert(
        self, code: str, *, procedure: str, accepted_at: datetime, due_at: datetime, status: int
    ) -> str:
        """Make a dossier known, or when it is due from now on; returns a reference."""
        ...

    def progress(self, code: str, *, status: int, at: datetime) -> str:
        """Report the status a dossier came into at ``at``; returns a reference."""
        ...

    def to_return(self) -> Sequence[ReturnOrderLike]:
        """Return results to be returned at machines."""
        ...
