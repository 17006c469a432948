# SPDX-License-Identifier: Apache-2.0
"""Whoever binds a queue gets signed checkpoints, with the sealer's own login, and only those."""

from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from services.common.audit.announcing import CONTENT_TYPE, TYPE
from services.common.integrity.notes import open_checkpoint
from services.common.messaging import topology
from tests.support.broker import Broker
from tests.support.database import LOG_ID, Database
from tests.support.events import fresh, request
from tests.support.processes import Process
from tests.support.waiting import wait_until
from tests.support.witnesses import LOG, LOG_SEED, ORIGIN

QUEUE = "auditor"


@pytest.fixture
def login(broker: Broker) -> Iterator[str]:
    """The sealer's login to the broker, with the rights that the installation gives."""
    user = f"{broker.vhost}_sealer"
    broker.api("PUT", f"/users/{user}", {"password": "p", "tags": ""})
    broker.api("PUT", f"/permissions/{{v}}/{user}", topology.permissions("sealer"))
    yield broker.url_for(user, "p")
    broker.api("DELETE", f"/users/{user}")


def bind(broker: Broker) -> None:
    """An auditor binds a queue."""
    with broker.channel() as channel:
        topology.ensure_checkpoints(channel)
        channel.queue_declare(QUEUE, durable=True)
        channel.queue_bind(QUEUE, topology.CHECKPOINTS, "")


def test_the_newest_checkpoint_is_published(
    database: Database, broker: Broker, login: str, tmp_path: Path
) -> None:
    """As it was signed; the newest again after a broker's forgetting; the log is sealed anyway."""
    bind(broker)
    key = tmp_path / "seal_key"
    key.write_text(LOG_SEED.hex(), encoding="utf-8")
    sealer = Process(
        "services.common.audit.sealer",
        {
            "MOTCUA_LOG_ID": str(LOG_ID), "MOTCUA_SEAL_KEY_FILE": str(key),
            "MOTCUA_DATABASE_URL": database.url_for("motcua_sealer"), "MOTCUA_AMQP_URL": login,
        },
        tmp_path / "sealer.log",
    )  # fmt: skip
    log = database.log()
    try:
        sealer.wait_ready()
        log.append(request((fresh(), 0, 3)))
        wait_until(lambda: broker.depth(QUEUE) == 1, what="a checkpoint")
        with broker.channel() as channel:
            _, properties, body = channel.basic_get(QUEUE, auto_ack=True)
        assert isinstance(properties, pika.BasicProperties)
        assert (properties.content_type, properties.type) == (CONTENT_TYPE, TYPE)
        assert properties.message_id == f"{ORIGIN}/3"
        found, _ = open_checkpoint(body.decode(), [LOG.verifier])
        assert (found.origin, found.size) == (ORIGIN, 3)
        broker.api("DELETE", f"/exchanges/{{v}}/{topology.CHECKPOINTS}")
        log.append(request((fresh(), 0, 1)))
        wait_until(
            lambda: any(line["event"] == "announcing_interrupted" for line in sealer.lines()),
            what="it notices",
        )
        bind(broker)
        wait_until(lambda: sealer.metric("checkpoints_published_total") >= 2, what="it goes on")
        log.append(request((fresh(), 0, 1)))
        wait_until(lambda: any("\n5\n" in one.decode() for one in broker.take(QUEUE)), what="5")
        assert sealer.stop()[0] == 0
    finally:
        sealer.end()
        log.close()
