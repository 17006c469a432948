# SPDX-License-Identifier: Apache-2.0
"""A lead that is stopped, killed, frozen or cut off: another publishes within a bounded time."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.session import IDLE_S
from tests.support import processes
from tests.support.broker import Broker
from tests.support.database import Database, fresh_database
from tests.support.processes import Process
from tests.support.relaying import (
    append,
    assert_nothing_skipped,
    checkpoint,
    leaders,
    listening,
    positions,
)
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

AT_ONCE_S = 6.0
"""A lead that ends: the standby's poll of a second, its connections, and a slow machine."""
SILENT_S = IDLE_S + AT_ONCE_S
"""A lead that says nothing: the server ends its session first."""
BROKER_S = 40.0
"""A broker's connection that says nothing: heartbeats of ten seconds, missed."""


@dataclass
class Pair:
    """A lead whose ways to both servers can be harmed, and a standby with ways of its own."""

    database: Database
    broker: Broker
    lead: Process
    standby: Process
    broker_way: TcpProxy
    database_way: TcpProxy


@contextmanager
def pair(server_url: str, broker: Broker, folder: Path) -> Iterator[Pair]:
    """Start both under load; at the end nothing may be skipped."""
    with ExitStack() as stack:
        database = stack.enter_context(fresh_database(server_url))
        listening(broker)
        amqp, login = urlsplit(broker.url), urlsplit(database.url_for("motcua_relay"))
        broker_way = stack.enter_context(TcpProxy(amqp.port or 0))
        database_way = stack.enter_context(TcpProxy(login.port or 0))
        lead = processes.relay(
            database, broker.url.replace(f":{amqp.port}/", f":{broker_way.port}/"),
            folder / "lead.log",
            login.geturl().replace(f":{login.port}/", f":{database_way.port}/"),
        )  # fmt: skip
        stack.callback(lead.end)
        wait_until(lambda: leaders([lead]), what="the first one leads")
        standby = processes.relay(database, broker.url, folder / "standby.log")
        stack.callback(standby.end)
        standby.wait_ready()
        log = database.log()
        stack.callback(log.close)
        with writing(log):
            wait_until(lambda: checkpoint(database) > 20, what="publishing")
            yield Pair(database, broker, lead, standby, broker_way, database_way)
        wait_until(lambda: checkpoint(database) == log.head(), what="all confirmed")
        assert_nothing_skipped(positions(broker), log.head())


@contextmanager
def writing(log: PostgresLog) -> Iterator[None]:
    """Append while the block runs."""
    enough = threading.Event()
    writer = threading.Thread(target=lambda: [append(log, 2) for _ in iter(_rest(enough), True)])
    writer.start()
    try:
        yield
    finally:
        enough.set()
        writer.join()


def _rest(enough: threading.Event) -> Callable[[], bool]:
    return lambda: enough.wait(0.02)


def assert_taken_over(both: Pair, within_s: float) -> None:
    """The standby leads and moves the checkpoint, ``within_s`` of now."""
    began_s, at = time.monotonic(), checkpoint(both.database)
    wait_until(lambda: leaders([both.standby]), timeout_s=within_s, what="the standby leads")
    left_s = within_s - (time.monotonic() - began_s)
    wait_until(
        lambda: checkpoint(both.database) > at + 20, timeout_s=max(left_s, 1.0), what="it publishes"
    )


@pytest.mark.parametrize("harm", ["stopped", "killed"])
def test_a_lead_that_ends(server_url: str, broker: Broker, tmp_path: Path, harm: str) -> None:
    """Whoever ends, politely or not, has a successor at the standby's next look."""
    with pair(server_url, broker, tmp_path) as both:
        if harm == "stopped":
            assert both.lead.stop()[0] == 0
        else:
            both.lead.kill()
        assert_taken_over(both, AT_ONCE_S)


def test_a_frozen_lead(server_url: str, broker: Broker, tmp_path: Path) -> None:
    """A stopped clock holds the lead for seconds only; awake again, it is a standby."""
    with pair(server_url, broker, tmp_path) as both:
        os.kill(both.lead.pid, signal.SIGSTOP)
        try:
            assert_taken_over(both, SILENT_S)
        finally:
            os.kill(both.lead.pid, signal.SIGCONT)
        wait_until(lambda: both.lead.metric("relay_leader") == 0, what="it knows that it lost")
        both.lead.wait_ready()
        assert leaders([both.lead, both.standby]) == [both.standby]


def test_a_lead_whose_database_says_nothing(
    server_url: str, broker: Broker, tmp_path: Path
) -> None:
    """Its session ends at both ends: the standby leads, and the lead does not wait for ever."""
    with pair(server_url, broker, tmp_path) as both:
        both.database_way.silence()
        assert_taken_over(both, SILENT_S)
        wait_until(lambda: both.lead.metric("relay_leader") == 0, what="it knows that it lost")
        both.lead.wait_ready()


@pytest.mark.long
def test_a_lead_whose_broker_says_nothing(server_url: str, broker: Broker, tmp_path: Path) -> None:
    """The lead hands over to whoever reaches the broker."""
    with pair(server_url, broker, tmp_path) as both:
        both.broker_way.accepting = False
        both.broker_way.silence()
        assert_taken_over(both, BROKER_S)
