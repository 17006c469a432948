# SPDX-License-Identifier: Apache-2.0
"""A read model is built anew beside the one that serves: equal, at once, or not at all."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from infra.cli_upkeep import projections
from services.common.clock import SystemClock
from services.common.errors import Refused, Unavailable
from services.common.eventlog.bulk import BulkReader
from services.common.eventlog.migrate import NEXT
from services.common.messaging import rebuild as rebuilding
from services.common.messaging.building import BulkProjection, Part
from services.common.messaging.projector import Projection, Projector
from services.common.messaging.rebuild import Rebuild
from services.notify.projections.notification import NotificationProjection
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.projecting import Tally
from tests.support.sealed_log import motcua
from tests.support.stories import Stories
from tests.support.waiting import wait_until

ALL = {**projections(), Tally.name: Tally()}
NAME = NotificationProjection.name


@pytest.fixture(scope="module")
def told(server_url: str) -> Iterator[Database]:
    """A log with stories in it, and the read models as their projectors keep them."""
    with fresh_database(server_url) as database, closing(Stories(database)) as stories:
        stories.tell(60)
        for projection in ALL.values():
            live(database, projection)
        yield database


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """A fresh log for each test."""
    with fresh_database(server_url) as database:
        yield database


def url_of(database: Database, projection: Projection) -> str:
    return database.url_for(f"motcua_{projection.name.partition('.')[0]}")


@contextmanager
def projector(database: Database, projection: Projection) -> Iterator[Projector]:
    with closing(database.log()) as log:
        url = url_of(database, projection)
        yield Projector(projection, log, SystemClock(), database_url=url)


def live(database: Database, projection: Projection) -> str:
    """Let the projection's own projector fold everything; returns the digest of its rows."""
    with (
        projector(database, projection) as one,
        psycopg.connect(url_of(database, projection), autocommit=True) as connection,
    ):
        one.catch_up(connection)
        return one.digest(connection)


def rows(database: Database, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        return connection.execute(text.encode()).fetchall()


def left(database: Database) -> list[tuple[object, ...]]:
    """Return what stands in the second schemas."""
    return rows(database, f"SELECT tablename FROM pg_tables WHERE schemaname LIKE '%{NEXT}'")


def oid(database: Database) -> object:
    return rows(database, "SELECT 'notify.notification'::regclass::oid")[0][0]


@pytest.mark.parametrize("name", ALL)
def test_equal_to_the_live_one(told: Database, name: str) -> None:
    """The same rows and checkpoint by COPY as by the projector; other tables, none left over."""
    projection = ALL[name]
    before = live(told, projection)
    done = Rebuild(projection, url_of(told, projection), LOG_ID, each=400).run()
    assert live(told, projection) == before
    schema, table = name.partition(".")[0], projection.tables[0]
    assert rows(told, f"SELECT count(*) > 0 FROM {schema}.{table}") == [(True,)]
    assert rows(told, f"SELECT pos FROM {schema}.projection WHERE name = '{name}'") == [
        (done.position,)
    ]
    assert (done.copied > 0) == isinstance(projection, BulkProjection)
    assert left(told) == []
    indexes = f"SELECT count(*) FROM pg_indexes WHERE schemaname = '{schema}'"
    assert rows(told, indexes) > [(0,)]


def test_every_read_model_folds_in_memory() -> None:
    """What the services have is rebuilt by COPY; only the test's own projection is not."""
    slow = {name for name, one in ALL.items() if not isinstance(one, BulkProjection)}
    assert slow == {Tally.name}


def test_no_side_effects(told: Database) -> None:
    """Log, keys, inbox and relay are as they were."""
    tables = ("log_head", "append_key", "handled", "reactor", "relay", "stream_head")
    counts = [rows(told, f"SELECT * FROM eventlog.{table}") for table in tables]
    Rebuild(ALL[NAME], url_of(told, ALL[NAME]), LOG_ID).run()
    assert counts == [rows(told, f"SELECT * FROM eventlog.{table}") for table in tables]


def test_while_it_is_written_and_read(database: Database) -> None:
    """Writers append, the projector runs, readers read: never an empty table, nothing missing."""
    projection = ALL[NAME]
    stop, failures, seen = threading.Event(), list[BaseException](), list[int]()

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                while not stop.is_set():
                    work()
            except BaseException as error:
                failures.append(error)

        return run

    with (
        closing(Stories(database)) as stories,
        projector(database, projection) as one,
        psycopg.connect(url_of(database, projection), autocommit=True) as reader,
    ):
        stories.tell(40)
        live(database, projection)

        def read() -> None:
            row = reader.execute("SELECT count(*) FROM notify.notification").fetchone()
            seen.append(row[0] if row else 0)

        threads = [
            threading.Thread(target=guarded(lambda: stories.tell(5) and None)),
            threading.Thread(target=guarded(read)),
            threading.Thread(target=one.run, args=(stop.is_set,)),
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                Rebuild(projection, url_of(database, projection), LOG_ID, workers=2).run()
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert not failures, failures
        assert not any(thread.is_alive() for thread in threads)
        assert len(seen) > 10
        assert min(seen) >= 40
        assert seen == sorted(seen), "a reader went back in time"
        served = live(database, projection)
        with psycopg.connect(url_of(database, projection), autocommit=True) as connection:
            one.rebuild(connection)
            assert one.digest(connection) == served


def test_killed_in_the_middle(told: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL while rows are copied: the old tables serve; the next run removes what is left."""
    before, digest = oid(told), live(told, ALL[NAME])
    environ = {
        **os.environ, "MOTCUA_DATABASE_URL": url_of(told, ALL[NAME]), "MOTCUA_LOG_ID": str(LOG_ID),
    }  # fmt: skip
    with psycopg.connect(told.owner_url) as blocker:
        # The exchange waits for a reader, so that the kill meets it with everything copied.
        blocker.execute("SELECT FROM notify.notification LIMIT 1")
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "infra.motcua", "rebuild", NAME], env=environ
        )
        try:
            wait_until(lambda: bool(waiting(told)), what="the exchange to wait")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        assert left(told) == [("notification",)]
        assert oid(told) == before
    assert live(told, ALL[NAME]) == digest
    wait_until(lambda: not waiting(told), what="the killed one's session to end")
    monkeypatch.setattr(rebuilding, "CLOSE", 0)
    Rebuild(ALL[NAME], url_of(told, ALL[NAME]), LOG_ID).run()
    assert oid(told) != before
    assert (live(told, ALL[NAME]), left(told)) == (digest, [])


def waiting(database: Database) -> list[tuple[object, ...]]:
    return rows(
        database,
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'rebuild'"
        f" AND wait_event_type = 'Lock' AND datname = '{database.name}'",
    )


def test_a_long_reader_puts_it_off(told: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that stay in use are not exchanged, and say so."""
    monkeypatch.setattr(rebuilding, "SWAPS_MAX", 1)
    before = oid(told)
    with psycopg.connect(told.owner_url) as blocker:
        blocker.execute("SELECT FROM notify.notification LIMIT 1")
        with pytest.raises(Unavailable, match="in use"):
            Rebuild(ALL[NAME], url_of(told, ALL[NAME]), LOG_ID).run()
    assert oid(told) == before


@pytest.mark.parametrize(("parts", "said"), [(1, "postgresql"), (2, "Unavailable")])
def test_a_dead_child_is_the_end(
    told: Database, monkeypatch: pytest.MonkeyPatch, parts: int, said: str
) -> None:
    """A log that cannot be read, here or by children, breaks it off; nothing was changed."""
    before = oid(told)
    rebuild = Rebuild(ALL[NAME], url_of(told, ALL[NAME]), LOG_ID)
    monkeypatch.setattr(
        rebuilding, "parts_of",
        lambda projection, _source, through, each: [rebuilding_part(projection, through)] * parts,
    )  # fmt: skip
    with pytest.raises(Unavailable, match=said):
        rebuild.run()
    assert oid(told) == before


def rebuilding_part(projection: BulkProjection, through: int) -> Part:
    """Return a part whose log cannot be reached."""
    return Part(projection, BulkReader("postgresql://nobody@127.0.0.1:1/none", 1), through, None)


def test_one_at_a_time(told: Database) -> None:
    """A second rebuild of the same read model is refused."""
    with psycopg.connect(url_of(told, ALL[NAME])) as other:
        other.execute(
            "SELECT pg_advisory_lock(%s, hashtext(%s))", (rebuilding.RUN_LOCK_CLASS, NAME)
        )
        with pytest.raises(Refused) as caught:
            Rebuild(ALL[NAME], url_of(told, ALL[NAME]), LOG_ID).run()
    assert caught.value.code == "rebuild_running"


def test_another_login_may_not(told: Database) -> None:
    """Read models belong to their service."""
    before, serving = left(told), oid(told)
    with pytest.raises(Refused) as caught:
        Rebuild(ALL[NAME], told.url_for("motcua_payment"), LOG_ID).run()
    assert caught.value.code == "wrong_login"
    assert (left(told), oid(told)) == (before, serving)


def test_a_wrong_name_is_refused(told: Database) -> None:
    """By name, with those that there are."""
    said = motcua(told, "rebuild", "notify.nothing")
    assert said.returncode == 2
    assert "no_such_projection" in said.stderr
    assert "intake.dossiers" in said.stderr


def test_an_older_release_takes_nothing_back(database: Database) -> None:
    """A newer version was built beside; the old projector waits instead of dropping it."""

    class Second(Tally):
        version = 2

    with closing(Stories(database)) as stories:
        stories.tell(5)
    live(database, Tally())
    Rebuild(Second(), url_of(database, Tally()), LOG_ID).run()
    with pytest.raises(Unavailable, match="version 2"):
        live(database, Tally())
    began = time.monotonic()
    assert live(database, Second())
    assert time.monotonic() - began < 60
    assert rows(database, "SELECT version FROM notify.projection") == [(2,)]
