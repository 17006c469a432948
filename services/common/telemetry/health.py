# SPDX-License-Identifier: Apache-2.0
"""Health of a process and the little HTTP server that shows it.

``/healthz`` looks at the heartbeat alone (a broker outage must not restart a fleet), ``/readyz`` at
every registered check, ``/metrics`` at the registry.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.common.clock import Clock, SystemClock
from services.common.telemetry import metrics

HEARTBEAT_EVERY_S: Final = 0.5
HEARTBEAT_DEAD_AFTER_S: Final = 10.0

Check = Callable[[], bool]


class Health:
    """Heartbeat and readiness of one process; safe for threads and greenlets."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Start alive and without checks."""
        self._clock = clock or SystemClock()
        self._beat_s = self._clock.monotonic_s()
        self._checks: dict[str, Check] = {}

    def beat(self) -> None:
        """Note that the process still schedules work."""
        now = self._clock.monotonic_s()
        metrics.hub_lag_seconds.set(max(0.0, now - self._beat_s - HEARTBEAT_EVERY_S))
        self._beat_s = now

    def alive(self) -> bool:
        """Say whether the last heartbeat is recent."""
        return self._clock.monotonic_s() - self._beat_s < HEARTBEAT_DEAD_AFTER_S

    def register(self, name: str, check: Check) -> None:
        """Add or replace the readiness check ``name``; it must not block."""
        self._checks[name] = check

    def not_ready(self) -> list[str]:
        """Return the names of checks that fail, sorted."""
        return sorted(name for name, check in list(self._checks.items()) if not check())


def answer(health: Health, path: str) -> tuple[int, str, bytes]:
    """Return (status, content type, body) for ``path``; shared with the web processes."""
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest(metrics.REGISTRY)
    if path == "/healthz":
        return _json(200 if health.alive() else 503, {"alive": health.alive()})
    if path == "/readyz":
        missing = health.not_ready()
        return _json(503 if missing else 200, {"ready": not missing, "not_ready": missing})
    return _json(404, {"error": "not_found"})


class HealthServer:
    """Serves ``answer`` on its own port from one background thread."""

    def __init__(self, health: Health, port: int, host: str = "0.0.0.0") -> None:  # noqa: S104
        """Bind the port at once, so that a port in use fails at start; 0 takes any free port."""
        self._health = health
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="health", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        health = self._health

        class Handler(BaseHTTPRequestHandler):
            """Answers GET only."""

            timeout = 5

            def do_GET(self) -> None:
                """Answer one probe."""
                status, kind, body = answer(health, self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Keep probes out of the logs."""

        return Handler


def _json(status: int, body: dict[str, object]) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(body).encode()
