# SPDX-License-Identifier: Apache-2.0
"""What a subscriber took against what the log says it was owed."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Positions that went wrong.

    Attributes:
        owed: how many events the log owes.
        lost: owed, without an effect.
        doubled: with more than one effect.
        foreign: with an effect, not owed.
        disordered: with an effect after that of a later event, where order is promised.
    """

    owed: int
    lost: Sequence[int]
    doubled: Sequence[int]
    foreign: Sequence[int]
    disordered: Sequence[int]

    @property
    def right(self) -> bool:
        """Whether each event had its effect exactly once."""
        return not (self.lost or self.doubled or self.foreign or self.disordered)


def account(owed: Iterable[int], effects: Sequence[int], *, ordered: bool) -> Account:
    """Compare positions owed with those of effects, in the order they were had."""
    wanted, times = set(owed), Counter(effects)
    return Account(
        owed=len(wanted),
        lost=sorted(wanted - times.keys()),
        doubled=sorted(position for position, n in times.items() if n > 1),
        foreign=sorted(times.keys() - wanted),
        disordered=[b for a, b in pairwise(effects) if b <= a] if ordered else [],
    )


def recoveries(
    done: Iterable[Mapping[str, Any]], taken: Iterable[Mapping[int, float]]
) -> list[tuple[str, float]]:
    """Return kind of each fault, and seconds until everybody had what was in the log at its end.

    Args:
        done: faults with ``kind``, ``ended`` (seconds since 1970) and ``head`` of the log then.
        taken: of each subscriber, when it took which position (seconds since 1970).
    """
    marks = [sorted(one.items()) for one in taken]
    found = []
    for fault in done:
        last = max(
            (at for one in marks for position, at in one if position <= fault["head"]), default=0.0
        )
        found.append((str(fault["kind"]), max(0.0, last - float(fault["ended"]))))
    return found


def summary(recovered: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return median and longest recovery, and the longest by kind of fault, in seconds."""
    if not recovered:
        return {"median": 0.0, "max": 0.0, "max_by_kind": {}}
    seconds = [one for _, one in recovered]
    kinds: dict[str, float] = {}
    for kind, one in recovered:
        kinds[kind] = round(max(kinds.get(kind, 0.0), one), 1)
    return {
        "median": round(statistics.median(seconds), 1), "max": round(max(seconds), 1),
        "max_by_kind": dict(sorted(kinds.items())),
    }  # fmt: skip
