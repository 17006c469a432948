# SPDX-License-Identifier: Apache-2.0
"""A reactor against a raw pika consumer, and how long a subscriber waits, on the same servers.

The peer does for each message what everybody writes first: read the stream, insert the answer,
commit, acknowledge; no inbox, no order of the whole log, no hashes. It has a unique (stream,
version) and a prepared connection. Ours is the platform's consumer, runner and handler, once with
one message at a time and once as it comes. ``python -m tests.load.reactor`` inside
``python -m infra.local run --``.
"""

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stderr
from pathlib import Path

import pika
import psycopg

from services.common.clock import SystemClock
from services.common.eventlog.memory import MemoryKeys
from services.common.eventlog.port import EventLog
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change, Recorder
from services.common.messaging import topology
from services.common.messaging.consumer import BATCH_MAX, PREFETCH, Consumer
from services.common.messaging.envelope import encode, parse
from services.common.messaging.reaction import Handler, Reactor
from services.common.messaging.reactor_runner import Arrival, ReactorRunner
from services.common.telemetry.logs import configure_logs
from tests.load.report import Entry, Scale
from tests.support import processes
from tests.support.broker import Broker, fresh_broker
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.echo import token_issued
from tests.support.events import fresh, request
from tests.support.reactors import ECHO, Working

ALONE, TOGETHER = 500, 2_000
RATE, SECONDS, PRODUCERS, WAIT_S = 500, 15.0, 10, 300.0
_PEER_TABLE = (
    'CREATE TABLE peer_answer (stream text COLLATE "C", version bigint, data bytea,'
    " PRIMARY KEY (stream, version))"
)  # fmt: skip


def rows(scale: Scale) -> list[Entry]:
    """Measure in turn; the platform's logs go where nobody waits for them."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        configure_logs("payment", "json")
        server, amqp = os.environ["MOTCUA_TEST_DATABASE_URL"], os.environ["MOTCUA_TEST_AMQP_URL"]
        management = os.environ["MOTCUA_TEST_AMQP_MANAGEMENT_URL"]
        with fresh_database(server) as database, fresh_broker(amqp, management) as broker:
            broker.declare(ECHO.name)
            return [
                *_reactor(database, broker, scale.rounds),
                *subscriber(database, broker, SECONDS),
            ]


def _reactor(database: Database, broker: Broker, rounds: int) -> Iterator[Entry]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute(_PEER_TABLE)
    log, own = database.log(), database.log("motcua_payment")
    rates: dict[str, list[float]] = {"alone": [], "together": [], "peer": []}
    for _ in range(rounds):
        # Each of the three gets events of its own, in one round after the other.
        rates["alone"].append(_ours(log, own, broker, ALONE, batch_max=1))
        rates["peer"].append(_peer(log, database, broker, ALONE))
        rates["together"].append(_ours(log, own, broker, TOGETHER, batch_max=BATCH_MAX))
    log.close()
    own.close()
    alone, together, peer = (statistics.median(rates[name]) for name in rates)
    yield Entry("reactor, one message at a time", alone, peer, alone / peer, 1.2, "msg/s")
    yield Entry("reactor, what has arrived", together, peer, together / peer, 3.0, "msg/s")


def _ours(
    log: PostgresLog, own: PostgresLog, broker: Broker, count: int, *, batch_max: int
) -> float:
    """Return messages a second, from connecting to the last commit."""
    _fill(log, broker, count)
    clock, done = SystemClock(), threading.Semaphore(0)

    def handlers(view: EventLog) -> Mapping[str, Handler]:
        def answer(event: RecordedEvent) -> Sequence[Change]:
            assert len(view.read_stream(event.stream)) == 1
            return token_issued(event)

        return {"dossier.registered": answer}

    reactor = Reactor.batched(ECHO.name, own, handlers, lambda event: (event.stream,))
    runner = ReactorRunner(reactor, Recorder(own, MemoryKeys(), clock, bytes(32)), clock)
    with ThreadPoolExecutor(1) as pool:

        def submit(arrivals: list[Arrival]) -> Working:
            def work() -> list[object]:
                outcomes = runner.run(arrivals)
                done.release(len(arrivals))
                return list(outcomes)

            return Working(pool.submit(work))  # type: ignore[arg-type]  # the same list

        consumer = Consumer(ECHO, submit, clock, amqp_url=broker.url, batch_max=batch_max)
        return _timed(count, done, consumer.run, consumer.stop)


def _peer(log: PostgresLog, database: Database, broker: Broker, count: int) -> float:
    """Return what a raw consumer reaches; it prefetches as much as ours."""
    _fill(log, broker, count)
    done, stopping = threading.Semaphore(0), threading.Event()

    def run() -> None:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        with psycopg.connect(database.owner_url) as session:

            def received(
                _channel: object, method: object, _properties: object, body: bytes
            ) -> None:
                event = parse(body)
                stream = f"payment-{event.event_id}"
                session.execute(
                    "SELECT version, data FROM eventlog.event WHERE log_id = %s AND pos = %s",
                    (event.log_id, event.position),
                ).fetchall()
                session.execute(
                    "INSERT INTO peer_answer VALUES (%s, %s, %s)", (stream, 1, body[:200])
                )
                session.commit()
                channel.basic_ack(method.delivery_tag)  # type: ignore[attr-defined]
                done.release()

            channel.basic_consume(ECHO.name, received)
            while not stopping.is_set():
                connection.process_data_events(0.2)
        connection.close()

    return _timed(count, done, run, stopping.set)


def _timed(
    count: int, done: threading.Semaphore, run: Callable[[], None], stop: Callable[[], None]
) -> float:
    thread = threading.Thread(target=run)
    began_s = time.monotonic()
    thread.start()
    for _ in range(count):
        assert done.acquire(timeout=WAIT_S), "not all were handled"
    took_s = time.monotonic() - began_s
    stop()
    thread.join(60)
    return count / took_s


def _fill(log: PostgresLog, broker: Broker, count: int) -> None:
    """Put ``count`` new events into the log and into the queue."""
    head = log.head()
    log.append_all([request((fresh(), 0, 1), kind="dossier.registered") for _ in range(count)])
    with broker.channel() as channel:
        for event in log.read_all(head, limit=count):
            broker.send(channel, topology.EVENTS, "dossier.registered.v1", encode(event))
    deadline_s = time.monotonic() + WAIT_S
    while broker.depth(ECHO.name) != count and time.monotonic() < deadline_s:
        time.sleep(0.1)


def subscriber(database: Database, broker: Broker, seconds: float) -> Iterator[Entry]:
    """Measure from when a command is due to be handed in to the event at a subscriber's edge.

    The relay has nothing to catch up with when it begins: it publishes in the log's order, and
    whatever the log held before would be waited for first.
    """
    queue = topology.subscriber_queue("bench", ["dossier.ready"])
    with ExitStack() as stack:
        log = database.log("motcua_intake")
        stack.callback(log.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        relay = processes.relay(database, broker.url, folder / "relay.log")
        stack.callback(relay.end)
        relay.wait_ready()
        _caught_up(database, log)
        with broker.channel() as channel:
            topology.ensure_queue(channel, queue)
        began: dict[int, float] = {}
        waits: list[float] = []
        stack.enter_context(_received(broker, queue, began, waits))
        _produce(log, began, seconds)
        ended_s = time.monotonic()
        while len(waits) < len(began) and time.monotonic() < ended_s + 30:
            time.sleep(0.01)
        assert len(waits) == len(began), "an event did not arrive"
        lag_s = time.monotonic() - ended_s
    waits.sort()
    p50, p99 = (1000 * waits[int(len(waits) * part)] for part in (0.5, 0.99))
    name = f"command to subscriber, {len(began) / seconds:.0f} events/s for {seconds:.0f} s"
    yield Entry(f"{name}, p50", p50, 30.0, 30.0 / p50, 1.0, "ms")
    yield Entry(f"{name}, p99", p99, 100.0, 100.0 / p99, 1.0, "ms")
    yield Entry(f"{name}: lag is 0 after", lag_s, 1.0, 1.0 / lag_s, 1.0, "s")


def _caught_up(database: Database, log: PostgresLog) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        published = "SELECT 1 FROM eventlog.relay WHERE log_id = %s AND pos >= %s"
        deadline_s = time.monotonic() + WAIT_S
        while connection.execute(published, (LOG_ID, log.head())).fetchone() is None:
            assert time.monotonic() < deadline_s, "the relay does not catch up"
            time.sleep(0.1)


def _produce(log: PostgresLog, began: dict[int, float], seconds: float) -> None:
    def produce(place: int) -> None:
        step_s, start_s = PRODUCERS / RATE, time.monotonic() + place / RATE
        for turn in range(int(seconds / step_s)):
            # From when it is due: what waits behind a slow one counts its waiting, too.
            due_s = start_s + turn * step_s
            time.sleep(max(0.0, due_s - time.monotonic()))
            began[log.append(request((fresh(), 0, 1))).first_position] = due_s

    threads = [threading.Thread(target=produce, args=(place,)) for place in range(PRODUCERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def _received(
    broker: Broker, queue: topology.Queue, began: dict[int, float], waits: list[float]
) -> Iterator[None]:
    """Consume as a subscriber does, acknowledging each; note when each arrived."""
    stopping, arrived = threading.Event(), dict[int, float]()

    def run() -> None:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        channel.basic_qos(prefetch_count=100)

        def received(_channel: object, method: object, _properties: object, body: bytes) -> None:
            arrived[parse(body).position] = time.monotonic()
            channel.basic_ack(method.delivery_tag)  # type: ignore[attr-defined]
            for position in [at for at in arrived if at in began]:
                waits.append(arrived.pop(position) - began[position])

        channel.basic_consume(queue.name, received)
        while not stopping.is_set():
            connection.process_data_events(0.05)
            for position in [at for at in arrived if at in began]:
                waits.append(arrived.pop(position) - began[position])
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(30)
