# SPDX-License-Identifier: Apache-2.0
"""Runs a Flask application under gunicorn: one worker, many threads, graceful SIGTERM.

The application and its runtime are made in the worker, after the fork, so no connection and no
thread is ever shared with the parent. The worker serves its probes and metrics on their own port.
"""

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication

from services.common.runtime import ReadRuntime

GRACE_S: Final = 15


@dataclass(frozen=True, slots=True)
class TLS:
    """Server certificate and the authority that client certificates must come from."""

    cert: str
    key: str
    client_ca: str


@dataclass(slots=True)
class Site:
    """What the worker runs."""

    app: Flask
    runtime: ReadRuntime


class _Server(BaseApplication):
    def __init__(self, make_site: Callable[[], Site], settings: Mapping[str, object]) -> None:
        self._make_site = make_site
        self._settings = settings
        self._site: Site | None = None
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)
        self.cfg.set("worker_exit", self._closed)
        self.cfg.set("worker_int", self._draining)

    def load(self) -> Flask:
        self._site = self._make_site()
        runtime = self._site.runtime
        runtime.open()
        _beat_always(runtime)
        return self._site.app

    def _draining(self, _worker: Any) -> None:
        if self._site is not None:
            self._site.runtime.health.register("draining", lambda: False)

    def _closed(self, _server: Any, _worker: Any) -> None:
        if self._site is not None:
            self._site.runtime.close()


def serve(
    make_site: Callable[[], Site],
    *,
    host: str,
    port: int,
    threads: int = 16,
    tls: TLS | None = None,
    grace_s: int = GRACE_S,
) -> int:
    """Serve until SIGTERM; requests under way are finished. Returns the exit code."""
    settings: dict[str, object] = {
        "bind": f"{host}:{port}",
        "workers": 1,
        "worker_class": "gthread",
        "threads": threads,
        "timeout": 90,
        "graceful_timeout": grace_s,
        "keepalive": 30,
        "accesslog": None,
        "errorlog": "-",
        "loglevel": "warning",
        "control_socket_disable": True,
    }
    if tls is not None:
        settings |= {
            "certfile": tls.cert,
            "keyfile": tls.key,
            "ca_certs": tls.client_ca,
            "cert_reqs": ssl.CERT_REQUIRED,
        }
    _Server(make_site, settings).run()
    return 0


def _beat_always(runtime: ReadRuntime) -> None:
    def beat() -> None:
        while True:
            runtime.health.beat()
            runtime.clock.sleep(0.5)

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
