# SPDX-License-Identifier: Apache-2.0
"""What a look-up costs in the database does not grow with the log, whatever the planner knows."""

from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest

from services.common.eventlog import reads
from services.common.eventlog.record import Handled, RecordedEvent
from tests.support.database import LOG_ID, Database
from tests.support.events import fresh, request

REACTOR = "intake.reactions"
EVENTS = 3_000
PAGES_MAX = 40
"""Of 8 KiB; some for an event and its index in each of ten partitions. A scan takes hundreds."""


@pytest.fixture(scope="module")
def last(database: Database) -> RecordedEvent:
    """The last of many events, all but this one handled; nothing has gathered statistics."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE eventlog.event_0 SET (autovacuum_enabled = off)")
        owner.execute("ALTER TABLE eventlog.handled SET (autovacuum_enabled = off)")
    log = database.log("motcua_intake")
    for begin in range(1, EVENTS, 500):
        log.append_all([
            request((fresh(), 0, 1), handled=Handled(reactor=REACTOR, position=position))
            for position in range(begin, begin + 500)
        ])  # fmt: skip
    log.append(request((fresh(), 0, 1)))
    (event,) = log.read_positions([log.head()])
    log.close()
    return event


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    """The database's owner."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("question", [reads.AT_POSITIONS, reads.OF_STREAMS, reads.WITH_MARKS])
@pytest.mark.parametrize("copies", [1, 100])
def test_look_up_reads_no_more_than_what_it_names(
    owner: psycopg.Connection, last: RecordedEvent, question: LiteralString, copies: int
) -> None:
    """One event costs some pages and a hundred a hundred times as much, not the whole log."""
    streams = [last.stream, *(fresh() for _ in range(copies - 1))]
    positions = list(range(last.position + 1 - copies, last.position + 1))
    named: object = {"log": LOG_ID, "reactor": REACTOR, "positions": positions}
    if question is reads.OF_STREAMS:
        named = (streams, LOG_ID)
    for _ in range(2):
        row = owner.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {question}", named).fetchone()
        assert row is not None
        plan = row[0][0]["Plan"]
        expected = 1 if question is reads.OF_STREAMS else copies
        assert plan["Actual Rows"] == expected
        pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        scanned = [at for at in _nodes(plan) if at.get("Rows Removed by Filter", 0) > 0]
        assert not scanned, plan
        assert pages <= PAGES_MAX * copies
        owner.execute("ANALYZE eventlog.event, eventlog.handled")


def _nodes(plan: dict) -> Iterator[dict]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)
