# SPDX-License-Identifier: Apache-2.0
"""Simulated devices whose mechanics live in one file of their own, so they outlast the program.

The file is the truth about pouches, notes and cells: tests and the demo compare the journal with
it. Methods named after people (``hold``, ``insert``, ``prepare``) are a citizen's or an official's
hands; the rest is what the program sees.
"""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from services.kiosk_sync.edge.devices.ports import Credit, DeviceError

TAKE: Final = "take"
LEAVE: Final = "leave"
PUT: Final = "put"


def _no_fault(step: str) -> None:
    """Nothing goes wrong at ``step``."""


class Mechanics:
    """The mechanical state of a machine, written through at every change."""

    def __init__(self, path: Path, fault: Callable[[str], None] = _no_fault) -> None:
        """Read the file, or begin with an empty machine; ``fault`` may raise after a step."""
        self._path = path
        self._fault = fault
        self._lock = threading.RLock()
        self.state: dict[str, Any] = {
            "hand": None, "tray": None, "bin": [], "enabled": False, "box": [], "credits": [],
            "cells": {}, "hands": {}, "doors": {}, "unlocked": [], "slips": [],
            "bin_open": None, "table": [], "bags": {},
        }  # fmt: skip
        if path.exists():
            self.state.update(json.loads(path.read_text(encoding="utf-8")))

    def change(self, step: str, act: Callable[[dict[str, Any]], None]) -> None:
        """Do ``act`` and keep it: temporary file, fsync, rename, fsync of the folder."""
        with self._lock:
            act(self.state)
            new = self._path.with_suffix(".new")
            with new.open("w", encoding="utf-8") as file:
                json.dump(self.state, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._fault(step)


class SimulatedIntake:
    """A pouch slot."""

    def __init__(self, mechanics: Mechanics) -> None:
        """Bind the mechanics."""
        self._m = mechanics

    def hold(self, pouch: str | None) -> None:
        """A citizen stands there with a pouch in the hand."""
        self._m.change("hold", lambda s: s.update(hand=pouch))

    def take(self) -> str | None:
        """Open, let the citizen put a pouch in, close; return the barcode read inside."""
        if self._m.state["tray"] is not None:
            raise DeviceError("the tray is not empty")
        self._m.change("take", lambda s: s.update(tray=s["hand"], hand=None))
        return self.in_tray()

    def in_tray(self) -> str | None:
        """Return the barcode of the pouch in the tray, if there is one."""
        pouch = self._m.state["tray"]
        return None if pouch is None else str(pouch)

    def stow(self, pouch: str) -> None:
        """Drop the pouch into the bin; nothing happens if it is there already."""
        if self._m.state["tray"] == pouch:
            self._m.change("stow", lambda s: s.update(tray=None, bin=[*s["bin"], pouch]))

    def open_bin(self, number: int, reason: str) -> None:
        """Unlock the one bin's door."""
        self._m.change(
            "bin opened",
            lambda s: s.update(
                bin_open=number, unlocked=[*s["unlocked"], [f"bin {number}", reason]]
            ),
        )

    def bin_closed(self, number: int) -> bool:
        """Say whether the bin's door is closed."""
        return bool(self._m.state["bin_open"] != number)

    def take_out(self) -> list[str]:
        """Officials lay the pouches of the open bin on the table and close it."""
        if self._m.state["bin_open"] is not None:
            self._m.change(
                "bin emptied",
                lambda s: s.update(bin_open=None, bin=[], table=[*s["table"], *s["bin"]]),
            )
        return [str(pouch) for pouch in self._m.state["table"]]

    def seal_bag(self, seal: str, counted: list[str]) -> None:
        """Officials put what they counted into a bag and seal it; once a seal."""
        if seal not in self._m.state["bags"]:
            self._m.change(
                "sealed", lambda s: s.update(table=[], bags={**s["bags"], seal: counted})
            )

    def has(self, pouch: str) -> bool:
        """Say whether a pouch has gone through the slot; then no citizen holds it."""
        state = self._m.state
        bags = [name for bag in state["bags"].values() for name in bag]
        return pouch in {state["tray"], *state["bin"], *state["table"], *bags}


class SimulatedValidator:
    """A note validator that counts at the moment of stacking and holds credits until acked."""

    def __init__(self, mechanics: Mechanics) -> None:
        """Bind the mechanics."""
        self._m = mechanics

    def insert(self, denomination_vnd: int) -> bool:
        """A citizen pushes a note in; say whether it was kept."""
        if not self._m.state["enabled"]:
            return False

        def stack(state: dict[str, Any]) -> None:
            state["box"].append(denomination_vnd)
            state["credits"].append([denomination_vnd, len(state["box"])])

        self._m.change("stack", stack)
        return True

    def lose_credits(self) -> None:
        """A power cut of the device: it forgets credits, never the count."""
        self._m.change("lose", lambda s: s.update(credits=[]))

    def stacked_count(self) -> int:
        """Return how many notes were ever stacked."""
        return len(self._m.state["box"])

    def enable(self) -> None:
        """Accept notes."""
        self._m.change("enable", lambda s: s.update(enabled=True))

    def disable(self) -> None:
        """Accept no further note."""
        self._m.change("disable", lambda s: s.update(enabled=False))

    def next_credit(self) -> Credit | None:
        """Return the oldest credit that was not acknowledged; the same again until it is."""
        held = self._m.state["credits"]
        return Credit(*held[0]) if held else None

    def acknowledge(self, credit: Credit) -> None:
        """Let the device forget the credit."""
        if self.next_credit() == credit:
            self._m.change("acknowledge", lambda s: s["credits"].pop(0))


class SimulatedPrinter:
    """A slip printer; the slips are kept."""

    def __init__(self, mechanics: Mechanics) -> None:
        """Bind the mechanics."""
        self._m = mechanics

    def print_slip(self, lines: list[str]) -> None:
        """Print."""
        self._m.change("print", lambda s: s["slips"].append(lines))


class SimulatedLocks:
    """Cells with doors; hands act while a door is open and close it."""

    def __init__(self, mechanics: Mechanics) -> None:
        """Bind the mechanics."""
        self._m = mechanics

    def prepare(self, cell: int, hands: str) -> None:
        """Say what hands will do at the next open door: ``put``, ``take`` or ``leave``."""
        self._m.change("prepare", lambda s: s["hands"].update({str(cell): hands}))

    def unlock(self, cell: int, reason: str) -> None:
        """Open one door, remember why; then the hands act and close it."""
        name = str(cell)

        def opened(state: dict[str, Any]) -> None:
            state["doors"][name] = True
            state["unlocked"].append([cell, reason])

        def acted(state: dict[str, Any]) -> None:
            hands = state["hands"].pop(name, LEAVE)
            if hands != LEAVE:
                state["cells"][name] = hands == PUT
            state["doors"][name] = False

        self._m.change("opened", opened)
        self._m.change("closed", acted)

    def close_door(self, cell: int) -> None:
        """Somebody passing by pushes the door shut."""
        self._m.change("pushed", lambda s: s["doors"].update({str(cell): False}))

    def door_closed(self, cell: int) -> bool:
        """Say whether the door is closed."""
        return not self._m.state["doors"].get(str(cell), False)

    def occupied(self, cell: int) -> bool:
        """Say whether something lies in the cell."""
        return bool(self._m.state["cells"].get(str(cell), False))
