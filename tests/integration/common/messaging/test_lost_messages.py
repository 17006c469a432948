# SPDX-License-Identifier: Apache-2.0
"""What the broker loses, the log still knows: every event handled exactly once, counted there."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from services.common.clock import SystemClock
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change
from services.common.messaging import consumer as consumer_module
from services.common.messaging import sweeper, topology
from services.common.messaging.envelope import encode, wire_name
from services.common.messaging.reactor_runner import FAILURES_MAX
from services.common.telemetry import metrics
from tests.support.broker import Broker
from tests.support.database import Database, fresh_database
from tests.support.echo import token_issued
from tests.support.reactors import ECHO, Echo, effects, expected, register
from tests.support.waiting import wait_until


class Ahead(SystemClock):
    """The machine's clock, some seconds ahead."""

    ahead_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_s)

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """A fresh log for each test, because effects are counted."""
    with fresh_database(server_url) as database:
        yield database


@pytest.fixture
def log(database: Database) -> Iterator[PostgresLog]:
    log = database.log()
    yield log
    log.close()


@pytest.fixture
def own(database: Database) -> Iterator[PostgresLog]:
    """The log as the reactor's service sees it."""
    log = database.log("motcua_payment")
    yield log
    log.close()


@pytest.fixture
def _checked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers look at the topology each second instead of each minute."""
    monkeypatch.setattr(consumer_module, "CHECK_EVERY_S", 1.0)


def publish(broker: Broker, events: list[RecordedEvent]) -> None:
    """Publish what the relay would."""
    with broker.channel() as channel:
        channel.confirm_delivery()
        for event in events:
            broker.send(channel, topology.EVENTS, wire_name(event), encode(event))


def swept() -> float:
    value = metrics.REGISTRY.get_sample_value("reactor_swept_total", {"reactor": ECHO.name})
    return value or 0.0


def test_a_purged_queue_is_swept(
    database: Database, log: PostgresLog, own: PostgresLog, broker: Broker
) -> None:
    """Messages that were purged are handled from the log, those that were not only once."""
    broker.declare(ECHO.name)
    lost = register(log, 30)
    publish(broker, lost)
    broker.api("DELETE", f"/queues/{{v}}/{ECHO.name}/contents")
    kept = register(log, 30)
    publish(broker, kept)
    before = swept()
    echo = Echo(own)
    with echo.consuming(broker.url), echo.sweeping(database.url_for("motcua_payment")):
        wait_until(lambda: len(effects(log)) == 60, timeout_s=30, what="all handled")
    assert effects(log) == expected(lost + kept)
    assert swept() - before == 30


@pytest.mark.usefixtures("_checked_often")
def test_a_deleted_binding_is_swept_and_restored(
    database: Database, log: PostgresLog, own: PostgresLog, broker: Broker,
) -> None:  # fmt: skip
    """Unbound events go to the queue of unrouted ones, the log gives them, the binding returns."""
    broker.declare(ECHO.name)
    echo = Echo(own)
    with echo.consuming(broker.url) as consumer:
        wait_until(consumer.ready, what="subscribed")
        with broker.channel() as channel:
            channel.queue_unbind(ECHO.name, topology.EVENTS, "dossier.registered.*")
            lost = register(log, 10)
            for event in lost:
                broker.send(channel, topology.EVENTS, wire_name(event), encode(event))
        wait_until(lambda: bound(broker), what="the binding is back")
        assert broker.depth(topology.UNROUTED)
        kept = register(log, 10)
        publish(broker, kept)
        wait_until(lambda: effects(log) == expected(kept), what="messages arrive again")
        with echo.sweeping(database.url_for("motcua_payment")):
            wait_until(lambda: len(effects(log)) == 20, timeout_s=30, what="the lost ones handled")
    assert effects(log) == expected(lost + kept)


def bound(broker: Broker) -> bool:
    """Say whether the echo's queue is bound to its first type."""
    found = broker.api("GET", f"/bindings/{{v}}/e/{topology.EVENTS}/q/{ECHO.name}")
    return "dossier.registered.*" in {binding["routing_key"] for binding in found}


@pytest.mark.usefixtures("_checked_often")
@pytest.mark.parametrize("dead", [False, True], ids=["queue", "dead-letter queue"])
def test_a_deleted_queue_is_made_again(
    database: Database, log: PostgresLog, own: PostgresLog, broker: Broker, dead: bool,
) -> None:  # fmt: skip
    """The queue or its dead-letter queue is deleted under the consumer: both return, none is lost."""
    broker.declare(ECHO.name)
    name = ECHO.dead_letter_queue if dead else ECHO.name
    echo = Echo(own)
    with echo.consuming(broker.url) as consumer:
        wait_until(consumer.ready, what="subscribed")
        before = register(log, 10)
        publish(broker, before)
        broker.api("DELETE", f"/queues/{{v}}/{name}")
        wait_until(lambda: broker.depth(name) is not None, what="the queue is back")
        wait_until(lambda: bound(broker), what="the binding is back")
        after = register(log, 10)
        publish(broker, after)
        broker.publish("", ECHO.name, b"no envelope")
        with echo.sweeping(database.url_for("motcua_payment")):
            wait_until(lambda: len(effects(log)) == 20, timeout_s=30, what="all handled")
        wait_until(lambda: broker.depth(ECHO.dead_letter_queue) == 1, what="dead letters are kept")
    assert effects(log) == expected(before + after)


def test_poison_is_dead_after_five_tries(
    log: PostgresLog, own: PostgresLog, broker: Broker
) -> None:
    """One event whose handler always raises goes to the dead letters; the others are handled."""
    broker.declare(ECHO.name)
    events = register(log, 20)
    poison, tries = events[7], []

    def handler(event: RecordedEvent) -> list[Change]:
        if event.event_id == poison.event_id:
            tries.append(event.position)
            raise ZeroDivisionError
        return token_issued(event)

    publish(broker, events)
    with Echo(own, {"dossier.registered": handler}).consuming(broker.url):
        wait_until(lambda: len(effects(log)) == 19, what="the others handled")
        wait_until(lambda: broker.depth(ECHO.dead_letter_queue) == 1, what="poison is dead")
    assert len(tries) == FAILURES_MAX
    assert broker.take(ECHO.dead_letter_queue) == [encode(poison)]
    assert effects(log) == expected([event for event in events if event is not poison])
    assert broker.depth(ECHO.name) == 0


def test_poison_holds_up_nobody(log: PostgresLog, own: PostgresLog, broker: Broker) -> None:
    """While one of many is tried again and again, all behind it are answered, each once."""
    broker.declare(ECHO.name)
    events, calls = register(log, 250), []
    poison = events[7]

    def handler(event: RecordedEvent) -> list[Change]:
        calls.append(event.position)
        if event.event_id == poison.event_id:
            raise ZeroDivisionError
        return token_issued(event)

    publish(broker, events)
    with Echo(own, {"dossier.registered": handler}).consuming(broker.url):
        wait_until(lambda: broker.depth(ECHO.dead_letter_queue) == 1, what="poison is dead")
    last_try = len(calls) - 1 - calls[::-1].index(poison.position)
    assert calls.index(events[-1].position) < last_try
    assert calls.count(poison.position) == FAILURES_MAX
    assert effects(log) == expected([event for event in events if event is not poison])
    assert broker.depth(ECHO.name) == 0


def test_the_sweeper_tries_poison_again_later_and_not_in_others_way(
    log: PostgresLog, own: PostgresLog
) -> None:
    """Poison waits ever longer between tries; once mended it is handled by the sweeper."""
    events = register(log, 10)
    broken, tries = [True], []

    def handler(event: RecordedEvent) -> list[Change]:
        if event.event_id == events[0].event_id:
            tries.append(event.position)
            if broken:
                raise ZeroDivisionError
        return token_issued(event)

    echo = Echo(own, {"dossier.registered": handler})
    clock = Ahead()
    sweeping = sweeper.Sweeper(echo.runner, own, clock, database_url="unused")
    clock.ahead_s = 10.0
    assert sweeping.sweep() == 9
    assert sweeping.sweep() == 0
    assert len(tries) == 1
    clock.ahead_s += sweeper.SWEEP_EVERY_S
    assert sweeping.sweep() == 0
    assert len(tries) == 2
    clock.ahead_s += sweeper.SWEEP_EVERY_S
    sweeping.sweep()
    assert len(tries) == 2
    broken.clear()
    clock.ahead_s += sweeper.POISON_RETRY_MAX_S
    assert sweeping.sweep() == 1
    assert effects(log) == expected(events)
    assert own.done_through(ECHO.name) >= events[-1].position


def test_two_replicas_share_one_queue(
    database: Database, log: PostgresLog, own: PostgresLog, broker: Broker
) -> None:
    """Two consumers and two sweepers on the same events, every message twice: one effect each."""
    broker.declare(ECHO.name)
    other = database.log("motcua_payment")
    url = database.url_for("motcua_payment")
    first, second = Echo(own), Echo(other)
    with (
        first.consuming(broker.url), second.consuming(broker.url),
        first.sweeping(url), second.sweeping(url),
    ):  # fmt: skip
        events = register(log, 300)
        halves = [threading.Thread(target=publish, args=(broker, events)) for _ in range(2)]
        for half in halves:
            half.start()
        for half in halves:
            half.join()
        wait_until(lambda: len(effects(log)) == 300, timeout_s=40, what="all handled")
        wait_until(lambda: broker.depth(ECHO.name) == 0, what="all acknowledged")
    other.close()
    assert effects(log) == expected(events)
    assert broker.depth(ECHO.dead_letter_queue) == 0
