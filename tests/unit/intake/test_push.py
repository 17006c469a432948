# SPDX-License-Identifier: Apache-2.0
"""What the one-stop software is told of a dossier's life, and what happens when it says no."""

import itertools
from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest

from services.common.errors import Unavailable
from services.common.messaging import topology
from services.common.messaging.reaction import Reactor
from services.common.messaging.reactor_runner import Outcome, ReactorRunner
from services.intake.adapters.calendar import LogCalendar
from services.intake.adapters.one_stop import ReturnOrder
from services.intake.application.ports import NotTakenError
from services.intake.application.pull import PullReturns
from services.intake.application.push import KEEPS_STATUS, TOLD, one_stop_handlers
from services.intake.domain.transitions import TRANSITIONS
from tests.support.province import Province

RETURNED_AT_COUNTER = {"channel": "counter", "proof": "Ký nhận"}
AT_COUNTER = {"result_number": "KQ-1", "return_channel": "counter", "return_machine": None}


class Register:
    """A one-stop system that writes down what it is told; it refuses or is down as ordered."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.made_known: list[str] = []
        self.due: dict[str, datetime] = {}
        self.refuses: set[int] = set()
        self.orders: list[ReturnOrder] = []
        self.down = False
        self.away: set[int] = set()

    def upsert(
        self, code: str, *, procedure: str, accepted_at: datetime, due_at: datetime, status: int
    ) -> str:
        """Take a new dossier."""
        assert procedure
        assert due_at > accepted_at
        if code in self.due:
            self.due[code] = due_at
            return "known"
        self.made_known.append(code)
        reference = self._take(code, status)
        self.due[code] = due_at
        return reference

    def progress(self, code: str, *, status: int, at: datetime) -> str:
        """Take a status."""
        assert at.tzinfo is not None
        return self._take(code, status)

    def to_return(self) -> list[ReturnOrder]:
        """Return what its officials order."""
        return self.orders

    def _take(self, code: str, status: int) -> str:
        if self.down or status in self.away:
            raise Unavailable("one_stop", "down")
        if status in self.refuses:
            raise NotTakenError("409 not now")
        self.told.append((code, status))
        return f"ref-{len(self.told)}"


class Telling:
    """A province whose every event about dossiers reaches the reactor of the one-stop bridge."""

    def __init__(self, serves: Callable[[str], bool] = lambda _: True) -> None:
        self.province, self.register = Province(), Register()
        log = self.province.log
        handlers = one_stop_handlers(log, lambda _: self.register, LogCalendar(log), serves)
        self.runner = ReactorRunner(
            Reactor(name="intake.one_stop", handlers=handlers),
            self.province.office.recorder("motcua_intake"), self.province.clock,
        )  # fmt: skip

    def tell(self) -> list[Outcome]:
        """Deliver everything from the beginning, as the sweeper may."""
        events = self.province.log.read_all(0, limit=10_000, types=TOLD)
        return [self.runner.handle(event) for event in events]

    def finish(self, dossier: str) -> None:
        """The other side's own officials finish it for machine VT01."""
        code = self.province.dossier(dossier).code
        self.register.orders = [ReturnOrder(code=code, result_number="KQ-1", machine="VT01")]
        assert PullReturns(self.province.log, self.register, self.province.commands).once() == 1

    def statuses(self) -> list[int]:
        """Return what the other side has heard, in its order."""
        return [status for _, status in self.register.told]


@pytest.fixture
def telling() -> Telling:
    """A province with its bridge."""
    return Telling()


def accepted(telling: Telling) -> str:
    """Return a dossier in status 2."""
    dossier = telling.province.deposit()
    telling.province.pays(dossier, 8_000)
    telling.province.does(dossier, "accept")
    return dossier


def test_a_long_life_is_told_step_by_step(telling: Telling) -> None:
    """Each status once and in order, however often the events are delivered; 9 after a reversal."""
    dossier = accepted(telling)
    does = telling.province.does
    does(dossier, "start", agency="Phòng Tư pháp")
    does(dossier, "request-supplement", reasons=["Thiếu"], respond_by=None)
    does(dossier, "receive-supplement")
    does(dossier, "ask-fee", le_phi_vnd=0, phi_vnd=20_000, reason="Thẩm định")
    telling.province.pays(dossier, 20_000)
    does(dossier, "complete", **AT_COUNTER)
    does(dossier, "return", **RETURNED_AT_COUNTER)
    does(dossier, "reverse-return", reason="Giao nhầm")
    telling.tell()
    telling.tell()
    assert telling.statuses() == [2, 4, 5, 4, 6, 4, 9, 10, 9]
    code = telling.province.dossier(dossier).code
    assert telling.register.made_known == [code]
    assert {told for told, _ in telling.register.told} == {code}


@pytest.mark.parametrize(
    ("verb", "words", "status"),
    [
        ("withdraw", {"reason": "Không cần nữa"}, 7),
        ("stop", {"reason": "Tranh chấp"}, 8),
    ],
)
def test_ends_without_a_result_are_told(
    telling: Telling, verb: str, words: dict[str, str], status: int
) -> None:
    """Withdrawn and stopped dossiers end over there too."""
    dossier = accepted(telling)
    telling.province.does(dossier, "start", agency="Phòng Tư pháp")
    telling.province.does(dossier, verb, **words)
    telling.tell()
    assert telling.statuses() == [2, 4, status]


def test_a_dossier_without_a_code_is_nobodys_business(telling: Telling) -> None:
    """Refused or withdrawn before it got a code: there is nothing to tell."""
    for verb in ("refuse", "withdraw"):
        telling.province.does(telling.province.deposit(pouch=verb), verb, reason="Không hợp lệ")
    telling.tell()
    assert telling.register.told == []


def test_a_guided_dossier_becomes_known_with_its_code(telling: Telling) -> None:
    """Guided before it was accepted: the code comes with the missing paper, in status 4."""
    dossier = telling.province.deposit()
    telling.province.pays(dossier, 8_000)
    telling.province.does(dossier, "request-supplement", reasons=["Thiếu"], respond_by=None)
    telling.province.does(dossier, "receive-supplement")
    telling.tell()
    assert telling.statuses() == [4]
    assert len(telling.register.made_known) == 1


def test_a_refusal_becomes_a_case_and_holds_nobody_up(telling: Telling) -> None:
    """A definite no is on the worklist once, with owner and due time; later statuses go on."""
    telling.register.refuses = {5}
    dossier = accepted(telling)
    telling.province.does(dossier, "start", agency="Phòng Tư pháp")
    telling.province.does(dossier, "request-supplement", reasons=["Thiếu"], respond_by=None)
    telling.province.does(dossier, "receive-supplement")
    telling.tell()
    telling.tell()
    assert telling.statuses() == [2, 4, 4]
    (disputed,) = telling.province.log.read_all(0, types=["dossier.report_disputed"])
    assert (disputed.data["status"], disputed.data["owner"]) == (5, "VT")
    assert str(disputed.data["due_at"]).startswith("2026-11-17T17:00:00")
    assert disputed.data["error"] == "409 not now"
    event = str(disputed.data["event"])
    telling.province.does(dossier, "resolve-report", event=event, reason="Đã sửa bên kia")
    assert not telling.province.dossier(dossier).disputed


def test_while_it_is_down_nothing_is_given_up(telling: Telling) -> None:
    """Down is no answer: the reactor pauses, and afterwards everything is told."""
    accepted(telling)
    telling.register.down = True
    with pytest.raises(Unavailable):
        telling.tell()
    telling.register.down = False
    telling.tell()
    assert telling.statuses() == [2]


def test_whatever_leads_to_a_state_is_told() -> None:
    """The queue is bound to every event that leads to a state after registration."""
    moving = {name for name, row in TRANSITIONS.items() if row.target is not None}
    assert set(TOLD) == (moving | {KEEPS_STATUS}) - {"dossier.registered", "dossier.imported"}
    for queue in ("intake.one_stop", "intake.one_stop_2026"):
        assert set(topology.BINDINGS[queue]) == set(TOLD)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_of_delivery_keeps_the_dossiers_own(
    telling: Telling, order: tuple[int, ...]
) -> None:
    """Whichever message comes first, the other side hears the dossier's own order."""
    dossier = accepted(telling)
    telling.province.does(dossier, "start", agency="Phòng Tư pháp")
    telling.province.does(dossier, "request-supplement", reasons=["Thiếu"], respond_by=None)
    telling.province.does(dossier, "receive-supplement")
    events = telling.province.log.read_all(0, types=TOLD)
    for number in order:
        assert telling.runner.handle(events[number]) is Outcome.HANDLED
    assert telling.statuses() == [2, 4, 5, 4]


def test_a_step_that_finds_nobody_holds_back_the_later_ones(telling: Telling) -> None:
    """As long as one step has no answer nothing later is told of this dossier."""
    dossier = accepted(telling)
    telling.tell()
    telling.province.does(dossier, "start", agency="Phòng Tư pháp")
    telling.province.does(dossier, "stop", reason="Tranh chấp")
    telling.register.away = {4}
    for event in telling.province.log.read_all(0, types=TOLD)[1:]:
        with pytest.raises(Unavailable):
            telling.runner.handle(event)
    assert telling.statuses() == [2]
    telling.register.away = set()
    telling.tell()
    assert telling.statuses() == [2, 4, 8]


def test_their_own_news_is_not_told_back(telling: Telling) -> None:
    """What they finished is not told to them, nor a step that this has overtaken; 10 is."""
    dossier = accepted(telling)
    telling.tell()
    telling.province.does(dossier, "start", agency="Phòng Tư pháp")
    telling.finish(dossier)
    telling.tell()
    assert telling.statuses() == [2]
    telling.province.office.load(dossier)
    telling.province.office.release(dossier)
    telling.province.run()
    telling.tell()
    assert telling.statuses() == [2, 10]


@pytest.mark.parametrize("office", ["VT", "CT"])
def test_a_system_that_is_down_holds_up_its_own_offices_only(office: str) -> None:
    """The queue of CT's system is done at once with what an office VT has to tell."""
    telling = Telling(lambda served: served == office)
    accepted(telling)
    telling.register.down = True
    if office == "VT":
        with pytest.raises(Unavailable):
            telling.tell()
    else:
        assert all(outcome is Outcome.HANDLED for outcome in telling.tell())
    telling.register.down = False
    telling.tell()
    assert telling.statuses() == ([2] if office == "VT" else [])


def test_a_new_due_time_is_told(telling: Telling) -> None:
    """A new date, and the time a supplement took, move the day the other side shows."""
    dossier = accepted(telling)
    code, seen = telling.province.dossier(dossier).code, []
    for verb, words in (
        ("reschedule", {"due_on": date(2026, 11, 27), "reason": "Chờ xác minh"}),
        ("start", {"agency": "Phòng Tư pháp"}),
        ("request-supplement", {"reasons": ["Thiếu"], "respond_by": None}),
        ("receive-supplement", {}),
    ):
        telling.province.clock.at += timedelta(days=1)
        telling.province.does(dossier, verb, **words)
        telling.tell()
        known = telling.province.dossier(dossier)
        if verb != "request-supplement":
            assert telling.register.due[code].isoformat() == known.due_at, verb
        seen.append(known.due_at)
    assert len(set(seen)) >= 2
    assert seen[-1] > seen[0]
    assert telling.statuses() == [2, 4, 5, 4]
    reports = telling.province.types(f"dossier-{dossier}").count("dossier.reported")
    assert reports == 5, "the new date is reported too"
