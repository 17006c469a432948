# SPDX-License-Identifier: Apache-2.0
"""The process that sends webhooks: one of any number of replicas leads."""

import random
import signal
import threading
from collections.abc import Mapping

import psycopg

from services.common.telemetry.health import HEARTBEAT_EVERY_S, Health, HealthServer
from services.common.telemetry.logs import configure_logs, get_logger
from services.notify.application.ports import LeadLostError
from services.notify.config import read_webhook_config
from services.notify.posting import Posting, make_posting

POLL_S = 1.0
PAUSE_FIRST_S = 0.1
PAUSE_LAST_S = 10.0
_LOG = get_logger(__name__)


def serve(environ: Mapping[str, str]) -> int:
    """Run until SIGTERM; returns the exit code."""
    config = read_webhook_config(environ)
    configure_logs("webhooks", config.log_format)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    health = Health()
    server = HealthServer(health, config.metrics_port)
    server.start()
    posting = make_posting(config)
    try:
        run(posting, stopping, health)
    finally:
        server.stop()
        posting.courier.look_ups.shutdown(wait=False, cancel_futures=True)
        posting.log.close()
    return 0


def run(posting: Posting, stopping: threading.Event, health: Health) -> None:
    """Lead whenever possible until ``stopping``; reconnects with jittered back-off.

    Ready is who reaches the database: a standby is ready, too, and no receiver makes it unready.
    """
    pause_s = PAUSE_FIRST_S
    connected = False
    health.register("database", lambda: connected)
    while not stopping.is_set():
        try:
            ledger = posting.open_ledger()
            try:
                while not (leads := ledger.take()):
                    connected = True
                    if _paused(POLL_S, stopping, health):
                        break
                if leads:
                    connected, pause_s = True, PAUSE_FIRST_S
                    posting.rounds(ledger).run(stopping.is_set, health.beat)
            finally:
                ledger.close()
        except (LeadLostError, psycopg.Error) as error:
            connected = False
            _LOG.warning("webhooks_interrupted", error=type(error).__name__, why=str(error)[:100])
        _paused(random.uniform(pause_s / 2, pause_s), stopping, health)  # noqa: S311
        pause_s = min(PAUSE_LAST_S, pause_s * 2)


def _paused(seconds: float, stopping: threading.Event, health: Health) -> bool:
    """Wait with a beating heart; return early, and True, when stopping."""
    left_s = seconds
    while not stopping.is_set() and left_s > 0:
        health.beat()
        stopping.wait(min(HEARTBEAT_EVERY_S, left_s))
        left_s -= HEARTBEAT_EVERY_S
    return stopping.is_set()
