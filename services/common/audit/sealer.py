# SPDX-License-Identifier: Apache-2.0
"""The sealer: signs what the log has become; ``python -m services.common.audit.sealer``.

One of any number of replicas leads, by a session advisory lock. It is at most a second, or 1,000
events, behind, and rests while the log rests. Once it finds that something was changed it signs
nothing more, stays not ready and says so until somebody has looked (ADR-0014): what depends on
sealing, the machines' right to take money first, then ends by itself.
"""

import os
import random
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from services.common.audit.announcing import start_announcing
from services.common.audit.cosigning import WitnessPlace, read_witnesses, start_cosigning
from services.common.audit.epochs import close_log
from services.common.audit.outside import known_to, lost
from services.common.audit.patrol import REST_S, Patrol
from services.common.audit.rooming import start_rooming
from services.common.audit.sealing import BATCH, Sealing
from services.common.audit.seals import (
    LOCK_CLASS,
    ClosedError,
    Seals,
    TamperedError,
    in_force,
    origin_of,
    require_open,
)
from services.common.clock import SystemClock, to_micros
from services.common.config import ConfigError, Settings
from services.common.integrity.notes import NoteError, Signer
from services.common.runtime import log_format
from services.common.telemetry import metrics
from services.common.telemetry.health import HEARTBEAT_EVERY_S, Health, HealthServer
from services.common.telemetry.logs import configure_logs, get_logger

POLL_S: Final = 1.0
EVERY_S: Final = 0.5
PAUSE_FIRST_S: Final = 0.2
PAUSE_LAST_S: Final = 30.0
CLOSED_EVERY_S: Final = 2.0
_SESSION: Final = (
    "-c statement_timeout=30000 -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2"
    " -c tcp_keepalives_count=3 -c tcp_user_timeout=10000 -c application_name=sealer"
)
_CLOCK: Final = SystemClock()
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealerConfig:
    """Settings of the sealer; its database login is ``motcua_sealer``."""

    seals: Seals
    witnesses: tuple[WitnessPlace, ...]
    database_url: str
    amqp_url: str
    patrol_rest_s: int
    metrics_port: int
    log_format: str | None


def read_config(settings: Settings) -> SealerConfig:
    """Return the config; raises ConfigError with everything that is missing or wrong."""
    log_id = settings.whole("MOTCUA_LOG_ID", low=1)
    seed = settings.key("MOTCUA_SEAL_KEY")
    with_next = any(name.startswith("MOTCUA_SEAL_NEXT_KEY") for name in settings.environ)
    next_seed = settings.key("MOTCUA_SEAL_NEXT_KEY") if with_next else b""
    database_url = settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres"))
    announced = any(name.startswith("MOTCUA_AMQP_URL") for name in settings.environ)
    amqp_url = settings.url("MOTCUA_AMQP_URL", ("amqp", "amqps")) if announced else ""
    rest_s = settings.whole("MOTCUA_PATROL_REST_S", REST_S, low=1, high=86_400)
    metrics_port = settings.whole("MOTCUA_METRICS_PORT", high=65_535)
    asked = any(name.startswith("MOTCUA_WITNESSES") for name in settings.environ)
    witnesses = settings.text("MOTCUA_WITNESSES") if asked else ""
    words = log_format(settings)
    settings.finish()
    origin = origin_of(log_id, 1)
    try:
        seals = Seals(
            log_id=log_id, origin=origin, signer=Signer(origin, seed),
            following=Signer(origin, next_seed) if with_next else None,
        )  # fmt: skip
        places = read_witnesses(witnesses)
    except (NoteError, ValueError) as error:
        raise ConfigError((f"MOTCUA_SEAL_KEY or MOTCUA_WITNESSES: {error}",)) from error
    return SealerConfig(
        seals=seals, witnesses=places, database_url=database_url, amqp_url=amqp_url,
        patrol_rest_s=rest_s, metrics_port=metrics_port, log_format=words,
    )  # fmt: skip


def run(
    config: SealerConfig, stopping: threading.Event, health: Health, doubt: threading.Event
) -> None:
    """Seal whenever in the lead until ``stopping``; reconnects with jittered back-off.

    ``doubt``: a witness contradicted us, so what is known outside is looked at again.
    """
    pause_s = PAUSE_FIRST_S
    state = {"database": False, "log": True}
    patrol = Patrol(config.database_url, config.seals, _CLOCK, rest_s=config.patrol_rest_s)
    threading.Thread(target=patrol.run, args=(stopping,), name="patrol", daemon=True).start()
    health.register("database", lambda: state["database"])
    health.register("log read once", patrol.trusted.is_set)
    health.register("log as it was written", lambda: state["log"] and patrol.found is None)
    while not stopping.is_set():
        if not patrol.trusted.is_set():
            # Nobody signs what they have not read themselves.
            _paused(HEARTBEAT_EVERY_S, stopping, health)
            continue
        try:
            with psycopg.connect(
                config.database_url, autocommit=True, connect_timeout=5, options=_SESSION,
                keepalives_idle=5, keepalives_interval=2, keepalives_count=3,
                tcp_user_timeout=10_000,
            ) as connection:  # fmt: skip
                state["database"] = True
                if not _lead(connection, config.seals.log_id, stopping, health):
                    return
                doubt.clear()
                require_nothing_lost(connection, config.seals, config.witnesses)
                sealing = Sealing(connection, config.seals)
                state["log"], pause_s = True, PAUSE_FIRST_S
                metrics.seal_refused.set(0)
                metrics.log_closed.set(0)
                _seal(connection, sealing, stopping, health, patrol=patrol, doubt=doubt)
        except psycopg.Error as error:
            state["database"] = False
            _LOG.warning("sealer_interrupted", error=type(error).__name__)
        except TamperedError as error:
            state["log"] = False
            metrics.seal_refused.set(1)
            _LOG.error("log_not_as_written", found=str(error))
        except ClosedError as error:
            state["log"] = False
            metrics.log_closed.set(1)
            pause_s = min(pause_s, CLOSED_EVERY_S)
            _LOG.error("log_closed", reason=str(error))
        _paused(random.uniform(pause_s / 2, pause_s), stopping, health)  # noqa: S311
        pause_s = min(PAUSE_LAST_S, pause_s * 2)


def require_nothing_lost(
    connection: psycopg.Connection, seals: Seals, places: Sequence[WitnessPlace]
) -> None:
    """Compare with what witnesses know, and close the log where its end is missing.

    A witness that does not answer holds up nothing; its cosignature tells later.

    Raises:
        ClosedError: the log is closed, now or before.
        TamperedError: rows are missing.
        psycopg.Error: the database is down.
    """
    require_open(connection, seals.log_id)
    current = in_force(connection, seals)
    for place in places:
        try:
            known = known_to(place, current)
        except OSError as error:
            _LOG.warning("witness_not_asked", witness=place.key.name, error=type(error).__name__)
            continue
        for missing in lost(connection, seals.log_id, known):
            close_log(connection, seals.log_id, f"{missing}; known to {place.key.name}")
    require_open(connection, seals.log_id)


def _lead(
    connection: psycopg.Connection, log_id: int, stopping: threading.Event, health: Health
) -> bool:
    """Wait for the lead; False when stopping."""
    while True:
        row = connection.execute(
            "SELECT pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, log_id)
        ).fetchone()
        if row is not None and row[0]:
            return True
        if _paused(POLL_S, stopping, health):
            return False


def _seal(
    connection: psycopg.Connection, sealing: Sealing, stopping: threading.Event, health: Health,
    *, patrol: Patrol, doubt: threading.Event,
) -> None:  # fmt: skip
    connection.execute("LISTEN eventlog")
    while not stopping.is_set() and not doubt.is_set():
        health.beat()
        patrol.require()
        before = sealing.frontier.size
        age_us = sealing.step(to_micros(_CLOCK.now()))
        metrics.sealed_size.set(sealing.frontier.size)
        metrics.seal_lag_seconds.set((age_us or 0) / 1e6)
        if age_us is None:
            for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                pass
        elif sealing.frontier.size - before < BATCH:
            # Two checkpoints a second say as much as hundreds.
            stopping.wait(EVERY_S)


def _paused(seconds: float, stopping: threading.Event, health: Health) -> bool:
    """Wait with a beating heart; return early, and True, when stopping."""
    until_s = _CLOCK.monotonic_s() + seconds
    while not stopping.is_set() and (left_s := until_s - _CLOCK.monotonic_s()) > 0:
        health.beat()
        stopping.wait(min(HEARTBEAT_EVERY_S, left_s))
    return stopping.is_set()


def main() -> int:
    """Run the sealer until SIGTERM; returns the exit code."""
    try:
        config = read_config(Settings(os.environ))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs("sealer", config.log_format)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    health = Health()
    server = HealthServer(health, config.metrics_port)
    server.start()
    start_rooming(config.database_url, config.seals.log_id, stopping)
    doubt = threading.Event()
    start_cosigning(config.database_url, config.seals.log_id, config.witnesses, stopping, doubt)
    if config.amqp_url:
        start_announcing(config.database_url, config.amqp_url, config.seals.log_id, stopping)
    try:
        run(config, stopping, health, doubt)
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
