# SPDX-License-Identifier: Apache-2.0
"""The one error tree of the platform.

::

    MotCuaError
    ├── Refused         a business rule says no; has a code; acknowledged, never retried
    │   └── EventsArchived  the events asked for stand in the archive only; names range and file
    ├── Conflict        a stream moved on; fold and decide again, at most three times
    ├── Unavailable     a dependency is down; pause, keep the work, retry in process
    ├── Malformed       bytes that no version of a contract accepts; kept in the dead-letter queue
    └── UnknownOutcome  something happened outside and nobody knows what; opens a case

Adapters translate library errors into these with ``raise … from``; nothing else crosses a layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass


class MotCuaError(Exception):
    """Base of every error that crosses a layer of this platform."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why an input is not accepted.

    Attributes:
        field: dotted path of the field, for example ``copies`` or ``contact.phone``.
        code: stable machine word, for example ``not_positive``.
        en: what is wrong, in English.
        vi: what is wrong, in Vietnamese.
    """

    field: str
    code: str
    en: str
    vi: str


class Refused(MotCuaError):
    """A business rule refuses the command; nothing was changed."""

    def __init__(self, code: str, en: str, vi: str, *, field: str | None = None) -> None:
        """Describe the refusal.

        Args:
            code: stable machine word, for example ``fee_unpaid``.
            en: sentence for people, English.
            vi: the same sentence in Vietnamese.
            field: the input field that caused it, where there is one.
        """
        super().__init__(f"{code}: {en}")
        self.code = code
        self.en = en
        self.vi = vi
        self.field = field


class EventsArchived(Refused):
    """Events that were asked for have left the database; nothing was changed, nothing is given."""

    def __init__(self, what: str, ranges: tuple[str, ...]) -> None:
        """Say what was asked for (a stream, a dossier, positions) and where it is.

        Args:
            what: as it was asked for, never personal.
            ranges: positions and file of each archived range that it lies in.
        """
        where = "; ".join(ranges)
        super().__init__(
            "events_archived", f"{what} is in the archive only: {where}",
            f"sự kiện này đã chuyển vào kho lưu trữ: {where.replace('positions', 'vị trí')}",
        )  # fmt: skip
        self.what = what
        self.ranges = ranges


class Conflict(MotCuaError):
    """A stream is not at the version the caller expected; nothing was appended."""

    def __init__(self, stream: str, expected_version: int, actual_version: int) -> None:
        """Carry all facts, so that the caller can fold from ``actual_version`` on."""
        super().__init__(f"{stream}: expected version {expected_version}, is {actual_version}")
        self.stream = stream
        self.expected_version = expected_version
        self.actual_version = actual_version


class Unavailable(MotCuaError):
    """A dependency is down or too slow; the same request may be sent again unchanged."""

    def __init__(self, dependency: str, detail: str) -> None:
        """Name the dependency (``postgresql``, ``rabbitmq``, ``smsc`` …) and what it did."""
        super().__init__(f"{dependency}: {detail}")
        self.dependency = dependency
        self.detail = detail


class Malformed(MotCuaError):
    """Input that does not satisfy its contract; nothing was changed."""

    def __init__(self, what: str, problems: tuple[Problem, ...]) -> None:
        """Name the contract and every problem found in the input, not only the first."""
        listed = "; ".join(f"{p.field}: {p.en}" for p in problems)
        super().__init__(f"{what}: {listed}")
        self.what = what
        self.problems = problems


class UnknownOutcome(MotCuaError):
    """An act outside the platform may or may not have happened; it opens a case, no retry."""

    def __init__(self, act: str, facts: Mapping[str, str]) -> None:
        """Name the act and the facts that the case needs (never personal data)."""
        super().__init__(f"{act}: outcome unknown")
        self.act = act
        self.facts = dict(facts)
