# SPDX-License-Identifier: Apache-2.0
"""Publishes each newest checkpoint to the broker, beside the sealer.

Whoever binds a queue to ``motcua.checkpoints`` keeps tree heads where nobody of the operator's can
write. A message is the signed note as it is. After an outage the newest one is published, which
covers those before it; at each start it comes once more. A broker that is down stops nothing.
"""

import random
import threading
from typing import Any, Final

import pika
import psycopg
from pika.exceptions import AMQPError

from services.common.audit.cosigning import alone
from services.common.messaging import topology
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

EVERY_S: Final = 0.5
PAUSE_FIRST_S: Final = 1.0
PAUSE_LAST_S: Final = 30.0
CONTENT_TYPE: Final = "text/plain; charset=utf-8"
TYPE: Final = "c2sp.org/tlog-checkpoint"
_SESSION: Final = "-c statement_timeout=30000 -c application_name=announcing"
_NEWEST: Final = (
    "SELECT size, note FROM eventlog.checkpoint WHERE log_id = %s AND size > %s"
    " ORDER BY size DESC LIMIT 1"
)
_LOG = get_logger(__name__)


def start_announcing(
    database_url: str, amqp_url: str, log_id: int, stopping: threading.Event
) -> threading.Thread:
    """Start the thread; it ends soon after ``stopping``."""
    thread = threading.Thread(
        target=_run, args=(database_url, amqp_url, log_id, stopping), name="announcing", daemon=True
    )
    thread.start()
    return thread


def _run(database_url: str, amqp_url: str, log_id: int, stopping: threading.Event) -> None:
    pause_s = PAUSE_FIRST_S
    while not stopping.is_set():
        try:
            with psycopg.connect(
                database_url, autocommit=True, connect_timeout=5, options=_SESSION,
                keepalives_idle=5, keepalives_interval=2, keepalives_count=3,
            ) as connection:  # fmt: skip
                if alone(connection, f"motcua/announcing/{log_id}"):
                    _announce(connection, amqp_url, log_id, stopping)
                pause_s = PAUSE_FIRST_S
        except (psycopg.Error, AMQPError, OSError) as error:
            _LOG.warning("announcing_interrupted", error=type(error).__name__)
            pause_s = min(PAUSE_LAST_S, pause_s * 2)
        stopping.wait(random.uniform(pause_s / 2, pause_s))  # noqa: S311


def _announce(
    connection: psycopg.Connection[Any], amqp_url: str, log_id: int, stopping: threading.Event
) -> None:
    parameters = pika.URLParameters(amqp_url)
    parameters.heartbeat, parameters.socket_timeout = 10, 5
    parameters.blocked_connection_timeout = 30
    broker = pika.BlockingConnection(parameters)
    try:
        channel = broker.channel()
        topology.ensure_checkpoints(channel)
        channel.confirm_delivery()
        told = 0
        while not stopping.is_set():
            row = connection.execute(_NEWEST, (log_id, told)).fetchone()
            if row is not None:
                told, note = int(row[0]), str(row[1])
                origin = note.partition("\n")[0]
                properties = pika.BasicProperties(
                    content_type=CONTENT_TYPE, type=TYPE, delivery_mode=2,
                    message_id=f"{origin}/{told}",
                )  # fmt: skip
                channel.basic_publish(topology.CHECKPOINTS, origin, note.encode(), properties)
                metrics.checkpoints_published_total.inc()
            broker.process_data_events(time_limit=EVERY_S)
    finally:
        if broker.is_open:
            broker.close()
