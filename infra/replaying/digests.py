# SPDX-License-Identifier: Apache-2.0
"""The digest of rows that stand in no table, equal to ``projector.digest_of`` of a table of them.

A row is the line that PostgreSQL makes of it (``to_jsonb``: keys by length, then by bytes), lines
are sorted as bytes. Sorted runs go to files, so that memory is bounded whatever the table's size.
"""

import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from services.common.messaging.projector import Projection

LINES_PER_RUN: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where the sorted lines of both sides part; empty for a side that has come to its end."""

    table: str
    replayed: str
    live: str


class Lines:
    """Rows of a projection's tables, as sorted lines."""

    def __init__(self, projection: Projection, folder: Path) -> None:
        """Keep runs in ``folder``, which the caller removes."""
        self.rows = 0
        self._tables = projection.tables
        self._folder = folder
        self._held: dict[str, list[bytes]] = {table: [] for table in projection.tables}
        self._runs: dict[str, list[Path]] = {table: [] for table in projection.tables}

    def add(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Take rows in any order."""
        order = sorted(range(len(columns)), key=lambda at: (len(columns[at]), columns[at]))
        names = [columns[at] for at in order]
        held = self._held[table]
        for row in rows:
            values = [row[at] for at in order]
            held.append(line_of(dict(zip(names, values, strict=True))))
            self.rows += 1
        if len(held) >= LINES_PER_RUN:
            self._spill(table)

    def sorted(self, table: str) -> Iterator[bytes]:
        """Yield the lines of ``table`` in order, each with its end."""
        self._held[table].sort()
        with ExitStack() as opened:
            runs = [opened.enter_context(path.open("rb")) for path in self._runs[table]]
            yield from heapq.merge(*runs, self._held[table])

    def digest(self) -> str:
        """Return SHA-256 over all lines of all tables."""
        digest = hashlib.sha256()
        for table in self._tables:
            for line in self.sorted(table):
                digest.update(line)
        return digest.hexdigest()

    def difference(
        self, connection: psycopg.Connection[Any], projection: Projection
    ) -> Difference | None:
        """Return the first line that differs from the tables; None when all are equal.

        The caller has a transaction, whose snapshot is compared.
        """
        for table in self._tables:
            for ours, theirs in zip_longest(
                self.sorted(table), live_lines(connection, projection, table), fillvalue=b""
            ):
                if ours != theirs:
                    replayed, live = (one.decode().rstrip("\n") for one in (ours, theirs))
                    return Difference(table=table, replayed=replayed, live=live)
        return None

    def _spill(self, table: str) -> None:
        held, runs = self._held[table], self._runs[table]
        held.sort()
        runs.append(self._folder / f"{table}.{len(runs)}")
        with runs[-1].open("wb") as stream:
            stream.writelines(held)
        held.clear()


def line_of(row: Mapping[str, object]) -> bytes:
    """Return a row, its columns in PostgreSQL's order, as a line."""
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def live_lines(
    connection: psycopg.Connection[Any], projection: Projection, table: str
) -> Iterator[bytes]:
    """Yield the lines of a live table in order, within the caller's transaction."""
    schema = projection.name.partition(".")[0]
    query = sql.SQL(
        "SELECT line FROM (SELECT to_jsonb(t)::text AS line FROM {} AS t) AS l"
        ' ORDER BY line COLLATE "C"'
    ).format(sql.Identifier(schema, table))
    with connection.cursor(name="live") as cursor:
        cursor.itersize = 5_000
        for (line,) in cursor.execute(query):
            yield line.encode() + b"\n"
