# SPDX-License-Identifier: Apache-2.0
"""Random days of an office: after each step the fold agrees with where everything really is."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.errors import Refused
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Cause
from services.intake.application.cases import CloseCase, close_case, happening
from services.intake.application.facts import data_of
from services.intake.domain.custody import MemoryShelf, apply
from services.intake.domain.dossier import Dossier, evolve
from services.payment.application.queries import ledger
from tests.support.province import Province

CELLS: Final = 2
PEOPLE: Final = 4
MOVES: Final = {
    # the portal's states as the law moves them, apart from the program's table
    (0, 1), (1, 2), (1, 3), (1, 5), (2, 4), (4, 5), (4, 6), (4, 8), (5, 4), (6, 4), (5, 3),
    (5, 8), (1, 7), (2, 7), (4, 7), (5, 7), (6, 7), (4, 9), (9, 10), (10, 9),
}  # fmt: skip
CASE_ENDS: Final = {"office": "office:VT/shelf", "citizen": "citizen", "lost": "lost"}


class Day:
    """What people and machines do, and where their hands really put things."""

    def __init__(self) -> None:
        self.province = Province()
        self.dossiers: list[str] = []
        self.really: dict[str, str] = {}
        self.barcodes: dict[str, str] = {}
        self.paid_vnd = 0

    def deposit(self, number: int) -> None:
        """A citizen hands in."""
        if len(self.dossiers) == PEOPLE:
            return
        pouch, used = f"P{len(self.dossiers)}", 1 + number % 2
        dossier = self.province.deposit(pouch=pouch, bin=used)
        self.dossiers.append(dossier)
        self.barcodes[pouch] = f"papers/{dossier}"
        self.really[f"papers/{dossier}"] = f"bin:VT01/{used}"
        if number % 8:
            self.province.pays(dossier, 8_000)
            self.paid_vnd += 8_000
        if number % 3 and self._does(dossier, "accept", {}):
            self.finish(16 * len(self.dossiers) - 16)

    def empty(self, number: int) -> None:
        """Two officials empty a bin; now and then a pouch is missing, or one too many."""
        used = f"bin:VT01/{1 + number % 2}"
        inside = [pouch for pouch, key in self.barcodes.items() if self.really[key] == used]
        missing = inside[:1] if number % 4 == 0 else []
        counted = [pouch for pouch in inside if pouch not in missing]
        if number % 7 == 0:
            extra = f"S{len(self.barcodes)}"
            self.barcodes[extra] = f"stray/VT01/{extra}"
            counted.append(extra)
        self._journal(
            "kiosk.bin_emptied", bin=1 + number % 2, staff="cb001", second_staff="cb002",
            pouches=counted, seal="NP1",
        )  # fmt: skip
        self.really |= {self.barcodes[pouch]: "office:VT/bag" for pouch in counted}
        self.really |= {self.barcodes[pouch]: "unknown" for pouch in missing}

    def office(self, number: int) -> None:
        """An official tries something; the papers follow only where they can."""
        verb, words, hand = OFFICE[number % len(OFFICE)]
        dossier = self._some(number)
        if dossier is None or not self._does(dossier, verb, words):
            return
        mine = f"papers/{dossier}"
        if verb == "open" or (hand and self.really[mine].startswith(("office:", "agency:"))):
            self.really[mine] = hand

    def finish(self, number: int) -> None:
        """The agency is done."""
        dossier = self._some(number)
        if dossier is None:
            return
        channel = ("machine", "machine", "counter", "post")[number % 4]
        words = {
            "result_number": "1", "return_channel": channel,
            "return_machine": "VT01" if channel == "machine" else None,
        }  # fmt: skip
        before = self.province.dossier(dossier).status
        if self._does(dossier, "complete", words):
            mine = f"papers/{dossier}"
            if before == 2 and self.really[mine].startswith("office:"):
                self.really[mine] = "agency:VT"
            self.really.setdefault(f"result/{dossier}", "office:VT/shelf")

    def load(self, number: int) -> None:
        """An official lays a result into a free cell, which must be the machine it is for."""
        taken = {place for place in self.really.values() if place.startswith("cell:")}
        free = [cell for cell in range(1, CELLS + 1) if f"cell:VT01/{cell}" not in taken]
        dossier = self._with_result(number, "office:VT/shelf")
        if free and dossier and self.province.dossier(dossier).return_machine == "VT01":
            self.province.office.load(dossier, cell=free[0])
            self.province.run()
            self.really[f"result/{dossier}"] = f"cell:VT01/{free[0]}"

    def leave_cell(self, number: int) -> None:
        """The citizen takes it, staff takes it back, or the machine does not know."""
        dossier = self._with_result(number, "cell:")
        if dossier is None:
            return
        cell = int(self.really[f"result/{dossier}"].rpartition("/")[2])
        kind, words, place = (
            ("kiosk.result_released", {"cell": cell, "grant": str(uuid.uuid4())}, "citizen"),
            ("kiosk.result_recalled", {"cell": cell, "staff": "cb001"}, "office:VT/shelf"),
            (
                "kiosk.custody_unknown",
                {"place": "cell", "reason": "jam", "pouch": None},
                "unknown",
            ),
        )[number % 3]
        self._journal(kind, dossier=dossier, **words)
        self.really[f"result/{dossier}"] = place

    def hand_over(self, number: int) -> None:
        """The counter or the post gives the result."""
        dossier = self._some(number)
        channel = ("counter", "post")[number % 2]
        if dossier and self._does(dossier, "return", {"channel": channel, "proof": "Ký"}):
            self.really[f"result/{dossier}"] = {"counter": "citizen", "post": "post"}[channel]

    def reverse(self, number: int) -> None:
        """It was the wrong person."""
        dossier = self._some(number)
        if dossier and self._does(dossier, "reverse-return", {"reason": "Giao nhầm"}):
            self.really[f"result/{dossier}"] = "unknown"

    def close(self, number: int) -> None:
        """An official closes the oldest case."""
        cases = self.open_cases()
        if cases:
            case, found = next(iter(cases)), list(CASE_ENDS)[number % 3]
            close_case(
                self.province.office.recorder("motcua_intake"),
                CloseCase(case=case, official="cb001", office="VT", found=found, found_at="x"),
                source="http:cb001", key=str(uuid.uuid4()),
                cause=Cause(correlation_id=str(uuid.uuid4()), actor="official:cb001"),
            )  # fmt: skip
            self.province.run()
            if self.really[cases[case]] == "unknown":
                self.really[cases[case]] = CASE_ENDS[found]

    def open_cases(self) -> dict[str, str]:
        """Return the item of every open case, oldest first."""
        cases = {}
        for event in self.province.log.read_all(0, limit=100_000):
            if event.type == "office.custody_case_opened":
                assert event.data["owner"]
                assert event.data["due_at"]
                cases[str(event.data["case"])] = str(event.data["item"])
            elif event.type == "office.custody_case_closed":
                del cases[str(event.data["case"])]
        return cases

    def _some(self, number: int) -> str | None:
        return self.dossiers[number // 16 % len(self.dossiers)] if self.dossiers else None

    def _with_result(self, number: int, place: str) -> str | None:
        able = [d for d in self.dossiers if self.really.get(f"result/{d}", "").startswith(place)]
        return able[number % len(able)] if able else None

    def _does(self, dossier: str, verb: str, words: dict[str, Any]) -> bool:
        try:
            self.province.does(dossier, verb, **words)
        except Refused:
            return False
        return True

    def _journal(self, event_type: str, **words: Any) -> None:
        self.province.office.journal(event_type, **words)
        self.province.run()


OFFICE: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("open", {"differences": []}, "office:VT/clerk"),
    *[("accept", {}, "office:VT/clerk")] * 5,
    *[("start", {"agency": "Phòng Tư pháp"}, "agency:VT")] * 4,
    ("request-supplement", {"reasons": ["Thiếu"], "respond_by": None}, ""),
    ("receive-supplement", {}, "agency:VT"),
    ("refuse", {"reason": "Không thuộc thẩm quyền"}, "office:VT/shelf"),
    ("withdraw", {"reason": "Không còn nhu cầu"}, "office:VT/shelf"),
    ("stop", {"reason": "Tranh chấp"}, "office:VT/shelf"),
]
ACTS: Final[list[Callable[[Day, int], None]]] = [
    Day.deposit, Day.empty, Day.office, Day.office, Day.office, Day.finish, Day.load, Day.load,
    Day.leave_cell, Day.hand_over, Day.reverse, Day.close,
]  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 255)), min_size=30, max_size=70))
def test_random_days(acts: list[tuple[Callable[[Day, int], None], int]]) -> None:
    """Each thing is in exactly one place and it is the right one; states follow the law."""
    day = Day()
    shelf, through, states = MemoryShelf(), 0, defaultdict[str, Dossier](Dossier)
    for act, number in acts:
        act(day, number)
        for event in day.province.log.read_all(through, limit=100_000):
            apply(shelf, happening(event))
            through = event.position
            _follows(states, event)
        assert {key: item.place for key, item in shelf.items.items()} == day.really
        book = ledger(day.province.log)
        assert book.total() == 0
        assert book.balances().get("bank:payos", 0) == day.paid_vnd
        in_cells = Counter(p for p in day.really.values() if p.startswith("cell:"))
        assert set(in_cells.values()) <= {1}
        for dossier in day.dossiers:
            assert states[dossier].status == day.province.dossier(dossier).status
        cases = day.open_cases()
        unknown = {key for key, place in day.really.items() if place == "unknown"}
        assert unknown <= set(cases.values())
        assert {i.case: i.key for i in shelf.items.values() if i.case} == cases
    again = MemoryShelf()
    for event in day.province.log.read_all(0, limit=100_000):
        apply(again, happening(event))
    assert again.items == shelf.items


def _follows(states: dict[str, Dossier], event: RecordedEvent) -> None:
    """One event moves a dossier along one arrow of the law, or leaves it where it is."""
    if not event.stream.startswith("dossier-"):
        return
    before = states[str(event.subject)]
    after = evolve(before, event.type, data_of(event))
    assert before.status == after.status or (before.status, after.status) in MOVES, event.type
    states[str(event.subject)] = after
