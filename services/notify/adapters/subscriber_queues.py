# SPDX-License-Identifier: Apache-2.0
"""Subscribers' queues at the broker, with notify's own login: made, bound, kept, removed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from services.common import contracts
from services.common.clock import Clock
from services.common.errors import Unavailable
from services.common.messaging import topology
from services.common.telemetry.logs import get_logger
from services.notify.application.subscribers import Subscribers

KEEP_EVERY_S: Final = 60.0
_SOON_S: Final = 1.0
_LOG = get_logger(__name__)


class SubscriberQueues:
    """Queues of subscribers in the platform's virtual host."""

    def __init__(self, amqp_url: str) -> None:
        """Remember the login; every call connects anew."""
        self._url = amqp_url

    def ensure(self, name: str, types: Iterable[str]) -> None:
        """Declare queue and dead-letter queue, bind ``types`` and nothing else.

        Raises:
            Unavailable: the broker is down, or the queue exists with other arguments.
        """
        wanted = set(types)
        known = {contract.type for contract in contracts.all_contracts()}
        with self._channel() as channel:
            queue = topology.subscriber_queue(name, sorted(wanted))
            topology.ensure_queue(channel, queue)
            for key in topology.subscriber_queue(name, sorted(known - wanted)).routing_keys:
                channel.queue_unbind(queue.name, topology.EVENTS, key)

    def remove(self, name: str) -> None:
        """Delete both queues with what is in them; raises Unavailable."""
        with self._channel() as channel:
            topology.remove_queue(channel, topology.subscriber_queue(name, ()))

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        parameters = pika.URLParameters(self._url)
        parameters.heartbeat, parameters.socket_timeout = 10, 5
        parameters.blocked_connection_timeout = 20
        try:
            connection = pika.BlockingConnection(parameters)
            try:
                yield connection.channel()
            finally:
                if connection.is_open:
                    connection.close()
        except (AMQPError, OSError) as error:
            raise Unavailable("rabbitmq", type(error).__name__) from error


def keep_queues(
    queues: SubscriberQueues, subscribers: Subscribers, clock: Clock, stopping: Callable[[], bool]
) -> None:
    """Hold every subscriber's queue to its grant, each minute, until ``stopping``.

    So a queue or a binding that was deleted comes back by itself, also after the broker lost
    everything; logins come back by ``motcua subscriber restore``.
    """
    due_s = clock.monotonic_s()
    while not stopping():
        if clock.monotonic_s() >= due_s:
            due_s = clock.monotonic_s() + KEEP_EVERY_S
            try:
                for name, one in subscribers.all().items():
                    queues.ensure(name, one.types)
            except Unavailable as error:
                _LOG.warning("subscriber_queues_unkept", dependency=error.dependency)
        clock.sleep(_SOON_S)
