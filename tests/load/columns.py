# SPDX-License-Identifier: Apache-2.0
"""Replay and fold from Parquet columns, by SQL on two threads, against pages of dictionaries.

The peer reads as libraries do: pages of 1,000 by position, a dictionary a row, JSON decoded for
every event; then the read model's own fold in memory. Ours are queries over the columns of the same
events, from opening the files to the last row fetched; the rows have to be the same.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from infra.cli_upkeep import projections
from infra.replaying.digests import Lines
from infra.replaying.vectors import VectorProjection, fold_columns
from services.auditing.application.moments import Moment
from services.common.eventlog.bulk import BulkReader, Selection
from services.common.eventlog.columns import write_parquet
from services.common.eventlog.row import event_of
from services.common.messaging.building import EVENTS_PER_SEGMENT, BulkProjection
from services.common.messaging.rows import Rows
from tests.load.made import made_log
from tests.load.reading import paged
from tests.load.report import Entry, Scale
from tests.support.database import LOG_ID, Database

EVENTS_PER_FILE = 50_000
THREADS = 2
TARGET = 50.0
Table = tuple[str, list[str], list[tuple[object, ...]]]


def rows(scale: Scale) -> list[Entry]:
    """Measure every read model that is also a query, in turn with the peer."""
    named = sorted(projections().items())
    vectors = {name: one for name, one in named if isinstance(one, VectorProjection)}
    with made_log(scale.events) as database, tempfile.TemporaryDirectory() as folder:
        files = _columns(database, Path(folder), scale.events)
        return [_measured(one, database, files, scale) for one in vectors.values()]


def _measured(
    projection: VectorProjection, database: Database, files: list[Path], scale: Scale
) -> Entry:
    pairs = []
    for _ in range(scale.rounds):
        fast, mine = _timed(lambda: _ours(projection, files))
        slow, theirs = _timed(lambda: _peer(projection, database))
        assert _digest(projection, mine) == _digest(projection, theirs)
        pairs.append((scale.events / fast, scale.events / slow))
    ours, peer = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    name = f"{projection.name} from Parquet by SQL"
    return Entry(name, ours, peer, ours / peer, TARGET, "events/s")


def _columns(database: Database, folder: Path, events: int) -> list[Path]:
    reader = BulkReader(database.url_for("motcua_audit"), LOG_ID)
    files = []
    for after in range(0, events, EVENTS_PER_FILE):
        files.append(folder / f"{after:09}.parquet")
        write_parquet(
            files[-1], reader.read(Selection(after=after, through=after + EVENTS_PER_FILE))
        )
    return files


def _timed(do: Callable[[], list[Table]]) -> tuple[float, list[Table]]:
    began = time.monotonic()
    done = do()
    return time.monotonic() - began, done


def _ours(projection: VectorProjection, files: list[Path]) -> list[Table]:
    with tempfile.TemporaryDirectory() as folder:
        return [
            _kept(one)
            for one in fold_columns(
                projection,
                files,
                Moment(),
                jobs=THREADS,
                each=EVENTS_PER_SEGMENT,
                folder=Path(folder),
            )
        ]


def _peer(projection: VectorProjection, database: Database) -> list[Table]:
    assert isinstance(projection, BulkProjection)
    fold = projection.in_memory()
    for row in paged(database):
        event = event_of(tuple(row.values()))
        vars(event)["data"], _ = json.loads(row["data"]), json.loads(row["meta"])
        if not projection.types or event.type in projection.types:
            fold.fold(event)
    return [_kept(one) for one in fold.rows()]


def _kept(one: Rows) -> Table:
    table, columns, found = one
    return table, list(columns), [tuple(row) for row in found]


def _digest(projection: VectorProjection, kept: list[Table]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        lines = Lines(projection, Path(folder))
        for table, columns, found in kept:
            lines.add(table, columns, found)
        return lines.digest()
