# SPDX-License-Identifier: Apache-2.0
"""Who read personal data: each reading stands in the log before the value was opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.common.eventlog.record import RecordedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which readings.

    Attributes:
        reader: only this person's; empty for everybody's.
        dossier: only of this dossier's data; empty for any.
        since_us: recorded at or after; None for any time.
        until_us: recorded at or before; None for any time.
        below: only positions below this one; None for the newest.
    """

    reader: str = ""
    dossier: str = ""
    since_us: int | None = None
    until_us: int | None = None
    below: int | None = None


class AccessStore(Protocol):
    """Where readings are found."""

    def readings(self, asked: Asked, limit: int) -> Sequence[RecordedEvent]:
        """Return ``access.personal_read`` events, newest first."""
        ...
