# SPDX-License-Identifier: Apache-2.0
"""Bring the log's database and the key database to the newest schema.

Run by the ``migrate`` job with an administrator's login, never by a service. Every step may be
run again: roles and passwords are set to what is given, numbered files are applied once each in
their own transaction, read-model schemas are made where they are missing. Everything is owned by
``motcua_owner``, which cannot log in (ADR-0001).
"""

from collections.abc import Mapping
from importlib import resources
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from services.common.errors import Unavailable
from services.common.eventlog.ownership import CATEGORIES, SERVICE_ROLES

OWNER: Final = "motcua_owner"
RELAY: Final = "motcua_relay"
SEALER: Final = "motcua_sealer"
FEED: Final = "motcua_feed"
AUDIT_WEB: Final = "motcua_audit_web"
LOGINS: Final = (*SERVICE_ROLES, RELAY, SEALER, FEED, AUDIT_WEB)
READ_MODELS: Final = ("intake", "payment", "notify", "kiosk_sync")
NEXT: Final = "_next"
_LOCK: Final = 1297040196
_PACKAGE: Final = "services.common.eventlog"


def migrate(
    admin_url: str, keys_admin_url: str, passwords: Mapping[str, str], log_id: int
) -> tuple[int, int]:
    """Migrate both databases and return their schema versions.

    Args:
        admin_url: administrator's login to the log's database.
        keys_admin_url: administrator's login to the key database.
        passwords: password of every role in ``LOGINS``.
        log_id: the log to open in this database; existing logs stay.

    Raises:
        Unavailable: a database cannot be reached, or a lock was not free within 30 s.
    """
    try:
        with psycopg.connect(admin_url, autocommit=True, connect_timeout=10) as connection:
            _prepare(connection, "eventlog")
            _roles(connection, passwords)
            _own_database(connection, "eventlog")
            _read_model_schemas(connection)
            version = _apply(connection, "eventlog", "sql")
            _owners(connection, log_id)
            connection.execute("SELECT eventlog.make_partitions(%s)", (log_id,))
        with psycopg.connect(keys_admin_url, autocommit=True, connect_timeout=10) as connection:
            _prepare(connection, "keys")
            _own_database(connection, "keys")
            keys_version = _apply(connection, "keys", "keys_sql")
    except psycopg.OperationalError as error:
        raise Unavailable("postgresql", str(error)) from error
    return version, keys_version


def newest_version(folder: str = "sql") -> int:
    """Return the number in ``HEAD``: the schema this release needs."""
    return int(resources.files(_PACKAGE).joinpath(folder, "HEAD").read_text().strip())


def _prepare(connection: psycopg.Connection, schema: str) -> None:
    connection.execute("SET lock_timeout = '30s'")
    connection.execute("SET statement_timeout = '10min'")
    # One migration at a time in the whole cluster: roles are shared by all its databases.
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    del schema


def _roles(connection: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
    if OWNER not in known:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(OWNER)))
    for role in LOGINS:
        verb: LiteralString = "ALTER" if role in known else "CREATE"
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                sql.SQL(verb),
                sql.Identifier(role),
                sql.Literal(passwords[role]),
            )
        )


def _own_database(connection: psycopg.Connection, schema: str) -> None:
    name = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    roles = sql.SQL(", ").join(map(sql.Identifier, (OWNER, *LOGINS)))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, roles))
    connection.execute(
        sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
            sql.Identifier(schema), sql.Identifier(OWNER)
        )
    )
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")


def _read_model_schemas(connection: psycopg.Connection) -> None:
    # Read models are built anew in the second one, beside those that serve.
    for schema in (one for service in READ_MODELS for one in (service, f"{service}{NEXT}")):
        connection.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
                sql.Identifier(schema), sql.Identifier(f"motcua_{schema.removesuffix(NEXT)}")
            )
        )


def _apply(connection: psycopg.Connection, schema: str, folder: str) -> int:
    table = sql.Identifier(schema, "migration")
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        connection.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (number integer PRIMARY KEY, name text NOT NULL, "
                "applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
            ).format(table)
        )
    rows = connection.execute(sql.SQL("SELECT number FROM {}").format(table))
    applied = {row[0] for row in rows}
    for number, name, text in _files(folder):
        if number not in applied:
            with connection.transaction():
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
                connection.execute(text.encode())
                connection.execute(
                    sql.SQL("INSERT INTO {} (number, name) VALUES (%s, %s)").format(table),
                    (number, name),
                )
    return newest_version(folder)


def _owners(connection: psycopg.Connection, log_id: int) -> None:
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        for role, categories in CATEGORIES.items():
            for category in categories:
                connection.execute(
                    "INSERT INTO eventlog.category_writer (category, writer) VALUES (%s, %s) "
                    "ON CONFLICT (category) DO NOTHING",
                    (category, role),
                )
        connection.execute(
            "INSERT INTO eventlog.log_head (log_id, pos, recorded_at) VALUES (%s, 0, 0) "
            "ON CONFLICT (log_id) DO NOTHING",
            (log_id,),
        )


def _files(folder: str) -> list[tuple[int, str, str]]:
    files = [
        entry
        for entry in resources.files(_PACKAGE).joinpath(folder).iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted((int(e.name[:4]), e.name, e.read_text(encoding="utf-8")) for e in files)
