# SPDX-License-Identifier: Apache-2.0
"""Least privilege at the broker, tried with each login."""

from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from services.common.eventlog.migrate import LOGINS
from services.common.messaging import topology
from tests.support.broker import Broker

SERVICES = tuple(login.removeprefix("motcua_") for login in LOGINS)
OWNERS = tuple(dict.fromkeys(queue.name.partition(".")[0] for queue in topology.queues()))


@pytest.fixture
def broker(broker: Broker) -> Iterator[Broker]:
    """The whole topology and every login, as the installation makes them."""
    broker.declare(*topology.BINDINGS)
    with broker.channel() as channel:
        topology.ensure_checkpoints(channel)
    for service in SERVICES:
        broker.api("PUT", f"/users/{user(broker, service)}", {"password": "p", "tags": ""})
        path = f"/permissions/{{v}}/{user(broker, service)}"
        broker.api("PUT", path, topology.permissions(service))
    yield broker
    for service in SERVICES:
        broker.api("DELETE", f"/users/{user(broker, service)}")


def user(broker: Broker, service: str) -> str:
    return f"{broker.vhost}_{service}"


@contextmanager
def channel_of(broker: Broker, service: str) -> Iterator[BlockingChannel]:
    """Lend a channel with the service's own login."""
    url = broker.url_for(user(broker, service), "p")
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    finally:
        connection.close()


def refused(broker: Broker, service: str, act: str, **words: object) -> bool:
    """Say whether the broker refuses ``act`` of a channel to ``service``."""
    with channel_of(broker, service) as channel:
        try:
            getattr(channel, act)(**words)
        except ChannelClosedByBroker as error:
            return error.reply_code == 403
    return False


@pytest.mark.parametrize("service", OWNERS)
def test_a_service_holds_its_own_queues(broker: Broker, service: str) -> None:
    """Its queues, dead-letter queues and bindings come back by its own hand; it reads its queues."""
    own = [queue for queue in topology.queues() if queue.name.startswith(f"{service}.")]
    for queue in own:
        broker.api("DELETE", f"/queues/{{v}}/{queue.name}")
        broker.api("DELETE", f"/queues/{{v}}/{queue.dead_letter_queue}")
    with channel_of(broker, service) as channel:
        for queue in own:
            topology.ensure_queue(channel, queue)
            channel.basic_get(queue.name)
    for queue in own:
        broker.publish(topology.EVENTS, f"{queue.types[0]}.v1", b"{}")
        assert broker.depth(queue.name)
        with channel_of(broker, service) as channel:
            tag = channel.basic_get(queue.name)[0].delivery_tag
            channel.basic_reject(tag, requeue=False)


@pytest.mark.parametrize("service", SERVICES)
def test_only_the_relay_publishes(broker: Broker, service: str) -> None:
    """An event forged by a service's login is refused, also past the exchange."""
    words = {"routing_key": "dossier.accepted.v1", "body": b"{}"}
    assert refused(broker, service, "basic_publish", exchange=topology.EVENTS, **words) == (
        service != "relay"
    )
    words["routing_key"] = "intake.reactions"
    assert refused(broker, service, "basic_publish", exchange="", **words)


@pytest.mark.parametrize("service", SERVICES)
def test_queues_of_others_are_closed(broker: Broker, service: str) -> None:
    """No login reads, empties, deletes or redirects another's queue, nor reads any dead letters."""
    for queue in topology.queues():
        dead = queue.dead_letter_queue
        assert refused(broker, service, "basic_get", queue=dead)
        if queue.name.partition(".")[0] == service:
            continue
        for name in (queue.name, dead):
            assert refused(broker, service, "basic_get", queue=name)
            assert refused(broker, service, "queue_purge", queue=name)
            assert refused(broker, service, "queue_delete", queue=name)
            assert refused(
                broker, service, "queue_bind",
                queue=name, exchange=topology.EVENTS, routing_key="#",
            )  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
def test_exchanges_are_the_relays(broker: Broker, service: str) -> None:
    """Nobody but the relay deletes or makes exchanges; nobody makes other names."""
    for name in (topology.EVENTS, topology.DEAD, topology.UNROUTED):
        assert refused(broker, service, "exchange_delete", exchange=name) == (service != "relay")
    assert refused(
        broker, service, "basic_publish", exchange=topology.CHECKPOINTS, routing_key="", body=b""
    ) == (service != "sealer")
    assert refused(broker, service, "exchange_declare", exchange="another")
    assert refused(broker, service, "queue_declare", queue="another")


def test_the_relay_restores_the_exchanges(broker: Broker) -> None:
    """Exchanges and the queue of unrouted events come back by the relay's hand."""
    for name in (topology.EVENTS, topology.DEAD, topology.UNROUTED):
        broker.api("DELETE", f"/exchanges/{{v}}/{name}")
    broker.api("DELETE", f"/queues/{{v}}/{topology.UNROUTED}")
    with channel_of(broker, "relay") as channel:
        topology.ensure_exchanges(channel)
    broker.publish(topology.EVENTS, "nobody.wants_it.v1", b"{}")
    assert broker.depth(topology.UNROUTED) == 1
