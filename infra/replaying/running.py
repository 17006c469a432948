# SPDX-License-Identifier: Apache-2.0
"""One replay: read, fold, digest; and the comparison with the read model that serves.

A comparison holds one snapshot of the live tables and their checkpoint and replays up to that
checkpoint, so a projector that goes on meanwhile makes no difference.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from infra.replaying.digests import Difference, Lines
from infra.replaying.sources import Columns, WholeLog
from infra.replaying.vectors import Rows, VectorProjection, fold_columns
from services.auditing.application.moments import Moment
from services.common.errors import Refused, Unavailable
from services.common.messaging.building import (
    EVENTS_PER_SEGMENT,
    BulkProjection,
    Chunk,
    Progress,
    build,
    parts_of,
)
from services.common.messaging.projector import Projection

_SESSION: Final = (
    "-c default_transaction_read_only=on -c statement_timeout=0 -c application_name=replay"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay made.

    Attributes:
        projection: its name.
        position: up to which it was asked to go.
        rows: of all its tables.
        digest: of all rows; equal to that of live tables with these rows.
        seconds: reading, folding and digesting.
        by_sql: folded by SQL.
        compared: whether it was compared with the live tables.
        difference: the first row that differs from them.
    """

    projection: str
    position: int
    rows: int
    digest: str
    seconds: float
    by_sql: bool = False
    compared: bool = False
    difference: Difference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How it is done.

    Attributes:
        jobs: processes that fold, or threads of SQL; 1 folds in this process.
        each: about so many events are folded at once.
        by_sql: fold Parquet columns by SQL.
        progress: told positions done and in all.
    """

    jobs: int = 1
    each: int = EVENTS_PER_SEGMENT
    by_sql: bool = False
    progress: Progress = lambda _done, _total: None


def replay(projection: Projection, source: WholeLog, to: Moment, work: Work) -> Replayed:
    """Replay ``projection`` from ``source`` up to ``to``.

    Raises:
        Refused: ``no_fold_in_memory``, ``no_fold_by_sql``.
        Unavailable: the log is down or a process died.
        Malformed: the source is broken.
    """
    with _replayed(projection, source, to, work) as (done, _):
        return done


def compare(projection: Projection, source: WholeLog, live_url: str, work: Work) -> Replayed:
    """Replay up to the live checkpoint and compare row by row.

    Raises:
        Refused: ``wrong_login``, ``not_built``, ``other_version``; or as ``replay``.
    """
    try:
        with psycopg.connect(live_url, connect_timeout=5, options=_SESSION) as live:
            live.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            to = Moment(position=_checkpoint(live, projection))
            with _replayed(projection, source, to, work) as (done, lines):
                found = lines.difference(live, projection)
                return replace(done, compared=True, difference=found)
    except psycopg.errors.InsufficientPrivilege as error:
        schema = projection.name.partition(".")[0]
        raise Refused(
            "wrong_login", f"this login does not read {schema}", f"không được đọc {schema}"
        ) from error
    except psycopg.Error as error:
        raise Unavailable("postgresql", str(error)) from error


@contextmanager
def _replayed(
    projection: Projection, source: WholeLog, to: Moment, work: Work
) -> Iterator[tuple[Replayed, Lines]]:
    began_s, head = time.monotonic(), source.head()
    through = head if to.position is None else min(head, to.position)
    with tempfile.TemporaryDirectory(prefix="motcua-replay-") as folder:
        lines = Lines(projection, Path(folder))
        if work.by_sql:
            for table, columns, rows in _by_sql(projection, source, to, work, Path(folder)):
                lines.add(table, columns, rows)
        else:
            for chunk in _by_fold(projection, source, through, to.until_us, work):
                lines.add(chunk.table, chunk.columns, chunk.rows)
        digest = lines.digest()
        yield Replayed(
            projection=projection.name, position=through, rows=lines.rows, digest=digest,
            seconds=time.monotonic() - began_s, by_sql=work.by_sql,
        ), lines  # fmt: skip


def _by_fold(
    projection: Projection, source: WholeLog, through: int, until_us: int | None, work: Work
) -> Iterator[Chunk]:
    if not isinstance(projection, BulkProjection):
        raise Refused(
            "no_fold_in_memory", f"{projection.name} folds in tables only",
            f"{projection.name} chỉ dựng được trong bảng", field="projection",
        )  # fmt: skip
    parts = parts_of(
        projection, source, through, each=work.each, until_us=until_us, least=work.jobs
    )
    yield from build(parts, work.jobs, work.progress)


def _by_sql(
    projection: Projection, source: WholeLog, to: Moment, work: Work, folder: Path
) -> Iterator[Rows]:
    if not isinstance(projection, VectorProjection) or not isinstance(source, Columns):
        raise Refused(
            "no_fold_by_sql", f"{projection.name} from {type(source).__name__} has no fold by SQL",
            f"{projection.name} không dựng được bằng SQL", field="projection",
        )  # fmt: skip
    return fold_columns(projection, source.files, to, jobs=work.jobs, each=work.each, folder=folder)


def _checkpoint(live: psycopg.Connection[Any], projection: Projection) -> int:
    name = projection.name
    table = sql.Identifier(name.partition(".")[0], "projection")
    try:
        row = live.execute(
            sql.SQL("SELECT version, pos FROM {} WHERE name = %s").format(table), (name,)
        ).fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    if row is None:
        raise Refused("not_built", f"{name} has not been built", f"{name} chưa được dựng")
    if row[0] != projection.version:
        raise Refused(
            "other_version", f"{name} is of version {row[0]}, this release's of"
            f" {projection.version}", f"{name} thuộc phiên bản {row[0]}",
        )  # fmt: skip
    return int(row[1])
