# SPDX-License-Identifier: Apache-2.0
"""A batch gives what handling one by one gives, whatever fails and whenever the process dies."""

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.canonical import JsonObject
from services.common.errors import Malformed, MotCuaError, Refused, Unavailable
from services.common.eventlog.memory import MemoryKeys, MemoryLog
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import Appended, AppendRequest, RecordedEvent
from services.common.eventlog.recording import Change, Fact, Recorder
from services.common.messaging.consumer import acknowledgements
from services.common.messaging.reaction import Handler, Reactor
from services.common.messaging.reactor_runner import FAILURES_MAX, Arrival, Outcome, ReactorRunner
from tests.support.events import request
from tests.support.offices import HandClock

NAME, SHARED = "payment.reactions", "payment-shared"
DONE = {Outcome.HANDLED, Outcome.REFUSED}
KINDS = ("own", "shared", "both", "look", "blind", "nothing", "refused", "malformed", "poison")


class KilledError(BaseException):
    """The process is gone; nothing in it goes on."""


@dataclass
class Plan:
    """What goes wrong from outside; counts run over the whole test.

    Attributes:
        kills: appends (counted from 1) at which the process dies; True is after the commit.
        rivals: positions whose own stream somebody else writes between decision and commit.
        down: positions whose handler finds a dependency down, once each.
        stumbles: how often the handler of a position fails before it works.
    """

    kills: dict[int, bool] = field(default_factory=dict)
    rivals: set[int] = field(default_factory=set)
    down: set[int] = field(default_factory=set)
    stumbles: Counter[int] = field(default_factory=Counter)


class Log(MemoryLog):
    """The twin in a process that dies as planned."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(clock=HandClock())
        self.plan, self.appends = plan, 0

    def append_all(
        self, requests: Sequence[AppendRequest], *, timeout_s: float = 30.0
    ) -> Sequence[Appended | MotCuaError]:
        self.appends += 1
        after = self.plan.kills.get(self.appends)
        if after is False:
            raise KilledError
        answers = super().append_all(requests, timeout_s=timeout_s)
        if after:
            raise KilledError
        return answers


class World:
    """Some events of several subjects and a reactor that answers them by what it can read."""

    def __init__(self, wanted: Sequence[tuple[int, str]], plan: Plan | None = None) -> None:
        self.plan = plan or Plan()
        self.log = Log(self.plan)
        self.kinds: dict[int, str] = {}
        self.events: list[RecordedEvent] = []
        for place, (subject, kind) in enumerate(wanted):
            asked = request(
                (f"dossier-{place}", 0, 1), key=str(place), subject=str(subject),
                kind="dossier.registered",
            )  # fmt: skip
            position = self.log.append(asked).first_position
            self.kinds[position] = kind
            self.events += self.log.read_positions([position])
        self.given = self.log.head()
        self.restart()

    def restart(self) -> None:
        """Begin a new process over the same log."""
        reactor = Reactor.batched(
            NAME, self.log, self.handlers, lambda event: (f"payment-{event.subject}",)
        )
        clock = HandClock()
        self.runner = ReactorRunner(
            reactor, Recorder(self.log, MemoryKeys(), clock, bytes(32)), clock
        )

    def handlers(self, log: EventLog) -> Mapping[str, Handler]:
        def answer(event: RecordedEvent) -> Sequence[Change]:
            kind, own = self.kinds[event.position], f"payment-{event.subject}"
            self._interfere(event, own)
            if kind == "refused" and len(log.read_stream(own)) % 2:
                raise Refused("odd", "an odd number", "số lẻ")
            if kind == "malformed":
                raise Malformed("event", ())
            if kind == "poison":
                raise ZeroDivisionError
            seen = [len(log.read_stream(own)), log.stream_version(SHARED)]
            seen += [len(log.read_subject(str(event.subject)))] if kind == "look" else [0]
            streams = {
                "own": [own], "look": [f"payment-look.{event.position}"], "shared": [SHARED],
                "both": [own, SHARED], "nothing": [],
            }.get(kind, [own])  # fmt: skip
            if kind == "blind":
                return [_change(event, f"payment-blind.{event.subject}", 0, [])]
            return [_change(event, one, log.stream_version(one), seen) for one in streams]

        return {"dossier.registered": answer}

    def _interfere(self, event: RecordedEvent, own: str) -> None:
        if event.position in self.plan.down:
            self.plan.down.remove(event.position)
            raise Unavailable("elsewhere", "down")
        if self.plan.stumbles[event.position] > 0:
            self.plan.stumbles[event.position] -= 1
            raise ZeroDivisionError
        if event.position in self.plan.rivals:
            self.plan.rivals.remove(event.position)
            version = self.log.stream_version(own)
            self.log.append(request((own, version, 1), key=f"rival {event.position}"))

    def deliver(self, events: Sequence[RecordedEvent]) -> list[Outcome]:
        """Deliver a batch until every message of it is settled; messages survive the process."""
        settled: dict[int, Outcome] = {}
        while left := [event for event in events if event.position not in settled]:
            try:
                outcomes = self.runner.run([_arrival(event) for event in left])
            except KilledError:
                self.restart()
                continue
            except Unavailable:
                continue
            for event, outcome in zip(left, outcomes, strict=True):
                if outcome is not Outcome.FAILED:
                    settled[event.position] = outcome
        return [settled[event.position] for event in events]

    def effects(self) -> list[tuple[str, int, bytes]]:
        """Return what was recorded, in the order of the log."""
        return [(e.stream, e.version, e.raw_data) for e in self.log.read_all(self.given)]


def _change(event: RecordedEvent, stream: str, version: int, seen: list[int]) -> Change:
    """Record who answers and what it saw, in a field that takes a UUID."""
    dossier = str(UUID(bytes=bytes([event.position, *seen]).ljust(16, b"\0")))
    data: JsonObject = {"token": "K7M2QX9P", "dossier": dossier}
    fact = Fact(type="payment.token_issued", data=data, subject=event.subject)
    return Change(stream=stream, expected_version=version, facts=(fact,))


def _arrival(event: RecordedEvent) -> Arrival:
    return Arrival(
        position=event.position, event_id=event.event_id, log_id=event.log_id, type=event.type,
        schema=event.schema,
    )  # fmt: skip


WANTED = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(KINDS)), min_size=1, max_size=25)
KILLS = st.dictionaries(st.integers(1, 12), st.booleans(), max_size=3)


@settings(deadline=None)
@given(wanted=WANTED, cuts=st.lists(st.integers(1, 25), max_size=4), kills=KILLS, data=st.data())
def test_a_batch_is_handling_one_by_one(
    wanted: list[tuple[int, str]], cuts: list[int], kills: dict[int, bool], data: st.DataObject
) -> None:
    """However messages are cut into batches, repeated and the process killed: the same log."""
    one_by_one = World(wanted)
    expected = [one_by_one.deliver([event])[0] for event in one_by_one.events]
    batched = World(wanted, Plan(kills=kills))
    bounds = sorted({0, *(cut for cut in cuts if cut < len(wanted)), len(wanted)})
    outcomes: list[Outcome] = []
    for first, last in itertools.pairwise(bounds):
        batch = batched.events[first:last]
        outcomes += batched.deliver(batch)
        again = data.draw(st.lists(st.sampled_from(batched.events[:last]), max_size=3))
        batched.deliver([e for e in again if outcomes[e.position - 1] in DONE])
    assert batched.effects() == one_by_one.effects()
    told = [Outcome.HANDLED if one is Outcome.REFUSED else one for one in outcomes]
    assert told == [Outcome.HANDLED if one is Outcome.REFUSED else one for one in expected]


@settings(deadline=None)
@given(
    wanted=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(("own", "both"))), min_size=1,
                    max_size=25),
    kills=KILLS, data=st.data(),
)  # fmt: skip
def test_each_is_handled_once_whatever_fails(
    wanted: list[tuple[int, str]], kills: dict[int, bool], data: st.DataObject
) -> None:
    """Failures, outages, rivals and kills: each event has exactly its own effect, exactly once."""
    positions = st.sets(st.integers(1, len(wanted)))
    plan = Plan(
        kills=kills, rivals=data.draw(positions), down=data.draw(positions),
        stumbles=Counter(dict.fromkeys(data.draw(positions), FAILURES_MAX - 1)),
    )  # fmt: skip
    world = World(wanted, plan)
    assert world.deliver(world.events) == [Outcome.HANDLED] * len(wanted)
    made = Counter(
        str(event.meta["causation_id"])
        for event in world.log.read_all(world.given)
        if event.type == "payment.token_issued"
    )
    kinds = [kind for _, kind in wanted]
    assert made == {
        str(event.event_id): 2 if kind == "both" else 1
        for event, kind in zip(world.events, kinds, strict=True)
    }


def test_a_hundred_subjects_are_one_read_and_one_commit() -> None:
    """What has nothing to do with each other is read at once and committed at once."""
    world = World([(subject, "own") for subject in range(100)])
    assert world.deliver(world.events) == [Outcome.HANDLED] * 100
    assert world.log.appends == 1


def test_poison_among_a_hundred_is_alone() -> None:
    """One event that always fails: the others are one commit, and each is answered once."""
    world = World([(subject, "poison" if subject == 7 else "own") for subject in range(100)])
    first = world.runner.run([_arrival(event) for event in world.events])
    assert first == [Outcome.FAILED if at == 7 else Outcome.HANDLED for at in range(100)]
    assert world.log.appends == 1
    assert world.deliver([world.events[7]]) == [Outcome.DEAD]
    assert len(world.effects()) == 99


def test_what_conflicts_is_decided_again_with_the_others_in() -> None:
    """A rival between decision and commit costs its own event a second decision, nothing else."""
    world = World([(subject, "own") for subject in range(10)], Plan(rivals={4}))
    outcomes = world.runner.run([_arrival(event) for event in world.events])
    assert outcomes == [Outcome.HANDLED] * 10
    versions = Counter(stream for stream, _version, _data in world.effects())
    assert versions == Counter({f"payment-{at}": 2 if at == 3 else 1 for at in range(10)})


def test_what_was_decided_before_an_outage_is_kept() -> None:
    """A dependency that is down stops the batch; what stands before it is durable, once."""
    world = World([(subject, "own") for subject in range(10)], Plan(down={6}))
    arrivals = [_arrival(event) for event in world.events]
    with pytest.raises(Unavailable):
        world.runner.run(arrivals)
    assert len(world.effects()) == 5
    assert world.runner.run(arrivals) == [Outcome.HANDLED] * 10
    assert len(world.effects()) == 10


def test_the_second_of_a_subject_sees_the_first() -> None:
    """Two messages about one subject in one batch are decided in order."""
    world = World([(1, "own"), (1, "own"), (1, "look")])
    world.deliver(world.events)
    seen = [UUID(json.loads(data)["dossier"]).bytes[:4] for _, _, data in world.effects()]
    assert seen == [bytes([1, 0, 0, 0]), bytes([2, 1, 0, 0]), bytes([3, 2, 0, 5])]


def test_handlers_that_act_are_recorded_one_by_one() -> None:
    """Without a view of the batch nothing is decided before the last one is durable."""
    world = World([(subject, "own") for subject in range(5)])
    reactor = Reactor(name=NAME, handlers=world.handlers(world.log))
    clock = HandClock()
    runner = ReactorRunner(reactor, Recorder(world.log, MemoryKeys(), clock, bytes(32)), clock)
    assert runner.handle_all(world.events) == [Outcome.HANDLED] * 5
    assert world.log.appends == 5


@pytest.mark.parametrize(
    ("unsettled", "done", "expected"),
    [
        ([1, 2, 3], {1, 2, 3}, [(3, True)]),
        ([1, 2, 3, 4], {2, 3}, [(2, False), (3, False)]),
        ([4, 5, 7, 8, 9], {4, 5, 8}, [(5, True), (8, False)]),
        ([4, 5], set(), []),
    ],
)
def test_acknowledged_together(
    unsettled: list[int], done: set[int], expected: list[tuple[int, bool]]
) -> None:
    """One acknowledgement for all below the first that is open; never one too many."""
    assert acknowledgements(unsettled, done) == expected
