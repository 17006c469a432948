# SPDX-License-Identifier: Apache-2.0
"""Everybody who comes, many at the same time, and how far they are."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from infra.day.desk import Day, Desk
from infra.day.plan import Visit
from infra.day.stories import STORIES
from infra.hands import GaveUpError
from infra.local.settings import Stack

AT_ONCE: Final = 24
TOLD: Final = ("handed in", "accepted", "laid into a cell", "collected")
_EVERY: Final = 25


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a visit went.

    Attributes:
        visit: whose.
        dossier: its id, empty where it was never handed in.
        code: its code, empty where it was never accepted.
        wrong: what went wrong, empty for nothing.
    """

    visit: Visit
    dossier: str
    code: str
    wrong: str = ""


class Crowd:
    """Plays visits and counts."""

    def __init__(self, local: Stack, say: Callable[[str], None]) -> None:
        """Bind the installation, and where to say how far the day is."""
        self.day = Day(local, self._tell)
        self.outcomes: list[Outcome] = []
        self._say = say
        self._counting = threading.Lock()
        self._told = Counter[str]()
        self._before, self._expected = 0, 1

    def done(self) -> float:
        """Return the share of visits that are over."""
        return (len(self.outcomes) - self._before) / self._expected

    def play(self, visits: Sequence[Visit]) -> None:
        """Play all of them, ``AT_ONCE`` at a time."""
        self._before, self._expected = len(self.outcomes), len(visits)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self.one, visits))

    def one(self, visit: Visit) -> None:
        """Play one visit to its end, and note how it went."""
        desk, wrong = Desk(self.day, visit), ""
        try:
            STORIES[visit.way].play(desk)
        except GaveUpError as error:
            wrong = str(error)
        if wrong:
            self._say(f"[red]{visit.way}: {wrong}")
        with self._counting:
            self.outcomes.append(Outcome(visit, desk.dossier, desk.code, wrong))
            over = len(self.outcomes) - self._before
            counts = " · ".join(f"{self._told[what]} {what}" for what in TOLD)
        if over % _EVERY == 0:
            self._say(f"{over:>3} of {self._expected} visits over · {counts}")

    def _tell(self, what: str) -> None:
        with self._counting:
            self._told[what] += 1


class Clock:
    """Seconds since the doors opened, in front of every line."""

    def __init__(self, write: Callable[[str], None]) -> None:
        """Begin now."""
        self._write = write
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Write a line with the time."""
        self._write(f"[dim]{self.seconds():6.1f} s[/dim]  {text}")

    def seconds(self) -> float:
        """Return the time since the beginning."""
        return time.monotonic() - self._began
