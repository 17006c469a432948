# SPDX-License-Identifier: Apache-2.0
"""Dead letters as an operator deals with them: looked at, given back to their queue, taken out.

A letter stays unacknowledged while it is dealt with and goes back when the channel closes, so
whatever happens in between it is in its dead-letter queue, in the queue it was given back to, or
in both; twice is harmless, because a reactor handles each event once (ADR-0002). Nothing of a
body is ever shown but id, type and position.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker, NackError, UnroutableError

from services.common.errors import Malformed, Refused, Unavailable
from services.common.messaging import topology
from services.common.messaging.envelope import parse

LOOKED_AT_MAX: Final = 10_000
OLDEST_AMONG: Final = 100
_ANSWER_S: Final = 20
_NOT_FOUND, _REFUSED = 404, 403
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_BACK_LOOKS_MAX: Final = 50
_BACK_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What may be said of a dead letter.

    Attributes:
        id: the event's id, or ``sha256:<16 hex digits>`` of a body that is no envelope.
        event_id: None where the body is no envelope.
        position: the event's, as the message claims it.
        type: ``dossier.accepted.v1``.
        reason: the broker's word: ``rejected``, ``delivery_limit``, ``expired``, ``maxlen``.
        deaths: how often it came here.
        died_at: when it last did; None where the broker does not say.
        problem: first thing that is wrong with the envelope, "" for a good one.
    """

    id: str
    event_id: UUID | None
    position: int | None
    type: str
    reason: str
    deaths: int
    died_at: datetime | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How a queue stands.

    Attributes:
        ready: messages that wait for a consumer.
        consumers: how many take from it.
        dead: messages in its dead-letter queue.
        oldest: when the oldest of (at most 100 of) these died; None where there is none.
    """

    queue: str
    ready: int
    consumers: int
    dead: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class _Got:
    properties: pika.BasicProperties
    body: bytes
    letter: Letter


class DeadLetters:
    """Dead-letter queues of the platform, with an operator's login; each call connects anew.

    Raises:
        Unavailable: from every method: the broker does not answer.
        Refused: ``no_such_queue``, ``not_operator``.
    """

    def __init__(self, amqp_url: str) -> None:
        """Remember the login."""
        self._url = amqp_url

    def depths(self) -> list[Depth]:
        """Return how every queue of the platform stands."""
        found = []
        with self._channel() as channel:
            for queue in topology.queues():
                said = channel.queue_declare(queue.name, passive=True).method
                dead = _waiting(channel, queue)
                first = list[Letter]()
                _take(channel, queue, OLDEST_AMONG, partial(_keep, first))
                oldest = min((one.died_at for one in first if one.died_at), default=None)
                found.append(
                    Depth(
                        queue=queue.name, ready=said.message_count, consumers=said.consumer_count,
                        dead=dead, oldest=oldest,
                    )
                )  # fmt: skip
        return found

    def letters(self, queue: topology.Queue, limit: int) -> list[Letter]:
        """Return up to ``limit`` letters of ``queue``, the oldest first; all of them stay there.

        A quorum queue puts what is given back where it likes, so the order is made here.
        """
        found = list[Letter]()
        with self._channel() as channel:
            _take(channel, queue, limit, partial(_keep, found))
        return sorted(found, key=lambda one: (one.died_at or _NEVER, one.position or 0))

    def redrive(self, queue: topology.Queue, wanted: str | None, limit: int) -> list[Letter]:
        """Give letters back to ``queue``: the one with id ``wanted``, or the first ``limit``.

        Each is acknowledged only after the broker has confirmed it in its queue.

        Raises:
            Refused: ``queue_full``: the queue takes nothing; that letter and the rest stay.
        """
        done = list[Letter]()
        with self._channel() as channel:
            channel.confirm_delivery()

            def give_back(got: _Got) -> bool:
                if wanted not in {None, got.letter.id}:
                    return False
                _send(channel, queue, got)
                done.append(got.letter)
                return True

            _take(channel, queue, LOOKED_AT_MAX if wanted else limit, give_back)
        return done

    def drop(
        self, queue: topology.Queue, wanted: str, record: Callable[[Letter], None]
    ) -> list[Letter]:
        """Take the letter with id ``wanted`` out, after ``record`` has made that durable."""
        done = list[Letter]()

        def give_up(got: _Got) -> bool:
            if got.letter.id != wanted:
                return False
            record(got.letter)
            done.append(got.letter)
            return True

        with self._channel() as channel:
            _take(channel, queue, LOOKED_AT_MAX, give_up)
        return done

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        parameters = pika.URLParameters(self._url)
        parameters.heartbeat, parameters.socket_timeout = 10, 5
        parameters.blocked_connection_timeout = _ANSWER_S
        try:
            connection = pika.BlockingConnection(parameters)
            try:
                yield connection.channel()
            finally:
                # Closing gives back whatever is not acknowledged.
                with contextlib.suppress(AMQPError, OSError):
                    connection.close()
        except ChannelClosedByBroker as error:
            if error.reply_code == _NOT_FOUND:
                raise Refused("no_such_queue", error.reply_text, "không có hàng đợi này") from error
            if error.reply_code == _REFUSED:
                raise Refused(
                    "not_operator", "this login may not do that at the broker",
                    "tài khoản này không được làm việc đó trên máy chủ hàng đợi",
                ) from error  # fmt: skip
            raise Unavailable("rabbitmq", error.reply_text) from error
        except (AMQPError, OSError) as error:
            raise Unavailable("rabbitmq", type(error).__name__) from error


def _take(
    channel: BlockingChannel, queue: topology.Queue, limit: int, act: Callable[[_Got], bool]
) -> None:
    """Take up to ``limit`` letters one by one; ``act`` says of each whether it may go.

    The others are back in their places when this returns or raises.
    """
    left = _waiting(channel, queue)
    kept = 0
    try:
        for _ in range(min(limit, left)):
            method, properties, body = channel.basic_get(queue.dead_letter_queue)
            if method is None:
                break
            kept += 1
            if act(_Got(properties, body, _letter(properties, body))):
                channel.basic_ack(method.delivery_tag)
                kept, left = kept - 1, left - 1
    finally:
        if kept and channel.is_open:
            _give_back(channel, queue, left)


def _give_back(channel: BlockingChannel, queue: topology.Queue, expected: int) -> None:
    channel.basic_nack(0, multiple=True, requeue=True)
    for _ in range(_BACK_LOOKS_MAX):
        if _waiting(channel, queue) >= expected:
            return
        channel.connection.sleep(_BACK_LOOK_S)


def _waiting(channel: BlockingChannel, queue: topology.Queue) -> int:
    said = channel.queue_declare(queue.dead_letter_queue, passive=True)
    return int(said.method.message_count)


def _keep(found: list[Letter], got: _Got) -> bool:
    found.append(got.letter)
    return False


def _send(channel: BlockingChannel, queue: topology.Queue, got: _Got) -> None:
    kept = got.properties
    properties = pika.BasicProperties(
        content_type=kept.content_type, message_id=kept.message_id, type=kept.type,
        timestamp=kept.timestamp, delivery_mode=2,
    )  # fmt: skip
    try:
        channel.basic_publish("", queue.name, got.body, properties, mandatory=True)
    except (NackError, UnroutableError) as error:
        raise Refused(
            "queue_full", f"{queue.name} does not take it; it stays where it is",
            f"hàng đợi {queue.name} không nhận, thư vẫn ở chỗ cũ",
        ) from error  # fmt: skip


def _letter(properties: pika.BasicProperties, body: bytes) -> Letter:
    deaths: list[dict[str, Any]] = (properties.headers or {}).get("x-death") or [{}]
    died_at = deaths[0].get("time")
    if isinstance(died_at, datetime) and died_at.tzinfo is None:
        died_at = died_at.replace(tzinfo=UTC)
    event_id, position, kind, problem = None, None, "", ""
    try:
        envelope = parse(body, properties.content_type)
    except Malformed as error:
        problem = f"{error.problems[0].field} {error.problems[0].en}"
    else:
        event_id, position = envelope.event_id, envelope.position
        kind = f"{envelope.type}.v{envelope.schema}"
    return Letter(
        id=str(event_id or f"sha256:{hashlib.sha256(body).hexdigest()[:16]}"),
        event_id=event_id,
        position=position,
        type=kind,
        reason=str(deaths[0].get("reason", "unknown")),
        deaths=sum(int(one.get("count", 0)) for one in deaths),
        died_at=died_at if isinstance(died_at, datetime) else None,
        problem=problem,
    )
