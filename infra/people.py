# SPDX-License-Identifier: Apache-2.0
"""Made-up people for crash runs and tests, and the notes in their purses."""

import random
from typing import Final

from infra.hands import Citizen

DOSSIERS: Final = 20
PROCEDURES: Final = ("2.000635", "1.001612", "1.012789", "1.001570")
NOTES: Final = (200_000, 100_000, 50_000, 20_000, 10_000)


def citizens(dice: random.Random, count: int = DOSSIERS) -> list[Citizen]:
    """Return made-up people with real procedures; every second pays cash."""
    names = ("Huỳnh Văn Út", "Nguyễn Thị Lan", "Thạch Sô Phia", "Trần Quốc Bảo", "Lê Thị Mười")
    return [
        Citizen(
            name=names[place % len(names)],
            phone=f"09{dice.randrange(10**8):08d}",
            procedure=PROCEDURES[place % len(PROCEDURES)],
            copies=1 + place % 3,
            pouch=f"P{place + 1:07d}",
            pays="cash" if place // 2 % 2 else "qr",
        )
        for place in range(count)
    ]


def notes_for(amount: int) -> list[int]:
    """Return notes that cover ``amount``; validators take none under 10,000."""
    notes: list[int] = []
    for note in NOTES:
        while amount - sum(notes) >= note:
            notes.append(note)
    return notes if sum(notes) >= amount else [*notes, NOTES[-1]]
