# SPDX-License-Identifier: Apache-2.0
"""Both servers in containers: the last resort, where nothing can be installed."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Final

from infra.local.system import MissingError, free_port

FILE: Final = Path(__file__).parent.parent / "compose.yaml"
_ADMIN: Final = "motcua_admin"
_UP_TIMEOUT_S: Final = 600


def compose_works() -> bool:
    """Say whether Docker Compose is here and its daemon answers."""
    if shutil.which("docker") is None:
        return False
    for words in (["docker", "compose", "version"], ["docker", "info"]):
        try:
            done = subprocess.run(words, check=False, capture_output=True, timeout=20)
        except subprocess.TimeoutExpired:
            return False
        if done.returncode:
            return False
    return True


class ComposeServers:
    """One Compose project with ports and a password of its own."""

    def __init__(self, project: str) -> None:
        """Choose ports and password; nothing is started yet."""
        self.project = project
        self._password = secrets.token_hex(16)
        self._ports = [free_port() for _ in range(3)]

    def start(self) -> tuple[str, str, str]:
        """Start, wait for health; returns database, AMQP and management URLs.

        Raises:
            MissingError: Docker could not start them, with what it said.
        """
        done = self._run("up", "--detach", "--wait", timeout=_UP_TIMEOUT_S)
        if done.returncode:
            raise MissingError(
                f"Docker Compose could not start the servers:\n{done.stderr[-2000:]}"
            )
        postgres, amqp, management = self._ports
        login = f"{_ADMIN}:{self._password}@127.0.0.1"
        return (
            f"postgresql://postgres:{self._password}@127.0.0.1:{postgres}/postgres",
            f"amqp://{login}:{amqp}/%2F",
            f"http://{login}:{management}",
        )

    def stop(self) -> None:
        """Remove containers, network and volumes."""
        self._run("down", "--volumes", "--timeout", "5", timeout=120)

    def _run(self, *words: str, timeout: int) -> subprocess.CompletedProcess[str]:
        postgres, amqp, management = map(str, self._ports)
        environ = {
            **os.environ,
            "MOTCUA_COMPOSE_PASSWORD": self._password,
            "MOTCUA_COMPOSE_POSTGRES_PORT": postgres,
            "MOTCUA_COMPOSE_AMQP_PORT": amqp,
            "MOTCUA_COMPOSE_MANAGEMENT_PORT": management,
        }
        command = ["docker", "compose", "-p", self.project, "-f", str(FILE), *words]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=timeout, env=environ
        )
