# SPDX-License-Identifier: Apache-2.0
"""A Nameko process from outside, each in its own: the hub, the drain, dead connections, kills."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent
from services.common.messaging import topology
from services.common.messaging.envelope import encode, wire_name
from tests.support import processes
from tests.support.broker import Broker
from tests.support.database import Database, fresh_database
from tests.support.processes import Process
from tests.support.reactors import ECHO, effects, expected, register
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

HUB = "tests.support.hub_service"
Start = Callable[..., Process]


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """A fresh log for each test, so that no sweeper finds another test's events."""
    with fresh_database(server_url) as database:
        yield database


@pytest.fixture
def log(database: Database) -> Iterator[PostgresLog]:
    log = database.log()
    yield log
    log.close()


@pytest.fixture
def start(database: Database, tmp_path: Path) -> Iterator[Start]:
    """Starts services; kills those that are left."""
    with ExitStack() as stack:
        started = 0

        def start(amqp_url: str, **words: str) -> Process:
            nonlocal started
            started += 1
            path = tmp_path / f"echo-{started}.log"
            process = processes.echo(database, amqp_url, path, module=HUB, **words)
            stack.callback(process.end)
            return process

        yield start


def publish(broker: Broker, events: list[RecordedEvent]) -> None:
    """Publish what the relay would."""
    with broker.channel() as channel:
        channel.confirm_delivery()
        for event in events:
            broker.send(channel, topology.EVENTS, wire_name(event), encode(event))


def answered(log: PostgresLog, events: list[RecordedEvent]) -> int:
    """Return how many of ``events`` have an effect."""
    found = effects(log)
    return sum(found[str(event.event_id)] for event in events)


def through(url: str, proxy: TcpProxy) -> str:
    """Return ``url`` by way of ``proxy``."""
    return url.replace(f":{urlsplit(url).port}/", f":{proxy.port}/")


def test_waiting_for_the_database_does_not_block_the_hub(
    log: PostgresLog, broker: Broker, start: Start
) -> None:
    """While handlers wait a second each in PostgreSQL, other greenlets go on."""
    broker.declare(ECHO.name)
    events = register(log, 2)
    process = start(broker.url, TEST_HANDLER_S="1")
    process.wait_ready()
    publish(broker, events)
    wait_until(lambda: answered(log, events) == 2, what="both handled")
    assert process.stop()[0] == 0
    (line,) = [line for line in process.lines() if line["event"] == "hub_silence"]
    assert line["seconds"] < 0.5


def test_sigterm_finishes_and_acknowledges_what_began(
    log: PostgresLog, broker: Broker, start: Start
) -> None:
    """The batch under way is durable and acknowledged, the rest stays in the queue, exit code 0."""
    broker.declare(ECHO.name)
    process = start(broker.url, TEST_HANDLER_S="0.05")
    process.wait_ready()
    # Events so young that no sweeper handles what the consumer then has not acknowledged.
    events = register(log, 150)
    publish(broker, events)
    wait_until(lambda: answered(log, events) > 1, what="the first handled")
    code, took_s = process.stop()
    assert (code, took_s < 15) == (0, True)
    done = answered(log, events)
    assert 1 < done < 150
    wait_until(lambda: broker.depth(ECHO.name) == 150 - done, what="all but the done in the queue")
    again = start(broker.url)
    wait_until(lambda: answered(log, events) == 150, what="the rest handled")
    assert again.stop()[0] == 0
    assert {key: n for key, n in effects(log).items() if key in expected(events)} == expected(
        events
    )


def test_a_handler_that_does_not_end_is_cut_off(
    log: PostgresLog, broker: Broker, start: Start
) -> None:
    """The drain is bounded: exit code 1, a log line, and the message is delivered again."""
    broker.declare(ECHO.name)
    events = register(log, 1)
    process = start(broker.url, TEST_HANDLER_S="120")
    process.wait_ready()
    publish(broker, events)
    wait_until(lambda: broker.depth(ECHO.name) == 0, what="the message is taken")
    code, took_s = process.stop()
    assert (code, took_s < 20) == (1, True)
    assert "drain_unfinished" in {line["event"] for line in process.lines()}
    wait_until(lambda: broker.depth(ECHO.name) == 1, what="the message is back")


def test_a_part_that_dies_takes_the_process_along(broker: Broker, start: Start) -> None:
    """Nobody lives on as a shell that reacts to nothing: exit code 1, with the reason in the log."""
    broker.declare(ECHO.name)
    process = start(broker.url, TEST_DIES_S="1")
    assert process.wait() == 1
    (line,) = [line for line in process.lines() if line["event"] == "service_died"]
    assert (line["level"], line["error"]) == ("critical", "ValueError")


def test_a_silent_connection_is_noticed(log: PostgresLog, broker: Broker, start: Start) -> None:
    """The heartbeat finds a connection that is open and dead; a new one takes its place."""
    broker.declare(ECHO.name)
    with TcpProxy(urlsplit(broker.url).port or 0) as proxy:
        process = start(through(broker.url, proxy))
        process.wait_ready()
        proxy.silence()
        wait_until(
            lambda: "consumer_disconnected" in {line["event"] for line in process.lines()},
            timeout_s=45, what="the dead connection is noticed",
        )  # fmt: skip
        process.wait_ready()
        events = register(log, 1)
        publish(broker, events)
        wait_until(lambda: answered(log, events) == 1, what="handled on the new connection")
        assert process.metric("reactor_swept_total") == 0
        assert process.stop()[0] == 0


def test_death_between_commit_and_ack_has_one_effect(
    log: PostgresLog, broker: Broker, start: Start
) -> None:
    """Killed before its acknowledgements arrive: delivered again, and the log knows the answer."""
    broker.declare(ECHO.name)
    events = register(log, 20)
    with TcpProxy(urlsplit(broker.url).port or 0) as proxy:
        process = start(through(broker.url, proxy))
        process.wait_ready()
        proxy.silence(to_client=False)
        publish(broker, events)
        wait_until(lambda: answered(log, events) == 20, what="all committed")
        process.kill()
        proxy.cut()
    wait_until(lambda: broker.depth(ECHO.name) == 20, what="nothing was acknowledged")
    again = start(broker.url)
    wait_until(lambda: again.metric("event_redelivered_total") == 20, what="all delivered again")
    wait_until(lambda: broker.depth(ECHO.name) == 0, what="all acknowledged")
    assert again.stop()[0] == 0
    assert answered(log, events) == 20
    assert broker.depth(ECHO.dead_letter_queue) == 0


def test_not_ready_without_the_database(
    database: Database, log: PostgresLog, broker: Broker, start: Start
) -> None:
    """Without PostgreSQL it says so, keeps every message, and goes on by itself."""
    broker.declare(ECHO.name)
    url = database.url_for("motcua_payment")
    with TcpProxy(urlsplit(url).port or 0) as proxy:
        process = start(broker.url, database_url=through(url, proxy))
        process.wait_ready()
        proxy.accepting = False
        proxy.cut()
        events = register(log, 30)
        publish(broker, events)
        wait_until(
            lambda: {"database", f"consumer:{ECHO.name}"} <= set(process.not_ready()),
            timeout_s=40, what="database missed, consumer paused",
        )  # fmt: skip
        proxy.accepting = True
        wait_until(lambda: answered(log, events) == 30, timeout_s=60, what="all handled")
        process.wait_ready()
        assert broker.depth(ECHO.dead_letter_queue) == 0
        assert process.stop()[0] == 0
