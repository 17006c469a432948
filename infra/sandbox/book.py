# SPDX-License-Identifier: Apache-2.0
"""A sandbox's own book: one SQLite file, every entry on disk before it is answered."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Book:
    """One connection behind one lock; rows come back as dictionaries."""

    def __init__(self, path: Path, schema: str) -> None:
        """Open ``path`` and make the tables that are missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(schema)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a transaction that is on disk when the block ends."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, *values: object) -> list[dict[str, object]]:
        """Return the rows of ``query``."""
        with self._lock:
            return [dict(row) for row in self._connection.execute(query, values)]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
