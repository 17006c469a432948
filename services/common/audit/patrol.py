# SPDX-License-Identifier: Apache-2.0
"""Patrol: a sealer signs only after it has read the whole sealed log itself, and reads on for ever.

At its start ``Sealing`` looks at the right edge of the tree alone. Everything before it is hashed
anew here: once at full speed before the first signature, then in slow rounds beside the work, in
standbys as well, so that whoever takes the lead has read everything. When the rows no longer give
the root that was signed, nothing more is signed (ADR-0014).

Every round that came to an end is noted for auditors in ``patrol_round``; what is wrong is noted
once, however often it is found again.
"""

import threading
from collections.abc import Mapping
from typing import Any, Final

import psycopg

from services.common.audit.sealing import checked_leaf
from services.common.audit.seals import Seals, TamperedError, in_force, newest_checkpoint
from services.common.clock import Clock, to_micros
from services.common.integrity.merkle import Frontier
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

PAGE: Final = 1_000
IDLE_RATIO: Final = 4
REST_S: Final = 600
AGAIN_S: Final = 1.0
_SESSION: Final = "-c statement_timeout=30000 -c application_name=patrol"
_EVENTS: Final = (
    "SELECT pos, event_id, stream, version, type, schema, subject, occurred_at, recorded_at, data,"
    " meta, content_hash, leaf_hash FROM eventlog.event"
    " WHERE log_id = %s AND pos > %s AND pos <= %s ORDER BY pos"
)
_LEFT: Final = (
    "SELECT pos, leaf_hash FROM eventlog.detached WHERE log_id = %s AND pos > %s AND pos <= %s"
)
_NOTE: Final = (
    "INSERT INTO eventlog.patrol_round (log_id, ended_at, began_at, size, found)"
    " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_LOG = get_logger(__name__)


class Round:
    """One reading of everything under the newest checkpoint."""

    def __init__(self, connection: psycopg.Connection[Any], seals: Seals) -> None:
        """Take the newest checkpoint as the goal; ``connection`` is in autocommit mode.

        Raises:
            TamperedError: it is not one that we signed.
            psycopg.Error: the database is down.
        """
        self._connection = connection
        self._log_id = seals.log_id
        self.frontier = Frontier()
        newest = newest_checkpoint(connection, in_force(connection, seals))
        self.goal, self._root = (0, b"") if newest is None else (newest.size, newest.root)

    def step(self) -> bool:
        """Read one page; returns whether there is more.

        Raises:
            TamperedError: an event was changed, or the rows do not give the signed root.
            psycopg.Error: the database is down.
        """
        if self.goal == 0:
            return False
        last = min(self.frontier.size + PAGE, self.goal)
        page = (self._log_id, self.frontier.size, last)
        rows = self._connection.execute(_EVENTS, page, binary=True).fetchall()
        left = dict[int, bytes]()
        if len(rows) < last - self.frontier.size:
            # What stands in the archive only is checked there; its leaf is part of the root here.
            # Asked afterwards: a row is written down there in the commit that takes it out.
            found = self._connection.execute(_LEFT, page, binary=True)
            left = {int(position): bytes(leaf) for position, leaf in found}
        for row in rows:
            self._grow(left, int(row[0]) - 1)
            self.frontier.append(checked_leaf(self._log_id, self.frontier.size + 1, row))
        self._grow(left, last)
        if self.frontier.size < self.goal:
            return True
        if self.frontier.root() != self._root:
            raise TamperedError(f"the log's first {self.goal} events are not those sealed")
        return False

    def _grow(self, left: Mapping[int, bytes], through: int) -> None:
        """Append the leaves of what left, up to a position."""
        while self.frontier.size < through:
            leaf = left.get(self.frontier.size + 1)
            if leaf is None:
                raise TamperedError(f"position {self.frontier.size + 1} is missing")
            self.frontier.append(leaf)


class Patrol:
    """Goes its rounds in a thread of its own.

    Attributes:
        trusted: the last round found everything as it was written.
        found: what it found otherwise.
    """

    def __init__(self, database_url: str, seals: Seals, clock: Clock, *, rest_s: float) -> None:
        """Bind; ``run`` connects. ``rest_s`` is the pause between two rounds, seconds."""
        self._url = database_url
        self._seals = seals
        self._clock = clock
        self._rest_s = rest_s
        self.trusted = threading.Event()
        self.found: str | None = None

    def require(self) -> None:
        """Raise TamperedError when the last round found something."""
        if self.found is not None:
            raise TamperedError(self.found)

    def run(self, stopping: threading.Event) -> None:
        """Go round after round until ``stopping``; reconnects."""
        while not stopping.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, connect_timeout=5, options=_SESSION,
                    keepalives_idle=5, keepalives_interval=2, keepalives_count=3,
                ) as connection:  # fmt: skip
                    self._round(connection, stopping)
                stopping.wait(self._rest_s)
            except TamperedError as error:
                self.found = str(error)
                self.trusted.clear()
                metrics.seal_refused.set(1)
                _LOG.error("log_not_as_written", found=str(error))
                stopping.wait(min(self._rest_s, AGAIN_S * 10))
            except psycopg.Error as error:
                _LOG.warning("patrol_interrupted", error=type(error).__name__)
                stopping.wait(AGAIN_S)

    def _round(self, connection: psycopg.Connection[Any], stopping: threading.Event) -> None:
        began_us = to_micros(self._clock.now())
        read = 0
        try:
            current = Round(connection, self._seals)
            more = True
            while more:
                if stopping.is_set():
                    return
                began_s = self._clock.monotonic_s()
                more = current.step()
                read = current.frontier.size
                metrics.patrol_position.set(read)
                if self.trusted.is_set():
                    # Nobody waits for this round: four fifths of the time belong to others.
                    stopping.wait(IDLE_RATIO * (self._clock.monotonic_s() - began_s))
        except TamperedError as error:
            if str(error) != self.found:
                self._note(connection, began_us, read, str(error))
            raise
        self.found = None
        self.trusted.set()
        if read:
            self._note(connection, began_us, read, None)

    def _note(
        self, connection: psycopg.Connection[Any], began_us: int, read: int, found: str | None
    ) -> None:
        ended_us = to_micros(self._clock.now())
        connection.execute(_NOTE, (self._seals.log_id, ended_us, began_us, read, found))
