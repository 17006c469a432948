# SPDX-License-Identifier: Apache-2.0
"""Durable append against pyeventsourcing in its safe mode, on the same server.

The peer runs as its users run it safely: its PostgreSQL recorder with the table lock, one append a
transaction. Both wait for the durable answer before the next append. Both are handed what to append
ready made, each to a stream of its own; ids and hashes that ours derives are inside the measure.
"""

import gc
import os
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from tests.load.report import Entry, Scale
from tests.support.database import Database, fresh_database
from tests.support.events import request

MADE = 64_000
CALLERS = (1, 8, 32, 128)
TARGETS: dict[int, tuple[float | None, float | None]] = {32: (12.0, 10.0)}
PAYLOAD = b'{"cell":3,"loaded_event":"0193b0a0-0000-7000-8000-000000000000","machine":"VT01"}'


def measure(
    append: Callable[[Any], object], made: Sequence[Any], producers: int, seconds: float
) -> tuple[float, float]:
    """Return (events a second, 99th percentile in ms) of ``producers`` concurrent callers."""
    latencies: list[list[float]] = [[] for _ in range(producers)]
    stop = time.monotonic() + seconds
    share = len(made) // producers

    def produce(place: int) -> None:
        mine = iter(made[place * share : (place + 1) * share])
        while (began := time.monotonic()) < stop:
            append(next(mine))
            latencies[place].append(time.monotonic() - began)

    gc.freeze()  # what was made beforehand is not searched for garbage again and again
    threads = [threading.Thread(target=produce, args=(place,)) for place in range(producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.unfreeze()
    taken = sorted(latency for one in latencies for latency in one)
    return len(taken) / seconds, taken[int(len(taken) * 0.99)] * 1000


def peer_recorder(database: Database) -> PostgresApplicationRecorder:
    """Return the peer's recorder in a database of its own tables."""
    parts = urlsplit(database.owner_url)
    store = PostgresDatastore(
        dbname=database.name, host=parts.hostname or "", port=str(parts.port),
        user=parts.username or "", password=parts.password or "", pool_size=16,
        max_overflow=140, max_waiting=1000, connect_timeout=60,
    )  # fmt: skip
    recorder = PostgresApplicationRecorder(store, events_table_name="peer_events")
    recorder.create_table()
    return recorder


def rows(scale: Scale) -> list[Entry]:
    """Measure every number of callers, ours and the peer in turn."""
    server = os.environ["MOTCUA_TEST_DATABASE_URL"]
    with fresh_database(server) as database, fresh_database(server) as other:
        log, recorder = database.log("motcua_intake"), peer_recorder(other)

        def ours(producers: int) -> tuple[float, float]:
            made = [request((f"dossier-{uuid.uuid4()}", 0, 1)) for _ in range(MADE)]
            return measure(log.append, made, producers, scale.seconds)

        def peer(producers: int) -> tuple[float, float]:
            made = [[StoredEvent(uuid.uuid4(), 1, "dossier.ready", PAYLOAD)] for _ in range(MADE)]
            return measure(recorder.insert_events, made, producers, scale.seconds)

        entries = []
        for producers in CALLERS if scale.whole else (32,):
            pairs = [(ours(producers), peer(producers)) for _ in range(scale.rounds)]
            rate = [statistics.median(pair[side][0] for pair in pairs) for side in (0, 1)]
            tail = [statistics.median(pair[side][1] for pair in pairs) for side in (0, 1)]
            targets = TARGETS.get(producers, (None, None))
            entries += [
                Entry(f"append, {producers} producers", rate[0], rate[1], rate[0] / rate[1],
                      targets[0], "events/s"),
                Entry(f"p99, {producers} producers", tail[0], tail[1], tail[1] / tail[0],
                      targets[1], "ms"),
            ]  # fmt: skip
        log.close()
        recorder.datastore.close()
    return entries
