# SPDX-License-Identifier: Apache-2.0
"""Where PostgreSQL and RabbitMQ come from: given URIs, private instances, or Docker Compose."""

import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from infra.local import postgres, rabbitmq
from infra.local.compose import ComposeServers, compose_works
from infra.local.postgres import USER as POSTGRES_USER
from infra.local.postgres import PostgresServer
from infra.local.rabbitmq import RabbitServer
from infra.local.system import MissingError, can_enter, install, may_install

LOCAL = Path(".local")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Administrators' logins to the servers in use."""

    database_url: str
    amqp_url: str
    management_url: str

    def as_test_environment(self) -> dict[str, str]:
        """Return what tests read."""
        return {
            "MOTCUA_TEST_DATABASE_URL": self.database_url,
            "MOTCUA_TEST_AMQP_URL": self.amqp_url,
            "MOTCUA_TEST_AMQP_MANAGEMENT_URL": self.management_url,
        }


class Servers:
    """Both servers for as long as the block runs; data folder and processes are removed after."""

    def __init__(self, environ: Mapping[str, str], name: str) -> None:
        """Take given URIs from ``environ``; ``name`` marks the data folder."""
        self._environ = environ
        self._name = name
        self.folder: Path | None = None
        self.postgres: PostgresServer | None = None
        self.rabbit: RabbitServer | None = None
        self.compose: ComposeServers | None = None

    def __enter__(self) -> Addresses:
        """Start what is not given and return where it is."""
        try:
            return self._open()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop what was started and remove its data."""
        self.close()

    def close(self) -> None:
        """Stop what was started and remove its data; may be called twice."""
        with ExitStack() as rest:  # the last is done first, and each although another failed
            if self.folder is not None:
                rest.callback(shutil.rmtree, self.folder, ignore_errors=True)
            if self.compose is not None:
                rest.callback(self.compose.stop)
            if self.postgres is not None:
                rest.callback(self.postgres.stop, "immediate")
            if self.rabbit is not None:
                rest.callback(self.rabbit.stop)

    def _open(self) -> Addresses:
        if (addresses := given(self._environ)) is not None:
            return addresses
        try:
            install_missing()
        except MissingError:
            if not compose_works():
                raise
            return self._composed()
        self.folder = data_folder(self._name)
        self.postgres = PostgresServer(self.folder / "postgres", secrets.token_hex(16))
        self.rabbit = RabbitServer(self.folder / "rabbitmq", secrets.token_hex(16))
        with ThreadPoolExecutor(2) as pool:
            for started in (pool.submit(self.postgres.start), pool.submit(self.rabbit.start)):
                started.result()
        return Addresses(self.postgres.url, self.rabbit.url, self.rabbit.management_url)

    def _composed(self) -> Addresses:
        self.compose = ComposeServers(f"motcua-{self._name}-{secrets.token_hex(4)}")
        return Addresses(*self.compose.start())


def given(environ: Mapping[str, str]) -> Addresses | None:
    """Return the servers that ``environ`` names, when it names all of them."""
    names = ("MOTCUA_DATABASE_URL", "MOTCUA_AMQP_URL", "MOTCUA_AMQP_MANAGEMENT_URL")
    database, amqp, management = (environ.get(name) for name in names)
    if database and amqp and management:
        return Addresses(database, amqp, management)
    return None


def check() -> int:
    """Say what is missing and cannot be had, before anything is set up; returns the exit code."""
    missing = tuple(server.PACKAGE for server in (postgres, rabbitmq) if not server.is_installed())
    if not missing or given(os.environ) or may_install() or compose_works():
        return 0
    if find_spec("ensurepip") is None:
        missing = ("python3-venv", *missing)
    try:
        install(missing)
    except MissingError as error:
        print(error, file=sys.stderr)
    return 2


def install_missing() -> None:
    """Install what is missing in one go, before anything needs the packages' users.

    Raises:
        MissingError: not on this machine, and not to be installed.
    """
    servers = (postgres, rabbitmq)
    missing = tuple(server.PACKAGE for server in servers if not server.is_installed())
    if missing:
        install(missing)
    if still := [server.PACKAGE for server in servers if not server.is_installed()]:
        raise MissingError(f"installed, but the server's programs are not there: {still}")


def data_folder(name: str) -> Path:
    """Return a fresh folder that the servers' users can enter.

    Under ``.local`` of the clone, or, where a service user cannot enter the clone or its path has
    blanks or accents (RabbitMQ takes neither) or too many letters for a socket's name, a private
    one under the system's variable temporary directory.
    """
    LOCAL.mkdir(exist_ok=True)
    home = LOCAL.resolve()
    plain = re.fullmatch(r"[A-Za-z0-9._/+-]{1,60}", str(home))
    if not plain or (os.geteuid() == 0 and not can_enter(home, POSTGRES_USER)):
        home = Path("/var/tmp")  # noqa: S108 - private folder below, mode 0711
    folder = Path(tempfile.mkdtemp(prefix=f"motcua-{name}-", dir=home))
    folder.chmod(0o711)
    return folder


if __name__ == "__main__":
    sys.exit(check())
