# SPDX-License-Identifier: Apache-2.0
"""Dossiers that are over leave the database, and come back when somebody needs them (ADR-0028).

What a dossier owes and awaits is folded by the services' own domain code; the database then looks
once more, by rules of its own, under the log's lock. Each batch is a transaction: whoever was
interrupted begins anew. Right before each, every file that holds what leaves is the one that was
proven and recorded.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from infra.retention import why_kept
from services.common.audit.archive import checked_leaf_of
from services.common.audit.subjects import erased_keys, personal_fields
from services.common.clock import to_micros
from services.common.errors import Refused
from services.common.eventlog.away import OF_SUBJECT, Range, archived, open_file
from services.common.eventlog.bulk import Selection
from services.common.eventlog.columns import read_parquet
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent

BATCH: Final = 200
DAYS: Final = 400
"""Longer than the personal data of a closed dossier are kept, so these are erased before."""
_LAST: Final = 2**63 - 1
_BEHIND: Final = "MC008"
_CLOSED: Final = "MC006"
_CANDIDATES: Final = (
    "SELECT e.subject FROM eventlog.event AS e JOIN eventlog.stream_head AS h"
    " ON h.log_id = e.log_id AND h.stream = 'dossier-' || e.subject AND NOT h.away"
    " WHERE e.log_id = %s AND e.subject > %s GROUP BY e.subject HAVING max(e.pos) <= %s"
    " ORDER BY e.subject LIMIT %s"
)
_FIRST_SINCE: Final = (
    "SELECT recorded_at FROM eventlog.event WHERE log_id = %s AND pos >= %s ORDER BY pos LIMIT 1"
)
_ATTACH: Final = (
    "SELECT eventlog.attach(%s, %s, %s::bigint[], %s::uuid[], %s::text[], %s::bigint[],"
    " %s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[], %s::bytea[])"
)


class Detaching:
    """One log and its archive; the login is the sealer's.

    Attributes:
        kept: how many dossiers stay, by reason.
        dossiers: how many left.
        events: how many rows left with them.
    """

    def __init__(self, connection: psycopg.Connection[Any], log: EventLog, folder: Path) -> None:
        """Bind an autocommit connection, the log as the same login reads it, and the folder."""
        self._connection = connection
        self._log = log
        self._folder = folder
        self._checked = dict[Range, tuple[int, ...]]()
        self.kept = Counter[str]()
        self.dossiers = self.events = 0

    def run(self, now: datetime, *, days: int = DAYS) -> Iterator[int]:
        """Let everything leave that is over for ``days``; yields how many dossiers have left.

        Raises:
            Refused: ``reader_behind``: a reactor or the relay has not come that far;
                ``log_closed``; nothing of the batch left.
            EventsArchived: a file is not there or is another one; nothing of the batch left.
            Unavailable, psycopg.Error: the database is down; begin anew.
        """
        before_us = to_micros(now - timedelta(days=days))
        ranges = self._whole()
        last = min(ranges[-1].last if ranges else 0, self._through(before_us))
        after = ""
        while candidates := self._candidates(after, last):
            after = candidates[-1]
            over = [one for one in candidates if self._is_over(one)]
            if over:
                self._require(ranges)
                self._leave(over, before_us)
            yield self.dossiers

    def attach(self, dossier: str) -> int:
        """Put the events of one dossier back; returns how many, 0 when it never left.

        Raises:
            EventsArchived: a file is not there or is another one; nothing was changed.
            Refused: ``not_what_left``: the file's events are not those that left.
            psycopg.Error: the database is down; nothing was changed.
        """
        row = self._connection.execute(OF_SUBJECT, (self._log.log_id, dossier)).fetchone()
        if row is None or row[0] is None:
            return 0
        ranges = archived(self._connection, self._log.log_id, *row)
        self._require(ranges)
        rows = self._connection.execute(
            "SELECT h.stream FROM eventlog.stream_head AS h JOIN eventlog.detached_stream AS d"
            " USING (log_id, stream) WHERE h.log_id = %s AND d.subject = %s AND h.away",
            (self._log.log_id, dossier),
        ).fetchall()
        streams = {str(found[0]) for found in rows}
        events = [
            event
            for one in ranges
            for event in read_parquet(self._folder / one.file, Selection(subject=dossier))
            if event.stream in streams
        ]
        for event in events:
            checked_leaf_of(event, f"position {event.position}")
        return self._put_back(dossier, events)

    def _put_back(self, dossier: str, events: Sequence[RecordedEvent]) -> int:
        columns: list[Callable[[RecordedEvent], object]] = [
            lambda e: e.position, lambda e: e.event_id, lambda e: e.stream, lambda e: e.version,
            lambda e: e.type, lambda e: e.schema, lambda e: e.occurred_at_us,
            lambda e: e.recorded_at_us, lambda e: e.raw_data, lambda e: e.raw_meta,
            lambda e: e.content_hash,
        ]  # fmt: skip
        values = [[column(event) for event in events] for column in columns]
        try:
            row = self._connection.execute(_ATTACH, (self._log.log_id, dossier, *values)).fetchone()
        except psycopg.Error as error:
            if error.sqlstate != "MC009":
                raise
            raise Refused(
                "not_what_left", str(error.diag.message_primary), "không phải sự kiện đã chuyển đi"
            ) from error
        return 0 if row is None else int(row[0])

    def _whole(self) -> list[Range]:
        """Return the recorded ranges from the beginning on, without a gap."""
        found, after = list[Range](), 0
        for one in archived(self._connection, self._log.log_id, 1, _LAST):
            if one.first != after + 1:
                break
            found.append(one)
            after = one.last
        return found

    def _through(self, before_us: int) -> int:
        """Return the last position that was recorded before; times never fall along the log."""
        low, high = 0, self._log.head()
        while low < high:
            middle = (low + high + 1) // 2
            row = self._connection.execute(_FIRST_SINCE, (self._log.log_id, middle)).fetchone()
            if row is not None and int(row[0]) < before_us:
                low = middle
            else:
                high = middle - 1
        return low

    def _candidates(self, after: str, last: int) -> list[str]:
        rows = self._connection.execute(
            _CANDIDATES, (self._log.log_id, after, last, BATCH)
        ).fetchall()
        return [str(row[0]) for row in rows]

    def _is_over(self, dossier: str) -> bool:
        story = self._log.read_subject(dossier)
        reason = why_kept(self._log, dossier, story) or _more_open(story)
        if reason:
            self.kept[reason] += 1
        return not reason

    def _require(self, ranges: Sequence[Range]) -> None:
        """Raise EventsArchived unless each file is the recorded one; hashed when it changed."""
        for one in ranges:
            path, seen = self._folder / one.file, tuple[int, ...]()
            try:
                found = path.stat()
                seen = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            except OSError:
                self._checked.pop(one, None)
            if not seen or self._checked.get(one) != seen:
                open_file(self._folder, one)
                self._checked[one] = seen

    def _leave(self, dossiers: Sequence[str], before_us: int) -> None:
        try:
            rows = self._connection.execute(
                "SELECT events FROM eventlog.detach(%s, %s, %s)",
                (self._log.log_id, list(dossiers), before_us),
            ).fetchall()
        except psycopg.Error as error:
            said = str(error.diag.message_primary)
            if error.sqlstate == _BEHIND:
                raise Refused("reader_behind", said, f"chưa xử lý xong: {said}") from error
            if error.sqlstate == _CLOSED:
                raise Refused("log_closed", said, "nhật ký đang đóng") from error
            raise
        self.dossiers += len(rows)
        self.events += sum(int(row[0]) for row in rows)
        if len(rows) < len(dossiers):
            self.kept["not_over_for_the_database"] += len(dossiers) - len(rows)


def _more_open(story: Sequence[RecordedEvent]) -> str:
    """Return what keeps a closed dossier in the database still; empty where nothing does."""
    named = erased_keys(story)
    if any(one.key not in named for one in personal_fields(story)):
        return "personal_data"
    disputed = {e.data["event"] for e in story if e.type == "dossier.report_disputed"}
    resolved = {e.data["event"] for e in story if e.type == "dossier.report_resolved"}
    return "report_disputed" if disputed - resolved else ""
