# SPDX-License-Identifier: Apache-2.0
"""The archive: whole partitions of the log as Parquet files, each proven to be what was sealed.

A range is written, read back, hashed anew event by event, and led by its tree to a checkpoint that
the sealer signed and a witness cosigned; only then it is recorded, with the file's SHA-256. Whoever
was interrupted begins anew: what is recorded is done, what is not is checked again, or written
again. Nothing is taken out of the database here (ADR-0023).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg

from services.common.audit.bundling import content_of
from services.common.audit.sealing import SqlTree
from services.common.audit.seals import TamperedError
from services.common.errors import Malformed, Refused
from services.common.eventlog.away import Range
from services.common.eventlog.bulk import BulkReader, Selection
from services.common.eventlog.columns import read_parquet, write_parquet
from services.common.eventlog.record import RecordedEvent, content_hash, leaf_hash
from services.common.integrity.merkle import (
    Frontier,
    ProofError,
    check_consistency,
    consistency_proof,
    frontier_of,
)
from services.common.integrity.notes import Checkpoint, VerifierKey, open_checkpoint

Progress = Callable[[int, int], None]
_NEWEST: Final = (
    "SELECT c.note FROM eventlog.checkpoint AS c WHERE c.log_id = %s AND (NOT %s OR EXISTS ("
    " SELECT FROM eventlog.cosignature AS s WHERE (s.log_id, s.size) = (c.log_id, c.size)))"
    " ORDER BY c.size DESC LIMIT 1"
)


class WrongFileError(Exception):
    """A file does not hold the events that were sealed; says which positions and why."""


class Archive:
    """One log's archive in a folder; the login is the sealer's."""

    def __init__(self, connection: psycopg.Connection[Any], url: str, log_id: int, folder: Path
    ) -> None:  # fmt: skip
        """Bind an autocommit connection, the same login's URL for bulk reading, and the folder."""
        self._connection = connection
        self._reader = BulkReader(url, log_id)
        self._log_id = log_id
        self._folder = folder
        self._tree = SqlTree(connection, log_id)

    def ranges(self) -> list[Range]:
        """Return what is recorded, in order; raises psycopg.Error."""
        rows = self._connection.execute(
            "SELECT first, last, file, sha256 FROM eventlog.archived_range WHERE log_id = %s"
            " ORDER BY first", (self._log_id,), binary=True,
        ).fetchall()  # fmt: skip
        return [Range(first=a, last=b, file=f, sha256=bytes(h)) for a, b, f, h in rows]

    def extend(
        self, keys: Sequence[VerifierKey], *, now_us: int, witnessed: bool = True,
        progress: Progress = lambda _done, _total: None,
    ) -> Iterator[Range]:  # fmt: skip
        """Archive each whole partition that is sealed and not recorded yet; yields it then.

        Args:
            keys: trusted keys of the sealer.
            now_us: microseconds since the epoch.
            witnessed: only what a witness cosigned; False for a log without witnesses.
            progress: told now and then.

        Raises:
            Refused: ``not_sealed``, ``not_witnessed``: there is no such checkpoint.
            NoteError: the checkpoint is not signed by a trusted key.
            WrongFileError: the database does not hold what was sealed; nothing was recorded.
            TamperedError: rows of the tree are missing.
            OSError: the folder cannot be written.
            psycopg.Error, Unavailable: the database is down; begin anew.
        """
        head = self._checkpoint(keys, witnessed=witnessed)
        done = {one.first for one in self.ranges()}
        rows = self._connection.execute("SELECT first, last FROM eventlog.partitions()").fetchall()
        for first, last in rows:
            if last <= head.size and first not in done:
                yield self._archived(first, last, head, now_us, progress)

    def check(self, keys: Sequence[VerifierKey], *, deep: bool = False) -> list[str]:
        """Return what is wrong with the files, a line each; empty where all are what was archived.

        Args:
            keys: trusted keys of the sealer.
            deep: every event is hashed anew too, and led to the newest checkpoint.

        Raises:
            As ``extend``, but for WrongFileError.
        """
        found = []
        for one in self.ranges():
            path = self._folder / one.file
            try:
                if _sha256(path) != one.sha256:
                    found.append(f"{one}: it is not the file that was archived")
                elif deep:
                    self._check(path, one.first, one.last, self._checkpoint(keys, witnessed=False))
            except OSError as error:
                found.append(f"{one}: {error.strerror or error}")
            except WrongFileError as error:
                found.append(str(error))
        return found

    def _archived(
        self, first: int, last: int, head: Checkpoint, now_us: int, progress: Progress
    ) -> Range:
        name = f"{self._log_id}-{first:012d}-{last:012d}.parquet"
        path = self._folder / name
        try:
            root = self._check(path, first, last, head)
        except (OSError, WrongFileError):
            # Not there, or left by somebody who was interrupted: the name is not recorded.
            events = self._reader.read(Selection(after=first - 1, through=last))
            write_parquet(path, _told(events, progress, last))
            root = self._check(path, first, last, head)
        done = Range(first=first, last=last, file=name, sha256=_sha256(path))
        self._connection.execute(
            "INSERT INTO eventlog.archived_range VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (self._log_id, first, last, name, done.sha256, path.stat().st_size, root, head.size,
             now_us),
        )  # fmt: skip
        return done

    def _check(self, path: Path, first: int, last: int, head: Checkpoint) -> bytes:
        """Return the root of the first ``last`` events, if the file holds its part of them."""
        where = f"positions {first}–{last} ({path.name})"
        frontier = frontier_of(first - 1, self._tree.read) if first > 1 else Frontier()
        try:
            for event in read_parquet(path):
                expected = frontier.size + 1
                if (event.position, event.log_id) != (expected, self._log_id):
                    raise WrongFileError(f"{where}: {event.position} instead of {expected}")
                frontier.append(checked_leaf_of(event, where))
        except Malformed as error:
            raise WrongFileError(f"{where}: {error}") from error
        if frontier.size != last:
            raise WrongFileError(f"{where}: it ends at {frontier.size}")
        try:
            proof = consistency_proof(last, head.size, self._tree.read)
            check_consistency(last, head.size, proof, frontier.root(), head.root)
        except (ProofError, TamperedError) as error:
            raise WrongFileError(f"{where}: they do not lead to checkpoint {head.size}") from error
        return frontier.root()

    def _checkpoint(self, keys: Sequence[VerifierKey], *, witnessed: bool) -> Checkpoint:
        row = self._connection.execute(_NEWEST, (self._log_id, witnessed)).fetchone()
        if row is None and witnessed:
            raise Refused(
                "not_witnessed", "no checkpoint is cosigned by a witness",
                "chưa có điểm niêm phong nào được bên chứng kiến ký",
            )  # fmt: skip
        if row is None:
            raise Refused("not_sealed", "nothing is sealed yet", "chưa có điểm niêm phong nào")
        return open_checkpoint(str(row[0]), keys)[0]


def checked_leaf_of(event: RecordedEvent, where: str) -> bytes:
    """Return the event's leaf, computed anew; raises WrongFileError, naming ``where``."""
    digest = content_hash(content_of(event))
    leaf = leaf_hash(digest, event.recorded_at_us)
    if (digest, leaf) != (event.content_hash, event.leaf_hash):
        raise WrongFileError(f"{where}: the event at {event.position} is not what was hashed")
    return leaf


def _sha256(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _told(
    events: Iterable[RecordedEvent], progress: Progress, total: int
) -> Iterator[RecordedEvent]:
    for number, event in enumerate(events):
        yield event
        if number % 10_000 == 0 or event.position == total:
            progress(event.position, total)


__all__ = ["Archive", "Range", "TamperedError", "WrongFileError"]
