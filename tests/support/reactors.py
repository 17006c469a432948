# SPDX-License-Identifier: Apache-2.0
"""The echo reactor in this process: a consumer and, where asked for, a sweeper, in real threads."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass

from services.common.clock import SystemClock
from services.common.eventlog.memory import MemoryKeys
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change, Recorder
from services.common.messaging import topology
from services.common.messaging.consumer import Consumer
from services.common.messaging.reaction import Reactor
from services.common.messaging.reactor_runner import Arrival, Outcome, ReactorRunner
from services.common.messaging.sweeper import Sweeper
from tests.support.echo import QUEUE, token_issued
from tests.support.events import fresh, request

ECHO = topology.Queue(name=QUEUE, types=topology.BINDINGS[QUEUE])
Handler = Callable[[RecordedEvent], Sequence[Change]]


@dataclass
class Working:
    """A batch in a thread."""

    future: "Future[list[Outcome]]"

    def wait(self, seconds: float) -> bool:
        try:
            self.future.exception(seconds)
        except FutureTimeoutError:
            return False
        return True

    def result(self) -> list[Outcome]:
        return self.future.result()


class Echo:
    """The echo reactor of one replica."""

    def __init__(self, log: PostgresLog, handlers: Mapping[str, Handler] | None = None) -> None:
        self.log = log
        self.clock = SystemClock()
        recorder = Recorder(log, MemoryKeys(), self.clock, bytes(32))
        answers = handlers or {"dossier.registered": token_issued}
        reactor = Reactor.batched(QUEUE, log, lambda _log: answers)
        self.runner = ReactorRunner(reactor, recorder, self.clock)
        self._pool = ThreadPoolExecutor(4)

    def submit(self, arrivals: list[Arrival]) -> Working:
        return Working(self._pool.submit(self.runner.run, arrivals))

    @contextmanager
    def consuming(self, amqp_url: str) -> Iterator[Consumer]:
        """Consume while the block runs."""
        consumer = Consumer(ECHO, self.submit, self.clock, amqp_url=amqp_url)
        with self.running(consumer):
            yield consumer

    @contextmanager
    def running(self, consumer: Consumer) -> Iterator[None]:
        """Run ``consumer`` while the block runs."""
        thread = threading.Thread(target=consumer.run)
        thread.start()
        try:
            yield
        finally:
            consumer.stop()
            thread.join(60)
            assert not thread.is_alive(), "the consumer did not stop"

    @contextmanager
    def sweeping(self, database_url: str) -> Iterator[Sweeper]:
        """Sweep while the block runs."""
        done = threading.Event()
        sweeper = Sweeper(self.runner, self.log, self.clock, database_url=database_url)
        thread = threading.Thread(target=sweeper.run, args=(done.is_set,))
        thread.start()
        try:
            yield sweeper
        finally:
            done.set()
            thread.join(60)
            assert not thread.is_alive(), "the sweeper did not stop"


def register(
    log: PostgresLog, count: int = 1, *, kind: str = "dossier.registered"
) -> list[RecordedEvent]:
    """Append ``count`` events that the echo reactor answers; returns them."""
    positions = [
        log.append(request((fresh(), 0, 1), kind=kind)).first_position for _ in range(count)
    ]
    return list(log.read_positions(positions))


def effects(log: PostgresLog) -> Counter[str]:
    """Return how often each event was answered, counted from the log."""
    found: Counter[str] = Counter()
    after = 0
    while events := log.read_all(after):
        after = events[-1].position
        found.update(
            str(event.data["dossier"]) for event in events if event.type == "payment.token_issued"
        )
    return found


def expected(events: Sequence[RecordedEvent]) -> Counter[str]:
    """Return what ``effects`` is when each of ``events`` was answered exactly once."""
    return Counter(str(event.event_id) for event in events)
