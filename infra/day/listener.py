# SPDX-License-Identifier: Apache-2.0
"""Somebody else's service that listens to the whole day: what it hears, and in which order."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pika
from pika.adapters.blocking_connection import BlockingChannel

from infra.audit_books import Line
from infra.local import prepare
from infra.local.settings import Stack
from services.common.messaging import topology
from services.common.messaging.envelope import parse

QUEUE: Final = "demo.listener"
_LENGTH_MAX: Final = 200_000
_UNSETTLED_MAX: Final = 500
_SILENCE_S: Final = 0.5
_PATIENCE_S: Final = 30.0


class Listener:
    """A login and a queue of its own, bound to every event before the first one is published."""

    def __init__(self, local: Stack) -> None:
        """Get the login; the queue outlives the broker's death."""
        self._url = prepare.listener(local, QUEUE)
        arguments = {
            "x-queue-type": "quorum", "x-max-length": _LENGTH_MAX, "x-overflow": "drop-head",
        }  # fmt: skip
        with self._channel() as channel:
            channel.queue_declare(QUEUE, durable=True, arguments=arguments)
            channel.queue_bind(QUEUE, topology.EVENTS, "#")

    def heard(self, head: int) -> Line:
        """Compare what arrived with the log up to ``head``; what came again counts once."""
        arrived = dict.fromkeys(place for place in self._arrivals(head) if place <= head)
        return Line(
            "events that a listener heard, in the log's order",
            list(range(1, head + 1)), list(arrived),
        )  # fmt: skip

    def _arrivals(self, head: int) -> Iterator[int]:
        """Yield positions as they arrive, until the log's head has come or patience is over."""
        deadline = time.monotonic() + _PATIENCE_S
        with self._channel() as channel:
            channel.basic_qos(prefetch_count=_UNSETTLED_MAX)
            for method, _, body in channel.consume(QUEUE, inactivity_timeout=_SILENCE_S):
                place = 0
                if method is not None:
                    channel.basic_ack(method.delivery_tag)
                    yield (place := parse(body).position)
                if place >= head or time.monotonic() > deadline:
                    break
            channel.cancel()
            channel.queue_delete(QUEUE)

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
            yield connection.channel()
