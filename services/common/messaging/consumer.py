# SPDX-License-Identifier: Apache-2.0
"""One reactor's subscription: pika on its own connection, acknowledged only after durable.

Not kombu, because its connection neither notices half-open sockets nor keeps acks over a drain
(ADR-0002). The consumer is single-threaded: all pika calls happen in ``run``; the work itself is
started by ``submit`` and awaited while heartbeats go on.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
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

PREFETCH: Final = 100
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


Submit = Callable[[list[Arrival]], Work]


class Consumer:
    """Feeds messages of ``queue`` to ``submit`` until told to stop."""

    def __init__(
        self, queue: topology.Queue, submit: Submit, clock: Clock, *, amqp_url: str
    ) -> None:
        """Bind; nothing is opened before ``run``."""
        self._queue = queue
        self._submit = submit
        self._clock = clock
        self._url = amqp_url
        self._stopping = False
        self._waiting: list[tuple[int, Arrival]] = []
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
        self._waiting.clear()
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
            if not self._waiting:
                connection.process_data_events(0.5)
            if not channel.is_open:
                return
            if self._waiting:
                batch, self._waiting = self._waiting, []
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
        self._waiting.append((method.delivery_tag, arrival))

    def _settle(
        self,
        connection: pika.BlockingConnection,
        channel: BlockingChannel,
        batch: list[tuple[int, Arrival]],
    ) -> None:
        pause_s = PAUSE_FIRST_S
        while batch and channel.is_open:
            work = self._submit([arrival for _tag, arrival in batch])
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
                batch = self._answer(channel, batch, outcomes)
            if batch:
                if self._stopping:
                    return
                connection.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311
                pause_s = min(PAUSE_LAST_S, pause_s * 2)

    def _answer(
        self, channel: BlockingChannel, batch: list[tuple[int, Arrival]], outcomes: list[Outcome]
    ) -> list[tuple[int, Arrival]]:
        again = []
        for (tag, arrival), outcome in zip(batch, outcomes, strict=True):
            if outcome is Outcome.FAILED:
                again.append((tag, arrival))
            elif outcome in _REASONS:
                self._reject(channel, tag, _REASONS[outcome])
            else:
                channel.basic_ack(tag)
        return again

    def _reject(self, channel: BlockingChannel, tag: int, reason: str) -> None:
        channel.basic_reject(tag, requeue=False)
        metrics.dlq_rejected_total.labels(self._queue.name, reason).inc()
