# SPDX-License-Identifier: Apache-2.0
"""How full subscribers' queues are, asked with a login that may do nothing at the broker.

A passive declaration needs no right and touches no message.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from services.common.errors import Unavailable
from services.common.messaging import topology
from services.notify.application.ports import Depth

TIMEOUT_S: Final = 5


class BrokerDepths:
    """See ``Depths``; every call connects anew."""

    def __init__(self, amqp_url: str) -> None:
        """Remember the login."""
        self._url = amqp_url

    def depths(self, names: Sequence[str]) -> Mapping[str, Depth]:
        """See ``Depths.depths``."""
        parameters = pika.URLParameters(self._url)
        parameters.socket_timeout = parameters.stack_timeout = TIMEOUT_S
        parameters.blocked_connection_timeout = TIMEOUT_S
        try:
            connection = pika.BlockingConnection(parameters)
            try:
                found = {name: _depth(connection, name) for name in names}
            finally:
                if connection.is_open:
                    connection.close()
        except (AMQPError, OSError) as error:
            raise Unavailable("rabbitmq", type(error).__name__) from error
        return {name: depth for name, depth in found.items() if depth is not None}


def _depth(connection: pika.BlockingConnection, name: str) -> Depth | None:
    queue = topology.subscriber_queue(name, ())
    own, dead = _look(connection, queue.name), _look(connection, queue.dead_letter_queue)
    if own is None:
        return None
    return Depth(waiting=own[0], readers=own[1], dead=0 if dead is None else dead[0])


def _look(connection: pika.BlockingConnection, queue: str) -> tuple[int, int] | None:
    """Return (ready, consumers); None for no such queue, which ends the channel."""
    channel = connection.channel()
    try:
        told = channel.queue_declare(queue, passive=True).method
    except ChannelClosedByBroker as error:
        if error.reply_code == 404:  # noqa: PLR2004 - NOT_FOUND
            return None
        raise
    channel.close()
    return int(told.message_count), int(told.consumer_count)
