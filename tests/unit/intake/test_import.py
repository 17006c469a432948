# SPDX-License-Identifier: Apache-2.0
"""Results of dossiers that were handed in at a counter and are to go through a machine."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from services.common.clock import VIETNAM
from services.common.errors import Refused
from services.intake.adapters.calendar import LogCalendar
from services.intake.adapters.one_stop import ReturnOrder
from services.intake.application.commands import Commands
from services.intake.application.ports import CounterDossier
from services.intake.application.pull import PullReturns
from tests.support.province import Province

CODE = "H30.12-261112-0917"
PHONE = "0987654321"
COUNTER = CounterDossier(
    procedure="1.012783",
    accepted_at=datetime(2026, 11, 12, 9, 30, tzinfo=VIETNAM),
    due_at=datetime(2026, 11, 17, 17, 0, tzinfo=VIETNAM),
    name="Trần Văn Út",
    phone=PHONE,
)
ORDER = ReturnOrder(code=CODE, result_number="KQ-9", machine="VT01", counter=COUNTER)


class OneStopWith:
    """A one-stop system with these orders, and nothing else."""

    def __init__(self, *orders: ReturnOrder) -> None:
        self.orders = list(orders)

    def to_return(self) -> list[ReturnOrder]:
        """Return the orders."""
        return self.orders

    def upsert(
        self, code: str, *, procedure: str, accepted_at: datetime, due_at: datetime, status: int
    ) -> str:
        """Nobody asks."""
        raise AssertionError((code, procedure, accepted_at, due_at, status))

    def progress(self, code: str, *, status: int, at: datetime) -> str:
        """Nobody asks."""
        raise AssertionError((code, status, at))


@pytest.fixture
def province() -> Province:
    """A province with its seed."""
    return Province()


def pull(province: Province, *orders: ReturnOrder) -> int:
    """Look once at a one-stop system with these orders, as a fresh replica does."""
    recorder = province.office.recorder("motcua_intake")
    commands = Commands(recorder, province.clock, LogCalendar(province.log))
    new = PullReturns(province.log, OneStopWith(*orders), commands).once()
    province.run()
    return new


def imported(province: Province) -> list[str]:
    """Return the dossiers that were imported."""
    events = province.log.read_all(0, types=["dossier.imported"])
    return [str(event.subject) for event in events]


def test_a_dossier_from_the_counter_becomes_known_finished(province: Province) -> None:
    """Imported and completed in one request, found under its code, contact only sealed."""
    assert pull(province, ORDER) == 1
    (identifier,) = imported(province)
    dossier = province.dossier(identifier)
    assert (dossier.status, dossier.code, dossier.office) == (9, CODE, "VT")
    assert (dossier.procedure, dossier.return_machine) == ("1.012783", "VT01")
    assert dossier.due_at == "2026-11-17T17:00:00+07:00"
    assert province.types(f"dossier-{identifier}") == ["dossier.imported", "dossier.completed"]
    assert province.types(f"office-VT.imported.{CODE}") == ["office.code_imported"]
    event = province.log.read_stream(f"dossier-{identifier}")[0]
    assert PHONE not in str(event.data)
    reader = province.office.recorder("motcua_intake")
    contact = reader.read_personal(event.event_id, event.schema, "contact")
    assert contact == {"name": COUNTER.name, "phone": PHONE}


def test_however_often_and_by_whomever_it_is_asked(province: Province) -> None:
    """Every look, by any replica, finds the same dossier; its life goes on as any other's."""
    assert pull(province, ORDER, ORDER) == 1
    assert pull(province, ORDER) == 0
    assert pull(province, replace(ORDER, counter=None)) == 0
    (identifier,) = imported(province)
    UUID(identifier)
    province.office.load(identifier)
    province.run()
    province.office.release(identifier)
    province.run()
    assert province.dossier(identifier).status == 10
    assert pull(province, ORDER) == 0


def test_the_version_is_that_of_the_day_of_acceptance(province: Province) -> None:
    """A dossier from before the procedure was published here is left out, not guessed."""
    early = replace(COUNTER, accepted_at=datetime(1999, 1, 4, 8, 0, tzinfo=VIETNAM))
    assert pull(province, replace(ORDER, counter=early)) == 0
    assert pull(province, ORDER) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"machine": "VT99"},
        {"machine": ""},
        {"code": "x"},
        {"result_number": ""},
        {"counter": None},
        {"counter": replace(COUNTER, procedure="9.999999")},
        {"counter": replace(COUNTER, procedure="")},
        {"counter": replace(COUNTER, accepted_at=datetime(1, 1, 1, tzinfo=VIETNAM))},
        {"counter": replace(COUNTER, name="\ud800")},
        {"result_number": "KQ-\ud800"},
    ],
)
def test_what_cannot_be_imported_is_left_out(province: Province, wrong: dict[str, object]) -> None:
    """A wrong order records nothing and stops nobody behind it."""
    other = replace(ORDER, code="H30.12-261112-0918")
    assert pull(province, replace(ORDER, **wrong), other) == 1  # type: ignore[arg-type]
    assert len(imported(province)) == 1


def test_a_dossier_of_ours_goes_only_to_a_machine_that_exists(province: Province) -> None:
    """Whoever orders it: nobody could lay the result in, and the citizen would wait for a code."""
    dossier = province.deposit()
    province.pays(dossier, 8_000)
    code = province.does(dossier, "accept").code
    order = replace(ORDER, code=code, counter=None)
    assert pull(province, replace(order, machine="VT99")) == 0
    province.does(dossier, "start", agency="Tư pháp")
    with pytest.raises(Refused, match="unknown_machine") as caught:
        province.does(
            dossier, "complete", result_number="KQ-9", return_channel="machine",
            return_machine="VT99",
        )  # fmt: skip
    assert caught.value.field == "machine"
    assert province.dossier(dossier).status == 4
    assert pull(province, order) == 1


def test_an_order_for_another_dossier_with_our_code(province: Province) -> None:
    """The counter gave the code too: nobody is called for somebody else's result."""
    dossier = province.deposit()
    province.pays(dossier, 8_000)
    code = province.does(dossier, "accept").code
    same = replace(COUNTER, procedure="2.000635", accepted_at=province.clock.now())
    for other in (
        COUNTER, replace(same, procedure="1.012783"),
        replace(same, accepted_at=same.accepted_at - timedelta(minutes=2)),
    ):  # fmt: skip
        assert pull(province, replace(ORDER, code=code, counter=other)) == 0
        assert province.dossier(dossier).status == 2
    assert imported(province) == []
    assert pull(province, replace(ORDER, code=code, counter=same)) == 1
    assert province.dossier(dossier).status == 9


def test_two_codes_are_two_dossiers(province: Province) -> None:
    """Codes of one instant are told apart; one code told in two spellings is one."""
    second = replace(ORDER, code="H30.12-261112-0918")
    again = replace(ORDER, code=CODE.lower())
    later = replace(COUNTER, accepted_at=COUNTER.accepted_at + timedelta(days=1))
    assert pull(province, again, ORDER, second, replace(ORDER, counter=later)) == 2
    codes = {province.dossier(dossier).code for dossier in imported(province)}
    assert codes == {CODE, second.code}


def test_nothing_personal_is_shown() -> None:
    """Logs that print a dossier from the counter show neither name nor phone."""
    assert PHONE not in repr(ORDER)
    assert COUNTER.name not in repr(ORDER)
