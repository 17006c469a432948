# SPDX-License-Identifier: Apache-2.0
"""Where every pouch and every result is, folded from what machines and officials recorded.

Each thing has exactly one place, written as text: ``citizen``, ``bin:VT01/1``, ``cell:VT01/3``,
``office:VT/bag`` (from a machine, unopened), ``office:VT/clerk`` (opened), ``office:VT/shelf``,
``agency:VT``, ``post``, ``lost`` and ``unknown``. The tray is nobody's last word: a machine
journals a pouch into its bin or reports that it does not know.

A machine's own journal decides what lies in that machine; what officials record moves a pouch out
of a bin only when they opened it, because everything else can be said without the paper in hand.
Decree 61/2018 article 21: whoever lost a paper pays for it, so nothing here is ever guessed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

Data = Mapping[str, object]

CITIZEN: Final = "citizen"
POST: Final = "post"
LOST: Final = "lost"
UNKNOWN: Final = "unknown"
POUCH, PAPERS, RESULT = "pouch", "papers", "result"
"""What is kept: a pouch of a machine, papers from a counter, a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A thing in somebody's care.

    Attributes:
        key: ``papers/<dossier>``, ``result/<dossier>`` or ``stray/<machine>/<barcode or event>``.
        kind: pouch, papers or result.
        dossier: empty for a pouch that no deposit explains.
        barcode: the pouch's, empty where there is none; a machine takes each only once.
        machine: where the pouch was taken in, empty for anything else.
        office: whose care it is in, empty until known.
        place: see the module.
        since_us: when it came there, microseconds since the epoch.
        moved_by: id of the event that moved it there.
        case: the open case about it, empty where there is none.
    """

    key: str
    kind: str
    dossier: str = ""
    barcode: str = ""
    machine: str = ""
    office: str = ""
    place: str = UNKNOWN
    since_us: int = 0
    moved_by: str = ""
    case: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event as custody sees it; ``machine`` is empty where no machine wrote it."""

    type: str
    data: Data
    event: str
    at_us: int
    machine: str = ""
    dossier: str = ""


class Shelf(Protocol):
    """Where items are remembered; a dictionary, or a table of the read model."""

    def get(self, key: str) -> Item | None:
        """Return one item."""
        ...

    def put(self, item: Item) -> None:
        """Remember ``item`` under its key, in the place of what was there."""
        ...

    def lying_in(self, place: str) -> Sequence[Item]:
        """Return what lies in ``place``, by key."""
        ...

    def with_barcode(self, machine: str, barcode: str) -> Sequence[Item]:
        """Return the pouches of a machine that bear ``barcode``, by key."""
        ...

    def in_case(self, case: str) -> Item | None:
        """Return the item that an open case is about."""
        ...

    def enrol(self, machine: str, office: str) -> None:
        """Remember whose machine it is."""
        ...

    def office_of(self, machine: str) -> str:
        """Return whose machine it is, empty where nobody said."""
        ...


class MemoryShelf:
    """A shelf in memory.

    Attributes:
        items: everything, by key.
        offices: whose machine it is, by serial.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.items: dict[str, Item] = {}
        self.offices: dict[str, str] = {}
        self._found: dict[tuple[str, ...], dict[str, None]] = {}

    def get(self, key: str) -> Item | None:
        """Return one item."""
        return self.items.get(key)

    def put(self, item: Item) -> None:
        """Remember ``item``."""
        known = self.items.get(item.key)
        if known is not None:
            for mark in _marks(known):
                del self._found[mark][item.key]
        self.items[item.key] = item
        for mark in _marks(item):
            self._found.setdefault(mark, {})[item.key] = None

    def lying_in(self, place: str) -> Sequence[Item]:
        """Return what lies in ``place``, by key."""
        return self._with(("place", place))

    def with_barcode(self, machine: str, barcode: str) -> Sequence[Item]:
        """Return the pouches of a machine that bear ``barcode``, by key."""
        return self._with(("barcode", machine, barcode))

    def in_case(self, case: str) -> Item | None:
        """Return the item that an open case is about."""
        return next(iter(self._with(("case", case))), None)

    def enrol(self, machine: str, office: str) -> None:
        """Remember whose machine it is."""
        self.offices[machine] = office

    def office_of(self, machine: str) -> str:
        """Return whose machine it is."""
        return self.offices.get(machine, "")

    def _with(self, mark: tuple[str, ...]) -> list[Item]:
        return [self.items[key] for key in sorted(self._found.get(mark, ()))]


def _marks(item: Item) -> list[tuple[str, ...]]:
    """Return by what an item is looked for, besides its key."""
    marks: list[tuple[str, ...]] = [("place", item.place), ("barcode", item.machine, item.barcode)]
    if item.case:
        marks.append(("case", item.case))
    return marks


def papers(dossier: str) -> str:
    """Return the key of what a citizen handed in."""
    return f"papers/{dossier}"


def result(dossier: str) -> str:
    """Return the key of a dossier's result."""
    return f"result/{dossier}"


def stray(machine: str, mark: str) -> str:
    """Return the key of a pouch that no deposit explains."""
    return f"stray/{machine}/{mark}"


def apply(shelf: Shelf, happening: Happening) -> None:
    """Move what ``happening`` moves; never refuses, other events move nothing."""
    move = _MOVES.get(happening.type)
    if move is not None:
        move(shelf, happening)


# --- what machines journal -----------------------------------------------------------------------


def _enrolled(shelf: Shelf, now: Happening) -> None:
    shelf.enrol(str(now.data["serial"]), str(now.data["office"]))


def _deposited(shelf: Shelf, now: Happening) -> None:
    dossier = str(now.data["dossier"])
    if shelf.get(papers(dossier)) is None:
        item = _pouch(shelf, now, papers(dossier), str(now.data["pouch"]))
        _move(shelf, replace(item, dossier=dossier), f"bin:{now.machine}/{now.data['bin']}", now)


def _emptied(shelf: Shelf, now: Happening) -> None:
    """The bag holds what was counted; what should be there and is not is unknown."""
    listed = now.data["pouches"]
    assert isinstance(listed, list), "the contract lists the pouches"
    counted = {str(barcode) for barcode in listed}
    for item in shelf.lying_in(f"bin:{now.machine}/{now.data['bin']}"):
        found = item.barcode in counted
        _move(shelf, item, f"office:{item.office}/bag" if found else UNKNOWN, now)
    for barcode in sorted(counted):
        _found_in_bag(shelf, barcode, now)


def _found_in_bag(shelf: Shelf, barcode: str, now: Happening) -> None:
    """A pouch that should not be in this bin; one that an official has already stays there."""
    known = shelf.with_barcode(now.machine, barcode)
    if not known:
        known = [_pouch(shelf, now, stray(now.machine, barcode), barcode)]
    for item in known:
        if item.place == UNKNOWN or item.place.startswith("bin:"):
            _move(shelf, item, f"office:{item.office}/bag", now)


def _loaded(shelf: Shelf, now: Happening) -> None:
    place = f"cell:{now.machine}/{now.data['cell']}"
    item = _result_of(shelf, str(now.data["dossier"]))
    for other in shelf.lying_in(place):
        if other.key != item.key:
            _move(shelf, other, UNKNOWN, now)
    _move(shelf, item, place, now)


def _released(shelf: Shelf, now: Happening) -> None:
    _move(shelf, _result_of(shelf, str(now.data["dossier"])), CITIZEN, now)


def _recalled(shelf: Shelf, now: Happening) -> None:
    item = _result_of(shelf, str(now.data["dossier"]))
    _move(shelf, item, f"office:{item.office}/shelf", now)


def _machine_lost_it(shelf: Shelf, now: Happening) -> None:
    """The machine does not know; a result that the citizen has is not the machine's to lose."""
    dossier = now.data["dossier"]
    if dossier is None:
        barcode = str(now.data.get("pouch") or "")
        item = _pouch(shelf, now, stray(now.machine, barcode or now.event), barcode)
    elif now.data["place"] == "cell":
        item = _result_of(shelf, str(dossier))
    else:
        key = papers(str(dossier))
        item = shelf.get(key) or replace(_pouch(shelf, now, key, ""), dossier=str(dossier))
    if item.place != CITIZEN:
        _move(shelf, item, UNKNOWN, now)


# --- what officials record -----------------------------------------------------------------------


def _imported(shelf: Shelf, now: Happening) -> None:
    office = str(now.data["office"])
    item = Item(key=papers(now.dossier), kind=PAPERS, dossier=now.dossier, office=office)
    _move(shelf, item, f"agency:{office}", now)


def _opened(shelf: Shelf, now: Happening) -> None:
    item = shelf.get(papers(now.dossier))
    if item is not None:
        _move(shelf, item, f"office:{item.office}/clerk", now)


def _carried_to(where: str) -> Callable[[Shelf, Happening], None]:
    """Return the move within the offices; a pouch that lies in a machine stays there."""

    def carry(shelf: Shelf, now: Happening) -> None:
        item = shelf.get(papers(now.dossier))
        if item is not None and item.place.startswith(("office:", "agency:")):
            _move(shelf, item, where.format(office=item.office), now)

    return carry


def _completed(shelf: Shelf, now: Happening) -> None:
    if shelf.get(result(now.dossier)) is None:
        item = _result_of(shelf, now.dossier)
        _move(shelf, item, f"office:{item.office}/shelf", now)


def _handed_over(shelf: Shelf, now: Happening) -> None:
    places = {"counter": CITIZEN, "post": POST}
    channel = str(now.data["channel"])
    # The machine's own journal tells of a result that left a cell.
    if channel in places:
        _move(shelf, _result_of(shelf, now.dossier), places[channel], now)


def _reversed(shelf: Shelf, now: Happening) -> None:
    _move(shelf, _result_of(shelf, now.dossier), UNKNOWN, now)


def _case_opened(shelf: Shelf, now: Happening) -> None:
    item = shelf.get(str(now.data["item"]))
    if item is not None:
        shelf.put(replace(item, case=str(now.data["case"])))


def _case_closed(shelf: Shelf, now: Happening) -> None:
    item = shelf.in_case(str(now.data["case"]))
    if item is None:
        return
    item = replace(item, case="")
    places = {"office": f"office:{item.office}/shelf", "citizen": CITIZEN, "lost": LOST}
    if item.place == UNKNOWN:
        _move(shelf, item, places[str(now.data["found"])], now)
    else:
        shelf.put(item)


def _result_of(shelf: Shelf, dossier: str) -> Item:
    """Return the result, or a new one of the office that has the papers."""
    known = shelf.get(result(dossier))
    if known is not None:
        return known
    handed_in = shelf.get(papers(dossier))
    office = "" if handed_in is None else handed_in.office
    return Item(key=result(dossier), kind=RESULT, dossier=dossier, office=office)


def _pouch(shelf: Shelf, now: Happening, key: str, barcode: str) -> Item:
    """Return a pouch seen for the first time."""
    return Item(
        key=key, kind=POUCH, barcode=barcode, machine=now.machine,
        office=shelf.office_of(now.machine),
    )  # fmt: skip


def _move(shelf: Shelf, item: Item, place: str, now: Happening) -> None:
    shelf.put(replace(item, place=place, since_us=now.at_us, moved_by=now.event))


_SHELF, _CLERK, _AGENCY = (
    _carried_to("office:{office}/shelf"), _carried_to("office:{office}/clerk"),
    _carried_to("agency:{office}"),
)  # fmt: skip
_MOVES: Final[dict[str, Callable[[Shelf, Happening], None]]] = {
    "config.machine_enrolled": _enrolled,
    "kiosk.dossier_deposited": _deposited,
    "kiosk.bin_emptied": _emptied,
    "kiosk.result_loaded": _loaded,
    "kiosk.result_released": _released,
    "kiosk.result_recalled": _recalled,
    "kiosk.custody_unknown": _machine_lost_it,
    "dossier.imported": _imported,
    "dossier.opened": _opened,
    "dossier.accepted": _CLERK,
    "dossier.refused": _SHELF,
    "dossier.withdrawn": _SHELF,
    "dossier.stopped": _SHELF,
    "dossier.supplement_received": _AGENCY,
    "dossier.processing_started": _AGENCY,
    "dossier.completed": _completed,
    "dossier.returned": _handed_over,
    "dossier.return_reversed": _reversed,
    "office.custody_case_opened": _case_opened,
    "office.custody_case_closed": _case_closed,
}
TYPES: Final = tuple(_MOVES)
"""Event types that move something."""
