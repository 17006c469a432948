# SPDX-License-Identifier: Apache-2.0
"""``motcua subscriber`` over a real broker: one login, one queue, nothing else."""

import uuid
from collections.abc import Iterator

import pytest

from services.common.clock import SystemClock
from services.common.errors import Refused
from services.common.messaging import topology
from services.notify.adapters.subscriber_queues import SubscriberQueues, keep_queues
from services.notify.application.subscribers import Subscribers
from tests.support.broker import Broker
from tests.support.database import Database
from tests.support.subscribing import Desk, may, subscriber_desk


@pytest.fixture
def desk(broker: Broker, database: Database) -> Iterator[Desk]:
    """The command line."""
    with subscriber_desk(broker, database) as desk:
        yield desk


@pytest.fixture
def name() -> str:
    """A name nobody has: logins are shared by the whole broker."""
    return f"t{uuid.uuid4().hex[:8]}"


def test_a_subscriber_may_read_its_queue_and_nothing_else(desk: Desk, name: str) -> None:
    """Its own queue gets the chosen types; every other act of its login is refused."""
    given = desk.add(name, "dossier.returned", "payment.*")
    url, queue = given["amqp_url"], given["queue"]
    assert queue == f"subscriber.{name}"
    assert len(given["token"]) >= 43
    for key in ("dossier.returned.v1", "payment.settled.v2", "dossier.accepted.v1"):
        desk.broker.publish(topology.EVENTS, key, key.encode())
    assert may(url, "basic_get", queue=queue, auto_ack=True)
    assert desk.broker.take(queue) == [b"payment.settled.v2"]
    others = ("notify.reactions", f"{queue}.dlq", topology.UNROUTED)
    desk.broker.declare("notify.reactions")
    refused = [
        may(url, "basic_publish", exchange=topology.EVENTS, routing_key="a.b.v1", body=b""),
        may(url, "basic_publish", exchange="", routing_key=queue, body=b""),
        may(url, "queue_declare", queue="another"),
        may(url, "queue_delete", queue=queue),
        may(url, "queue_bind", queue=queue, exchange=topology.EVENTS, routing_key="#"),
        *(may(url, "basic_get", queue=one) for one in others),
    ]
    assert not any(refused), refused


def test_again_changes_nothing_and_other_types_are_granted(desk: Desk, name: str) -> None:
    """Credentials are printed once; a narrower grant unbinds what is not granted any more."""
    first = desk.add(name, "dossier.returned", "dossier.accepted")
    head = desk.database.log("motcua_notify").head()
    again = desk.add(name, "dossier.returned", "dossier.accepted")
    assert "token" not in again
    assert desk.database.log("motcua_notify").head() == head
    desk.add(name, "dossier.returned")
    for kind in ("dossier.returned", "dossier.accepted"):
        desk.broker.publish(topology.EVENTS, f"{kind}.v1", kind.encode())
    assert desk.broker.take(first["queue"]) == [b"dossier.returned"]
    assert may(first["amqp_url"], "basic_get", queue=first["queue"])


def test_credentials_end(desk: Desk, name: str) -> None:
    """A rotated password ends the former one; a suspended login is shut, resumed it is the same."""
    first = desk.add(name, "dossier.returned")
    queue = first["queue"]
    second = desk.run("rotate", name, "broker", "--by", "vh001")["amqp_url"]
    assert not may(first["amqp_url"], "basic_get", queue=queue)
    assert may(second, "basic_get", queue=queue)
    assert desk.run("rotate", name, "token", "--by", "vh001")["token"] != first["token"]
    desk.run("suspend", name, "--by", "vh001")
    assert not may(second, "basic_get", queue=queue)
    desk.run("resume", name, "--by", "vh001")
    assert may(second, "basic_get", queue=queue)


def test_a_suspension_outlasts_whatever_else_is_done(desk: Desk, name: str) -> None:
    """Neither a new password nor another grant nor a restored broker lets it in; resuming does."""
    queue = desk.add(name, "dossier.returned")["queue"]
    desk.run("suspend", name, "--by", "vh001")
    url = desk.run("rotate", name, "broker", "--by", "vh001")["amqp_url"]
    desk.add(name, "dossier.returned", "dossier.ready")
    desk.run("restore")
    assert not may(url, "basic_get", queue=queue)
    desk.run("resume", name, "--by", "vh001")
    assert may(url, "basic_get", queue=queue)


def test_a_removed_subscriber_leaves_nothing(desk: Desk, name: str) -> None:
    """Login and queues are gone, twice removed is removed, and the name may begin anew."""
    url = desk.add(name, "dossier.returned")["amqp_url"]
    for _ in range(2):
        desk.run("remove", name, "--by", "vh001")
    assert not may(url, "basic_get", queue=f"subscriber.{name}")
    assert desk.broker.depth(f"subscriber.{name}") is None
    assert desk.broker.depth(f"subscriber.{name}.dlq") is None
    assert name not in desk.run("list")
    with pytest.raises(Refused):
        desk.run("rotate", name, "token", "--by", "vh001")
    assert desk.add(name, "dossier.returned")["amqp_url"] != url


def test_what_the_broker_lost_comes_back(desk: Desk, name: str) -> None:
    """Queue and bindings by notify's process, the login by ``restore`` with the same password."""
    given = desk.add(name, "dossier.returned")
    url, queue = given["amqp_url"], given["queue"]
    desk.broker.api("DELETE", f"/queues/{{v}}/{queue}")
    desk.broker.api("DELETE", f"/users/{queue}")
    log = desk.database.log("motcua_notify")
    rounds = iter([False, True])
    keep_queues(SubscriberQueues(desk.notify_url), Subscribers(log, SystemClock()), SystemClock(),
                lambda: next(rounds))  # fmt: skip
    log.close()
    desk.broker.publish(topology.EVENTS, "dossier.returned.v1", b"{}")
    assert desk.broker.depth(queue) == 1
    assert not may(url, "basic_get", queue=queue)
    desk.run("restore")
    assert may(url, "basic_get", queue=queue)


def test_a_full_queue_loses_its_oldest_and_stops_nobody(desk: Desk, name: str) -> None:
    """The relay's publish is confirmed whatever a subscriber left lying."""
    wanted = topology.subscriber_queue(name, ["dossier.returned"]).arguments
    assert wanted["x-overflow"] == "drop-head"
    desk.add(name, "dossier.returned")
    (found,) = [
        one for one in desk.broker.api("GET", "/queues/{v}") if one["name"] == f"subscriber.{name}"
    ]
    assert found["arguments"] == wanted
    assert found["type"] == "quorum"
