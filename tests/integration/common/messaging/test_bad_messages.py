# SPDX-License-Identifier: Apache-2.0
"""Bad input at every queue: kept in its dead-letter queue, named, counted, without any effect."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.common.eventlog.postgres import PostgresLog
from services.common.messaging import topology
from services.common.messaging.consumer import Consumer
from services.common.messaging.envelope import BODY_BYTES_MAX, CONTENT_TYPE, encode, wire_name
from services.common.telemetry import metrics
from tests.support.broker import Broker
from tests.support.database import Database
from tests.support.reactors import ECHO, Echo, effects, expected, register
from tests.support.waiting import wait_until

JSON = "application/json"
Message = dict[str, Any]


def without(name: str) -> Callable[[Message], object]:
    return lambda message: message.pop(name)


def having(**values: object) -> Callable[[Message], object]:
    return lambda message: message.update(values)


WRONG: dict[str, Callable[[Message], object]] = {
    **{
        f"{name} missing": without(name)
        for name in ("specversion", "id", "source", "type", "time", "datacontenttype", "sequence",
                     "correlationid", "data")
    },
    **{
        f"{name} no text": having(**{name: 7})
        for name in ("specversion", "id", "source", "type", "time", "datacontenttype", "sequence",
                     "correlationid", "subject", "causationid", "traceparent")
    },
    "data no object": having(data=[1]),
    "unknown field": having(extra="x"),
    "other specversion": having(specversion="0.3"),
    "id no UUID": having(id="1"),
    "source of nobody": having(source="/elsewhere/93"),
    "type of nobody": having(type="vn.elsewhere.dossier.registered.v1"),
    "type without schema": having(type="vn.motcua247.dossier.registered"),
    "sequence short": having(sequence="1"),
    "sequence zero": having(sequence="0" * 20),
    "sequence too large": having(sequence="9" * 20),
    "sequence negative": having(sequence="-" + "0" * 18 + "1"),
}  # fmt: skip
FORGED: dict[str, Callable[[Message], object]] = {
    "position that does not exist": having(sequence=f"{10**9:020d}"),
    "id of another event": having(id="01890000-0000-7000-8000-000000000000"),
    "another log": having(source="/motcua/94"),
    "type that the log does not say": having(type="vn.motcua247.dossier.accepted.v1"),
    "unknown type": having(type="vn.motcua247.dossier.invented.v1"),
    "schema that the log does not say": having(type="vn.motcua247.dossier.registered.v2"),
}
BYTES: dict[str, tuple[bytes, str | None]] = {
    "empty": (b"", CONTENT_TYPE),
    "no JSON": (b"{'id': 1}", CONTENT_TYPE),
    "half a JSON": (b'{"id": "', CONTENT_TYPE),
    "binary": (bytes(range(256)) * 8, CONTENT_TYPE),
    "UTF-16": ("{}".encode("utf-16"), CONTENT_TYPE),
    "a list": (b"[]", CONTENT_TYPE),
    "a number": (b"1", CONTENT_TYPE),
    "nested too deep": (b"[" * 100_000 + b"]" * 100_000, CONTENT_TYPE),
    "oversized": (b'{"id":"' + b"x" * BODY_BYTES_MAX + b'"}', CONTENT_TYPE),
}


@pytest.fixture(scope="module")
def log(database: Database) -> Iterator[PostgresLog]:
    log = database.log()
    yield log
    log.close()


@pytest.fixture
def own(database: Database) -> Iterator[PostgresLog]:
    """The log as the reactor's service sees it."""
    log = database.log("motcua_payment")
    yield log
    log.close()


def counted(reason: str) -> float:
    """Return how many messages this process gave to the echo's dead-letter queue."""
    value = metrics.REGISTRY.get_sample_value(
        "dlq_rejected_total", {"reactor": ECHO.name, "reason": reason}
    )
    return value or 0.0


def test_malformed_messages(log: PostgresLog, own: PostgresLog, broker: Broker) -> None:
    """Each malformed message is dead, named and counted; the good ones between them are handled."""
    broker.declare(ECHO.name)
    bad: list[tuple[bytes, str | None]] = list(BYTES.values())
    good = register(log, 3)
    whole = json.loads(encode(good[0]))
    for spoil in WRONG.values():
        message = {**whole, "subject": "s"}
        spoil(message)
        bad.append((json.dumps(message).encode(), CONTENT_TYPE))
    bad += [(encode(good[0]), kind) for kind in (None, JSON, f"{CONTENT_TYPE}; charset=utf-8")]
    before, head = counted("malformed"), log.head()
    half = len(bad) // 2
    publish(broker, encode(good[0]))
    for body, kind in bad[:half]:
        publish(broker, body, kind)
    publish(broker, encode(good[1]))
    for body, kind in bad[half:]:
        publish(broker, body, kind)
    publish(broker, encode(good[2]))
    with capture_logs() as lines, Echo(own).consuming(broker.url):
        wait_until(lambda: len(effects(log)) >= 3, what="the good ones handled")
        wait_until(lambda: broker.depth(ECHO.dead_letter_queue) == len(bad), what="all bad dead")
    assert counted("malformed") - before == len(bad)
    named = [line for line in lines if line["event"] == "message_malformed"]
    assert len(named) == len(bad)
    assert all(line["problems"] and line["queue"] == ECHO.name for line in named)
    assert effects(log) == expected(good)
    assert log.head() == head + 3
    kept = broker.take(ECHO.dead_letter_queue)
    assert sorted(kept) == sorted(body for body, _ in bad)
    assert broker.depth(ECHO.name) == 0


@pytest.mark.parametrize("name", FORGED)
def test_forged_messages(log: PostgresLog, own: PostgresLog, broker: Broker, name: str) -> None:
    """A well-formed claim that the log does not confirm is dead and changes nothing."""
    broker.declare(ECHO.name)
    target, good = register(log, 2)
    message = json.loads(encode(target))
    FORGED[name](message)
    before, head = counted("forged"), log.head()
    publish(broker, json.dumps(message).encode())
    publish(broker, encode(good))
    with capture_logs() as lines, Echo(own).consuming(broker.url):
        wait_until(lambda: effects(log)[str(good.event_id)] == 1, what="the good one handled")
        wait_until(lambda: broker.depth(ECHO.dead_letter_queue) == 1, what="the forged one dead")
    assert counted("forged") - before == 1
    (line,) = [line for line in lines if line["event"] == "message_without_event"]
    assert line["differs"]
    assert log.head() == head + 1
    assert str(target.event_id) not in effects(log)


@pytest.mark.parametrize("queue", topology.queues(), ids=lambda queue: queue.name)
def test_every_queue_keeps_what_is_malformed(
    own: PostgresLog, broker: Broker, queue: topology.Queue
) -> None:
    """Each queue of the platform has a dead-letter queue that keeps the very bytes."""
    broker.declare(queue.name)
    publish(broker, b"\x00\xff", queue=queue.name)
    echo = Echo(own)
    consumer = Consumer(queue, echo.submit, echo.clock, amqp_url=broker.url)
    with echo.running(consumer):
        wait_until(lambda: broker.depth(queue.dead_letter_queue) == 1, what="it is kept")
    assert broker.take(queue.dead_letter_queue) == [b"\x00\xff"]


def test_what_the_service_does_not_know_is_acknowledged(
    log: PostgresLog, own: PostgresLog, broker: Broker
) -> None:
    """A true event of a type without a handler is no error and leaves no trace."""
    broker.declare(ECHO.name)
    other = register(log, 1, kind="dossier.accepted")[0]
    broker.publish(topology.EVENTS, "dossier.registered.v1", encode(other))
    (good,) = register(log)
    publish(broker, encode(good))
    assert wire_name(other) == "dossier.accepted.v1"
    with Echo(own).consuming(broker.url):
        wait_until(lambda: effects(log)[str(good.event_id)] == 1, what="the good one handled")
    assert (broker.depth(ECHO.name), broker.depth(ECHO.dead_letter_queue)) == (0, 0)


def publish(
    broker: Broker, body: bytes, kind: str | None = CONTENT_TYPE, *, queue: str = ECHO.name
) -> None:
    """Put ``body`` straight into the queue."""
    broker.publish("", queue, body, content_type=kind)
