# SPDX-License-Identifier: Apache-2.0
"""``make bench-growth``: what the last million of a big log costs beside the first.

A log of ``EVENTS`` (ten million by default; whole millions) over several partitions and an empty one
on the same server, in turn: appends of 32 callers; reading a million events in bulk at the beginning
and the end; reading one dossier's story. A ratio of 1 means that size costs nothing; the target of
1.2 times the cost is a ratio of 0.83. Then commands at 500 a second for five minutes on the full log,
through relay and broker to a subscriber.
"""

import os
import statistics
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice

import psycopg

from services.common.eventlog.bulk import BulkReader, Selection
from services.common.eventlog.postgres import PostgresLog
from tests.load.appending import MADE, measure
from tests.load.made import grow, made_log
from tests.load.reactor import subscriber
from tests.load.report import FULL, Entry, write
from tests.support.broker import fresh_broker
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.events import request

EVENTS = 10_000_000
SLICE = 1_000_000
TARGET = 0.83
CALLERS, STORIES = 32, 500
SUSTAINED_S = 300.0


def main() -> None:
    """Make the log, measure, write the report."""
    events = int(os.environ.get("EVENTS", str(EVENTS)))
    began = time.monotonic()
    with (
        made_log(min(SLICE, events)) as big,
        fresh_database(os.environ["MOTCUA_TEST_DATABASE_URL"]) as empty,
    ):
        events = grow(big, max(1, events // SLICE))
        print(f"{events:,} events made after {time.monotonic() - began:.0f} s", flush=True)
        rows = [_appends(big, empty), _slices(big, events), _stories(big, events)]
        write("growth", [*rows, *_sustained(big)])


def _appends(big: Database, empty: Database) -> Entry:
    logs = [database.log("motcua_intake") for database in (big, empty)]
    pairs = [tuple(_append(log) for log in logs) for _ in range(FULL.rounds)]
    for log in logs:
        log.close()
    return _entry("append, 32 callers: full log, empty log", pairs, "events/s")


def _append(log: PostgresLog) -> float:
    made = [request((f"dossier-{uuid.uuid4()}", 0, 1)) for _ in range(MADE)]
    return measure(log.append, made, CALLERS, FULL.seconds)[0]


def _slices(big: Database, events: int) -> Entry:
    size = min(SLICE, events // 2)
    reader = BulkReader(big.url_for("motcua_audit"), LOG_ID)

    def read(after: int) -> float:
        began = time.monotonic()
        count = sum(1 for _ in reader.read(Selection(after=after, through=after + size)))
        return count / (time.monotonic() - began)

    pairs = [(read(events - size), read(0)) for _ in range(FULL.rounds)]
    return _entry(f"COPY of {size:,}: the last, the first", pairs, "events/s")


def _stories(big: Database, events: int) -> Entry:
    reader, log = BulkReader(big.url_for("motcua_audit"), LOG_ID), big.log("motcua_audit")

    def read(after: int) -> float:
        found = (event.subject for event in reader.read(Selection(after=after)) if event.subject)
        subjects = list(dict.fromkeys(islice(found, STORIES)))
        began = time.monotonic()
        for subject in subjects:
            assert log.read_subject(subject)
        return len(subjects) / (time.monotonic() - began)

    pairs = [(read(events - 5_000), read(0)) for _ in range(FULL.rounds)]
    log.close()
    return _entry("one dossier's story: of the end, of the beginning", pairs, "stories/s")


def _sustained(big: Database) -> Iterator[Entry]:
    amqp, management = (
        os.environ[f"MOTCUA_TEST_AMQP_{name}"] for name in ("URL", "MANAGEMENT_URL")
    )
    with psycopg.connect(big.owner_url, autocommit=True) as connection:
        # What was made is taken to be published: the relay begins at the end, as it would there.
        connection.execute(
            "INSERT INTO eventlog.relay SELECT log_id, pos FROM eventlog.log_head"
            " WHERE log_id = %s ON CONFLICT (log_id) DO UPDATE SET pos = excluded.pos",
            (LOG_ID,),
        )
    with fresh_broker(amqp, management) as broker:
        broker.declare()
        yield from subscriber(big, broker, SUSTAINED_S)


def _entry(name: str, pairs: Sequence[tuple[float, ...]], unit: str) -> Entry:
    last, first = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    return Entry(name, last, first, last / first, TARGET, unit)


if __name__ == "__main__":
    main()
