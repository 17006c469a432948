# SPDX-License-Identifier: Apache-2.0
"""Who comes on this day and how their dossiers go: made from a seed, the same seed the same day.

Every procedure that a machine accepts is handed in there, every kind of result is returned, and
every way in which a dossier can go happens at least once at each machine.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.hands import Citizen
from services.intake.seed.load import offices, procedures

NAMES: Final = (
    "Nguyễn Thị Lan", "Thạch Sô Phia", "Trần Quốc Bảo", "Lê Thị Mười", "Danh Thị Sa Rươl",
    "Phạm Văn Đực", "Võ Thị Bé Ba", "Đỗ Hữu Nghĩa",
)  # fmt: skip
FREE_WAYS: Final = (
    "supplemented", "guided", "refused", "withdrawn", "stopped", "extra_fee", "late", "counter",
    "post", "uncollected", "recalled", "second_try",
)  # fmt: skip
"""How a dossier can go; ``infra.day.stories`` has one function for each."""
PAID_WAYS: Final = ("abandoned", "left_short", "twice", "from_home", "overpaid")
"""Ways of dossiers for which something is to be paid."""
PLAIN, EXEMPT, IMPORTED = "plain", "exempt", "imported"
WAYS: Final = (PLAIN, EXEMPT, *FREE_WAYS, *PAID_WAYS, IMPORTED)
ROUNDS: Final = {"VT01": 5, "CT01": 5}
"""How often each procedure is handed in at a machine, beside once to collect its result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """What the plan must know of a procedure.

    Attributes:
        code: national code.
        fee: whether anything is to be paid.
        exemptions: reasons for which nothing at all is to be paid.
    """

    code: str
    fee: bool
    exemptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One person with one dossier; all of them are made up.

    Attributes:
        number: place in the day, from 1.
        name: who.
        phone: where messages go.
        machine: where the dossier is handed in, or its result is returned.
        procedure: national code.
        way: how it goes, a word of ``WAYS``.
        pays: ``cash`` or ``qr``.
        copies: how many copies are wanted.
        pages: how many pages each has.
        exemption: reason for which nothing is to be paid.
        pouch: barcode of the pouch.
    """

    number: int
    name: str
    phone: str
    machine: str
    procedure: str
    way: str
    pays: str
    copies: int
    pages: int
    exemption: str | None
    pouch: str

    def citizen(self) -> Citizen:
        """Return the person at the machine."""
        return Citizen(
            name=self.name, phone=self.phone, procedure=self.procedure, copies=self.copies,
            pouch=self.pouch, pays=self.pays, pages=self.pages, exemption=self.exemption,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A machine: what it accepts, what it gives back without accepting it, how busy it is."""

    machine: str
    accepts: Sequence[Procedure]
    returns_only: Sequence[Procedure]
    rounds: int


def places(machines: dict[str, str]) -> list[Place]:
    """Return the machines with what their offices offer, from the seed of the catalogue."""
    known = {row["code"]: _procedure(row) for row in procedures()}
    offered = {row["office"]: row for row in offices()}
    return [
        Place(
            machine=machine,
            accepts=[known[code] for code in offered[office]["accept"]],
            returns_only=[
                known[code]
                for code in offered[office]["give_back"]
                if code not in offered[office]["accept"]
            ],
            rounds=ROUNDS[machine],
        )
        for machine, office in machines.items()
    ]


def visits(
    where: Sequence[Place], seed: int, *, later: Sequence[tuple[str, str]] = ()
) -> list[Visit]:
    """Return the day's people in the order in which they come.

    Args:
        where: the machines.
        seed: the same seed, the same day.
        later: machine and procedure of those who come last, for what is offered since.
    """
    dice = random.Random(seed)  # noqa: S311 - a seed that replays
    drawn = [one for place in where for one in _at(place, dice)]
    dice.shuffle(drawn)
    drawn += [(machine, Procedure(code=code, fee=False), PLAIN) for machine, code in later]
    return [visit(number, dice, *one) for number, one in enumerate(drawn, start=1)]


def visit(number: int, dice: random.Random, machine: str, procedure: Procedure, way: str) -> Visit:
    """Return a person who comes to ``machine``."""
    return Visit(
        number=number,
        name=dice.choice(NAMES),
        phone=f"09{number:03d}{dice.randrange(10**5):05d}",
        machine=machine,
        procedure=procedure.code,
        way=way,
        pays="qr" if way in {"twice", "from_home"} else dice.choice(("cash", "qr")),
        copies=2 if way == "left_short" else dice.randint(1, 3),
        pages=dice.randint(1, 6),
        exemption=dice.choice(procedure.exemptions) if way == EXEMPT else None,
        pouch=f"P{number:07d}",
    )


def _at(place: Place, dice: random.Random) -> Iterator[tuple[str, Procedure, str]]:
    slots = [procedure for procedure in place.accepts for _ in range(place.rounds)]
    dice.shuffle(slots)
    for way in (EXEMPT, EXEMPT, *PAID_WAYS, *PAID_WAYS):
        procedure = next(one for one in slots if one.exemptions or (one.fee and way != EXEMPT))
        slots.remove(procedure)
        yield place.machine, procedure, way
    ways = [*FREE_WAYS * 2, *(PLAIN,) * (len(slots) - 2 * len(FREE_WAYS))]
    for way, procedure in zip(ways, slots, strict=True):
        yield place.machine, procedure, way
    # Every kind of result leaves a machine once, whatever the ways above came to.
    for procedure in place.accepts:
        yield place.machine, procedure, PLAIN
    for procedure in place.returns_only:
        yield place.machine, procedure, IMPORTED


def _procedure(row: dict[str, Any]) -> Procedure:
    owed = {line["kind"] for line in row["fees"]}
    return Procedure(
        code=row["code"],
        fee=bool(row["fees"]),
        exemptions=tuple(one["code"] for one in row["exemptions"] if owed <= set(one["kinds"])),
    )
