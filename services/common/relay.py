# SPDX-License-Identifier: Apache-2.0
"""The relay: publishes the log to RabbitMQ in log order; ``python -m services.common.relay``.

One of any number of replicas leads, by a session advisory lock. The lead's connection also holds
the checkpoint, so losing the lead and losing the right to move the checkpoint are one event. The
checkpoint is the highest position with every position below it confirmed: after a crash some
events are published twice, none is skipped (ADR-0002).
"""

import contextlib
import os
import random
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Final, cast

import pika
import psycopg
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel
from pika.exceptions import AMQPError

from services.common.clock import SystemClock, from_micros
from services.common.config import ConfigError, Settings
from services.common.eventlog.record import RecordedEvent
from services.common.messaging import topology
from services.common.messaging.confirms import Window
from services.common.messaging.envelope import CONTENT_TYPE, TYPE_PREFIX, encode, wire_name
from services.common.runtime import log_format
from services.common.telemetry import metrics
from services.common.telemetry.health import Health, HealthServer
from services.common.telemetry.logs import configure_logs, get_logger

UNCONFIRMED_MAX: Final = 1000
POLL_S: Final = 1.0
PAUSE_FIRST_S: Final = 0.1
PAUSE_LAST_S: Final = 30.0
DRAIN_S: Final = 10.0
_LOCK_CLASS: Final = 0x4D43524C  # "MCRL"
_COLUMNS: Final = (
    "log_id, pos, event_id, stream, version, type, schema, subject, occurred_at, recorded_at,"
    " data, meta, content_hash, leaf_hash"
)
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """Settings of the relay; its database login is ``motcua_relay``."""

    log_id: int
    database_url: str
    amqp_url: str
    metrics_port: int
    log_format: str | None


def read_config(settings: Settings) -> RelayConfig:
    """Return the config; raises ConfigError with everything that is missing or wrong."""
    config = RelayConfig(
        log_id=settings.whole("MOTCUA_LOG_ID", low=1),
        database_url=settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres")),
        amqp_url=settings.url("MOTCUA_AMQP_URL", ("amqp", "amqps")),
        metrics_port=settings.whole("MOTCUA_METRICS_PORT", high=65_535),
        log_format=log_format(settings),
    )
    settings.finish()
    return config


class Lead:
    """The lead over one log: lock, checkpoint and reads on one PostgreSQL connection."""

    def __init__(self, connection: psycopg.Connection, log_id: int) -> None:
        """Use an autocommit ``connection`` that nobody else uses."""
        self._connection = connection
        self._log_id = log_id

    def take(self) -> bool:
        """Try to become the lead."""
        row = self._connection.execute(
            "select pg_try_advisory_lock(%s, %s)", (_LOCK_CLASS, self._log_id)
        ).fetchone()
        return row is not None and bool(row[0])

    def checkpoint(self) -> int:
        """Return the highest position with all below confirmed."""
        row = self._connection.execute(
            "select pos from eventlog.relay where log_id = %s", (self._log_id,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def move(self, position: int) -> None:
        """Store the checkpoint; it never falls."""
        self._connection.execute(
            "insert into eventlog.relay as r (log_id, pos) values (%s, %s) on conflict (log_id)"
            " do update set pos = excluded.pos where r.pos < excluded.pos",
            (self._log_id, position),
        )

    def read(self, after: int, limit: int) -> list[RecordedEvent]:
        """Return the next events in position order."""
        rows = self._connection.execute(
            f"select {_COLUMNS} from eventlog.event"  # noqa: S608 - constant columns
            " where log_id = %s and pos > %s order by pos limit %s",
            (self._log_id, after, limit),
            binary=True,
        ).fetchall()
        return [_event(row) for row in rows]

    def head(self) -> int:
        """Return the highest position of the log."""
        row = self._connection.execute(
            "select pos from eventlog.log_head where log_id = %s", (self._log_id,)
        ).fetchone()
        return 0 if row is None else int(row[0])


class Publisher:
    """Feeds one broker connection; everything happens in its I/O loop."""

    def __init__(self, lead: Lead, amqp_url: str, stopping: threading.Event) -> None:
        """Bind; ``run`` connects."""
        self._lead = lead
        self._url = amqp_url
        self._stopping = stopping
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None
        self._window: Window | None = None
        self._blocked = False
        self._failure: Exception | None = None
        self._stop_at_s: float | None = None
        self._caught_up = True
        self.published = False

    def run(self) -> None:
        """Publish until stopping or until something fails.

        Raises:
            AMQPError, psycopg.Error: the connection that failed.
        """
        parameters = pika.URLParameters(self._url)
        parameters.heartbeat = 10
        parameters.socket_timeout = 5
        self._connection = SelectConnection(
            parameters,
            on_open_callback=self._opened,
            on_open_error_callback=lambda _c, error: self._fail(_error(error)),
            on_close_callback=lambda _c, error: self._fail(_error(error)),
        )
        try:
            self._connection.ioloop.start()
        finally:
            with contextlib.suppress(Exception):
                self._connection.ioloop.close()
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: Exception) -> None:
        if self._failure is None and not self._stopping.is_set():
            self._failure = error
        assert self._connection is not None
        self._connection.ioloop.stop()

    def _opened(self, connection: SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(lambda *_: self._block(blocked=True))
        connection.add_on_connection_unblocked_callback(lambda *_: self._block(blocked=False))
        connection.channel(on_open_callback=self._channel_opened)

    def _block(self, *, blocked: bool) -> None:
        self._blocked = blocked
        _LOG.warning("broker_alarm", blocked=blocked)

    def _channel_opened(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _ch, error: self._fail(_error(error)))
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: self._tick())

    def _confirmed(self, frame: pika.frame.Method) -> None:
        assert self._window is not None
        method = frame.method
        good = isinstance(method, pika.spec.Basic.Ack)
        count = self._window.answer(method.delivery_tag, multiple=method.multiple, good=good)
        metrics.relay_published_total.labels("confirmed" if good else "refused").inc(count)
        self.published = self.published or good
        if not good:
            # From the checkpoint again, so that what is behind the refused one keeps its order.
            self._fail(AMQPError("the broker refused a publish"))

    def _tick(self) -> None:
        try:
            busy = self._step()
        except (psycopg.Error, AMQPError) as error:
            self._fail(error)
            return
        assert self._connection is not None
        if self._stop_at_s is not None and self._drained():
            self._connection.close()
            return
        self._connection.ioloop.call_later(0.002 if busy else 0.02, self._tick)

    def _drained(self) -> bool:
        assert self._window is not None
        assert self._stop_at_s is not None
        return not self._window.unconfirmed or _CLOCK.monotonic_s() >= self._stop_at_s

    def _step(self) -> bool:
        window = self._window
        if window is None:
            window = self._window = Window(self._lead.checkpoint())
        if window.settled > window.stored:
            self._lead.move(window.settled)
            window.stored = window.settled
        if self._stopping.is_set():
            self._stop_at_s = self._stop_at_s or _CLOCK.monotonic_s() + DRAIN_S
            return True
        room = UNCONFIRMED_MAX - window.unconfirmed
        if self._blocked or room < UNCONFIRMED_MAX // 4:
            return True
        events = self._lead.read(window.sent, room)
        for event in events:
            self._publish(event, window)
        self._measure(window, events)
        return bool(events) or window.unconfirmed > 0

    def _publish(self, event: RecordedEvent, window: Window) -> None:
        assert self._channel is not None
        properties = pika.BasicProperties(
            content_type=CONTENT_TYPE,
            delivery_mode=2,
            message_id=str(event.event_id),
            type=TYPE_PREFIX + wire_name(event),
        )
        window.send(event.position)
        self._channel.basic_publish(topology.EVENTS, wire_name(event), encode(event), properties)

    def _measure(self, window: Window, events: list[RecordedEvent]) -> None:
        metrics.relay_lag_events.set(max(0, self._lead.head() - window.settled) if events
                                     else window.unconfirmed)  # fmt: skip
        age = (
            (_CLOCK.now() - from_micros(events[0].recorded_at_us)).total_seconds() if events else 0
        )
        metrics.relay_lag_seconds.set(max(0.0, age))


_CLOCK: Final = SystemClock()


def run(config: RelayConfig, stopping: threading.Event, health: Health) -> None:
    """Lead whenever possible until ``stopping``; reconnects with jittered back-off."""
    pause_s = PAUSE_FIRST_S
    while not stopping.is_set():
        health.beat()
        publisher = None
        try:
            with psycopg.connect(
                config.database_url, autocommit=True, connect_timeout=5,
                options="-c statement_timeout=30000",
                keepalives_idle=5, keepalives_interval=2, keepalives_count=3,
                tcp_user_timeout=10_000,
            ) as connection:  # fmt: skip
                lead = Lead(connection, config.log_id)
                while not lead.take():
                    if stopping.wait(POLL_S):
                        return
                metrics.relay_leader.set(1)
                _prepare(config.amqp_url)
                publisher = Publisher(lead, config.amqp_url, stopping)
                publisher.run()
        except (psycopg.Error, AMQPError, OSError) as error:
            _LOG.warning("relay_interrupted", error=type(error).__name__)
        finally:
            metrics.relay_leader.set(0)
        if publisher is not None and publisher.published:
            pause_s = PAUSE_FIRST_S
        stopping.wait(random.uniform(pause_s / 2, pause_s))  # noqa: S311
        pause_s = min(PAUSE_LAST_S, pause_s * 2)


def _prepare(amqp_url: str) -> None:
    parameters = pika.URLParameters(amqp_url)
    parameters.socket_timeout = 5
    connection = pika.BlockingConnection(parameters)
    try:
        topology.ensure_exchanges(connection.channel())
    finally:
        connection.close()


def _error(error: object) -> Exception:
    return error if isinstance(error, Exception) else AMQPError(str(error))


def _event(row: tuple[object, ...]) -> RecordedEvent:
    names = (
        "log_id", "position", "event_id", "stream", "version", "type", "schema", "subject",
        "occurred_at_us", "recorded_at_us", "raw_data", "raw_meta", "content_hash", "leaf_hash",
    )  # fmt: skip
    return RecordedEvent(**cast("dict[str, object]", dict(zip(names, row, strict=True))))  # type: ignore[arg-type]


def main() -> int:
    """Run the relay until SIGTERM; returns the exit code."""
    try:
        config = read_config(Settings(os.environ))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs("relay", config.log_format)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    health = Health()
    server = HealthServer(health, config.metrics_port)
    server.start()
    beating = threading.Thread(target=_beat, args=(health, stopping), daemon=True)
    beating.start()
    try:
        run(config, stopping, health)
    finally:
        server.stop()
    return 0


def _beat(health: Health, stopping: threading.Event) -> None:
    while not stopping.wait(0.5):
        health.beat()


if __name__ == "__main__":
    sys.exit(main())
