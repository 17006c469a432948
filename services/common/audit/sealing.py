# SPDX-License-Identifier: Apache-2.0
"""Sealing: the log's tree grows, and what it has become is signed.

Every event is hashed anew before it is sealed; whatever is not as it was written is never signed.
The same rule holds at each start: the last checkpoint has to follow from the rows as they stand.
Leaf hashes stand in the log itself, subtrees of 256 and more leaves in ``tree_node``, so the right
edge of any tree is found again in some hundred reads (ADR-0014).
"""

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from services.common.audit.seals import (
    Seals,
    TamperedError,
    in_force,
    newest_checkpoint,
    require_open,
)
from services.common.eventlog.record import NewEvent, content_bytes, content_hash, leaf_hash
from services.common.integrity import tiles
from services.common.integrity.merkle import Frontier, frontier_of
from services.common.integrity.notes import Checkpoint, sign_checkpoint

BATCH: Final = 1_000
_EVENTS: Final = (
    "SELECT pos, event_id, stream, version, type, schema, subject, occurred_at, recorded_at, data,"
    " meta, content_hash, leaf_hash FROM eventlog.event"
    " WHERE log_id = %s AND pos > %s ORDER BY pos LIMIT %s"
)
_LEAVES: Final = (
    "SELECT leaf_hash FROM ("
    "SELECT pos, leaf_hash FROM eventlog.event WHERE log_id = %(log)s AND pos > %(after)s"
    " AND pos <= %(last)s UNION SELECT pos, leaf_hash FROM eventlog.detached"
    " WHERE log_id = %(log)s AND pos > %(after)s AND pos <= %(last)s) AS leaf ORDER BY pos"
)


class SqlTree:
    """Reads a log's tree: leaves from the events and what left, subtrees from ``tree_node``."""

    def __init__(self, connection: psycopg.Connection[Any], log_id: int) -> None:
        """Bind an autocommit connection."""
        self._connection = connection
        self._log_id = log_id

    def read(self, level: int, index: int) -> bytes:
        """See ``merkle.Reader``; raises TamperedError where rows are missing."""
        base = level // tiles.BITS * tiles.BITS
        count = 1 << level - base
        return tiles.fold(b"".join(self.row(base, index * count, count)))

    def row(self, base: int, first: int, count: int) -> list[bytes]:
        """Return hashes of level ``base`` (0, 8, 16 …); raises TamperedError as ``read``."""
        if base == 0:
            rows = self._connection.execute(
                _LEAVES, {"log": self._log_id, "after": first, "last": first + count},
                binary=True,
            ).fetchall()  # fmt: skip
        else:
            rows = self._connection.execute(
                "SELECT hash FROM eventlog.tree_node WHERE log_id = %s AND level = %s"
                " AND idx >= %s AND idx < %s ORDER BY idx",
                (self._log_id, base, first, first + count), binary=True,
            ).fetchall()  # fmt: skip
        if len(rows) != count:
            raise TamperedError(f"{len(rows)} of {count} hashes of level {base} from {first}")
        return [bytes(row[0]) for row in rows]


class Sealing:
    """Grows and signs one log's tree; whoever calls holds the lead on the connection."""

    def __init__(self, connection: psycopg.Connection[Any], seals: Seals) -> None:
        """Find the right edge again and check it against the last checkpoint.

        Raises:
            TamperedError: rows are missing or changed, or the checkpoint is not ours.
            ClosedError: the log is closed; nothing is signed.
            psycopg.Error: the database is down.
        """
        require_open(connection, seals.log_id)
        self._connection = connection
        self._seals = seals = in_force(connection, seals)
        self._tree = SqlTree(connection, seals.log_id)
        self.frontier = self._found_again()
        self._edge = tiles.Edge.of(self.frontier.size, self._tree.row)

    def step(self, now_us: int) -> int | None:
        """Seal the next events, at most 1,000; returns the age of the oldest one, microseconds.

        None when there was none.

        Raises:
            TamperedError: an event is not as it was written; nothing was signed.
            ClosedError: the log was closed; nothing was signed.
            psycopg.Error: the database is down; nothing was signed.
        """
        require_open(self._connection, self._seals.log_id)
        rows = self._connection.execute(
            _EVENTS, (self._seals.log_id, self.frontier.size, BATCH), binary=True
        ).fetchall()
        if not rows:
            return None
        grown, edge = self.frontier.copy(), self._edge.copy()
        nodes = list[tuple[int, int, bytes]]()
        for row in rows:
            leaf = checked_leaf(self._seals.log_id, grown.size + 1, row)
            grown.append(leaf)
            nodes += edge.append(leaf)
        checkpoint = Checkpoint(
            origin=self._seals.origin, size=grown.size, root=grown.root(),
            extensions=self._seals.extensions,
        )  # fmt: skip
        note = str(sign_checkpoint(checkpoint, self._seals.signers))
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO eventlog.tree_node (log_id, level, idx, hash) VALUES (%s, %s, %s, %s)",
                [(self._seals.log_id, *node) for node in nodes],
            )
            cursor.execute(
                "INSERT INTO eventlog.checkpoint (log_id, size, note, sealed_at)"
                " VALUES (%s, %s, %s, %s)",
                (self._seals.log_id, grown.size, note, now_us),
            )
        self.frontier, self._edge = grown, edge
        return max(0, now_us - int(rows[0][8]))

    def _found_again(self) -> Frontier:
        checkpoint = newest_checkpoint(self._connection, self._seals)
        if checkpoint is None:
            return Frontier()
        frontier = frontier_of(checkpoint.size, self._tree.read)
        if frontier.root() != checkpoint.root:
            raise TamperedError(f"the log's first {checkpoint.size} events are not those sealed")
        return frontier


def checked_leaf(log_id: int, position: int, row: Sequence[Any]) -> bytes:
    """Return an event's leaf hash, computed anew from its row.

    Raises:
        TamperedError: another position stands there, or a hash is not that of the event.
    """
    found, event_id, stream, version, kind, schema, subject, occurred, recorded, *rest = row
    data, meta, digest, leaf = (bytes(one) for one in rest)
    if found != position:
        raise TamperedError(f"position {position} is missing")
    event = NewEvent(
        type=kind, schema=schema, data=data, meta=meta, occurred_at_us=occurred, subject=subject
    )
    content = content_bytes(
        log_id=log_id, event_id=event_id, stream=stream, version=version, event=event
    )
    if content_hash(content) != digest:
        raise TamperedError(f"the event at position {position} was changed")
    if leaf_hash(digest, recorded) != leaf:
        raise TamperedError(f"time or leaf of the event at position {position} was changed")
    return leaf
