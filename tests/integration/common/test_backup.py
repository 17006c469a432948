# SPDX-License-Identifier: Apache-2.0
"""A backup is whole or not there, and a drill tells whether all of it comes back."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from infra.cli_upkeep import projections
from services.common.audit.subjects import Erase, erase
from services.common.clock import SystemClock
from services.common.eventlog.recording import Recorder
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.events import fresh, request
from tests.support.lives import live, project
from tests.support.offices import SERVICE_KEY
from tests.support.sealed_log import KEYS, seal

KEY = str(KEYS[0])


@pytest.fixture(scope="module")
def told(server_url: str) -> Iterator[Database]:
    """A sealed log with stories, people and read models."""
    with fresh_database(server_url) as database:
        live(database, 20, ended=8)
        seal(database)
        project(database)
        yield database


@contextmanager
def copy_of(database: Database) -> Iterator[Database]:
    """Copy the log's database; nobody may be connected to it."""
    name = sql.Identifier(f"{database.name}_copy")
    with psycopg.connect(database.server_url, autocommit=True) as server:
        source = sql.Identifier(database.name)
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, source))
        try:
            yield Database(database.server_url, f"{database.name}_copy")
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def erase_one(database: Database) -> None:
    """Erase the first dossier's personal data."""
    with (
        closing(database.log("motcua_eraser")) as log,
        closing(database.keys("motcua_eraser")) as keys,
    ):
        first = str(log.read_all(0, types=["kiosk.dossier_deposited"])[0].subject)
        order = Erase(dossier=first, basis="request", reference="CV-1", official="cb007")
        erase(Recorder(log, keys, SystemClock(), SERVICE_KEY), keys, order)


def command(database: Database, *words: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "infra.motcua", *words]


def environ(database: Database) -> dict[str, str]:
    return {
        **os.environ, "MOTCUA_ADMIN_URL": database.owner_url, "MOTCUA_LOG_ID": str(LOG_ID),
        "MOTCUA_KEYS_ADMIN_URL": database.keys_owner_url,
        "MOTCUA_SCRATCH_ADMIN_URL": database.server_url,
    }  # fmt: skip


def motcua(database: Database, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(database, *words), check=False, capture_output=True, text=True, timeout=120,
        env=environ(database),
    )  # fmt: skip


def taken(database: Database, kind: str, folder: Path) -> Path:
    """Back up; returns the note."""
    done = motcua(database, "backup", kind, str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    (note,) = folder.glob(f"{kind}-*.json")
    return note


def drilled(database: Database, *words: str) -> tuple[int, dict[str, object]]:
    done = motcua(database, "restore-drill", *words, "--key", KEY, "--json")
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def differing(said: dict[str, object]) -> set[str]:
    lines = said["lines"]
    assert isinstance(lines, list)
    return {line["what"] for line in lines if not line["agrees"]}


def scratch(database: Database) -> list[str]:
    with psycopg.connect(database.server_url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname ~ 'drill'")
        return [row[0] for row in rows]


def test_everything_comes_back(told: Database, tmp_path: Path) -> None:
    """Taken while somebody appends; restored, verified, replayed; nothing of the drill is left.

    The keys' backup is from before an erasure: what it still holds of it is counted.
    """
    keys = taken(told, "keys", tmp_path / "k")
    erase_one(told)
    with closing(told.log()) as log:
        appending = subprocess.Popen(
            command(told, "backup", "log", str(tmp_path / "l")), env=environ(told),
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while appending.poll() is None:
            log.append(request((fresh(), 0, 3), kind="test.happened"))
        assert appending.returncode == 0
    (note,) = (tmp_path / "l").glob("*.json")
    code, said = drilled(told, str(note), "--keys", str(keys))
    assert (differing(said), code) == (set(), 0)
    lines = said["lines"]
    assert isinstance(lines, list)
    noted = {line["what"]: line["noted"] for line in lines}
    assert noted["events"] >= noted["events under a checkpoint"] > 60
    assert {f"read model {name}" for name in projections()} < set(noted)
    assert {f"{name} replayed" for name in projections()} < set(noted)
    assert said["erase_again"] == 1
    assert scratch(told) == []
    assert {path.suffix for path in (tmp_path / "l").iterdir()} == {".json", ".dump"}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "l").iterdir()} == {0o600}


HARM = (
    "UPDATE eventlog.event SET data = data || ' '::bytea WHERE pos = 9",
    "DELETE FROM eventlog.checkpoint WHERE size > 50",
    "UPDATE intake.dossier SET status = 9",
)


def test_what_did_not_come_back_is_said(told: Database, tmp_path: Path) -> None:
    """A dump of another state than the note speaks of: 1, and each line that differs."""
    note = taken(told, "log", tmp_path / "good")
    with copy_of(told) as harmed:
        with psycopg.connect(harmed.owner_url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in HARM:
                assert connection.execute(statement.encode()).rowcount > 0
        other = taken(harmed, "log", tmp_path / "harmed")
    said, theirs = json.loads(note.read_text()), json.loads(other.read_text())
    other.write_text(json.dumps(said | {name: theirs[name] for name in ("dump", "sha256")}))
    code, found = drilled(told, str(other))
    assert code == 1
    assert differing(found) == {
        "events under a checkpoint", "newest checkpoint", "what a full verification finds",
        "read model intake.dossiers", "intake.dossiers replayed",
    }  # fmt: skip
    assert scratch(told) == []


def test_a_broken_dump(told: Database, tmp_path: Path) -> None:
    """A bit that turned over is named, a dump that cannot be read is refused; nothing is left."""
    note = taken(told, "log", tmp_path)
    noted = json.loads(note.read_text())
    dump = tmp_path / noted["dump"]
    whole = dump.read_bytes()
    dump.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    code, said = drilled(told, str(note))
    assert (code, differing(said), scratch(told)) == (1, {"SHA-256 of the dump"}, [])
    cut = whole[: len(whole) // 2]
    dump.write_bytes(cut)
    note.write_text(json.dumps(noted | {"sha256": hashlib.sha256(cut).hexdigest()}))
    done = motcua(told, "restore-drill", str(note), "--key", KEY)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("not_restored: ")
    note.write_text("{}")
    done = motcua(told, "restore-drill", str(note), "--key", KEY)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert scratch(told) == []


def test_killed_while_dumping(told: Database, tmp_path: Path) -> None:
    """Nothing stands under a backup's name; the next one is good."""
    for delay_s in (0.7, 0.9, 1.1):
        started = subprocess.Popen(
            command(told, "backup", "log", str(tmp_path)), env=environ(told),
            stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(delay_s)
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
        started.wait(30)
    taken(told, "log", tmp_path / "again")
    for path in tmp_path.rglob("*.json"):
        note = json.loads(path.read_text())
        dump = (path.parent / note["dump"]).read_bytes()
        assert hashlib.sha256(dump).hexdigest() == note["sha256"]
