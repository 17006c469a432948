# SPDX-License-Identifier: Apache-2.0
"""Replay and fold in one process: the bulk reader, which decodes lazily, against pages of dictionaries.

The peer reads as libraries do: pages of 1,000 by position, a dictionary a row, JSON decoded for
every event. Both fold the same: where each dossier stands, and what was charged; the result has to
be equal. Then what an offline verifier and a full set of read models cost, without a peer.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg.rows import dict_row

from services.common.eventlog.bulk import BulkReader
from services.intake.domain.transitions import TRANSITIONS
from tests.load.made import made_log
from tests.load.report import Entry, Scale
from tests.support.database import LOG_ID, Database

PAGE = 1_000
TARGET = 6.0
CHARGED = "payment.settled"
Folded = dict[str, int]


def rows(scale: Scale) -> list[Entry]:
    """Measure in turn."""
    with made_log(scale.events) as database:
        ours, peer = [], []
        for _ in range(scale.rounds):
            fast, mine = _timed(lambda: _ours(database))
            slow, theirs = _timed(lambda: _peer(database))
            assert mine == theirs
            ours.append(scale.events / fast)
            peer.append(scale.events / slow)
    fast, slow = statistics.median(ours), statistics.median(peer)
    return [Entry("replay and fold, one process", fast, slow, fast / slow, TARGET, "events/s")]


def _timed(do: Callable[[], Folded]) -> tuple[float, Folded]:
    began = time.monotonic()
    done = do()
    return time.monotonic() - began, done


def _ours(database: Database) -> Folded:
    state: Folded = {}
    for event in BulkReader(database.url_for("motcua_audit"), LOG_ID).read():
        if (known := TRANSITIONS.get(event.type)) is not None and known.target is not None:
            state[str(event.subject)] = known.target
        elif event.type == CHARGED:
            state["charged"] = state.get("charged", 0) + int(event.data["amount_vnd"])  # type: ignore[arg-type]
    return state


def _peer(database: Database) -> Folded:
    state: Folded = {}
    for row in paged(database):
        data, _ = json.loads(row["data"]), json.loads(row["meta"])
        if (known := TRANSITIONS.get(row["type"])) is not None and known.target is not None:
            state[str(row["subject"])] = known.target
        elif row["type"] == CHARGED:
            state["charged"] = state.get("charged", 0) + int(data["amount_vnd"])
    return state


def paged(database: Database) -> Iterator[dict[str, Any]]:
    """Yield the log as libraries read it: pages by position, a dictionary a row."""
    with psycopg.connect(
        database.url_for("motcua_audit"), autocommit=True, row_factory=dict_row
    ) as connection:
        after = 0
        while page := connection.execute(
            "SELECT * FROM eventlog.event WHERE log_id = %s AND pos > %s ORDER BY pos LIMIT %s",
            (LOG_ID, after, PAGE),
        ).fetchall():
            yield from page
            after = page[-1]["pos"]
