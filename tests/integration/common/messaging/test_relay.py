# SPDX-License-Identifier: Apache-2.0
"""The relay as processes: log order, nothing skipped, one lead, the checkpoint behind confirms."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from services.common.eventlog.postgres import PostgresLog
from services.common.relay import STORE_EVERY_S
from tests.support import processes
from tests.support.broker import Broker
from tests.support.database import Database, fresh_database
from tests.support.events import fresh, request
from tests.support.processes import Process
from tests.support.relaying import (
    SEEN,
    append,
    assert_nothing_skipped,
    checkpoint,
    leaders,
    listening,
    positions,
)
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

_NOTED = """
CREATE TABLE public.stored (pos bigint);
CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.stored VALUES (NEW.pos);
    RETURN NULL;
END $$;
CREATE TRIGGER noted AFTER INSERT OR UPDATE ON eventlog.relay
FOR EACH ROW EXECUTE FUNCTION public.noted();
"""


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """A fresh log for each test, because positions are counted."""
    with fresh_database(server_url) as database:
        yield database


@pytest.fixture
def log(database: Database) -> Iterator[PostgresLog]:
    log = database.log()
    yield log
    log.close()


@pytest.fixture
def seen(broker: Broker) -> Broker:
    """The broker with one queue that gets every event."""
    return listening(broker)


@pytest.fixture
def start(database: Database, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts relays; kills those that are left."""
    with ExitStack() as stack:
        started = 0

        def start(amqp_url: str) -> Process:
            nonlocal started
            started += 1
            process = processes.relay(database, amqp_url, tmp_path / f"relay-{started}.log")
            stack.callback(process.end)
            return process

        yield start


def test_publishes_in_order_and_soon(
    database: Database, log: PostgresLog, seen: Broker, start: Callable[..., Process]
) -> None:
    """Everything is published once and in order, and a relay that stops politely repeats nothing."""
    append(log, 700)
    process = start(seen.url)
    wait_until(lambda: checkpoint(database) == 700, what="the checkpoint is at the head")
    began_s = time.monotonic()
    for goal in range(730, 1001, 30):
        append(log, 30)
        wait_until(lambda goal=goal: checkpoint(database) == goal, what=f"{goal} confirmed")
    # Ten commits one after the other: polling alone, once a second, would take ten seconds.
    assert time.monotonic() - began_s < 5
    code, took_s = process.stop()
    assert (code, took_s < 5) == (0, True)
    again = start(seen.url)
    append(log, 1)
    wait_until(lambda: checkpoint(database) == 1001, what="goes on from the checkpoint")
    again.stop()
    assert positions(seen) == list(range(1, 1002))


def test_checkpoint_is_stored_seldom(
    database: Database, log: PostgresLog, seen: Broker, start: Callable[..., Process]
) -> None:
    """Under load, too, it is flushed to the disk some twenty times a second, and at rest it is true."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute(_NOTED)
        start(seen.url)
        began_s = time.monotonic()
        for _ in range(300):
            log.append(request((fresh(), 0, 1)))
        wait_until(lambda: checkpoint(database) == 300, what="all confirmed")
        took_s = time.monotonic() - began_s
        row = owner.execute("SELECT count(*) FROM stored").fetchone()
    assert row is not None
    assert 1 <= row[0] <= took_s / STORE_EVERY_S + 1


def test_cut_connections_skip_nothing(
    database: Database, log: PostgresLog, seen: Broker, start: Callable[..., Process]
) -> None:
    """The broker's connection is reset ten times under load: repeats perhaps, never a hole."""
    parts = urlsplit(seen.url)
    with TcpProxy(parts.port or 0) as proxy:
        start(seen.url.replace(f":{parts.port}/", f":{proxy.port}/"))
        writer = threading.Thread(target=append, args=(log, 5000))
        writer.start()
        for place in range(1, 11):
            goal = place * 400
            wait_until(lambda goal=goal: checkpoint(database) >= goal, what=f"{goal} confirmed")
            proxy.cut()
        writer.join()
        wait_until(lambda: checkpoint(database) == 5000, what="all confirmed")
    assert_nothing_skipped(positions(seen), 5000)


def test_lost_confirms_do_not_move_the_checkpoint(
    database: Database, log: PostgresLog, seen: Broker, start: Callable[..., Process]
) -> None:
    """Published without an answer is not confirmed; the dead connection is noticed and replaced."""
    parts = urlsplit(seen.url)
    with TcpProxy(parts.port or 0) as proxy:
        process = start(seen.url.replace(f":{parts.port}/", f":{proxy.port}/"))
        append(log, 10)
        wait_until(lambda: checkpoint(database) == 10, what="the first ten confirmed")
        proxy.silence(to_target=False)
        append(log, 10)
        wait_until(lambda: seen.depth(SEEN) == 20, what="all twenty with the broker")
        assert checkpoint(database) == 10
        wait_until(lambda: checkpoint(database) == 20, timeout_s=45, what="a new connection")
        assert process.metric("relay_published_total") == 20
    assert_nothing_skipped(positions(seen), 20)


def test_a_refused_publish_is_repeated_in_order(
    database: Database, log: PostgresLog, broker: Broker, start: Callable[..., Process]
) -> None:
    """A full queue refuses; nothing behind it overtakes, and room makes it go on."""
    full = {"x-max-length": 5, "x-overflow": "reject-publish"}
    listening(broker, **full)
    process = start(broker.url)
    append(log, 12)
    wait_until(lambda: process.metric("relay_published_total") > 5, what="something refused")
    found: list[int] = []
    while not found or max(found) < 12:
        wait_until(lambda: broker.depth(SEEN), what="more arrives")
        assert checkpoint(database) <= max(found, default=0) + 5 + 1
        found += positions(broker)
    wait_until(lambda: checkpoint(database) == 12, what="all confirmed")
    assert sorted(set(found)) == list(range(1, 13))
    firsts = list(dict.fromkeys(found))
    assert firsts == sorted(firsts)


def test_one_leads_and_another_takes_over(
    database: Database, log: PostgresLog, seen: Broker, start: Callable[..., Process]
) -> None:
    """Of three relays one leads at any time; each kill hands over, and nothing is skipped."""
    relays = [start(seen.url) for _ in range(3)]
    for relay in relays:
        relay.wait_ready()
    enough = threading.Event()
    writer = threading.Thread(target=lambda: [append(log, 5) for _ in iter(enough.is_set, True)])
    writer.start()
    try:
        for _ in range(2):
            wait_until(lambda: leaders(relays), what="a lead")
            for _ in range(20):
                assert len(leaders(relays)) <= 1
            lead = leaders(relays)[0]
            relays.remove(lead)
            lead.kill()
            at = checkpoint(database)
            wait_until(lambda at=at: checkpoint(database) > at + 100, what="another goes on")
    finally:
        enough.set()
        writer.join()
    head = log.head()
    wait_until(lambda: checkpoint(database) == head, what="all confirmed")
    assert_nothing_skipped(positions(seen), head)


def test_readiness_knows_the_database_and_the_broker(
    database: Database, seen: Broker, tmp_path: Path
) -> None:
    """Without the database or the broker a relay is alive, not ready, and stops in time."""
    amqp = urlsplit(seen.url)
    login = urlsplit(database.url_for("motcua_relay"))
    with TcpProxy(amqp.port or 0) as broker_way, TcpProxy(login.port or 0) as database_way:
        process = processes.relay(
            database, seen.url.replace(f":{amqp.port}/", f":{broker_way.port}/"),
            tmp_path / "relay.log",
            login.geturl().replace(f":{login.port}/", f":{database_way.port}/"),
        )  # fmt: skip
        try:
            process.wait_ready()
            broker_way.accepting = False
            broker_way.cut()
            wait_until(lambda: process.not_ready() == ["broker"], what="the broker is missed")
            broker_way.accepting = True
            process.wait_ready()
            database_way.accepting = False
            database_way.cut()
            wait_until(lambda: "database" in process.not_ready(), what="the database is missed")
            database_way.accepting = True
            process.wait_ready()
            broker_way.silence()
            code, took_s = process.stop()
            assert (code, took_s < 15) == (0, True)
        finally:
            process.end()
