# SPDX-License-Identifier: Apache-2.0
"""A fresh pair of migrated databases (log and keys) on the test server."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from services.common.eventlog.migrate import LOGINS, migrate
from services.common.eventlog.postgres import PostgresKeys, PostgresLog

LOG_ID = 93
KEK = bytes(range(1, 33))
PASSWORDS = {role: f"test-password-of-{role}" for role in LOGINS}


@dataclass(frozen=True)
class Database:
    """Where a test's databases are."""

    server_url: str
    name: str

    @property
    def owner_url(self) -> str:
        """Administrator's login to the log's database."""
        return _with(self.server_url, path=self.name)

    @property
    def keys_owner_url(self) -> str:
        """Administrator's login to the key database."""
        return _with(self.server_url, path=f"{self.name}_keys")

    def url_for(self, role: str) -> str:
        """Return a service role's login to the log's database."""
        return _with(self.server_url, path=self.name, user=role)

    def keys_url_for(self, role: str) -> str:
        """Return a service role's login to the key database."""
        return _with(self.server_url, path=f"{self.name}_keys", user=role)

    def log(self, role: str = "motcua_intake") -> PostgresLog:
        """Return the log as ``role`` sees it; the caller closes it."""
        return PostgresLog(self.url_for(role), LOG_ID)

    def keys(self, role: str = "motcua_kiosk_sync") -> PostgresKeys:
        """Return the key store as ``role`` sees it; the caller closes it."""
        return PostgresKeys(self.keys_url_for(role), KEK)

    def migrate(self) -> None:
        """Bring both databases to the newest schema (again)."""
        migrate(self.owner_url, self.keys_owner_url, PASSWORDS, LOG_ID)


@contextmanager
def fresh_database(server_url: str) -> Iterator[Database]:
    """Create, migrate and finally drop a pair of databases."""
    database = Database(server_url, f"t_{uuid.uuid4().hex[:12]}")
    names = [sql.Identifier(database.name), sql.Identifier(f"{database.name}_keys")]
    with psycopg.connect(server_url, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    try:
        database.migrate()
        yield database
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            for name in names:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _with(url: str, *, path: str, user: str | None = None) -> str:
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}"
    login = parts.netloc.rpartition("@")[0] if user is None else f"{user}:{PASSWORDS[user]}"
    return urlunsplit((parts.scheme, f"{login}@{host}" if login else host, path, "", ""))
