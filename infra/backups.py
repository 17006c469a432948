# SPDX-License-Identifier: Apache-2.0
"""Backups of the log and of the keys, apart: a dump, and beside it what was true in its snapshot.

A dump is written by ``pg_dump`` from one exported snapshot; its note, a JSON file that appears
last, says from the same snapshot how far the log had come, under which signed checkpoint, and what
every read model was, so that a drill can tell whether all of it came back. Log and keys never
stand in one backup: a key that was destroyed has to be gone (``docs/privacy.md``).
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.local.postgres import binaries, is_installed
from services.common.errors import Malformed, Problem, Refused, Unavailable
from services.common.eventlog.migrate import LOGINS, OWNER
from services.common.messaging.projector import Projection, digest_of

FORMAT: Final = 1
RUN_S: Final = 6 * 3600.0
"""A dump or a restoring of it that takes longer has gone wrong, seconds."""
_SESSION: Final = (
    "-c statement_timeout=0 -c lock_timeout=30000 -c application_name=backup -c TimeZone=UTC"
)

Kind = Literal["log", "keys"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadModel:
    """What a read model was: version of its tables, checkpoint, SHA-256 of its rows."""

    version: int
    position: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """The note beside a dump.

    Attributes:
        kind: ``log`` or ``keys``.
        taken_at: when its snapshot was taken, UTC, ISO 8601.
        dump: name of the dump beside the note.
        sha256: of the dump, hex.
        size_bytes: of the dump.
        schema: number of the newest migration in it.
        log_id: which log; 0 for keys.
        head: highest position.
        sealed: events under the newest checkpoint.
        checkpoint: that signed checkpoint; empty where nothing was sealed.
        keys: how many wrapped keys.
        read_models: by projection.
    """

    kind: Kind
    taken_at: str
    dump: str
    sha256: str = ""
    size_bytes: int = 0
    schema: int
    log_id: int = 0
    head: int = 0
    sealed: int = 0
    checkpoint: str = ""
    keys: int = 0
    read_models: Mapping[str, ReadModel] = field(default_factory=dict)


def back_up_log(
    url: str, log_id: int, folder: Path, projections: Iterable[Projection], now: datetime
) -> tuple[Path, Backup]:
    """Dump the log's database with its read models; returns the note's path and the note.

    Args:
        url: login that may read everything (an administrator's).
        log_id: which log the note speaks of.
        folder: where dump and note go; made when it is missing.
        projections: read models to take the digests of.
        now: aware; names the files.

    Raises:
        Refused: ``no_such_log``, ``not_dumped``: ``pg_dump`` failed and said why.
        Unavailable: the database is down. Nothing stays under the names of a backup.
    """
    with _snapshot(url) as connection:
        head = connection.execute(
            "SELECT pos FROM eventlog.log_head WHERE log_id = %s", (log_id,)
        ).fetchone()
        if head is None:
            raise Refused("no_such_log", f"there is no log {log_id}", f"không có nhật ký {log_id}")
        newest = connection.execute(
            "SELECT size, note FROM eventlog.checkpoint WHERE log_id = %s"
            " ORDER BY size DESC LIMIT 1",
            (log_id,),
        ).fetchone() or (0, "")
        noted = Backup(
            kind="log", taken_at=now.isoformat(timespec="seconds"),
            dump=_name("log", now, int(head[0])), schema=_schema(connection, "eventlog"),
            log_id=log_id, head=int(head[0]), sealed=int(newest[0]), checkpoint=str(newest[1]),
            read_models=dict(_read_models(connection, projections)),
        )  # fmt: skip
        return _dump(connection, url, folder, noted)


def back_up_keys(url: str, folder: Path, now: datetime) -> tuple[Path, Backup]:
    """Dump the key database; returns the note's path and the note. Raises as ``back_up_log``."""
    with _snapshot(url) as connection:
        row = connection.execute("SELECT count(*) FROM keys.subject_key").fetchone()
        assert row is not None, "an aggregate returns one row"
        noted = Backup(
            kind="keys", taken_at=now.isoformat(timespec="seconds"),
            dump=_name("keys", now, int(row[0])), schema=_schema(connection, "keys"),
            keys=int(row[0]),
        )  # fmt: skip
        return _dump(connection, url, folder, noted)


def read_backup(path: Path) -> Backup:
    """Return the note in ``path``; raises Malformed where it is none, OSError."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        assert said.pop("format") == FORMAT, "another format"
        models = {name: ReadModel(**one) for name, one in said.pop("read_models").items()}
        noted = Backup(**said, read_models=models)
        assert Path(noted.dump).name == noted.dump, "the dump lies beside its note"
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
        found = Problem(
            "note", "not_a_backup", f"no note of a backup: {error}", "không phải ghi chú sao lưu"
        )
        raise Malformed(str(path), (found,)) from error
    return noted


def digest_of_dump(path: Path, noted: Backup) -> str:
    """Return the SHA-256 of the dump beside the note at ``path``; raises OSError."""
    with (path.parent / noted.dump).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def restore(path: Path, noted: Backup, server_url: str, database: str) -> list[str]:
    """Restore a dump into a new ``database``; returns the logins that had to be made for it.

    They may not log in; ``motcua migrate`` gives them their passwords. Nothing stays when it fails.

    Raises:
        Refused: ``database_exists``, ``not_restored``: ``pg_restore`` failed and said why.
        Unavailable: the server is down.
    """
    name = sql.Identifier(database)
    try:
        with psycopg.connect(server_url, autocommit=True, connect_timeout=10) as server:
            made = _make_roles(server)
            server.execute(sql.SQL("CREATE DATABASE {}").format(name))
            try:
                _run(
                    "pg_restore", make_conninfo(server_url, dbname=database),
                    ["--exit-on-error", f"{path.parent / noted.dump}"], "not_restored",
                )  # fmt: skip
            except BaseException:
                server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
                raise
    except psycopg.errors.DuplicateDatabase as error:
        raise _exists(database) from error
    except psycopg.Error as error:
        raise Unavailable("postgresql", str(error)) from error
    return made


def restore_closed(path: Path, noted: Backup, server_url: str, database: str) -> None:
    """Restore as ``restore``, but a log appears under its name closed, or not at all.

    Nobody knows yet whether its end is missing. May be begun anew after it was interrupted.

    Raises:
        Refused, Unavailable: as ``restore``.
    """
    part = f"{database}_restoring"
    name, part_name = sql.Identifier(database), sql.Identifier(part)
    try:
        with psycopg.connect(server_url, autocommit=True, connect_timeout=10) as server:
            row = server.execute("SELECT FROM pg_database WHERE datname = %s", (database,))
            if row.fetchone() is not None:
                raise _exists(database)
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(part_name))
            restore(path, noted, server_url, part)
            if noted.kind == "log":
                with psycopg.connect(make_conninfo(server_url, dbname=part)) as connection:
                    connection.execute(
                        "SELECT eventlog.close_log(%s, %s)",
                        (noted.log_id, f"restored from the backup of {noted.taken_at}"),
                    )
            server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(part_name, name))
    except psycopg.Error as error:
        raise Unavailable("postgresql", str(error)) from error


def _exists(database: str) -> Refused:
    return Refused(
        "database_exists", f"{database} exists; nothing is restored over it",
        f"{database} đã có, không ghi đè", field="database",
    )  # fmt: skip


class _Snapshot:
    """A connection that sees one moment, and the name under which ``pg_dump`` sees the same."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> psycopg.Connection[Any]:
        try:
            self._connection = psycopg.connect(self._url, connect_timeout=10, options=_SESSION)
        except psycopg.Error as error:
            raise Unavailable("postgresql", str(error)) from error
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True
        return self._connection

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._connection.close()
        if isinstance(error, psycopg.Error):
            raise Unavailable("postgresql", str(error)) from error


def _snapshot(url: str) -> _Snapshot:
    return _Snapshot(url)


def _read_models(
    connection: psycopg.Connection[Any], projections: Iterable[Projection]
) -> Iterable[tuple[str, ReadModel]]:
    for projection in projections:
        checkpoints = f"{projection.name.partition('.')[0]}.projection"
        row = connection.execute("SELECT to_regclass(%s)", (checkpoints,)).fetchone()
        if row is None or row[0] is None:
            continue
        schema, _, table = checkpoints.partition(".")
        known = connection.execute(
            sql.SQL("SELECT version, pos FROM {} WHERE name = %s").format(
                sql.Identifier(schema, table)
            ),
            (projection.name,),
        ).fetchone()
        if known is not None and known[0] == projection.version:
            digest = digest_of(connection, projection)
            yield projection.name, ReadModel(version=known[0], position=known[1], digest=digest)


def _schema(connection: psycopg.Connection[Any], schema: str) -> int:
    row = connection.execute(
        sql.SQL("SELECT coalesce(max(number), 0) FROM {}").format(
            sql.Identifier(schema, "migration")
        )
    ).fetchone()
    return 0 if row is None else int(row[0])


def _dump(
    connection: psycopg.Connection[Any], url: str, folder: Path, noted: Backup
) -> tuple[Path, Backup]:
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    assert row is not None, "a scalar function returns one row"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    dump, note = folder / noted.dump, (folder / noted.dump).with_suffix(".json")
    part = dump.with_suffix(".part")
    try:
        part.touch(mode=0o600)
        _run(
            "pg_dump", url,
            ["--format=custom", f"--snapshot={row[0]}", "--lock-wait-timeout=30s",
             f"--file={part}"],
            "not_dumped",
        )  # fmt: skip
        with part.open("rb+") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            os.fsync(stream.fileno())
        size = part.stat().st_size
        part.rename(dump)
    finally:
        part.unlink(missing_ok=True)
    whole = Backup(**{**_fields(noted), "sha256": digest, "size_bytes": size})
    said = {"format": FORMAT, **asdict(whole)}
    part.touch(mode=0o600)
    part.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.rename(note)
    return note, whole


def _fields(noted: Backup) -> dict[str, Any]:
    return {name: getattr(noted, name) for name in Backup.__dataclass_fields__}


def _make_roles(server: psycopg.Connection[Any]) -> list[str]:
    known = {row[0] for row in server.execute("SELECT rolname FROM pg_roles")}
    made = [role for role in (OWNER, *LOGINS) if role not in known]
    for role in made:
        server.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    return made


def _run(program: str, url: str, words: list[str], code: str) -> None:
    """Run one of PostgreSQL's programs; the password does not stand on the command line."""
    parameters = conninfo_to_dict(url)
    password = parameters.pop("password", None)
    environ = dict(os.environ) | ({} if password is None else {"PGPASSWORD": str(password)})
    found = binaries() / program if is_installed() else shutil.which(program)
    if found is None:
        raise Refused(code, f"there is no {program} on this machine", f"máy này không có {program}")
    done = subprocess.run(
        [str(found), "--dbname", make_conninfo("", **parameters), "--no-password", *words],
        check=False, capture_output=True, text=True, timeout=RUN_S, env=environ,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise Refused(code, said[0] if said else program, f"{program} không thực hiện được")


def _name(kind: str, now: datetime, count: int) -> str:
    return f"{kind}-{now:%Y%m%dT%H%M%SZ}-{count}.dump"
