# SPDX-License-Identifier: Apache-2.0
"""The inbox: what was taken, so that each event has its effect once.

The mark and the effect commit together: keep your own tables in the same SQLite file, or give an
``Inbox`` of your own that does the same in your database.
"""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from motcua_subscriber.event import Event

Effect = Callable[[Event, Any], None]
KEEP_S = 40 * 86_400
_DDL = """
    CREATE TABLE IF NOT EXISTS motcua_taken (
        position INTEGER PRIMARY KEY, id BLOB NOT NULL, taken_at INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS motcua_through (
        one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL);
    INSERT OR IGNORE INTO motcua_through VALUES (1, 0);
"""


class Inbox(Protocol):
    """What was taken, durably; used by one thread of one process at a time."""

    def through(self) -> int:
        """Return the position up to which everything owed was taken."""
        ...

    def advance(self, position: int) -> None:
        """Note that everything owed up to ``position`` was taken; never goes back."""
        ...

    def knows(self, position: int) -> bool:
        """Say whether the event at ``position`` was taken."""
        ...

    def take(self, event: Event, effect: Effect) -> bool:
        """Run ``effect`` and mark the event in one transaction; False where it was taken before.

        An error of ``effect`` leaves neither mark nor effect.
        """
        ...

    def taken(self, after: int, through: int) -> Iterable[tuple[int, UUID]]:
        """Return position and id of what was taken in (after, through], in order."""
        ...


class SQLiteInbox:
    """An inbox in an SQLite file; ``effect`` gets the open connection.

    Marks are kept for 40 days, so that a day's certificate can be checked.
    """

    def __init__(self, path: Path | str, *, keep_s: int = KEEP_S) -> None:
        """Open or make the file; every commit is on the disk before it returns."""
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.executescript(_DDL)
        self._keep_s = keep_s

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def through(self) -> int:
        """See ``Inbox.through``."""
        (position,) = self.connection.execute("SELECT position FROM motcua_through").fetchone()
        return int(position)

    def advance(self, position: int) -> None:
        """See ``Inbox.advance``; forgets marks that are too old to be asked for."""
        before = int(time.time()) - self._keep_s
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.execute(
                "UPDATE motcua_through SET position = max(position, ?)", (position,)
            )
            self.connection.execute(
                "DELETE FROM motcua_taken WHERE position <= ? AND taken_at < ?", (position, before)
            )

    def knows(self, position: int) -> bool:
        """See ``Inbox.knows``."""
        row = self.connection.execute(
            "SELECT EXISTS (SELECT 1 FROM motcua_taken WHERE position = ?)"
            " OR EXISTS (SELECT 1 FROM motcua_through WHERE position >= ?)",
            (position, position),
        ).fetchone()
        return bool(row[0])

    def take(self, event: Event, effect: Effect) -> bool:
        """See ``Inbox.take``."""
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            if self.knows(event.position):
                return False
            self.connection.execute(
                "INSERT INTO motcua_taken VALUES (?, ?, ?)",
                (event.position, event.id.bytes, int(time.time())),
            )
            effect(event, self.connection)
        return True

    def taken(self, after: int, through: int) -> Iterable[tuple[int, UUID]]:
        """See ``Inbox.taken``."""
        rows = self.connection.execute(
            "SELECT position, id FROM motcua_taken WHERE position > ? AND position <= ?"
            " ORDER BY position",
            (after, through),
        )
        return ((int(row[0]), UUID(bytes=row[1])) for row in rows)


def digest_of(taken: Iterable[tuple[int, UUID]]) -> tuple[int, str]:
    """Return count and digest as the feed and certificates do: position, id, in log order."""
    digest, count = hashlib.sha256(), 0
    for position, identifier in taken:
        digest.update(position.to_bytes(8, "big") + identifier.bytes)
        count += 1
    return count, digest.hexdigest()


def differences(
    owed: Iterable[tuple[int, UUID]], taken: Iterable[tuple[int, UUID]]
) -> tuple[Sequence[int], Sequence[int]]:
    """Return the positions that are missing and those that are too much."""
    wanted, had = set(owed), set(taken)
    missing = sorted(position for position, _ in wanted - had)
    return missing, sorted(position for position, _ in had - wanted)
