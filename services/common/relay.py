# SPDX-License-Identifier: Apache-2.0
"""The relay: publishes the log to RabbitMQ in log order; ``python -m services.common.relay``.

One of any number of replicas leads, by a session advisory lock. The lead's connection also holds
the checkpoint, so losing the lead and losing the right to move the checkpoint are one event. The
checkpoint is the highest position with every position below it confirmed: after a crash some
events are published twice, none is skipped (ADR-0002). It is stored every ``STORE_EVERY_S`` at
most: storing flushes to the disk; nothing is published meanwhile, and appends wait behind it.

Between events it sleeps: the log's notification, a confirm or the second's end wakes it. While the
broker blocks publishers (memory, disk) it reads nothing and says so. A lead that does not speak for
``IDLE_S`` loses its session and with it the lead: a frozen process and a silent network hold up
nothing for longer than that.
"""

import contextlib
import os
import random
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Final

import pika
import psycopg
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel
from pika.exceptions import AMQPError

from services.common.clock import SystemClock
from services.common.config import ConfigError, Settings
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.session import AnsweredSession
from services.common.messaging import topology
from services.common.messaging.confirms import Window
from services.common.messaging.envelope import CONTENT_TYPE, TYPE_PREFIX, encode, wire_name
from services.common.messaging.lag import Lag
from services.common.messaging.lead import Lead
from services.common.runtime import log_format
from services.common.telemetry import metrics
from services.common.telemetry.health import HEARTBEAT_EVERY_S, Health, HealthServer
from services.common.telemetry.logs import configure_logs, get_logger

UNCONFIRMED_MAX: Final = 1000
POLL_S: Final = 1.0
PAUSE_FIRST_S: Final = 0.1
PAUSE_LAST_S: Final = 10.0
DRAIN_S: Final = 10.0
SOON_S: Final = 0.002
STORE_EVERY_S: Final = 0.05
WATCH_S: Final = 0.25
ENSURE_EVERY_S: Final = 60.0
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


class Publisher:
    """Feeds one broker connection; everything happens in its I/O loop."""

    def __init__(
        self, lead: Lead, amqp_url: str, stopping: threading.Event, health: Health
    ) -> None:
        """Bind; ``run`` connects and beats the heart of ``health``."""
        self._lead = lead
        self._health = health
        self._url = amqp_url
        self._stopping = stopping
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None
        self._window: Window | None = None
        self._refused = False
        self._failure: Exception | None = None
        self._timer: object | None = None
        self._due_s = 0.0
        self._ensured_s = self._held_s = self._stored_s = 0.0
        self._stop_at_s: float | None = None
        self.open = False
        self.blocked = False
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
        loop = self._connection.ioloop
        loop.add_handler(self._lead.listen(), lambda _fd, _events: self._listen(), loop.READ)
        self._watch()
        try:
            loop.start()
        finally:
            self.open = self.blocked = False
            metrics.relay_blocked.set(0)
            # What was confirmed before the failure is not published again.
            with contextlib.suppress(psycopg.Error):
                self._store(every_s=0)
            with contextlib.suppress(Exception):
                loop.close()
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: Exception) -> None:
        if self._failure is None and not self._stopping.is_set():
            self._failure = error
        assert self._connection is not None
        self._connection.ioloop.stop()

    def _watch(self) -> None:
        # Whatever the broker does or does not answer, stopping ends in bounded time.
        assert self._connection is not None
        self._health.beat()
        if self._stopping.is_set():
            now_s = _CLOCK.monotonic_s()
            self._stop_at_s = self._stop_at_s or now_s + DRAIN_S
            if self._window is None or now_s >= self._stop_at_s:
                self._connection.ioloop.stop()
                return
            self._wake(0)
        try:
            self._hold()
        except psycopg.Error as error:
            self._fail(error)
            return
        self._connection.ioloop.call_later(WATCH_S, self._watch)

    def _hold(self) -> None:
        # The lead is lost in silence, and an alarm or a slow broker may leave nothing else to say.
        if _CLOCK.monotonic_s() - self._held_s >= POLL_S:
            self._lead.hold()
            self._held_s = _CLOCK.monotonic_s()

    def _listen(self) -> None:
        try:
            heard = self._lead.heard()
        except psycopg.Error as error:
            self._fail(error)
            return
        if heard:
            self._wake(0)

    def _opened(self, connection: SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(lambda *_: self._block(blocked=True))
        connection.add_on_connection_unblocked_callback(lambda *_: self._block(blocked=False))
        connection.channel(on_open_callback=self._channel_opened)

    def _block(self, *, blocked: bool) -> None:
        self.blocked = blocked
        metrics.relay_blocked.set(int(blocked))
        _LOG.warning("broker_alarm", blocked=blocked)
        self._wake(0)

    def _channel_opened(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _ch, error: self._fail(_error(error)))
        self._ensure()
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: self._confirming())

    def _confirming(self) -> None:
        self.open = True
        self._tick()

    def _ensure(self) -> None:
        topology.ensure_exchanges(self._channel)
        self._ensured_s = _CLOCK.monotonic_s()

    def _confirmed(self, frame: pika.frame.Method) -> None:
        assert self._window is not None
        method = frame.method
        good = isinstance(method, pika.spec.Basic.Ack)
        count = self._window.answer(method.delivery_tag, multiple=method.multiple, good=good)
        metrics.relay_published_total.labels("confirmed" if good else "refused").inc(count)
        self.published = self.published or good
        self._refused = self._refused or not good
        if self._refused and not self._window.unconfirmed:
            # From the checkpoint again, so that what is behind the refused one keeps its order;
            # but only after the last answer: refusals come first, and what was taken counts.
            self._fail(AMQPError("the broker refused a publish"))
        self._wake(SOON_S)

    def _wake(self, after_s: float) -> None:
        """Have the next step in ``after_s`` at the latest; many wishes make one step."""
        if not self.open:
            return
        assert self._connection is not None
        due_s = _CLOCK.monotonic_s() + after_s
        if self._timer is not None:
            if self._due_s <= due_s:
                return
            self._connection.ioloop.remove_timeout(self._timer)
        self._due_s = due_s
        self._timer = self._connection.ioloop.call_later(after_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            more = self._step()
        except (psycopg.Error, AMQPError) as error:
            self._fail(error)
            return
        assert self._connection is not None
        window = self._window
        if self._stop_at_s is not None and window is not None and not window.unconfirmed:
            self.open = False
            self._connection.close()
            return
        self._wake(SOON_S if more else POLL_S)

    def _step(self) -> bool:
        """Store what is settled, publish what is new; say whether there may be more at once."""
        window = self._window
        if window is None:
            window = self._window = Window(self._lead.checkpoint())
        self._store(every_s=STORE_EVERY_S)
        if _CLOCK.monotonic_s() - self._ensured_s >= ENSURE_EVERY_S:
            self._ensure()
        room = UNCONFIRMED_MAX - window.unconfirmed
        held = self._stop_at_s is not None or self.blocked or self._refused
        if held or room < UNCONFIRMED_MAX // 4:
            # A confirm, the end of the alarm or the watch wakes it.
            return False
        events = self._lead.read(window.sent, room)
        for event in events:
            self._publish(event, window)
        return len(events) == room or self._lead.heard()

    def _store(self, *, every_s: float) -> None:
        window = self._window
        if window is None or window.settled <= window.stored:
            return
        due_s = self._stored_s + every_s - _CLOCK.monotonic_s()
        if due_s > 0:
            self._wake(due_s)
            return
        self._lead.move(window.settled)
        window.stored, self._stored_s = window.settled, _CLOCK.monotonic_s()

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


_CLOCK: Final = SystemClock()


def run(config: RelayConfig, stopping: threading.Event, health: Health) -> None:
    """Lead whenever possible until ``stopping``; reconnects with jittered back-off.

    Ready is who reaches the database and, while leading, the broker, and is not held up by its
    alarm: a standby is ready too.
    """
    pause_s = PAUSE_FIRST_S
    publisher: Publisher | None = None
    connected = False
    health.register("database", lambda: connected)
    health.register("broker", lambda: publisher is None or publisher.open)
    health.register("broker_alarm", lambda: publisher is None or not publisher.blocked)
    while not stopping.is_set():
        try:
            with AnsweredSession.begin(config.database_url, "relay") as session:
                lead = Lead(session, config.log_id)
                while not lead.take():
                    connected, publisher = True, None
                    if _paused(POLL_S, stopping, health):
                        return
                connected = True
                metrics.relay_leader.set(1)
                publisher = Publisher(lead, config.amqp_url, stopping, health)
                publisher.run()
        except (psycopg.Error, AMQPError, OSError) as error:
            _LOG.warning("relay_interrupted", error=type(error).__name__)
            connected = connected and not isinstance(error, psycopg.Error)
        finally:
            metrics.relay_leader.set(0)
        if publisher is not None and publisher.published:
            pause_s, publisher.published = PAUSE_FIRST_S, False
        _paused(random.uniform(pause_s / 2, pause_s), stopping, health)  # noqa: S311
        pause_s = min(PAUSE_LAST_S, pause_s * 2)


def _paused(seconds: float, stopping: threading.Event, health: Health) -> bool:
    """Wait with a beating heart; return early, and True, when stopping."""
    until_s = _CLOCK.monotonic_s() + seconds
    while not stopping.is_set() and (left_s := until_s - _CLOCK.monotonic_s()) > 0:
        health.beat()
        stopping.wait(min(HEARTBEAT_EVERY_S, left_s))
    return stopping.is_set()


def _error(error: object) -> Exception:
    return error if isinstance(error, Exception) else AMQPError(str(error))


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
    lag = Lag(config.database_url, config.log_id, _CLOCK)
    threading.Thread(target=lag.run, args=(stopping,), name="lag", daemon=True).start()
    try:
        run(config, stopping, health)
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
