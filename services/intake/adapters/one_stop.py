# SPDX-License-Identifier: Apache-2.0
"""What both generations of the one-stop software's interface have in common.

The province's software speaks the national portal's interface of 2020 (``one_stop_2020``) or, over
the provincial integration platform (LGSP), the one of 2026 (``one_stop_2026``). An office is on
exactly one of them. ``LayHoSoTraQuaMay``, results to be returned at a machine, is this project's
name for what every province's software offers under its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.common.errors import Unavailable
from services.intake.application.ports import CounterDossier, OneStopPort

_YEARS: Final = range(2000, 2200)
"""Years that a dossier can be of."""
TIMEOUT_S: Final = (3.0, 10.0)
ReadTime = Callable[[object], datetime | None]
"""Read an instant as a generation writes it; None for what is none."""


@dataclass(frozen=True, slots=True)
class Enum:
    """A word of ours in both generations; the same digit may mean two things."""

    y2020: str
    y2026: str


SUBJECTS: Final[Mapping[str, Enum]] = {
    "citizen": Enum("1", "0"),
    "enterprise": Enum("2", "1"),
    "household_business": Enum("2", "2"),
}
"""LoaiDoiTuong: whose dossier it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnOrder:
    """The one-stop system wants this result returned at this machine."""

    code: str
    result_number: str
    machine: str
    counter: CounterDossier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Systems:
    """Which office is on which system.

    Attributes:
        usual: the system of every office that ``others`` does not name.
        others: system by office.
    """

    usual: OneStopPort
    others: Mapping[str, OneStopPort]

    def of(self, office: str) -> OneStopPort:
        """Return an office's system."""
        return self.others.get(office, self.usual)

    def all(self) -> tuple[OneStopPort, ...]:
        """Return every system once."""
        return tuple({id(one): one for one in (self.usual, *self.others.values())}.values())


def orders_in(rows: object, read_time: ReadTime) -> list[ReturnOrder]:
    """Return the orders in an answer's list. Raises Unavailable for what is no such list."""
    if not isinstance(rows, list):
        raise Unavailable("one_stop", "LayHoSoTraQuaMay: no list in the answer")
    if not all(
        isinstance(row, dict) and {"MaHoSo", "SoKetQua", "MaMay"} <= set(row) for row in rows
    ):
        raise Unavailable("one_stop", "LayHoSoTraQuaMay: a row lacks its fields")
    return [
        ReturnOrder(
            code=str(row["MaHoSo"]),
            result_number=str(row["SoKetQua"]),
            machine=str(row["MaMay"]),
            counter=_counter(row, read_time),
        )
        for row in rows
    ]


def reference_in(answer: Mapping[str, object], service: str) -> str:
    """Return the reference in an acknowledgement. Raises Unavailable for one without."""
    reference = answer.get("reference")
    if not isinstance(reference, str) or not reference:
        raise Unavailable("one_stop", f"{service}: no reference in the answer")
    return reference


def _counter(row: Mapping[str, object], read_time: ReadTime) -> CounterDossier | None:
    """Return the dossier in a row; None where the system leaves a part of it out."""
    texts = [str(row.get(name) or "").strip() for name in ("MaTTHC", "ChuHoSo", "SoDienThoai")]
    times = [_known(read_time(row.get(name))) for name in ("NgayTiepNhan", "NgayHenTra")]
    if not all(texts) or times[0] is None or times[1] is None:
        return None
    procedure, name, phone = texts
    return CounterDossier(
        procedure=procedure, accepted_at=times[0], due_at=times[1], name=name, phone=phone
    )


def _known(time: datetime | None) -> datetime | None:
    """Return a time; None also for 0001-01-01, which systems write where they know none."""
    return time if time is not None and time.year in _YEARS else None
