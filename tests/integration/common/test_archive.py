# SPDX-License-Identifier: Apache-2.0
"""What is in the archive is what was sealed, whoever interrupted it or touched the files."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from infra.motcua import app
from services.common.errors import MotCuaError
from services.common.eventlog.columns import read_parquet, write_parquet
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.events import fresh, request
from tests.support.partitions import narrow
from tests.support.sealed_log import KEYS, seal

KEY = str(KEYS[0])
WIDTH = 100


def environ(database: Database, role: str = "motcua_sealer") -> dict[str, str]:
    return {"MOTCUA_DATABASE_URL": database.url_for(role), "MOTCUA_LOG_ID": str(LOG_ID)}


def archive(database: Database, folder: Path, *words: str) -> tuple[int, list[str]]:
    """Run the command; returns exit code and lines."""
    done = CliRunner().invoke(
        app, ["archive", str(folder), "--key", KEY, *words], env=environ(database)
    )
    if isinstance(done.exception, MotCuaError):
        return 2, str(done.exception).splitlines()
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.splitlines()


def grow(database: Database, events: int) -> None:
    with closing(database.log()) as log:
        for _ in range(events // 10):
            log.append(request((fresh(), 0, 7), (fresh(), 0, 3), kind="test.happened"))
    seal(database)


def tamper(database: Database, statement: str) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        assert connection.execute(statement.encode()).rowcount > 0


def recorded(database: Database) -> list[tuple[int, int]]:
    with psycopg.connect(database.owner_url) as connection:
        return connection.execute(
            "SELECT first, last FROM eventlog.archived_range ORDER BY first"
        ).fetchall()


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """A sealed log of 350 events in partitions of 100."""
    with fresh_database(server_url) as database:
        narrow(database, WIDTH)
        grow(database, 350)
        yield database


def test_whole_partitions_are_archived(database: Database, tmp_path: Path) -> None:
    """Event for event what the log has; what is not whole yet waits; nothing is written twice."""
    code, said = archive(database, tmp_path, "--unwitnessed")
    assert (code, said[-1]) == (0, "3 ranges in the archive")
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == [
        f"93-{first:012d}-{first + 99:012d}.parquet" for first in (1, 101, 201)
    ]
    with closing(database.log()) as log:
        assert [one for path in files for one in read_parquet(path)] == list(
            log.read_all(0, through=300)
        )
    before = [path.stat().st_mtime_ns for path in files]
    grow(database, 100)
    assert archive(database, tmp_path, "--unwitnessed")[1][-1] == "4 ranges in the archive"
    assert [path.stat().st_mtime_ns for path in files] == before
    assert archive(database, tmp_path, "--deep") == (0, ["4 ranges, 0 wrong"])


def test_only_what_a_witness_cosigned(database: Database, tmp_path: Path) -> None:
    """Without a cosignature nothing, then as far as the newest one reaches."""
    assert archive(database, tmp_path)[1] == [
        "not_witnessed: no checkpoint is cosigned by a witness"
    ]
    grow(database, 100)
    with psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO eventlog.cosignature SELECT log_id, size, 'w', 'x' FROM"
            " eventlog.checkpoint WHERE size = 350"
        )
    assert archive(database, tmp_path)[1][-1] == "3 ranges in the archive"
    assert recorded(database) == [(1, 100), (101, 200), (201, 300)]


def test_whatever_an_interrupted_run_left(database: Database, tmp_path: Path) -> None:
    """A part is written anew, a whole file that is not recorded is checked and taken."""
    names = [f"93-{first:012d}-{first + 99:012d}.parquet" for first in (1, 101, 201)]
    with closing(database.log()) as log:
        events = log.read_all(0, through=300)
    write_parquet(tmp_path / names[0], events[:100])  # killed before it was recorded
    kept = (tmp_path / names[0]).stat().st_mtime_ns
    write_parquet(tmp_path / names[1], events[:150])  # somebody else's
    (tmp_path / names[2]).write_bytes((tmp_path / names[0]).read_bytes()[:900])
    (tmp_path / f"{names[2]}.part").write_bytes(b"x")
    assert archive(database, tmp_path, "--unwitnessed")[0] == 0
    assert (tmp_path / names[0]).stat().st_mtime_ns == kept
    assert archive(database, tmp_path, "--deep") == (0, ["3 ranges, 0 wrong"])
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_killed_again_and_again(database: Database, tmp_path: Path) -> None:
    """At any moment; what is recorded is always whole, and in the end everything is."""
    command = [
        sys.executable, "-W", "ignore", "-m", "infra.motcua", "archive", str(tmp_path),
        "--key", KEY, "--unwitnessed",
    ]  # fmt: skip
    for number in range(2):
        run = subprocess.Popen(
            command, env={**os.environ, **environ(database)}, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while run.poll() is None and time.monotonic() < deadline:
            written = len(list(tmp_path.glob("*.parquet*")))
            if written > number:  # at its first, second … file
                break
        run.send_signal(signal.SIGKILL)
        run.wait(30)
        assert archive(database, tmp_path, "--deep")[0] == 0
    assert archive(database, tmp_path, "--unwitnessed")[1][-1] == "3 ranges in the archive"
    assert archive(database, tmp_path, "--deep") == (0, ["3 ranges, 0 wrong"])


def test_files_that_changed_are_named(database: Database, tmp_path: Path) -> None:
    """Gone, touched, or made new with every hash right: range and file are said."""
    archive(database, tmp_path, "--unwitnessed")
    first, second, third = sorted(tmp_path.iterdir())
    raw = bytearray(first.read_bytes())
    raw[len(raw) // 2] ^= 1
    first.write_bytes(raw)
    second.unlink()
    assert archive(database, tmp_path, "--check") == (1, [
        f"positions 1–100 ({first.name}): it is not the file that was archived",
        f"positions 101–200 ({second.name}): No such file or directory", "3 ranges, 2 wrong",
    ])  # fmt: skip
    events = list(read_parquet(third))
    write_parquet(third, events[:-1])
    digest = hashlib.sha256(third.read_bytes()).hexdigest()
    tamper(database, f"UPDATE eventlog.archived_range SET sha256 = '\\x{digest}' WHERE first = 201")
    code, said = archive(database, tmp_path, "--deep")
    assert (code, said[-2]) == (1, f"positions 201–300 ({third.name}): it ends at 299")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE eventlog.event SET data = data || ' '::bytea WHERE pos = 150",
        "DELETE FROM eventlog.event WHERE pos = 150",
        (
            "UPDATE eventlog.event SET content_hash = sha256('x'), leaf_hash = sha256('\\x00'::bytea"
            " || sha256('x') || int8send(recorded_at)) WHERE pos = 150"
        ),
        "UPDATE eventlog.event SET recorded_at = recorded_at + 1 WHERE pos = 200",
    ],
)
def test_a_changed_log_is_not_archived(database: Database, tmp_path: Path, statement: str) -> None:
    """The range with the change is not recorded, nor one whose proof would lead over it."""
    tamper(database, statement)
    code, said = archive(database, tmp_path, "--unwitnessed")
    assert code == 1
    assert said[-1].startswith("positions ")
    assert recorded(database) in ([], [(1, 100)])


@pytest.mark.parametrize("role", ["motcua_intake", "motcua_audit", "motcua_feed"])
def test_nobody_else_records(database: Database, role: str) -> None:
    """Only the sealer's login says what is in the archive, and nobody takes it back."""
    row = "VALUES (93, 1, 100, 'x', sha256('x'), 1, sha256('x'), 100, 1)"
    with (
        psycopg.connect(database.url_for(role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(f"INSERT INTO eventlog.archived_range {row}".encode())
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute(f"INSERT INTO eventlog.archived_range {row}".encode())
        for statement in ("DELETE FROM", "TRUNCATE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"{statement} eventlog.archived_range".encode())
