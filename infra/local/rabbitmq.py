# SPDX-License-Identifier: Apache-2.0
"""A private RabbitMQ node: own ports, own epmd, own cookie, topology from one file."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Final

from infra.local.system import (
    MissingError,
    answers,
    free_port,
    give_to,
    run_as,
    wait_until,
)

USER: Final = "rabbitmq"
ADMIN: Final = "motcua_admin"
PACKAGE: Final = "rabbitmq-server"
_PROGRAM: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_CONTROL: Final = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
_CONF: Final = """
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
default_user = {admin}
default_pass = {password}
loopback_users = none
disk_free_limit.absolute = 200MB
vm_memory_high_watermark.absolute = 1GB
"""


class RabbitServer:
    """One node in ``folder``; may be killed, started again, or reset to nothing."""

    def __init__(self, folder: Path, password: str) -> None:
        """Choose folder, administrator's password and ports; nothing is started yet."""
        self.folder = folder
        self.port = free_port()
        self.management_port = free_port()
        self.password = password
        self.epmd_port = free_port()
        self._dist_port = free_port()
        self._node = f"motcua{self.port}@localhost"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Administrator's AMQP URL of the default vhost."""
        return f"amqp://{ADMIN}:{self.password}@127.0.0.1:{self.port}/%2F"

    @property
    def management_url(self) -> str:
        """Management API with the administrator's login."""
        return f"http://{ADMIN}:{self.password}@127.0.0.1:{self.management_port}"

    @property
    def pid(self) -> int | None:
        """Process group of the node, or None when nothing of it is left."""
        if self._process is not None:
            self._process.poll()
        try:
            group = int((self.folder / "node.group").read_text())
            os.killpg(group, 0)
        except (OSError, ValueError):
            return None
        return group

    def start(self, timeout_s: float = 120.0) -> None:
        """Start and wait until the management API answers."""
        self._prepare()
        log = (self.folder / "node.out").open("ab")
        self._process = subprocess.Popen(
            [*run_as(USER), "env", *self._environment(), str(_PROGRAM)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
        )  # fmt: skip
        log.close()
        (self.folder / "node.group").write_text(str(self._process.pid))
        try:
            wait_until("RabbitMQ to answer", self._ready, timeout_s)
        except TimeoutError as error:
            tail = (self.folder / "node.out").read_text(errors="replace")[-2000:]
            self.stop()
            raise MissingError(f"{error}\n{tail}") from error

    def stop(self, timeout_s: float = 30.0) -> None:
        """Stop the node and its epmd; nothing happens when they are not running."""
        pid = self.pid
        if pid is not None:
            os.killpg(pid, signal.SIGTERM)
            try:
                wait_until("RabbitMQ to stop", self._gone, timeout_s)
            except TimeoutError:
                self.kill()
        self._stop_epmd()

    def kill(self) -> None:
        """Kill the node with SIGKILL."""
        pid = self.pid
        if pid is not None:
            os.killpg(pid, signal.SIGKILL)
            wait_until("RabbitMQ to be gone", self._gone, 30)

    def reset_state(self) -> None:
        """Delete everything the stopped node ever stored: queues, messages, users, vhosts."""
        shutil.rmtree(self.folder / "mnesia", ignore_errors=True)
        self._process = None

    def control(self, *words: str) -> None:
        """Run ``rabbitmqctl``; raises CalledProcessError or TimeoutExpired."""
        command = [*run_as(USER), "env", *self._environment(), str(_CONTROL), "-n", self._node]
        subprocess.run([*command, *words], check=True, capture_output=True, cwd="/", timeout=60)

    def api(self, method: str, path: str, body: object = None) -> object:
        """Call the management API; returns the decoded answer or None."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.management_port}/api{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": self._basic()},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            content = answer.read()
        return json.loads(content) if content else None

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {
            "rabbitmq.conf": _CONF.format(
                port=self.port, management_port=self.management_port, admin=ADMIN,
                password=self.password,
            ),
            "enabled_plugins": "[rabbitmq_management].",
        }  # fmt: skip
        for name, text in files.items():
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(text)
            give_to(path, USER)
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
            give_to(cookie, USER)
        give_to(self.folder, USER)

    def _environment(self) -> list[str]:
        return [
            f"HOME={self.folder}",
            f"ERL_EPMD_PORT={self.epmd_port}",
            "ERL_EPMD_ADDRESS=127.0.0.1",
            f"RABBITMQ_NODENAME={self._node}",
            f"RABBITMQ_DIST_PORT={self._dist_port}",
            f"RABBITMQ_MNESIA_BASE={self.folder}/mnesia",
            f"RABBITMQ_LOG_BASE={self.folder}/log",
            f"RABBITMQ_CONFIG_FILE={self.folder}/rabbitmq",
            f"RABBITMQ_ENABLED_PLUGINS_FILE={self.folder}/enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE=/nonexistent",
        ]

    def _ready(self) -> bool:
        try:
            self.api("GET", "/overview")
        except (OSError, urllib.error.URLError, ValueError):
            return False
        return answers(self.port)

    def _gone(self) -> bool:
        return self.pid is None and not answers(self.port)

    def _stop_epmd(self) -> None:
        programs = [*Path("/usr/lib/erlang").glob("erts-*/bin/epmd"), Path("/usr/bin/epmd")]
        for program in programs[:1]:
            subprocess.run(
                ["env", f"ERL_EPMD_PORT={self.epmd_port}", str(program), "-kill"],
                check=False, capture_output=True, timeout=20,
            )  # fmt: skip

    def _basic(self) -> str:
        return "Basic " + b64encode(f"{ADMIN}:{self.password}".encode()).decode()


def is_installed() -> bool:
    """Say whether the server's program is on this machine."""
    return _PROGRAM.exists()
