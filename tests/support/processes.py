# SPDX-License-Identifier: Apache-2.0
"""Processes of the platform for tests: started, asked for readiness and metrics, stopped, killed."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from infra.local.system import free_port
from tests.support.database import LOG_ID, Database
from tests.support.waiting import wait_until


class Process:
    """One process with a metrics port; its standard error goes to ``log``."""

    def __init__(
        self, module: str, environ: dict[str, str], log: Path, words: tuple[str, ...] = ()
    ) -> None:
        self.port = free_port()
        self.log = log
        own = {**environ, "MOTCUA_METRICS_PORT": str(self.port), "MOTCUA_LOG_FORMAT": "json"}
        base = {name: value for name, value in os.environ.items() if "MOTCUA" not in name}
        with log.open("ab") as file:
            self._child = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", module, *words],
                env={**base, **own},
                stderr=file,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def ready(self) -> bool:
        """Say whether /readyz answers 200."""
        try:
            return bool(self._get("/readyz"))
        except OSError:
            return False

    def not_ready(self) -> list[str]:
        """Return the names of failing checks; ``["process"]`` when nothing answers."""
        try:
            self._get("/readyz")
        except urllib.error.HTTPError as error:
            return list(json.loads(error.read())["not_ready"])
        except OSError:
            return ["process"]
        return []

    def metric(self, name: str) -> float:
        """Return the sum of all samples of ``name``, with or without labels; 0 when absent."""
        try:
            lines = self._get("/metrics").split("\n")
        except OSError:
            return 0.0
        values = [
            line.rpartition(" ")[2] for line in lines if line.startswith((f"{name} ", f"{name}{{"))
        ]
        return sum(float(value) for value in values)

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Return once it is ready."""
        wait_until(self.ready, timeout_s=timeout_s, what=f"{self.log.stem} ready")

    def kill(self) -> None:
        """SIGKILL, as the machine's death does."""
        self._child.kill()
        self._child.wait(10)

    def stop(self, timeout_s: float = 30.0) -> tuple[int, float]:
        """SIGTERM; returns exit code and seconds it took."""
        began = time.monotonic()
        self._child.send_signal(signal.SIGTERM)
        return self._child.wait(timeout_s), time.monotonic() - began

    def wait(self, timeout_s: float = 30.0) -> int:
        """Return its exit code once it ends by itself."""
        return self._child.wait(timeout_s)

    def end(self) -> None:
        """Kill it unless it ended."""
        if self._child.poll() is None:
            self.kill()

    def lines(self) -> list[dict]:
        """Return what it logged."""
        texts = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return [json.loads(text) for text in texts if text.startswith("{")]

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())


def relay(database: Database, amqp_url: str, log: Path, database_url: str | None = None) -> Process:
    """Start a relay."""
    environ = {
        "MOTCUA_LOG_ID": str(LOG_ID),
        "MOTCUA_DATABASE_URL": database_url or database.url_for("motcua_relay"),
        "MOTCUA_AMQP_URL": amqp_url,
    }
    return Process("services.common.relay", environ, log)


def echo(
    database: Database, amqp_url: str, log: Path, *, module: str = "tests.support.echo_service",
    database_url: str | None = None, **more: str,
) -> Process:  # fmt: skip
    """Start a Nameko process with the echo reactor."""
    environ = {
        "MOTCUA_LOG_ID": str(LOG_ID),
        "MOTCUA_DATABASE_URL": database_url or database.url_for("motcua_payment"),
        "MOTCUA_KEYS_DATABASE_URL": database.keys_url_for("motcua_payment"),
        "MOTCUA_AMQP_URL": amqp_url,
        **more,
    }
    for name in ("SERVICE_KEY", "KEK"):
        secret = log.with_name(f"{log.stem}-{name.lower()}")
        secret.write_text(bytes(range(1, 33)).hex())
        environ[f"MOTCUA_{name}_FILE"] = str(secret)
    return Process(module, environ, log)
