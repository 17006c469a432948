# SPDX-License-Identifier: Apache-2.0
"""What tests of the relay look at: a queue that gets everything, the checkpoint, who leads."""

import json

import psycopg

from services.common.eventlog.postgres import PostgresLog
from services.common.messaging import topology
from tests.support.broker import Broker
from tests.support.database import Database
from tests.support.events import fresh, request
from tests.support.processes import Process

SEEN = "seen"


def listening(broker: Broker, **arguments: object) -> Broker:
    """Bind a queue to everything."""
    with broker.channel() as channel:
        topology.ensure_exchanges(channel)
        channel.queue_declare(SEEN, durable=True, arguments=dict(arguments))
        channel.queue_bind(SEEN, topology.EVENTS, "#")
    return broker


def append(log: PostgresLog, count: int) -> None:
    """Append ``count`` events on new streams."""
    left = count
    while left:
        log.append(request((fresh(), 0, size := min(left, 50))))
        left -= size


def checkpoint(database: Database) -> int:
    """Return the stored checkpoint."""
    with psycopg.connect(database.owner_url) as connection:
        row = connection.execute("SELECT coalesce(max(pos), 0) FROM eventlog.relay").fetchone()
    return int(row[0]) if row else 0


def positions(broker: Broker) -> list[int]:
    """Take everything that was published, in the order the broker got it."""
    return [int(json.loads(body)["sequence"]) for body in broker.take(SEEN)]


def assert_nothing_skipped(found: list[int], head: int) -> None:
    """Each position is published after the one before it; repeats begin behind a checkpoint."""
    highest = 0
    for position in found:
        assert position <= highest + 1, f"{position} right after {highest}"
        highest = max(highest, position)
    assert highest == head


def leaders(relays: list[Process]) -> list[Process]:
    """Return the relays that say they lead."""
    return [relay for relay in relays if relay.metric("relay_leader") == 1]
