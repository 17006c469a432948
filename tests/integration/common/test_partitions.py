# SPDX-License-Identifier: Apache-2.0
"""No append fails for want of a partition, and nobody makes any but at the log's end."""

import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from services.common.audit.rooming import make_room
from services.common.eventlog.migrate import LOGINS
from services.common.telemetry import metrics
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.events import fresh, request
from tests.support.partitions import bounds, narrow


@pytest.fixture(scope="module")
def database(server_url: str) -> Iterator[Database]:
    """A log with partitions of 100 positions."""
    with fresh_database(server_url) as database:
        narrow(database, 100)
        yield database


def reaches(database: Database) -> int:
    return bounds(database)[-1][1]


def test_migrate_makes_two_ahead(server_url: str) -> None:
    """An old log that is migrated has room as well."""
    with fresh_database(server_url) as database:
        assert reaches(database) >= 10_000_000
        narrow(database, 50)
        database.migrate()
        assert bounds(database) == [(1, 50), (51, 100)]


def test_appends_make_their_own_room(database: Database) -> None:
    """Eight writers run over many ends, also with a request wider than a partition."""
    failures = list[BaseException]()

    def write() -> None:
        try:
            with closing(database.log()) as log:
                for each in (1, 3, 7, 40, 250):
                    log.append(request((fresh(), 0, each)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures
    with closing(database.log()) as log:
        head = log.head()
        positions = [event.position for event in log.read_all(0, limit=10_000)]
    assert head == 8 * 301
    assert positions == list(range(1, head + 1))
    found = bounds(database)
    assert [first for first, _ in found] == list(range(1, found[-1][1], 100))
    assert found[-1][1] >= head + 200


def test_the_sealer_keeps_two_ahead(database: Database) -> None:
    """Made before they are needed, and the metric says how many there are."""
    with (
        psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as sealer,
        closing(database.log()) as log,
    ):
        for _ in range(3):
            log.append(request((fresh(), 0, 90)))
            assert make_room(sealer, LOG_ID) >= 2
            assert reaches(database) - log.head() >= 200
            assert metrics.partitions_ahead.collect()[0].samples[0].value >= 2
        before = bounds(database)
        make_room(sealer, LOG_ID)
        assert bounds(database) == before, "it rests while there is room"


@pytest.mark.parametrize("role", [role for role in LOGINS if role != "motcua_sealer"])
def test_others_make_none(database: Database, role: str) -> None:
    """Only the sealer may ask for partitions, and nobody makes a table in the log's schema."""
    with psycopg.connect(database.url_for(role), autocommit=True) as connection:
        for statement in (
            f"SELECT eventlog.make_partitions({LOG_ID})", "SELECT eventlog.make_partition(1, 2)",
            "CREATE TABLE eventlog.mine (n int)",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_the_sealer_makes_no_other_table(database: Database) -> None:
    """Its right is that one function."""
    with psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as connection:
        for statement in (
            "SELECT eventlog.make_partition(1, 2)",
            "CREATE TABLE eventlog.mine (n int)",
            "CREATE TABLE eventlog.event_x PARTITION OF eventlog.event FOR VALUES FROM (-9) TO (0)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_no_slip_of_the_hand_on_a_partition(database: Database) -> None:
    """A partition refuses changes as the whole table does."""
    last = bounds(database)[-1][0]
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        for statement in ("DELETE FROM", "TRUNCATE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"{statement} eventlog.event_from_{last}".encode())
