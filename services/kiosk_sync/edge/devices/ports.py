# SPDX-License-Identifier: Apache-2.0
"""What the program may ask of devices.

Every device has a fact of its own that survives the program: the validator's count of stacked
notes, the pouch in the tray, a cell's door and sensor. The program compares that fact with its
journal before it uses the device, so a crash at any point neither loses nor doubles anything.
"""

from dataclasses import dataclass
from typing import Protocol


class DeviceError(Exception):
    """The device refuses or does not answer; only the service that needs it closes."""


@dataclass(frozen=True, slots=True)
class Credit:
    """A note behind the point of no return, and the device's count with it included."""

    denomination_vnd: int
    stacked_count: int


class PouchIntake(Protocol):
    """The slot that takes pouches in."""

    def take(self) -> str | None:
        """Open, let the citizen put a pouch in, close; return the barcode read inside."""
        ...

    def in_tray(self) -> str | None:
        """Return the barcode of the pouch in the tray, if there is one."""
        ...

    def stow(self, pouch: str) -> None:
        """Drop the pouch from the tray into the bin; nothing happens if it is there already."""
        ...

    def open_bin(self, number: int, reason: str) -> None:
        """Unlock a bin's door; ``reason`` names the visit of the officials who may."""
        ...

    def bin_closed(self, number: int) -> bool:
        """Say whether a bin's door is closed."""
        ...


class CashValidator(Protocol):
    """A note validator; ``stacked_count`` never falls (SSP counter 58)."""

    def stacked_count(self) -> int:
        """Return how many notes were ever stacked."""
        ...

    def enable(self) -> None:
        """Accept notes."""
        ...

    def disable(self) -> None:
        """Accept no further note."""
        ...

    def next_credit(self) -> Credit | None:
        """Return the oldest credit that was not acknowledged; the same again until it is."""
        ...

    def acknowledge(self, credit: Credit) -> None:
        """Let the device forget the credit."""
        ...


class Printer(Protocol):
    """A slip printer; it has no counter, so a slip may be printed twice."""

    def print_slip(self, lines: list[str]) -> None:
        """Print; raises DeviceError without paper."""
        ...


class LockBoard(Protocol):
    """Cells with a lock, a door contact and an occupancy sensor."""

    def unlock(self, cell: int, reason: str) -> None:
        """Open one door; ``reason`` is the id of the committed record that allows it."""
        ...

    def door_closed(self, cell: int) -> bool:
        """Say whether the door is closed."""
        ...

    def occupied(self, cell: int) -> bool:
        """Say whether something lies in the cell."""
        ...
