# SPDX-License-Identifier: Apache-2.0
"""Read models are folds of the log: droppable at any time, equal to a replay, never half moved."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from services.common.clock import SystemClock
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent
from services.common.messaging.projector import BATCH, Projection, Projector
from tests.support.database import Database, fresh_database
from tests.support.events import fresh, request
from tests.support.projecting import Tally
from tests.support.waiting import wait_until

ROLE = "motcua_notify"


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """A fresh log for each test."""
    with fresh_database(server_url) as database:
        yield database


@pytest.fixture
def log(database: Database) -> Iterator[PostgresLog]:
    log = database.log()
    yield log
    log.close()


def append(log: PostgresLog, streams: int, each: int = 10) -> None:
    """Append ``each`` events on each of ``streams`` new streams."""
    for _ in range(streams):
        log.append(request((fresh(), 0, each)))


def projector(
    database: Database, log: PostgresLog, projection: Projection | None = None
) -> Projector:
    return Projector(projection or Tally(), log, SystemClock(), database_url=database.url_for(ROLE))


@contextmanager
def running(projector: Projector) -> Iterator[None]:
    """Project while the block runs."""
    done = threading.Event()
    thread = threading.Thread(target=projector.run, args=(done.is_set,))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(30)
        assert not thread.is_alive(), "the projector did not stop"


def checkpoint(database: Database) -> tuple[int, int]:
    """Return version and position; zeros while there is nothing."""
    try:
        return query(database, "SELECT version, pos FROM notify.projection")
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0, 0


def query(database: Database, text: str) -> tuple[int, int]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        row = connection.execute(text.encode()).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)


def assert_equals_replay(database: Database, log: PostgresLog) -> None:
    """The tables as they stand are those that a fresh replay of the whole log makes."""
    one = projector(database, log)
    with psycopg.connect(database.url_for(ROLE), autocommit=True) as connection:
        stood = one.digest(connection)
        head = one.rebuild(connection)
        assert stood == one.digest(connection)
    assert query(database, "SELECT n, positions FROM notify.total") == (
        head,
        head * (head + 1) // 2,
    )


HARMS = {
    "one table": ["DROP TABLE notify.tally"],
    "another table": ["DROP TABLE notify.total"],
    "checkpoints": ["DROP TABLE notify.projection"],
    "everything": ["DROP TABLE notify.tally, notify.total, notify.projection"],
    "checkpoint row": ["DELETE FROM notify.projection"],
}


@pytest.mark.parametrize("harm", HARMS)
def test_dropped_tables_come_back_while_running(
    database: Database, log: PostgresLog, harm: str
) -> None:
    """Whatever part of it is dropped, the projection is whole again and equal to a replay."""
    append(log, 150)
    with running(projector(database, log)):
        wait_until(lambda: checkpoint(database)[1] == 1500, what="caught up")
        with psycopg.connect(database.owner_url, autocommit=True) as connection:
            for statement in HARMS[harm]:
                connection.execute(statement.encode())
        append(log, 5)
        wait_until(lambda: checkpoint(database)[1] == 1550, what="built anew and caught up")
    assert_equals_replay(database, log)


def test_a_dropped_schema_comes_back_after_migrate(database: Database, log: PostgresLog) -> None:
    """Without its schema the projector waits; ``migrate`` gives the schema, it gives the rest."""
    append(log, 20)
    with running(projector(database, log)):
        wait_until(lambda: checkpoint(database)[1] == 200, what="caught up")
        with psycopg.connect(database.owner_url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA notify CASCADE")
        append(log, 20)
        database.migrate()
        wait_until(lambda: checkpoint(database)[1] == 400, what="built anew")
    assert_equals_replay(database, log)


def test_a_raised_version_builds_anew(database: Database, log: PostgresLog) -> None:
    """A higher version, with other columns, replaces what the lower one made."""

    class Second(Tally):
        version = 2
        ddl = Tally.ddl.replace("n bigint NOT NULL);", "n bigint NOT NULL, more text);", 1)

    append(log, 30)
    with running(projector(database, log)):
        wait_until(lambda: checkpoint(database) == (1, 300), what="version 1 caught up")
    with running(projector(database, log, Second())):
        wait_until(lambda: checkpoint(database) == (2, 300), what="version 2 built")
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("SELECT more FROM notify.tally")
    assert query(database, "SELECT n, positions FROM notify.total") == (300, 300 * 301 // 2)


def test_a_lost_session_moves_neither_rows_nor_checkpoint(
    database: Database, log: PostgresLog
) -> None:
    """The session dies in the middle of batches, three times: no event counts twice or never."""
    at = {700, 701, 1999}

    class Dying(Tally):
        def fold(self, cursor: psycopg.Cursor, event: RecordedEvent) -> None:
            super().fold(cursor, event)
            if event.position in at:
                at.remove(event.position)
                with psycopg.connect(database.owner_url, autocommit=True) as connection:
                    pid = cursor.connection.info.backend_pid
                    connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    assert BATCH == 1000
    append(log, 250)
    with running(projector(database, log, Dying())):
        wait_until(lambda: checkpoint(database)[1] == 2500, what="caught up in the end")
    assert not at
    assert_equals_replay(database, log)


def test_a_killed_projector_is_followed_by_another(database: Database, log: PostgresLog) -> None:
    """Killed in the middle, again and again; the next one takes the lead and counts right."""
    append(log, 300)
    command = [sys.executable, "-m", "tests.support.projecting", database.url_for(ROLE)]
    for goal in (1000, 2000, 3000):
        processes = [subprocess.Popen(command) for _ in range(2)]
        try:
            wait_until(lambda goal=goal: checkpoint(database)[1] >= goal, what=f"{goal} folded")
            append(log, 10)
        finally:
            for process in processes:
                process.kill()
                process.wait(10)
    with running(projector(database, log)):
        wait_until(lambda: checkpoint(database)[1] == log.head(), what="caught up")
    assert_equals_replay(database, log)


def test_rebuilt_by_hand_while_running(database: Database, log: PostgresLog) -> None:
    """A rebuild beside the running projector, twice at once: no error, nothing counted twice."""
    append(log, 120)
    failures: list[BaseException] = []

    def rebuild() -> None:
        try:
            with psycopg.connect(database.url_for(ROLE), autocommit=True) as connection:
                for _ in range(12):
                    projector(database, log).rebuild(connection)
        except BaseException as error:
            failures.append(error)

    with running(projector(database, log)):
        hands = [threading.Thread(target=rebuild) for _ in range(2)]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join(60)
            assert not hand.is_alive(), "a rebuild did not end"
        wait_until(lambda: checkpoint(database)[1] == 1200, what="caught up")
    assert not failures, failures
    assert_equals_replay(database, log)
