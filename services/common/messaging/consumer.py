# SPDX-License-Identifier: Apache-2.0
"""One reactor's subscription: pika on its own connection, acknowledged only after durable.

Not kombu, because its connection neither notices half-open sockets nor keeps acks over a drain
(ADR-0002). The consumer is single-threaded: all pika calls happen in ``run``; the work itself is
started by ``submit`` and awaited while heartbeats go on.
"""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Protocol

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from services.common.clock import Clock
from services.common.errors import Malformed, Unavailable
from services.common.messaging import topology
from services.common.messaging.envelope import parse
from services.common.messaging.reactor_runner import Arrival, Outcome
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

BATCH_MAX: Final = 100
ACTS_MAX: Final = 10
"""Handlers that act take long; a process that is told to stop has seconds."""
PREFETCH: Final = 2 * BATCH_MAX
"""The next batch is here while one is handled."""
LISTED_MAX: Final = 20
ANSWER_S: Final = 5.0
CHECK_EVERY_S: Final = 60.0
PAUSE_FIRST_S: Final = 0.1
PAUSE_LAST_S: Final = 30.0
_REASONS: Final = {Outcome.DEAD: "failed", Outcome.FORGED: "forged"}
_LOG = get_logger(__name__)


class UnansweredError(AMQPError):
    """The broker is alive and does not answer a request."""


@contextlib.contextmanager
def _bounded(connection: pika.BlockingConnection) -> Iterator[None]:
    """Give the broker ``ANSWER_S`` to answer what the block asks.

    A broker that recovers its queues answers heartbeats and leaves a declaration without an answer
    for more than a minute; pika would wait as long, and nothing would be consumed.
    """

    def give_up() -> None:
        raise UnansweredError

    if not connection.is_open:
        # Its loop is gone with it, and whatever the block asks is refused at once.
        yield
        return
    loop = connection._impl.ioloop  # noqa: SLF001 - pika is pinned; it has no time-out for requests
    timer = loop.call_later(ANSWER_S, give_up)
    try:
        yield
    finally:
        if connection.is_open:
            loop.remove_timeout(timer)


class Work(Protocol):
    """A batch on its way."""

    def wait(self, seconds: float) -> bool:
        """Return True once it is done, False after ``seconds``."""
        ...

    def result(self) -> list[Outcome]:
        """Return the outcomes or raise what the work raised; only after ``wait`` was True."""
        ...


@dataclass(slots=True)
class _Held:
    """A message that is not acknowledged yet.

    Attributes:
        failures: how often it failed since it came.
        due_s: when it may be tried again.
    """

    tag: int
    arrival: Arrival
    failures: int = 0
    due_s: float = 0.0


def acknowledgements(unsettled: Iterable[int], done: AbstractSet[int]) -> list[tuple[int, bool]]:
    """Return the (tag, multiple) that acknowledge exactly ``done``; ``unsettled`` is ascending.

    All below the first that is not done go with one; the rest one by one.
    """
    through = 0
    for tag in unsettled:
        if tag not in done:
            break
        through = tag
    together = [(through, True)] if through else []
    return together + [(tag, False) for tag in sorted(done) if tag > through]


Submit = Callable[[list[Arrival]], Work]


class Consumer:
    """Feeds messages of ``queue`` to ``submit`` until told to stop."""

    def __init__(
        self,
        queue: topology.Queue,
        submit: Submit,
        clock: Clock,
        *,
        amqp_url: str,
        batch_max: int = BATCH_MAX,
    ) -> None:
        """Bind; nothing is opened before ``run``.

        Args:
            queue: what it consumes.
            submit: begins the work on a batch.
            clock: time.
            amqp_url: the service's own login.
            batch_max: messages handled, and acknowledged, together; ``stop`` waits for as many.
        """
        self._batch_max = batch_max
        self._queue = queue
        self._submit = submit
        self._clock = clock
        self._url = amqp_url
        self._stopping = False
        self._waiting: list[_Held] = []
        self._failed: list[_Held] = []
        self._unsettled: dict[int, None] = {}
        self._connected = False
        self._paused = False

    def ready(self) -> bool:
        """Say whether it is subscribed and no dependency keeps it waiting."""
        return self._connected and not self._paused

    def stop(self) -> None:
        """Ask ``run`` to finish what it began, acknowledge it and return."""
        self._stopping = True

    def run(self) -> None:
        """Consume until ``stop``; reconnects with jittered back-off."""
        pause_s = PAUSE_FIRST_S
        while not self._stopping:
            try:
                self._session()
                pause_s = PAUSE_FIRST_S
            except (AMQPError, OSError) as error:
                if self._connected:
                    pause_s = PAUSE_FIRST_S
                _LOG.warning("consumer_disconnected", queue=self._queue.name,
                             error=type(error).__name__)  # fmt: skip
                self._mark(connected=False)
                if not self._stopping:
                    self._clock.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311
                pause_s = min(PAUSE_LAST_S, pause_s * 2)
        self._mark(connected=False)

    def _mark(self, *, connected: bool) -> None:
        self._connected = connected
        metrics.consumer_connected.labels(self._queue.name).set(int(connected))

    def _session(self) -> None:
        parameters = pika.URLParameters(self._url)
        parameters.heartbeat = 10
        parameters.socket_timeout = 5
        parameters.blocked_connection_timeout = 60
        connection = pika.BlockingConnection(parameters)
        for left in (self._waiting, self._failed, self._unsettled):
            left.clear()
        try:
            with _bounded(connection):
                channel = connection.channel()
                self._check(connection)
                channel.basic_qos(prefetch_count=PREFETCH)
                channel.add_on_cancel_callback(lambda _frame: channel.close())
                tag = channel.basic_consume(self._queue.name, self._received)
            self._mark(connected=True)
            self._consume(connection, channel, tag)
        finally:
            with contextlib.suppress(AMQPError, OSError), _bounded(connection):
                connection.close()

    def _check(self, connection: pika.BlockingConnection) -> None:
        # On a channel of its own: a refused declaration closes the channel it was made on.
        channel = connection.channel()
        topology.ensure_queue(channel, self._queue)
        channel.close()

    def _consume(
        self, connection: pika.BlockingConnection, channel: BlockingChannel, tag: str
    ) -> None:
        checked_s = self._clock.monotonic_s()
        while not self._stopping:
            connection.process_data_events(0 if self._waiting else self._idle_s())
            if not channel.is_open:
                return
            batch = self._next_batch()
            if batch:
                self._settle(connection, channel, batch)
            if self._clock.monotonic_s() - checked_s >= CHECK_EVERY_S:
                with _bounded(connection):
                    self._check(connection)
                checked_s = self._clock.monotonic_s()
        if channel.is_open:
            # What was prefetched but not begun goes back to the queue with the closing channel.
            with _bounded(connection):
                channel.basic_cancel(tag)
                channel.close()

    def _received(
        self,
        channel: BlockingChannel,
        method: pika.spec.Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        name = self._queue.name
        if method.redelivered:
            metrics.event_redelivered_total.labels(name).inc()
        try:
            envelope = parse(body, properties.content_type)
        except Malformed as error:
            problems = [f"{problem.field} {problem.en}" for problem in error.problems[:LISTED_MAX]]
            _LOG.error("message_malformed", queue=name, problems=problems)
            self._reject(channel, method.delivery_tag, "malformed")
            return
        arrival = Arrival(
            position=envelope.position, event_id=envelope.event_id, log_id=envelope.log_id,
            type=envelope.type, schema=envelope.schema,
        )  # fmt: skip
        self._waiting.append(_Held(method.delivery_tag, arrival))
        self._unsettled[method.delivery_tag] = None

    def _idle_s(self) -> float:
        now_s = self._clock.monotonic_s()
        return max(0.0, min([0.5, *(held.due_s - now_s for held in self._failed)]))

    def _next_batch(self) -> list[_Held]:
        """Take what may be handled now, in the order it came; what failed waits for its time."""
        now_s = self._clock.monotonic_s()
        due = [held for held in self._failed if held.due_s <= now_s]
        batch = sorted(due + self._waiting, key=lambda held: held.tag)[: self._batch_max]
        tags = {held.tag for held in batch}
        self._failed = [held for held in self._failed if held.tag not in tags]
        self._waiting = [held for held in self._waiting if held.tag not in tags]
        return batch

    def _settle(
        self, connection: pika.BlockingConnection, channel: BlockingChannel, batch: list[_Held]
    ) -> None:
        """Have ``batch`` handled; while a dependency is down nothing else is begun."""
        pause_s = PAUSE_FIRST_S
        while channel.is_open:
            work = self._submit([held.arrival for held in batch])
            # What has come meanwhile is taken in while the database is waited for.
            connection.process_data_events(0)
            while not work.wait(1.0):
                connection.process_data_events(0)
            try:
                outcomes = work.result()
            except Unavailable as error:
                self._paused = True
                _LOG.warning("consumer_paused", queue=self._queue.name,
                             dependency=error.dependency)  # fmt: skip
            else:
                self._paused = False
                self._answer(channel, batch, outcomes)
                return
            if self._stopping:
                return
            connection.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311
            pause_s = min(PAUSE_LAST_S, pause_s * 2)

    def _answer(
        self, channel: BlockingChannel, batch: list[_Held], outcomes: list[Outcome]
    ) -> None:
        done = set()
        for held, outcome in zip(batch, outcomes, strict=True):
            if outcome is Outcome.FAILED:
                pause_s = min(PAUSE_LAST_S, PAUSE_FIRST_S * 2.0**held.failures)
                wait_s = random.uniform(pause_s / 2, pause_s)  # noqa: S311
                held.failures, held.due_s = held.failures + 1, self._clock.monotonic_s() + wait_s
                self._failed.append(held)
            elif outcome in _REASONS:
                self._reject(channel, held.tag, _REASONS[outcome])
                del self._unsettled[held.tag]
            else:
                done.add(held.tag)
        for tag, multiple in acknowledgements(self._unsettled, done):
            channel.basic_ack(tag, multiple=multiple)
        for tag in done:
            del self._unsettled[tag]

    def _reject(self, channel: BlockingChannel, tag: int, reason: str) -> None:
        channel.basic_reject(tag, requeue=False)
        metrics.dlq_rejected_total.labels(self._queue.name, reason).inc()
