# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL server: own port, own data folder, durability as in production."""

import os
import signal
import subprocess
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

USER: Final = "postgres"
PACKAGE: Final = "postgresql"
_HOME: Final = Path("/usr/lib/postgresql")
_CONF: Final = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 300
shared_buffers = 256MB
dynamic_shared_memory_type = mmap
fsync = on
synchronous_commit = on
full_page_writes = on
max_wal_size = 2GB
password_encryption = scram-sha-256
logging_collector = off
"""


class PostgresServer:
    """One server in ``folder``; may be killed and started again on the same data and port."""

    def __init__(self, folder: Path, password: str, port: int | None = None) -> None:
        """Choose folder, administrator's password and port; nothing is started yet."""
        self.folder = folder
        self.data = folder / "data"
        self.port = port or free_port()
        self._password = password

    @property
    def url(self) -> str:
        """Administrator's URL of the ``postgres`` database."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None when it is not running."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError):
            return None

    def start(self, timeout_s: float = 60.0) -> None:
        """Create the data folder when there is none, start, wait until it accepts queries."""
        if not (self.data / "PG_VERSION").exists():
            self._create()
        self._control(
            "start", "-l", str(self.folder / "server.log"), "-w", "-t", str(int(timeout_s))
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop (``fast``, ``smart`` or ``immediate``); nothing happens when it is not running."""
        if self.pid is not None:
            self._control("stop", "-m", mode, "-w", "-t", "60", check=False)

    def kill(self) -> None:
        """Kill the postmaster with SIGKILL; its children end by themselves."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            wait_until("PostgreSQL to be gone", lambda: not answers(self.port), 30)

    def _create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        give_to(self.folder, USER)
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self._password)
        give_to(secret, USER)
        command = [
            *run_as(USER), str(binaries() / "initdb"), "-D", str(self.data), "-U", "postgres",
            "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8",
            "--data-checksums",
        ]  # fmt: skip
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd="/", timeout=120
        )
        secret.unlink()
        if done.returncode:
            raise MissingError(f"initdb failed:\n{done.stderr}")
        conf = self.data / "postgresql.conf"
        with conf.open("a", encoding="utf-8") as file:
            file.write(_CONF.format(port=self.port))

    def _control(self, *words: str, check: bool = True) -> None:
        command = [*run_as(USER), str(binaries() / "pg_ctl"), "-D", str(self.data), *words]
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd="/", timeout=180,
        )  # fmt: skip
        if check and done.returncode:
            log = self.folder / "server.log"
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise MissingError(f"PostgreSQL did not {words[0]}:\n{tail}")


def binaries() -> Path:
    """Return the folder with the newest server's programs; raises MissingError without one."""
    found = _newest()
    if found is None:
        raise MissingError(f"there is no initdb under {_HOME}; install Debian's {PACKAGE}")
    return found


def is_installed() -> bool:
    """Say whether a server's programs are on this machine."""
    return _newest() is not None


def _newest() -> Path | None:
    folders = [path.parent for path in _HOME.glob("*/bin/initdb")]
    return max(folders, key=lambda path: int(path.parent.name), default=None)
