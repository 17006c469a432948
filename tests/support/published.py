# SPDX-License-Identifier: Apache-2.0
"""A small log of every stored example, published to a subscriber's queue by the real relay."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.common import contracts
from services.common.canonical import canonical_json
from services.common.eventlog.ownership import CATEGORIES
from services.common.eventlog.record import AppendRequest, NewEvent, StreamAppend
from services.common.messaging import topology
from services.common.messaging.asyncapi import writer_of
from tests.support import processes
from tests.support.broker import Broker
from tests.support.database import Database
from tests.support.waiting import wait_until

META = canonical_json({"actor": "test", "correlation_id": "c"})
PASSWORD = "p"


@dataclass(frozen=True)
class Outside:
    """What a system outside is given, and how many events it is owed."""

    url: str
    queue: str
    head: int


def fill(database: Database, copies: int) -> int:
    """Append the example of every version of every event ``copies`` times; returns how many."""
    known = contracts.all_contracts()
    for role in CATEGORIES:
        log = database.log(role)
        for contract in (one for one in known if f"motcua_{writer_of(one.type)}" == role):
            event = NewEvent(
                type=contract.type, schema=contract.schema,
                data=contract.encode(contract.example()), meta=META,
                occurred_at_us=1_795_420_800_000_000, subject=None,
            )  # fmt: skip
            key = str(uuid.uuid4())
            stream = f"{contract.type.partition('.')[0]}-{key}"
            append = StreamAppend(stream=stream, expected_version=0, events=(event,) * copies)
            asked = AppendRequest(
                source="test", key=key, digest=b"d" * 32, cause_ms=1_795_420_800_000,
                appends=(append,),
            )  # fmt: skip
            log.append(asked)
        log.close()
    return len(known) * copies


@contextmanager
def outside(
    broker: Broker, database: Database, folder: Path, *, name: str, copies: int = 1
) -> Iterator[Outside]:
    """Make a queue and a login that may read it only, publish the whole log, lend both."""
    queue = f"subscriber.{name}"
    user = f"{broker.vhost}_{name}"
    with broker.channel() as channel:
        topology.ensure_exchanges(channel)
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": topology.DELIVERY_LIMIT}
        channel.queue_declare(queue, durable=True, arguments=arguments)
        channel.queue_bind(queue, topology.EVENTS, "#")
    broker.api("PUT", f"/users/{user}", {"password": PASSWORD, "tags": ""})
    rights = {"configure": "^$", "write": "^$", "read": f"^{queue.replace('.', '[.]')}$"}
    broker.api("PUT", f"/permissions/{{v}}/{user}", rights)
    head = fill(database, copies)
    relay = processes.relay(database, broker.url, folder / "relay.log")
    try:
        relay.wait_ready()
        wait_until(lambda: relay.metric("relay_published_total") >= head, what="all published")
        yield Outside(broker.url_for(user, PASSWORD), queue, head)
    finally:
        relay.end()
        broker.api("DELETE", f"/users/{user}")
