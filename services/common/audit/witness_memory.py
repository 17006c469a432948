# SPDX-License-Identifier: Apache-2.0
"""What a witness remembers, in one SQLite file; a head is on disk before its cosignature leaves."""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.common.integrity.witnessing import Seen

EVIDENCE_MAX: Final = 1_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS head (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS learned (key TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS evidence (
    digest TEXT PRIMARY KEY, request TEXT NOT NULL, seen_at INTEGER NOT NULL);
"""


class Record:
    """One log's head while nobody else may move it."""

    def __init__(self, connection: sqlite3.Connection, origin: str) -> None:
        """Read it; the caller holds the transaction."""
        self._connection = connection
        self._origin = origin
        row = connection.execute(
            "SELECT size, root FROM head WHERE origin = ?", (origin,)
        ).fetchone()
        self.seen = Seen() if row is None else Seen(int(row[0]), bytes(row[1]))

    def keep(self, size: int, root: bytes, note: str) -> None:
        """Make this the head."""
        self._connection.execute(
            "INSERT INTO head VALUES (?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET"
            " size = excluded.size, root = excluded.root, note = excluded.note",
            (self._origin, size, root, note),
        )


class Memory:
    """The file; safe for threads and for several processes."""

    def __init__(self, path: Path) -> None:
        """Open or make it."""
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=10
        )
        # A power cut must not take back a head whose cosignature is out already.
        self._connection.execute("PRAGMA synchronous = EXTRA")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def growing(self, origin: str) -> Iterator[Record]:
        """Hold one log's head: looking and moving are one transaction, committed at the end."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Record(self._connection, origin)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def note(self, origin: str) -> str | None:
        """Return the newest cosigned checkpoint of a log."""
        row = self._one("SELECT note FROM head WHERE origin = ?", origin)
        return None if row is None else str(row)

    def keys(self) -> str:
        """Return the keys that trusted keys vouched for, one a line."""
        return str(self._one("SELECT coalesce(group_concat(key, char(10)), '') FROM learned"))

    def learn(self, key: str) -> None:
        """Trust ``key`` from now on."""
        self._one("INSERT INTO learned VALUES (?) ON CONFLICT DO NOTHING", key)

    def keep_evidence(self, request: str, now_us: int) -> None:
        """Keep what a log signed against its own past; the first thousand are enough."""
        self._one(
            "INSERT INTO evidence SELECT ?, ?, ? WHERE (SELECT count(*) FROM evidence) < ?"
            " ON CONFLICT DO NOTHING",
            hashlib.sha256(request.encode()).hexdigest(), request, now_us, EVIDENCE_MAX,
        )  # fmt: skip

    def evidence(self) -> list[str]:
        """Return the requests kept as evidence, oldest first."""
        with self._lock:
            rows = self._connection.execute("SELECT request FROM evidence ORDER BY seen_at")
            return [str(row[0]) for row in rows]

    def _one(self, statement: str, *values: object) -> object:
        with self._lock:
            row = self._connection.execute(statement, values).fetchone()
        return None if row is None else row[0]
