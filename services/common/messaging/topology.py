# SPDX-License-Identifier: Apache-2.0
"""The one truth about exchanges, queues and bindings; ``definitions.json`` is generated from it.

Consumers hold the topology to this table at start and every 60 s, so a deleted queue or binding
comes back by itself. What was lost with it comes from the log, through the sweeper (ADR-0002).
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pika.adapters.blocking_connection import BlockingChannel

VHOST: Final = "motcua"
EVENTS: Final = "motcua.events"
UNROUTED: Final = "motcua.unrouted"
DEAD: Final = "motcua.dead"
CHECKPOINTS: Final = "motcua.checkpoints"
DELIVERY_LIMIT: Final = 20
QUEUE_LENGTH_MAX: Final = 1_000_000
UNROUTED_LENGTH_MAX: Final = 100_000
SUBSCRIBER_BYTES_MAX: Final = 1_000_000_000
SUBSCRIBER_DEAD_MAX: Final = 10_000
SUBSCRIBER: Final = "subscriber."
"""Queues and logins of systems outside are named ``subscriber.<name>``."""

_ONE_STOP: Final = (
    "dossier.accepted", "dossier.refused", "dossier.supplement_requested",
    "dossier.supplement_received", "dossier.processing_started", "dossier.fee_due",
    "dossier.fee_cleared", "dossier.withdrawn", "dossier.stopped", "dossier.completed",
    "dossier.returned", "dossier.return_reversed", "dossier.rescheduled",
)  # fmt: skip
BINDINGS: Final[dict[str, tuple[str, ...]]] = {
    "intake.reactions": (
        "kiosk.dossier_deposited", "kiosk.result_loaded", "kiosk.result_released",
        "kiosk.result_recalled", "kiosk.custody_unknown", "kiosk.bin_emptied",
        "dossier.return_reversed", "dossier.completed", "payment.settled",
    ),
    # One for each generation: a system that is down holds up only its own offices.
    "intake.one_stop": _ONE_STOP,
    "intake.one_stop_2026": _ONE_STOP,
    "payment.reactions": (
        "dossier.registered", "dossier.fee_due", "dossier.refused", "dossier.withdrawn",
        "dossier.stopped", "kiosk.cash_note_credited", "kiosk.cash_note_unplaced",
        "kiosk.cash_closed", "payment.bank_credit_received",
    ),
    "payment.receipts": ("payment.settled",),
    "notify.reactions": (
        "dossier.accepted", "dossier.refused", "dossier.supplement_requested",
        "dossier.supplement_received", "dossier.fee_due", "dossier.rescheduled",
        "dossier.completed", "dossier.recalled", "dossier.withdrawn", "dossier.stopped",
        "dossier.notice_repeated", "payment.closed", "kiosk.grant_stored",
    ),
    "notify.sending": ("notification.requested",),
    "kiosk_sync.reactions": (
        "payment.requested", "payment.duty_requested", "payment.settled", "payment.closed",
        "dossier.ready",
    ),
}  # fmt: skip
"""Event types by queue; a queue has the name of its reactor."""

Arguments = dict[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One reactor's queue with its dead-letter queue.

    Attributes:
        name: the reactor's name.
        types: event types bound to it, every schema of each.
    """

    name: str
    types: tuple[str, ...]

    @property
    def dead_letter_queue(self) -> str:
        """``<queue>.dlq``: kept until somebody looks."""
        return f"{self.name}.dlq"

    @property
    def arguments(self) -> Arguments:
        """Arguments of the queue itself; a queue cannot change them later."""
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD,
            "x-dead-letter-routing-key": self.dead_letter_queue,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-max-length": QUEUE_LENGTH_MAX,
        }

    @property
    def routing_keys(self) -> tuple[str, ...]:
        """``dossier.accepted.*``: a new schema of a type reaches the same queue."""
        return tuple(f"{name}.*" for name in self.types)

    @property
    def dead_letter_arguments(self) -> Arguments:
        """Arguments of its dead-letter queue."""
        return dead_letter_arguments()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberQueue(Queue):
    """Queue of a system outside; a full one loses its oldest, never the relay's time.

    What it loses is in the log and comes through the feed (ADR-0018). ``reject-publish`` would let
    one subscriber that is away stop the relay for everybody.
    """

    @property
    def arguments(self) -> Arguments:
        """Arguments of the queue itself."""
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD,
            "x-dead-letter-routing-key": self.dead_letter_queue,
            "x-overflow": "drop-head",
            "x-max-length": QUEUE_LENGTH_MAX,
            "x-max-length-bytes": SUBSCRIBER_BYTES_MAX,
        }

    @property
    def dead_letter_arguments(self) -> Arguments:
        """Arguments of its dead-letter queue, which keeps the newest."""
        return {
            "x-queue-type": "quorum",
            "x-overflow": "drop-head",
            "x-max-length": SUBSCRIBER_DEAD_MAX,
        }


def subscriber_queue(name: str, types: Iterable[str]) -> SubscriberQueue:
    """Return the queue of subscriber ``name``; its login has the same name."""
    return SubscriberQueue(name=SUBSCRIBER + name, types=tuple(types))


def subscriber_permissions(queue: Queue) -> dict[str, str]:
    """Return what a subscriber's login may do: read its own queue."""
    return {"configure": "^$", "write": "^$", "read": _pattern(queue.name)}


def dead_letter_arguments() -> Arguments:
    """Return the arguments of every ``*.dlq``."""
    return {
        "x-queue-type": "quorum", "x-overflow": "reject-publish", "x-max-length": QUEUE_LENGTH_MAX,
    }  # fmt: skip


def queues() -> tuple[Queue, ...]:
    """Return every reactor queue of the platform."""
    return tuple(Queue(name=name, types=types) for name, types in BINDINGS.items())


def operator_permissions() -> dict[str, str]:
    """Return what an operator's login may do: take dead letters, publish to queues by name.

    Whatever it publishes is checked against the log by whoever gets it.
    """
    dead = (queue.dead_letter_queue for queue in queues())
    return {"configure": "^$", "write": _pattern("amq.default"), "read": _pattern(*dead)}


def permissions(service: str) -> dict[str, str]:
    """Return what the broker login of ``relay`` or of a service may do, as RabbitMQ takes it.

    Only the relay publishes events, only the sealer checkpoints. A service owns the queues that
    bear its name: it declares, binds and reads them, and what it cannot handle goes to its
    dead-letter queues, which it cannot read. A login without queues may do nothing.
    """
    if service == "relay":
        return {
            "configure": _pattern(EVENTS, UNROUTED, DEAD),
            "write": _pattern(EVENTS, UNROUTED),
            "read": _pattern(EVENTS, UNROUTED),
        }
    if service == "sealer":
        checkpoints = _pattern(CHECKPOINTS)
        return {"configure": checkpoints, "write": checkpoints, "read": "^$"}
    own = [queue for queue in queues() if queue.name.partition(".")[0] == service]
    if not own:
        return dict.fromkeys(("configure", "write", "read"), "^$")
    names = [name for queue in own for name in (queue.name, queue.dead_letter_queue)]
    # Notify owns subscribers: it makes, binds and removes their queues. Who declares a queue with a
    # dead-letter exchange must be able to read it; their dead letters it cannot read.
    guests = (_SUBSCRIBERS + r"(\.dlq)?",) if service == "notify" else ()
    return {
        "configure": _pattern(*names, more=guests),
        "write": _pattern(*names, DEAD, more=guests),
        "read": _pattern(
            *(queue.name for queue in own), EVENTS, DEAD,
            more=(_SUBSCRIBERS,) if service == "notify" else (),
        ),
    }  # fmt: skip


_SUBSCRIBERS: Final = re.escape(SUBSCRIBER) + r"[a-z0-9-]+"


def _pattern(*names: str, more: tuple[str, ...] = ()) -> str:
    return f"^({'|'.join((*(re.escape(name) for name in names), *more))})$"


def ensure_exchanges(channel: BlockingChannel) -> None:
    """Declare the exchanges and the queue of unrouted events; changes nothing that is right.

    Only the relay may; it does so whenever it connects and every 60 s.
    """
    channel.exchange_declare(UNROUTED, "fanout", durable=True)
    channel.exchange_declare(
        EVENTS, "topic", durable=True, arguments={"alternate-exchange": UNROUTED}
    )
    channel.exchange_declare(DEAD, "direct", durable=True)
    channel.queue_declare(UNROUTED, durable=True, arguments=_unrouted_arguments())
    channel.queue_bind(UNROUTED, UNROUTED, "")


def ensure_checkpoints(channel: BlockingChannel) -> None:
    """Declare the exchange of signed checkpoints; the sealer does so whenever it connects."""
    channel.exchange_declare(CHECKPOINTS, "fanout", durable=True)


def ensure_queue(channel: BlockingChannel, queue: Queue) -> None:
    """Declare ``queue``, its dead-letter queue and all bindings; repairs what was deleted.

    The exchanges must exist: they are the relay's.
    """
    channel.queue_declare(
        queue.dead_letter_queue, durable=True, arguments=queue.dead_letter_arguments
    )
    channel.queue_bind(queue.dead_letter_queue, DEAD, queue.dead_letter_queue)
    channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
    for key in queue.routing_keys:
        channel.queue_bind(queue.name, EVENTS, key)


def remove_queue(channel: BlockingChannel, queue: Queue) -> None:
    """Delete ``queue`` and its dead-letter queue with what is in them; nothing if it is gone."""
    channel.queue_delete(queue.name)
    channel.queue_delete(queue.dead_letter_queue)


def definitions() -> dict[str, object]:
    """Return what RabbitMQ's ``load_definitions`` takes; no users, no permissions."""
    wanted: list[dict[str, object]] = [_queue(UNROUTED, _unrouted_arguments())]
    bound: list[dict[str, object]] = [_binding(UNROUTED, UNROUTED, "")]
    for queue in queues():
        wanted.append(_queue(queue.dead_letter_queue, dead_letter_arguments()))
        wanted.append(_queue(queue.name, queue.arguments))
        bound.append(_binding(DEAD, queue.dead_letter_queue, queue.dead_letter_queue))
        bound.extend(_binding(EVENTS, queue.name, key) for key in queue.routing_keys)
    return {
        "vhosts": [{"name": VHOST}],
        "exchanges": [
            _exchange(UNROUTED, "fanout", {}),
            _exchange(EVENTS, "topic", {"alternate-exchange": UNROUTED}),
            _exchange(DEAD, "direct", {}),
            _exchange(CHECKPOINTS, "fanout", {}),
        ],
        "queues": wanted,
        "bindings": bound,
    }


def definitions_text() -> str:
    """Return the exact text of ``infra/rabbitmq/definitions.json``."""
    return json.dumps(definitions(), indent=2) + "\n"


def _unrouted_arguments() -> Arguments:
    return {
        "x-queue-type": "quorum",
        "x-overflow": "drop-head",
        "x-max-length": UNROUTED_LENGTH_MAX,
    }


def _exchange(name: str, kind: str, arguments: Arguments) -> dict[str, object]:
    return {
        "name": name, "vhost": VHOST, "type": kind, "durable": True, "auto_delete": False,
        "internal": False, "arguments": arguments,
    }  # fmt: skip


def _queue(name: str, arguments: Arguments) -> dict[str, object]:
    return {
        "name": name, "vhost": VHOST, "durable": True, "auto_delete": False,
        "arguments": arguments,
    }  # fmt: skip


def _binding(source: str, queue: str, key: str) -> dict[str, object]:
    return {
        "source": source, "vhost": VHOST, "destination": queue, "destination_type": "queue",
        "routing_key": key, "arguments": {},
    }  # fmt: skip
