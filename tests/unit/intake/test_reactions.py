# SPDX-License-Identifier: Apache-2.0
"""Intake's reactions on the in-memory log: what machines journal, what the one-stop is told."""

import uuid
from datetime import datetime

import pytest

from services.common.clock import VIETNAM
from services.common.errors import Unavailable
from services.common.eventlog.memory import MemoryKeys, MemoryLog
from services.common.eventlog.recording import Cause
from services.common.messaging.reaction import Reactor
from services.common.messaging.reactor_runner import Outcome, ReactorRunner
from services.intake.adapters.calendar import LogCalendar
from services.intake.adapters.one_stop import ReturnOrder
from services.intake.application.commands import Commands, Perform
from services.intake.application.facts import dossier_of
from services.intake.application.pull import PullReturns
from services.intake.application.push import one_stop_handlers
from services.intake.application.reactions import event_handlers
from tests.support.offices import MACHINE, OFFICE, HandClock, Office


class OtherSystem:
    """A one-stop system that remembers what it was told, and may be down."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, datetime]] = []
        self.orders: list[ReturnOrder] = []
        self.down = False

    def upsert(
        self, code: str, *, procedure: str, accepted_at: datetime, due_at: datetime, status: int
    ) -> str:
        return self._tell(code, status, due_at)

    def progress(self, code: str, *, status: int, at: datetime) -> str:
        return self._tell(code, status, at)

    def to_return(self) -> list[ReturnOrder]:
        self._check()
        return self.orders

    def _tell(self, code: str, status: int, at: datetime) -> str:
        self._check()
        self.told.append((code, status, at))
        return f"ref-{len(self.told)}"

    def _check(self) -> None:
        if self.down:
            raise Unavailable("one_stop", "down")


class World:
    """Intake with its reactors on an in-memory log."""

    def __init__(self) -> None:
        log = MemoryLog()
        self.clock = HandClock()
        self.office = Office(log.for_role, MemoryKeys(), self.clock)
        self.log = self.office.log
        self.other = OtherSystem()
        recorder = self.office.recorder("motcua_intake")
        self.commands = Commands(recorder, self.clock, LogCalendar(self.log))
        self.pull = PullReturns(self.log, self.other, self.commands)
        reactors = (
            Reactor(
                name="intake.reactions", handlers=event_handlers(self.log, LogCalendar(self.log))
            ),
            Reactor(
                name="intake.one_stop",
                handlers=one_stop_handlers(
                    self.log, lambda _office: self.other, LogCalendar(self.log)
                ),
            ),
        )
        self.runners = [ReactorRunner(reactor, recorder, self.clock) for reactor in reactors]

    def react(self, event_type: str) -> Outcome:
        """Let the reactor of ``event_type`` handle its newest event."""
        event = self.office.newest(event_type)
        for runner in self.runners:
            if event_type in runner.reactor.handlers:
                return runner.handle(event)
        raise AssertionError(event_type)

    def accept(self, dossier: str, *, key: str = "", office: str = OFFICE) -> str:
        """Accept and return the code."""
        self.commands.perform(
            Perform(verb="accept", dossier=dossier, official="cb001", office=office),
            source="http:cb001", key=key or str(uuid.uuid4()),
            cause=Cause(correlation_id=str(uuid.uuid4()), actor="official:cb001"),
        )  # fmt: skip
        return dossier_of(self.log, dossier).code

    def registered(self) -> str:
        """Return a paid dossier in status 1."""
        dossier = self.office.deposit()
        assert self.react("kiosk.dossier_deposited") is Outcome.HANDLED
        self.office.settle(dossier)
        return dossier

    def order(self, code: str, machine: str = MACHINE, number: str = "KQ-1") -> None:
        """The one-stop system wants a result returned."""
        self.other.orders.append(ReturnOrder(code=code, result_number=number, machine=machine))


@pytest.fixture
def world() -> World:
    """A fresh office."""
    return World()


def test_a_deposit_is_registered_once(world: World) -> None:
    """A deposit becomes one dossier of the machine's office, however often it is delivered."""
    dossier = world.office.deposit(copies=3)
    deposited = world.office.newest("kiosk.dossier_deposited")
    assert world.react("kiosk.dossier_deposited") is Outcome.HANDLED
    world.react("kiosk.dossier_deposited")
    (event,) = world.log.read_stream(f"dossier-{dossier}")
    assert event.data["contact_event"] == str(deposited.event_id)
    assert (event.data["office"], event.data["machine"], event.data["copies"]) == ("VT", "VT01", 3)
    assert event.subject == dossier
    assert event.meta["causation_id"] == str(deposited.event_id)
    assert event.correlation_id == deposited.correlation_id


def test_a_deposit_at_an_unknown_machine_is_refused(world: World) -> None:
    """A machine that nobody enrolled registers nothing."""
    dossier = world.office.deposit(machine="XX09")
    assert world.react("kiosk.dossier_deposited") is Outcome.REFUSED
    assert world.office.story(dossier) == []


def test_the_whole_way(world: World) -> None:
    """Deposit, acceptance, finish, cell, citizen: both systems know status 2 and then 10."""
    dossier = world.registered()
    code = world.accept(dossier)
    assert code == "H30.12-261116-0001"
    assert world.react("dossier.accepted") is Outcome.HANDLED
    world.order(code)
    assert [world.pull.once(), world.pull.once()] == [1, 0]
    world.office.load(dossier)
    assert world.react("kiosk.result_loaded") is Outcome.HANDLED
    world.office.release(dossier)
    assert world.react("kiosk.result_released") is Outcome.HANDLED
    assert world.react("dossier.returned") is Outcome.HANDLED
    assert world.office.story(dossier) == [
        "dossier.registered", "dossier.accepted", "dossier.reported", "dossier.processing_started",
        "dossier.completed", "dossier.ready", "dossier.returned", "dossier.reported",
    ]  # fmt: skip
    assert [(code, status) for code, status, _ in world.other.told] == [(code, 2), (code, 10)]
    assert world.other.told[0][2] == datetime(2026, 11, 16, 17, tzinfo=VIETNAM)


def test_one_stop_down_loses_nothing(world: World) -> None:
    """While the one-stop system is down nothing is acknowledged; afterwards it is told."""
    dossier = world.registered()
    world.accept(dossier)
    world.other.down = True
    with pytest.raises(Unavailable):
        world.react("dossier.accepted")
    with pytest.raises(Unavailable):
        world.pull.once()
    assert world.office.story(dossier)[-1] == "dossier.accepted"
    world.other.down = False
    assert world.react("dossier.accepted") is Outcome.HANDLED
    assert world.office.story(dossier)[-1] == "dossier.reported"


def test_a_result_at_another_machine_is_refused(world: World) -> None:
    """A result that lies in another machine than the one ordered is not made ready."""
    dossier = world.registered()
    world.order(world.accept(dossier), machine="CT01")
    world.pull.once()
    world.office.load(dossier)
    assert world.react("kiosk.result_loaded") is Outcome.REFUSED
    assert "dossier.ready" not in world.office.story(dossier)


def test_a_result_that_nobody_finished_is_refused(world: World) -> None:
    """Loading a result before the one-stop system finished it changes nothing."""
    dossier = world.registered()
    world.accept(dossier)
    world.office.load(dossier)
    assert world.react("kiosk.result_loaded") is Outcome.REFUSED


def test_a_result_laid_in_before_anybody_said_that_it_is_finished(world: World) -> None:
    """The load was refused, but the paper lies there: it is ready as soon as it is finished."""
    dossier = world.registered()
    code = world.accept(dossier)
    world.office.load(dossier, cell=5)
    assert world.react("kiosk.result_loaded") is Outcome.REFUSED
    world.order(code)
    assert world.pull.once() == 1
    assert world.react("dossier.completed") is Outcome.HANDLED
    assert dossier_of(world.log, dossier).ready_at == "VT01/5"
    assert world.react("kiosk.result_loaded") is Outcome.REFUSED
    assert world.office.story(dossier).count("dossier.ready") == 1


@pytest.mark.parametrize("taken", ["recalled", "elsewhere", "never"])
def test_a_finished_result_that_does_not_lie_there(world: World, taken: str) -> None:
    """Taken out again, laid into another machine, or not laid in at all: not ready."""
    dossier = world.registered()
    code = world.accept(dossier)
    if taken != "never":
        world.office.load(dossier, machine="VT02" if taken == "elsewhere" else MACHINE)
    if taken == "recalled":
        world.office.journal("kiosk.result_recalled", dossier=dossier, cell=7, staff="cb001")
    world.order(code)
    world.pull.once()
    assert world.react("dossier.completed") is Outcome.HANDLED
    assert dossier_of(world.log, dossier).ready_at == ""


def test_a_recall_that_is_handled_before_its_load(world: World) -> None:
    """Two replicas, or the sweeper: the machine's own order counts, and nothing is ready."""
    dossier = world.registered()
    world.order(world.accept(dossier))
    world.pull.once()
    world.office.load(dossier)
    world.office.journal("kiosk.result_recalled", dossier=dossier, cell=7, staff="cb001")
    assert world.react("kiosk.result_recalled") is Outcome.HANDLED
    assert world.react("kiosk.result_loaded") is Outcome.REFUSED
    known = dossier_of(world.log, dossier)
    assert (known.ready_at, known.return_channel) == ("", "counter")


def test_unpaid_dossiers_wait(world: World) -> None:
    """Without payment's word no dossier is accepted and no code is used up."""
    dossier = world.office.deposit()
    world.react("kiosk.dossier_deposited")
    with pytest.raises(Exception, match="fee_unpaid"):
        world.accept(dossier)
    assert world.log.stream_version("office-VT.codes.261116") == 0


def test_another_office_may_not_accept(world: World) -> None:
    """An official of another office is refused."""
    with pytest.raises(Exception, match="other_office"):
        world.accept(world.registered(), office="CT")


def test_codes_run_through_the_day_and_start_again(world: World) -> None:
    """Codes count 1, 2 within a day; the next day begins with 1."""
    codes = [world.accept(world.registered()) for _ in range(2)]
    world.clock.sleep(86_400)
    codes.append(world.accept(world.registered()))
    assert codes == ["H30.12-261116-0001", "H30.12-261116-0002", "H30.12-261117-0001"]


def test_the_same_key_accepts_once(world: World) -> None:
    """The same request again gets the first answer; the key for another dossier is refused."""
    first, second, key = world.registered(), world.registered(), str(uuid.uuid4())
    assert world.accept(first, key=key) == world.accept(first, key=key)
    assert world.office.story(first).count("dossier.accepted") == 1
    with pytest.raises(Exception, match="idempotency_key_reused"):
        world.accept(second, key=key)
    assert world.office.story(second) == ["dossier.registered"]


@pytest.mark.parametrize(
    ("machine", "number"), [("not a machine", "KQ"), ("VT01", ""), ("VT01", "K" * 65)]
)
def test_one_bad_order_does_not_stop_the_others(world: World, machine: str, number: str) -> None:
    """An order whose fields no contract accepts is left out; those behind it are recorded."""
    bad, good = world.registered(), world.registered()
    world.order(world.accept(bad), machine=machine, number=number)
    world.order(world.accept(good))
    assert world.pull.once() == 1
    assert world.office.story(bad)[-1] == "dossier.accepted"
    assert world.office.story(good)[-1] == "dossier.completed"


@pytest.mark.parametrize(
    "code",
    ["", "x", "H30.12-261116-²", "H30.12-261116-0009", "H30.12-26\x00116-0001", "H30.12-261116-" + "9" * 30,
     "H30.12-261116-0001-", "-"],
)  # fmt: skip
def test_orders_for_codes_of_nobody_are_left_out(world: World, code: str) -> None:
    """A code that this office never gave stops nothing."""
    dossier = world.registered()
    good = world.accept(dossier)
    world.order(code)
    world.order(good)
    assert world.pull.once() == 1


def test_the_seed_is_planted_once(world: World) -> None:
    """A second seed records nothing; 37 procedures are returned and 23 of them accepted."""
    from services.intake.seed.load import seed

    assert seed(world.office.recorder("motcua_intake")) == 0
    rows = [e.data for e in world.log.read_all(0, types=["procedure.published"])]
    assert sum(bool(row["return_at_machine"]) for row in rows) == 37
    assert sum(bool(row["accept_at_machine"]) for row in rows) == 23
