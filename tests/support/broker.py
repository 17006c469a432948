# SPDX-License-Identifier: Apache-2.0
"""A virtual host of its own on the test broker, and what a person with its password may do to it."""

import json
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from services.common.messaging import topology
from services.common.messaging.envelope import CONTENT_TYPE


@dataclass(frozen=True)
class Broker:
    """One virtual host, seen by the administrator."""

    url: str
    management_url: str
    vhost: str

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """Lend a channel."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()

    def declare(self, *names: str) -> None:
        """Declare the exchanges and the queues of the reactors ``names``."""
        with self.channel() as channel:
            topology.ensure_exchanges(channel)
            for queue in topology.queues():
                if queue.name in names:
                    topology.ensure_queue(channel, queue)

    def depth(self, queue: str) -> int | None:
        """Return how many messages are ready in ``queue``; None when there is no such queue."""
        with self.channel() as channel:
            try:
                return int(channel.queue_declare(queue, passive=True).method.message_count)
            except ChannelClosedByBroker:
                return None

    def publish(
        self, exchange: str, key: str, body: bytes, *, content_type: str | None = CONTENT_TYPE
    ) -> None:
        """Publish as anybody could; returns once the broker has it."""
        with self.channel() as channel:
            channel.confirm_delivery()
            self.send(channel, exchange, key, body, content_type=content_type)

    @staticmethod
    def send(
        channel: BlockingChannel, exchange: str, key: str, body: bytes,
        *, content_type: str | None = CONTENT_TYPE,
    ) -> None:  # fmt: skip
        """Publish one message on ``channel``."""
        properties = pika.BasicProperties(content_type=content_type, delivery_mode=2)
        channel.basic_publish(exchange, key, body, properties)

    def take(self, queue: str) -> list[bytes]:
        """Take everything out of ``queue``."""
        bodies = []
        with self.channel() as channel:
            while (found := channel.basic_get(queue, auto_ack=True))[0] is not None:
                bodies.append(found[2])
        return bodies

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API; ``{v}`` stands for the virtual host."""
        parts = urlsplit(self.management_url)
        login = b64encode(parts.netloc.rpartition("@")[0].encode()).decode()
        request = urllib.request.Request(
            f"http://{parts.hostname}:{parts.port}/api{path.format(v=quote(self.vhost, safe=''))}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Basic {login}"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def url_for(self, user: str, password: str) -> str:
        """Return another user's login to the virtual host."""
        parts = urlsplit(self.url)
        place = f"{user}:{password}@{parts.hostname}:{parts.port}"
        return urlunsplit((parts.scheme, place, parts.path, "", ""))


@contextmanager
def fresh_broker(amqp_url: str, management_url: str) -> Iterator[Broker]:
    """Make a virtual host and remove it finally."""
    parts, vhost = urlsplit(amqp_url), f"t_{uuid.uuid4().hex[:12]}"
    url = urlunsplit((parts.scheme, parts.netloc, vhost, "", ""))
    broker = Broker(url, management_url, vhost)
    user = parts.netloc.partition(":")[0]
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    broker.api("PUT", "/vhosts/{v}")
    broker.api("PUT", f"/permissions/{{v}}/{user}", everything)
    try:
        yield broker
    finally:
        broker.api("DELETE", "/vhosts/{v}")
