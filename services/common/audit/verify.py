# SPDX-License-Identifier: Apache-2.0
"""Verify a log where it stands: every event, every seal, and the tables that decide beside it.

Reads one snapshot as ``motcua_audit``; changes nothing. The rules of events and checkpoints are
those of ``integrity.checker``, which also verifies exports without a database.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg

from services.common import contracts
from services.common.audit.stitching import Stitched
from services.common.canonical import JsonObject, parse_json
from services.common.eventlog.record import NewEvent, content_bytes
from services.common.integrity import tiles
from services.common.integrity.checker import Leaf, LogChecker, Report
from services.common.integrity.notes import VerifierKey, open_checkpoint, order_of

Progress = Callable[[int, int], None]
"""``progress(done, total)`` in events."""
_PAGE: Final = 2_000
NOTES: Final = (
    "SELECT size, note, 0 AS epoch FROM eventlog.checkpoint WHERE log_id = %s UNION ALL"
    " SELECT base, note, epoch FROM eventlog.epoch WHERE log_id = %s ORDER BY size, epoch"
)
_PERSONAL: Final = frozenset(one.type for one in contracts.all_contracts() if one.personal)


def verify_log(
    connection: psycopg.Connection[Any],
    log_id: int,
    keys: Sequence[VerifierKey],
    *,
    known: Sequence[str] = (),
    archive: Path | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Report:
    """Verify the whole log; returns what was found.

    Args:
        connection: as ``motcua_audit``, not in a transaction.
        log_id: which log.
        keys: trusted verifier keys of the sealer.
        known: checkpoints seen before, from wherever they were kept: the log has to contain them.
        archive: folder of the archive, for what has left the database.
        progress: told now and then.

    Raises:
        NoteError: a known checkpoint is not signed by a trusted key.
        EventsArchived: events have left, and a file of the archive is needed that is not there.
        psycopg.Error: the database is down.
    """
    connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.autocommit = False
    with connection.transaction():
        return verify_snapshot(
            connection, log_id, keys, known=known, archive=archive, progress=progress
        )


def verify_snapshot(
    connection: psycopg.Connection[Any],
    log_id: int,
    keys: Sequence[VerifierKey],
    *,
    known: Sequence[str] = (),
    archive: Path | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Report:
    """Verify what the running transaction sees; as ``verify_log``."""
    heads = sorted(((open_checkpoint(raw, keys)[0].size, raw) for raw in known), key=order_of)
    with connection.cursor(name="checkpoints") as cursor:
        stored = cursor.execute(NOTES, (log_id, log_id))
        notes = ((int(size), str(note)) for size, note, _ in stored)
        checker = LogChecker(log_id, keys, _once(heapq.merge(notes, heads, key=order_of)))
        walk = _Walk(connection, log_id, checker, archive)
        walk.events(progress)
        report = checker.end()
        walk.tables()
    return report


class _Walk:
    """One way through the log, comparing what stands beside it."""

    def __init__(
        self, connection: psycopg.Connection[Any], log_id: int, checker: LogChecker,
        archive: Path | None,
    ) -> None:  # fmt: skip
        self._stitched = Stitched(connection, log_id, archive, checker.report.add)
        self._connection = connection
        self._log_id = log_id
        self._checker = checker
        self._edge = tiles.Edge(0, [])
        self._last = (0, 0)
        self._nodes = {
            (level, index): bytes(found)
            for level, index, found in self._rows(
                "SELECT level, idx, hash FROM eventlog.tree_node WHERE log_id = %s"
            )
        }
        self._sealed = max(
            (size for (size,) in self._rows(
                "SELECT size FROM eventlog.checkpoint WHERE log_id = %s")), default=0
        )  # fmt: skip
        self._personal = {
            (event, name): (key, bytes(blob), bytes(commitment))
            for event, name, key, blob, commitment in self._rows(
                "SELECT event_id, field, key_id, blob, commitment FROM eventlog.event_pii"
                " WHERE log_id = %s"
            )
        }
        self._missing: dict[str, str] = {}
        self._erased: set[str] = set()

    def events(self, progress: Progress) -> None:
        (row,) = self._rows("SELECT pos FROM eventlog.log_head WHERE log_id = %s") or [(0,)]
        total = int(row[0])
        for done, found in enumerate(self._stitched.rows(), start=1):
            self._event(found)
            if done % _PAGE == 0:
                progress(done, max(done, total))
        progress(total, total)

    def _event(self, row: Sequence[Any]) -> None:
        position, identifier, stream, version, kind, schema, subject, occurred, recorded = row[:9]
        data, meta, digest, leaf = (bytes(one) for one in row[9:])
        event = NewEvent(
            type=kind, schema=schema, data=data, meta=meta, occurred_at_us=occurred,
            subject=subject,
        )  # fmt: skip
        content = content_bytes(
            log_id=self._log_id, event_id=identifier, stream=stream, version=version, event=event
        )
        self._checker.event(
            Leaf(
                position=position, recorded_at_us=recorded, content=content, content_hash=digest,
                leaf_hash=leaf,
            )
        )  # fmt: skip
        for node in self._edge.append(leaf):
            self._node(*node)
        self._last = (position, recorded)
        where = f"position {position}"
        if kind in _PERSONAL or kind == "subject.erased":
            self._check_personal(where, identifier, kind, schema, data)

    def _node(self, level: int, index: int, computed: bytes) -> None:
        found = self._nodes.pop((level, index), None)
        if found is None and (index + 1) << level <= self._sealed:
            self._checker.report.add(f"subtree {level}/{index}", "is missing")
        elif found not in {None, computed}:
            self._checker.report.add(f"subtree {level}/{index}", "is not that of the events")

    def _check_personal(self, where: str, event: UUID, kind: str, schema: int, raw: bytes) -> None:
        try:
            data = parse_json(raw)
            assert isinstance(data, dict), "the contract is an object"
            if kind == "subject.erased":
                keys = data["keys"]
                assert isinstance(keys, list), "the contract lists the keys"
                self._erased |= {str(one) for one in keys}
                return
            for name in contracts.lookup(kind, schema).personal:
                stub = data[name]
                if isinstance(stub, dict):
                    self._check_stub(where, event, name, stub)
        except (ValueError, KeyError, AssertionError):
            self._checker.report.add(where, "the data are not what the contract says")

    def _check_stub(self, where: str, event: UUID, name: str, stub: JsonObject) -> None:
        found = self._personal.pop((event, name), None)
        if found is None:
            self._missing[where] = str(stub["key"])
            return
        key, blob, commitment = found
        kept = {
            "key": str(key), "digest": hashlib.sha256(blob).hexdigest(),
            "commitment": commitment.hex(),
        }  # fmt: skip
        if dict(stub) != kept:
            self._checker.report.add(where, f"the ciphertext of {name} is not the one it had")

    def tables(self) -> None:
        """Compare the tables beside the log with what its events say."""
        add = self._checker.report.add
        for where, key in self._missing.items():
            if key not in self._erased:
                add(where, "its ciphertext is gone and nothing says that it was erased")
        for event, name in self._personal:
            add(f"ciphertext {event}/{name}", "belongs to no event")
        for level, index in self._nodes:
            add(f"subtree {level}/{index}", "covers events that are not there")
        head = self._rows("SELECT pos, recorded_at FROM eventlog.log_head WHERE log_id = %s")
        if [tuple(row) for row in head] != [self._last]:
            add("log_head", f"says {head}, the last event is {self._last}")
        for identifier, first in self._rows(
            "SELECT event_id, min(pos) FROM eventlog.event WHERE log_id = %s"
            " GROUP BY event_id HAVING count(*) > 1"
        ):
            add(f"position {first}", f"event id {identifier} stands there and a second time")
        self._stitched.heads()
        self._streams(add)
        self._keys(add)

    def _streams(self, add: Callable[[str, str], None]) -> None:
        rows = self._rows("SELECT stream, version FROM eventlog.stream_head WHERE log_id = %s")
        heads = {str(stream): int(version) for stream, version in rows}
        versions: Mapping[str, int] = {
            stream.decode(errors="replace"): version
            for stream, version in self._checker.versions.items()
        }
        for stream in sorted(heads.keys() | versions.keys()):
            if heads.get(stream) != versions.get(stream):
                add(
                    f"stream {stream}",
                    f"its head says {heads.get(stream)}, its events {versions.get(stream)}",
                )

    def _keys(self, add: Callable[[str, str], None]) -> None:
        expected = 1
        for first, count in self._rows(
            "SELECT first_pos, n FROM eventlog.append_key WHERE log_id = %s ORDER BY first_pos"
        ):
            if first != expected:
                add(f"position {min(first, expected)}", "no one request appended it")
            expected = first + count
        if expected != self._last[0] + 1:
            add(f"position {expected}", "requests and events do not end together")

    def _rows(self, query: str) -> list[Any]:
        return self._connection.execute(query.encode(), (self._log_id,)).fetchall()


def _once(notes: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Leave out what says the same as the one before it, whoever signed it besides."""
    said = ""
    for size, note in notes:
        text = note.partition("\n\n")[0]
        if text != said:
            yield size, note
        said = text
