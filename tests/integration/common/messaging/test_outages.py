# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL and RabbitMQ of its own go down under load: pause, no dead letter, one effect each."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.local.servers import Servers
from services.common.errors import Unavailable
from services.common.eventlog.postgres import PostgresLog
from services.common.messaging import topology
from services.common.messaging.consumer import Consumer
from services.common.messaging.envelope import encode, wire_name
from tests.support import processes
from tests.support.broker import Broker, fresh_broker
from tests.support.database import Database, fresh_database
from tests.support.events import fresh, request
from tests.support.processes import Process
from tests.support.reactors import ECHO, Echo, effects
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Servers that these tests may harm."""
    with ExitStack() as stack:
        servers = Servers({}, "outages")
        stack.enter_context(servers)
        yield servers


@dataclass
class Running:
    """Relay, consumer, sweeper and a writer that goes on until it is answered."""

    servers: Servers
    broker: Broker
    log: PostgresLog
    relay: Process
    consumer: Consumer
    enough: threading.Event = field(default_factory=threading.Event)
    appended: int = 0

    def write(self) -> None:
        while not self.enough.is_set():
            one = request((fresh(), 0, 1), kind="dossier.registered")
            while True:
                try:
                    self.log.append(one, timeout_s=5)
                except Unavailable:
                    continue
                break
            self.appended += 1
            self.enough.wait(0.01)

    def handled(self) -> int:
        return len(effects(self.log))


@contextmanager
def running(servers: Servers, folder: Path, *, queue_returns: bool = True) -> Iterator[Running]:
    """Run everything; at the end every event of the log must have its effect exactly once."""
    assert servers.postgres is not None
    assert servers.rabbit is not None
    with ExitStack() as stack:
        database = stack.enter_context(fresh_database(servers.postgres.url))
        rabbit = servers.rabbit
        broker = stack.enter_context(fresh_broker(rabbit.url, rabbit.management_url))
        log, own = database.log(), database.log("motcua_payment")
        stack.callback(log.close)
        stack.callback(own.close)
        relay = processes.relay(database, broker.url, folder / "relay.log")
        stack.callback(relay.end)
        relay.wait_ready()
        echo = Echo(own)
        consumer = stack.enter_context(echo.consuming(broker.url))
        stack.enter_context(echo.sweeping(database.url_for("motcua_payment")))
        run = Running(servers, broker, log, relay, consumer)
        writer = threading.Thread(target=run.write)
        writer.start()
        try:
            wait_until(lambda: run.handled() > 20, what="all goes well")
            yield run
            at = run.appended
            wait_until(lambda: run.appended > at + 20, timeout_s=60, what="writing goes on")
        finally:
            run.enough.set()
            writer.join()
        wait_until(lambda: run.handled() == run.appended, timeout_s=60, what="all handled")
        if queue_returns:
            wait_until(consumer.ready, timeout_s=60, what="the consumer is back")
        wait_until(relay.ready, timeout_s=40, what="the relay is back")
        assert_once(database, run)
        if queue_returns:
            assert broker.depth(ECHO.dead_letter_queue) == 0


def assert_once(database: Database, run: Running) -> None:
    """Compare the log with itself: every event answered exactly once, none lost, none invented."""
    log = database.log("motcua_audit")
    asked: Counter[str] = Counter()
    after = 0
    while events := log.read_all(after, types=["dossier.registered"]):
        after = events[-1].position
        asked.update(str(event.event_id) for event in events)
    log.close()
    assert asked.total() == run.appended
    assert effects(run.log) == asked


@pytest.mark.parametrize("outage_s", [8, pytest.param(60, marks=pytest.mark.long)])
def test_postgresql_is_down_under_load(servers: Servers, tmp_path: Path, outage_s: int) -> None:
    """The consumer pauses and says so, no message dies of it, and all is handled afterwards."""
    assert servers.postgres is not None
    with running(servers, tmp_path) as run:
        one = run.log.read_all(0, limit=1)[0]
        servers.postgres.stop("immediate")
        began_s = time.monotonic()
        try:
            # It may have had nothing in hand; now it has.
            run.broker.publish(topology.EVENTS, wire_name(one), encode(one))
            wait_until(lambda: "database" in run.relay.not_ready(), what="the relay says so")
            wait_until(lambda: not run.consumer.ready(), timeout_s=60, what="the consumer pauses")
            wait_until(
                lambda: time.monotonic() - began_s > outage_s, timeout_s=outage_s + 5,
                what="the outage lasts",
            )  # fmt: skip
            assert run.broker.depth(ECHO.dead_letter_queue) == 0
        finally:
            servers.postgres.start()


def test_postgresql_stops_politely(servers: Servers, tmp_path: Path) -> None:
    """A restart for maintenance, sessions ended by the administrator, is the same to everyone."""
    assert servers.postgres is not None
    with running(servers, tmp_path):
        servers.postgres.stop("fast")
        servers.postgres.start()


@pytest.mark.parametrize("politely", [True, False], ids=["stopped", "killed"])
def test_the_broker_is_down(servers: Servers, tmp_path: Path, politely: bool) -> None:
    """While RabbitMQ is down writing goes on; when it is back everything is handled.

    A killed RabbitMQ 3.10 leaves requests to a quorum queue that was made moments before without
    an answer; then the log alone brings the events, by the sweeper.
    """
    assert servers.rabbit is not None
    with running(servers, tmp_path, queue_returns=politely) as run:
        if politely:
            servers.rabbit.stop()
        else:
            servers.rabbit.kill()
        at = run.appended
        wait_until(lambda: run.appended > at + 50, what="writing does not need the broker")
        wait_until(lambda: not run.consumer.ready(), what="the consumer says so")
        wait_until(lambda: "broker" in run.relay.not_ready(), what="the relay says so")
        assert_lag_grows(run)
        servers.rabbit.start()


def assert_lag_grows(run: Running) -> None:
    """Nothing is published: the relay's two figures follow what is written, second by second."""
    metric = run.relay.metric
    wait_until(lambda: metric("relay_lag_seconds") > 2, what="the oldest event grows old")
    events, seconds = metric("relay_lag_events"), metric("relay_lag_seconds")
    assert events > 20
    wait_until(lambda: metric("relay_lag_seconds") > seconds + 2, what="it grows older")
    assert metric("relay_lag_events") > events


def test_the_broker_loses_everything(servers: Servers, tmp_path: Path) -> None:
    """Queues, bindings, messages, users are gone: relay and consumer rebuild, the log has it all."""
    assert servers.rabbit is not None
    with running(servers, tmp_path) as run:
        servers.rabbit.kill()
        servers.rabbit.reset_state()
        servers.rabbit.start()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        run.broker.api("PUT", "/vhosts/{v}")
        run.broker.api("PUT", "/permissions/{v}/motcua_admin", everything)


def test_a_broker_alarm_holds_the_relay(servers: Servers, tmp_path: Path) -> None:
    """While the broker blocks publishers the relay says so and holds; then it goes on by itself."""
    assert servers.rabbit is not None
    with running(servers, tmp_path) as run:
        control(servers, "set_vm_memory_high_watermark", "0.000001")
        try:
            wait_until(
                lambda: "broker_alarm" in {line["event"] for line in run.relay.lines()},
                what="the relay is told",
            )  # fmt: skip
            assert run.relay.metric("relay_blocked") == 1
            assert run.relay.not_ready() == ["broker_alarm"]
            published = run.relay.metric("relay_published_total")
            at = run.appended
            wait_until(lambda: run.appended > at + 50, what="writing goes on")
            assert run.relay.metric("relay_published_total") <= published + 5
            assert_lag_grows(run)
            assert run.relay.metric("relay_leader") == 1
        finally:
            control(servers, "set_vm_memory_high_watermark", "0.4")
        wait_until(
            lambda: run.relay.metric("relay_published_total") > published + 50,
            what="publishing goes on",
        )
        wait_until(lambda: run.relay.metric("relay_lag_events") < 20, what="the lag is gone")
        assert run.relay.metric("relay_blocked") == 0


def control(servers: Servers, *words: str) -> None:
    """Run ``rabbitmqctl`` on the private node."""
    rabbit = servers.rabbit
    assert rabbit is not None
    rabbit.control(*words)
