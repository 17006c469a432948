# SPDX-License-Identifier: Apache-2.0
"""What every process has: config, clock, log, keys, recorder, read-model pool, health.

Used by Nameko and web processes alike; imports neither Nameko nor eventlet.
"""

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from psycopg_pool import ConnectionPool

from services.common.clock import Clock, SystemClock
from services.common.config import Settings
from services.common.errors import Unavailable
from services.common.eventlog.keys import PostgresKeys
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Recorder
from services.common.telemetry.health import Health, HealthServer
from services.common.telemetry.logs import configure_logs

ASK_EVERY_S: Final = 1.0
ANSWERED_WITHIN_S: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConfig:
    """Settings of a process that only reads the log.

    Attributes:
        service: ``intake``; its PostgreSQL role is ``motcua_intake``.
        log_id: which province's log.
        database_url: log and read models, as the process's own role.
        http_host: address that web processes listen on; this machine only unless told otherwise.
        metrics_port: /metrics, /healthz, /readyz.
        log_format: ``json``, ``console`` or None for automatic.
    """

    service: str
    log_id: int
    database_url: str
    http_host: str
    metrics_port: int
    log_format: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreConfig(ReadConfig):
    """Settings that every service has.

    Attributes:
        keys_database_url: data keys, as the service's own role.
        amqp_url: broker with virtual host.
        service_key: 32 bytes that key request digests.
        key_encryption_key: 32 bytes that wrap data keys.
    """

    keys_database_url: str
    amqp_url: str
    service_key: bytes
    key_encryption_key: bytes


def read_config(settings: Settings, service: str) -> ReadConfig:
    """Read the settings of a process that only reads the log; the caller finishes."""
    return ReadConfig(
        service=service,
        log_id=settings.whole("MOTCUA_LOG_ID", low=1),
        database_url=settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres")),
        http_host=settings.text("MOTCUA_HTTP_HOST", "127.0.0.1"),
        metrics_port=settings.whole("MOTCUA_METRICS_PORT", high=65_535),
        log_format=log_format(settings),
    )


def core_config(settings: Settings, service: str) -> CoreConfig:
    """Read the common settings; the caller reads its own and calls ``settings.finish``."""
    return CoreConfig(
        service=service,
        log_id=settings.whole("MOTCUA_LOG_ID", low=1),
        database_url=settings.url("MOTCUA_DATABASE_URL", ("postgresql", "postgres")),
        keys_database_url=settings.url("MOTCUA_KEYS_DATABASE_URL", ("postgresql", "postgres")),
        amqp_url=settings.url("MOTCUA_AMQP_URL", ("amqp", "amqps")),
        service_key=settings.key("MOTCUA_SERVICE_KEY"),
        key_encryption_key=settings.key("MOTCUA_KEK"),
        http_host=settings.text("MOTCUA_HTTP_HOST", "127.0.0.1"),
        metrics_port=settings.whole("MOTCUA_METRICS_PORT", high=65_535),
        log_format=log_format(settings),
    )


def log_format(settings: Settings) -> str | None:
    """Return ``json`` or ``console`` where set, None where the process is to find out itself."""
    value = settings.environ.get("MOTCUA_LOG_FORMAT")
    if value not in {None, "json", "console"}:
        settings.problems.append("MOTCUA_LOG_FORMAT: must be json or console")
    return value


class ReadRuntime:
    """What a process that only reads the log has; construction touches nothing outside."""

    def __init__(self, config: ReadConfig, clock: Clock | None = None, *, pool: int = 8) -> None:
        """Bind everything; connections, at most ``pool``, are made by ``open`` or on first use."""
        self.settings = config
        self.clock: Clock = clock or SystemClock()
        self.health = Health(self.clock)
        self.log = PostgresLog(config.database_url, config.log_id, pool_size=pool)
        self._server: HealthServer | None = None
        self._closing = threading.Event()
        self._database_s: float | None = None
        self.health.register("database", self.database_ready)

    def database_ready(self) -> bool:
        """Say whether the log's database answered lately and has the schema of this release."""
        answered_s = self._database_s
        return answered_s is not None and self.clock.monotonic_s() - answered_s < ANSWERED_WITHIN_S

    def open(self, *, serve_health: bool = True) -> None:
        """Set up logs and health.

        Args:
            serve_health: False where another process of the same pod serves the probes.
        """
        configure_logs(self.settings.service, self.settings.log_format)
        self._closing.clear()
        threading.Thread(target=self._ask_database, name="database-check", daemon=True).start()
        if serve_health:
            self._server = HealthServer(self.health, self.settings.metrics_port)
            self._server.start()

    def _ask_database(self) -> None:
        # Here and not in the probe: a probe must not wait for a database that is down.
        while not self._closing.is_set():
            with contextlib.suppress(Unavailable):
                self.log.ready()
                self._database_s = self.clock.monotonic_s()
            self._closing.wait(ASK_EVERY_S)

    def close(self) -> None:
        """Answer what is under way, then close everything; safe to call twice."""
        self._closing.set()
        if self._server is not None:
            self._server.stop()
            self._server = None
        with contextlib.suppress(AttributeError):
            self.log.close()


class Runtime(ReadRuntime):
    """What a service's process has besides: keys, recorder, pool for read models."""

    def __init__(self, config: CoreConfig, clock: Clock | None = None) -> None:
        """Bind everything; connections are made by ``open`` or on first use."""
        super().__init__(config, clock)
        self.config = config
        self.keys = PostgresKeys(config.keys_database_url, config.key_encryption_key)
        self.recorder = Recorder(self.log, self.keys, self.clock, config.service_key)
        self.read_models = ConnectionPool(
            config.database_url, min_size=1, max_size=8, open=False, timeout=5,
            name=f"{config.service} read models", check=ConnectionPool.check_connection,
        )  # fmt: skip

    def open(self, *, serve_health: bool = True) -> None:
        """See ``ReadRuntime.open``; the pool connects in the background."""
        self.read_models.open(wait=False)
        super().open(serve_health=serve_health)

    def close(self) -> None:
        """See ``ReadRuntime.close``."""
        super().close()
        with contextlib.suppress(AttributeError):
            self.keys.close()
        self.read_models.close()


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Return a fresh reader over ``environ``."""
    return Settings(environ)
