# SPDX-License-Identifier: Apache-2.0
"""Durable append of four processes against the limit: rows that are packed already, by COPY.

The peer keeps no promise at all: no ids, no hashes, no order for readers, no idempotency; one
connection copies blocks of 1,000 finished rows in PostgreSQL's own format into a table with the
log's indexes and commits each. Ours are four processes with 128 callers each, one event an append.
"""

import os
import statistics
import subprocess
import sys
import time
import uuid

import psycopg

from services.common.eventlog.postgres import PostgresLog
from tests.load.appending import MADE, measure
from tests.load.made import made_log
from tests.load.report import Entry, Scale
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.events import request

PROCESSES, CALLERS, BLOCK, BLOCKS = 4, 128, 1_000, 40
TARGET = 0.3
START_S = 60.0


def rows(scale: Scale) -> list[Entry]:
    """Measure ours and the limit in turn."""
    server = os.environ["MOTCUA_TEST_DATABASE_URL"]
    with fresh_database(server) as database, made_log(BLOCK * BLOCKS) as other:
        blocks = _blocks(other)
        pairs = [(_ours(database, scale.seconds), _peer(other, blocks))
                 for _ in range(scale.rounds)]  # fmt: skip
    ours, peer = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    name = f"append, {PROCESSES} processes × {CALLERS} callers, against COPY"
    return [Entry(name, ours, peer, ours / peer, TARGET, "events/s")]


def _ours(database: Database, seconds: float) -> float:
    command = [sys.executable, "-m", "tests.load.limit", database.url_for("motcua_intake"),
               str(seconds)]  # fmt: skip
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return sum(float(one.communicate(timeout=START_S)[0]) for one in running)


def _blocks(database: Database) -> list[bytes]:
    """Return the log as finished COPY streams of ``BLOCK`` rows, and make the table they fit."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.limit (LIKE eventlog.event INCLUDING ALL)")
        blocks = []
        for after in range(0, BLOCK * BLOCKS, BLOCK):
            with connection.cursor() as cursor, cursor.copy(
                "COPY (SELECT * FROM eventlog.event WHERE log_id = %s AND pos > %s AND pos <= %s"
                " ORDER BY pos) TO STDOUT (FORMAT binary)", (LOG_ID, after, after + BLOCK),
            ) as copy:  # fmt: skip
                blocks.append(b"".join(copy))
        return blocks


def _peer(database: Database, blocks: list[bytes]) -> float:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("TRUNCATE public.limit")
        began = time.monotonic()
        for block in blocks:
            with (
                connection.cursor() as cursor,
                cursor.copy("COPY public.limit FROM STDIN (FORMAT binary)") as copy,
            ):
                copy.write(block)
        return BLOCK * len(blocks) / (time.monotonic() - began)


def _one_process(url: str, seconds: float) -> None:
    log = PostgresLog(url, LOG_ID)
    made = [request((f"dossier-{uuid.uuid4()}", 0, 1)) for _ in range(MADE // PROCESSES)]
    print("ready", flush=True)
    sys.stdin.readline()
    print(measure(log.append, made, CALLERS, seconds)[0])
    log.close()


if __name__ == "__main__":
    _one_process(sys.argv[1], float(sys.argv[2]))
