# SPDX-License-Identifier: Apache-2.0
"""A fresh pair of migrated databases (log and keys) on the test server."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from services.common.eventlog.keys import PostgresKeys
from services.common.eventlog.migrate import LOGINS, migrate
from services.common.eventlog.postgres import PostgresLog

LOG_ID = 93
KEK = bytes(range(1, 33))
_TEMPLATE = "motcua_template"
_TEMPLATE_LOCK = 7_310_214
_EMPTY = sql.SQL("CREATE DATABASE {}")
_CREATE = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
_RENAME = sql.SQL("ALTER DATABASE {} RENAME TO {}")
_CLOSE = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
_OPEN = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
_DROP = sql.SQL("DROP DATABASE {} WITH (FORCE)")
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
        with _alone(self.server_url):
            migrate(self.owner_url, self.keys_owner_url, PASSWORDS, LOG_ID)


@contextmanager
def fresh_database(server_url: str) -> Iterator[Database]:
    """Copy the migrated pair of databases, and drop the copies finally."""
    template = _template(server_url)
    with copy_of(template) as database:
        yield database


@contextmanager
def copy_of(original: Database) -> Iterator[Database]:
    """Copy a pair of databases that nobody is connected to, and drop the copies finally."""
    database = Database(original.server_url, f"t_{uuid.uuid4().hex[:12]}")
    pairs = [(f"{database.name}{end}", f"{original.name}{end}") for end in ("", "_keys")]
    with psycopg.connect(original.server_url, autocommit=True) as connection:
        for name, like in pairs:
            _copy(connection, like, name)
    try:
        yield database
    finally:
        with psycopg.connect(original.server_url, autocommit=True) as connection:
            for name, _ in pairs:
                connection.execute(_DROP.format(sql.Identifier(name)))


def _copy(connection: psycopg.Connection, like: str, name: str) -> None:
    """Copy a database with who may connect to it, which PostgreSQL leaves out."""
    connection.execute(_CREATE.format(sql.Identifier(name), sql.Identifier(like)))
    found = connection.execute(
        "SELECT grantee::regrole::text FROM pg_database, aclexplode(datacl)"
        " WHERE datname = %s AND privilege_type = 'CONNECT'",
        (like,),
    )
    roles = sql.SQL(", ").join(sql.Identifier(row[0]) for row in found)
    connection.execute(_CLOSE.format(sql.Identifier(name)))
    connection.execute(_OPEN.format(sql.Identifier(name), roles))


def _template(server_url: str) -> Database:
    """Return the migrated pair that others are copied from; the first caller makes it.

    It is finished under its own name only when nobody is connected to it any more, and whoever
    comes meanwhile, from whatever process, waits.
    """
    database = Database(server_url, _TEMPLATE)
    with _alone(server_url) as connection:
        found = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(found, (database.name,)).fetchone() is None:
            raw = Database(server_url, f"{_TEMPLATE}_{uuid.uuid4().hex[:8]}")
            for end in ("", "_keys"):
                connection.execute(_EMPTY.format(sql.Identifier(f"{raw.name}{end}")))
            migrate(raw.owner_url, raw.keys_owner_url, PASSWORDS, LOG_ID)
            for end in ("_keys", ""):
                old, new = f"{raw.name}{end}", f"{database.name}{end}"
                connection.execute(_RENAME.format(sql.Identifier(old), sql.Identifier(new)))
    return database


@contextmanager
def _alone(server_url: str) -> Iterator[psycopg.Connection]:
    """Lend a connection while no other test migrates: all databases share the roles."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_TEMPLATE_LOCK,))
        yield connection


def _with(url: str, *, path: str, user: str | None = None) -> str:
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}"
    login = parts.netloc.rpartition("@")[0] if user is None else f"{user}:{PASSWORDS[user]}"
    return urlunsplit((parts.scheme, f"{login}@{host}" if login else host, path, "", ""))
