# SPDX-License-Identifier: Apache-2.0
"""The log against a model of it: any order of appends, conflicts, repeats, races, reads, crashes.

Hypothesis searches for a short history after which the log and a page of obvious Python disagree.
"""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from services.common.errors import Conflict, MotCuaError, Refused
from services.common.eventlog.memory import MemoryLog
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import Appended, AppendRequest, Handled
from tests.support.database import Database
from tests.support.events import request

STREAMS = [f"dossier-{letter}" for letter in "abc"]
KINDS = ["dossier.ready", "dossier.returned"]
REACTOR = "intake.reactions"
EVER = datetime.now(UTC) + timedelta(days=1)

streams = st.sampled_from(STREAMS)
counts = st.integers(1, 3)


@dataclass
class Model:
    """What must be true, in plain Python."""

    events: list[tuple[str, int, str]] = field(default_factory=list)
    answers: dict[str, tuple[AppendRequest, int]] = field(default_factory=dict)
    handled: set[int] = field(default_factory=set)
    done_through: int = 0

    def version(self, stream: str) -> int:
        return sum(stream == name for name, _, _ in self.events)

    def take(self, asked: AppendRequest) -> int:
        first = len(self.events) + 1
        for append in asked.appends:
            for event in append.events:
                version = self.version(append.stream) + 1
                self.events.append((append.stream, version, event.type))
        if asked.handled is not None:
            self.handled.add(asked.handled.position)
        if asked.appends:
            self.answers[asked.key] = (asked, first)
        return first


class LogMachine(RuleBasedStateMachine):
    """Rules; a subclass says which log and how it crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.log: EventLog = self.new_log()
        self.model = Model()

    def new_log(self) -> EventLog:
        raise NotImplementedError

    @rule(one=streams, other=streams, count=counts, kind=st.sampled_from(KINDS))
    def append(self, one: str, other: str, count: int, kind: str) -> None:
        names = dict.fromkeys((one, other))
        asked = request(*((n, self.model.version(n), count) for n in names), kind=kind)
        answer = self.log.append(asked)
        first = self.model.take(asked)
        assert answer == Appended(first_position=first, count=count * len(names), duplicate=False)

    @rule(stream=streams, off=st.sampled_from([-1, 1, 5]))
    def conflict(self, stream: str, off: int) -> None:
        actual = self.model.version(stream)
        if actual + off < 0:
            return
        with pytest.raises(Conflict) as caught:
            self.log.append(request((stream, actual + off, 1)))
        assert (caught.value.stream, caught.value.actual_version) == (stream, actual)

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        if not self.model.answers:
            return
        asked, first = self.model.answers[data.draw(st.sampled_from(sorted(self.model.answers)))]
        count = sum(len(append.events) for append in asked.appends)
        wanted = Appended(first_position=first, count=count, duplicate=True)
        assert self.log.append(asked) == wanted
        assert self.log.answer_of(asked.source, asked.key, asked.digest) == wanted
        with pytest.raises(Refused) as caught:
            self.log.append(replace(asked, digest=bytes(32)))
        assert caught.value.code == "idempotency_key_reused"

    @rule(stream=streams, racers=st.integers(2, 5))
    def race(self, stream: str, racers: int) -> None:
        expected = self.model.version(stream)
        asked = [request((stream, expected, 1)) for _ in range(racers)]
        with ThreadPoolExecutor(racers) as pool:
            outcomes = list(pool.map(self._outcome, asked))
        won = [one for one, outcome in zip(asked, outcomes, strict=True) if outcome is None]
        assert len(won) == 1, outcomes
        assert all(isinstance(outcome, Conflict) for outcome in outcomes if outcome is not None)
        self.model.take(won[0])

    @rule(stream=streams)
    def race_of_one_request(self, stream: str) -> None:
        asked = request((stream, self.model.version(stream), 2))
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(self.log.append, [asked] * 4))
        first = self.model.take(asked)
        assert {answer.first_position for answer in answers} == {first}
        assert sum(not answer.duplicate for answer in answers) == 1

    @rule(data=st.data(), also=st.booleans())
    def handle(self, data: st.DataObject, also: bool) -> None:
        if not self.model.events:
            return
        position = data.draw(st.integers(1, len(self.model.events)))
        appends = [("dossier-effect", self.model.version("dossier-effect"), 1)] if also else []
        asked = request(*appends, handled=Handled(reactor=REACTOR, position=position))
        self.log.append(asked)
        self.model.take(asked)

    @rule(types=st.sets(st.sampled_from(KINDS), min_size=1))
    def sweep(self, types: set[str]) -> None:
        wanted = [
            at
            for at, (_, _, kind) in enumerate(self.model.events, 1)
            if at > self.model.done_through and kind in types and at not in self.model.handled
        ]
        found = self.log.unhandled(REACTOR, sorted(types), recorded_before=EVER)
        assert [event.position for event in found] == wanted

    @rule()
    def advance(self) -> None:
        # All types: a reactor's set of types never shrinks, so what is done stays done.
        open_ = [at for at in range(1, len(self.model.events) + 1) if at not in self._done()]
        goal = open_[0] - 1 if open_ else len(self.model.events)
        self.model.done_through = max(self.model.done_through, goal)
        kinds = sorted({kind for _, _, kind in self.model.events} | set(KINDS))
        moved = self.log.advance_done_through(REACTOR, kinds, recorded_before=EVER)
        assert moved == self.model.done_through == self.log.done_through(REACTOR)

    @rule()
    def crash(self) -> None:
        self.log = self.crashed(self.log)

    def crashed(self, log: EventLog) -> EventLog:
        raise NotImplementedError

    @rule(stream=streams, after=st.integers(0, 5), limit=st.integers(1, 5))
    def read(self, stream: str, after: int, limit: int) -> None:
        mine = [e for e in self.model.events if e[0] == stream]
        found = self.log.read_stream(stream, after_version=after, limit=limit)
        assert [(e.stream, e.version, e.type) for e in found] == mine[after : after + limit]
        found = self.log.read_all(after, limit=limit, types=[KINDS[0]])
        wanted = [at for at, e in enumerate(self.model.events, 1) if e[2] == KINDS[0]]
        assert [e.position for e in found] == [at for at in wanted if at > after][:limit]

    @invariant()
    def whole(self) -> None:
        """Dense positions, contiguous versions, time that never falls, nothing else."""
        events = self.log.read_all(0, limit=10_000)
        assert [e.position for e in events] == list(range(1, len(self.model.events) + 1))
        assert [(e.stream, e.version, e.type) for e in events] == self.model.events
        times = [e.recorded_at_us for e in events]
        assert times == sorted(times)
        assert self.log.head() == len(events)
        marked = self.log.read_with_marks(REACTOR, range(1, len(events) + 1))
        assert [event for event, _ in marked] == list(events)
        assert {event.position for event, handled in marked if handled} == self._done()

    def _done(self) -> frozenset[int]:
        below = set(range(1, self.model.done_through + 1))
        return frozenset(self.model.handled | below)

    def _outcome(self, asked: AppendRequest) -> MotCuaError | None:
        try:
            self.log.append(asked)
        except MotCuaError as error:
            return error
        return None


class TwinMachine(LogMachine):
    """The in-memory twin: another login is all that can happen to it."""

    def new_log(self) -> EventLog:
        return MemoryLog(role="motcua_intake")

    def crashed(self, log: EventLog) -> EventLog:
        assert isinstance(log, MemoryLog)
        return log.for_role("motcua_intake")


@contextmanager
def machine_on(database: Database) -> Iterator[type[LogMachine]]:
    """Return a machine whose logs are PostgreSQL's, each a log of its own in one database."""
    owner = psycopg.connect(database.owner_url, autocommit=True)

    class PostgresMachine(LogMachine):
        """PostgreSQL: a crash ends every backend of the service, whatever it is doing."""

        def new_log(self) -> EventLog:
            log = database.log()
            log.log_id = log._writer._log_id = uuid.uuid4().int % 2**31
            owner.execute("insert into eventlog.log_head values (%s, 0, 0)", (log.log_id,))
            return log

        def crashed(self, log: EventLog) -> EventLog:
            owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where usename = 'motcua_intake' and datname = current_database()"
            )
            return log

        def teardown(self) -> None:
            self.log.close()  # type: ignore[attr-defined]

    try:
        yield PostgresMachine
    finally:
        owner.close()


def of(examples: int, steps: int) -> settings:
    """Return how long to search; the same histories every time, so that CI does not wobble."""
    return settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def test_the_twin_is_the_model() -> None:
    """150 histories of 40 steps."""
    run_state_machine_as_test(TwinMachine, settings=of(150, 40))


def test_postgresql_is_the_model(database: Database) -> None:
    """10 histories of 25 steps, with connections killed in between."""
    with machine_on(database) as machine:
        run_state_machine_as_test(machine, settings=of(10, 25))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_postgresql_is_the_model_at_length(database: Database) -> None:
    """100 histories of 50 steps."""
    with machine_on(database) as machine:
        run_state_machine_as_test(machine, settings=of(100, 50))
