# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: interleaved rounds of ours and a peer, medians, one JSON file and one table."""

import json
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path("build/bench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: of ours and the peer in turn.
        seconds: of each measure that goes by time.
        events: in the log that is read.
        whole: every row, or only those with a target.
    """

    rounds: int
    seconds: float
    events: int
    whole: bool


FULL = Scale(rounds=5, seconds=2.0, events=300_000, whole=True)
QUICK = Scale(rounds=3, seconds=1.0, events=60_000, whole=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One comparison; ``ratio`` ours ÷ peer, reached when at least ``target``."""

    name: str
    ours: float
    peer: float
    ratio: float
    target: float | None
    unit: str

    @property
    def ok(self) -> bool:
        """Say whether the target is reached (always, where there is none)."""
        return self.target is None or self.ratio >= self.target


def interleave(
    ours: Callable[[], float], peer: Callable[[], float], rounds: int
) -> tuple[float, float]:
    """Run both in turn and return the medians."""
    pairs = [(ours(), peer()) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def write(name: str, entries: list[Entry]) -> None:
    """Write build/bench/<name>.json and print the table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "name": e.name, "ours": e.ours, "peer": e.peer, "ratio": e.ratio, "target": e.target,
            "ok": e.ok, "unit": e.unit,
        }
        for e in entries
    ]  # fmt: skip
    machine = {"python": platform.python_version(), "system": platform.platform()}
    content = {"machine": machine, "entries": rows}
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    table = Table("what", "ours", "peer", "ratio", "target", "", title=name)
    for e in entries:
        target = "" if e.target is None else f"≥ {e.target:g}"
        mark = "reached" if e.ok else "missed"
        table.add_row(e.name, f"{e.ours:,.1f}", f"{e.peer:,.1f}", f"{e.ratio:.2f}", target, mark)
    Console().print(table)
