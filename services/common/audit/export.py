# SPDX-License-Identifier: Apache-2.0
"""Export a sealed log as a bundle that needs nobody's server to be read and verified.

Reads as ``motcua_audit`` up to the newest checkpoint. The bundle appears under its name only once
it is whole. No personal data are in it: events have stubs, ciphertexts stay where they are.
"""

import gzip
import hashlib
import io
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Self

import psycopg

from services.common.errors import Refused, Unavailable
from services.common.eventlog.bulk import BulkReader, Selection
from services.common.eventlog.record import NewEvent, RecordedEvent, content_bytes
from services.common.integrity import bundle, tiles

Progress = Callable[[int, int], None]
SEGMENT: Final = 100_000
PROGRAM: Final = "verify.pyz"
_MODULES: Final = ("bundle", "checker", "merkle", "notes", "tiles")
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    folder: Path
    size: int
    files: int


def export(
    url: str, log_id: int, folder: Path, *, progress: Progress = lambda _done, _total: None
) -> Exported:
    """Write the log up to its newest checkpoint.

    Args:
        url: login that reads the log.
        log_id: which log.
        folder: is made; must not exist.
        progress: told now and then.

    Raises:
        Refused: ``folder_exists``, ``not_sealed``.
        Unavailable: the database is down; nothing is left behind under the folder's name.
    """
    if folder.exists():
        raise Refused("folder_exists", f"{folder} exists", f"{folder} đã có", field="folder")
    notes = _notes(url, log_id)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    size = notes[-1][0]
    writer = _Writer(part)
    _write_events(writer, BulkReader(url, log_id), size, progress)
    writer.text(bundle.CHECKPOINT, notes[-1][1])
    writer.packed(bundle.CHECKPOINTS, "\n\f\n".join(note for _, note in notes).encode())
    writer.raw(PROGRAM, verifier())
    manifest = {"format": bundle.FORMAT, "log_id": log_id, "size": size, "files": writer.files}
    text = bundle.manifest_text(manifest)
    (part / bundle.MANIFEST).write_text(text, encoding="utf-8")
    part.rename(folder)
    return Exported(folder=folder, size=size, files=len(writer.files) + 1)


def verifier() -> bytes:
    """Return the verifier as one file: needs Python 3.11 and ``cryptography``, nothing of ours."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, text: str) -> None:
            archive.writestr(zipfile.ZipInfo(name), text)  # no times: the same bytes every time

        for package in ("services", "services/common", "services/common/integrity"):
            add(f"{package}/__init__.py", "")
        for module in _MODULES:
            source = resources.files("services.common.integrity").joinpath(f"{module}.py")
            add(f"services/common/integrity/{module}.py", source.read_text(encoding="utf-8"))
        add(
            "__main__.py",
            "import sys\nfrom services.common.integrity.bundle import main\nsys.exit(main())\n",
        )
    return b"#!/usr/bin/env python3\n" + packed.getvalue()


def _notes(url: str, log_id: int) -> list[tuple[int, str]]:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            rows = connection.execute(
                "SELECT c.size, c.note, coalesce(string_agg(s.line || E'\\n', ''"
                " ORDER BY s.witness), '') FROM eventlog.checkpoint AS c"
                " LEFT JOIN eventlog.cosignature AS s USING (log_id, size)"
                " WHERE c.log_id = %s GROUP BY c.size, c.note ORDER BY c.size",
                (log_id,),
            ).fetchall()
    except psycopg.Error as error:
        raise Unavailable("postgresql", type(error).__name__) from error
    if not rows:
        raise Refused("not_sealed", "nothing is sealed yet", "chưa có điểm niêm phong nào")
    return [(int(size), f"{note}{lines}") for size, note, lines in rows]


def _write_events(writer: "_Writer", reader: BulkReader, size: int, progress: Progress) -> None:
    rows: list[list[bytes]] = [[]]
    counts, entries = [0], list[bytes]()
    for first in range(1, size + 1, SEGMENT):
        last = min(first + SEGMENT - 1, size)
        selection = Selection(after=first - 1, through=last)
        with writer.stream(f"events/{first:08d}.ndjson.gz") as stream:
            for event in reader.read(selection):
                stream.write(
                    bundle.line_of(content_of(event), event.position, event.recorded_at_us)
                )
                entries.append(tiles.entry(event.content_hash, event.recorded_at_us))
                if len(entries) == tiles.WIDTH:
                    writer.raw(tiles.entries_path(event.position // tiles.WIDTH - 1),
                               tiles.bundle(entries))  # fmt: skip
                    entries.clear()
                _grow(writer, rows, counts, event.leaf_hash)
        progress(last, size)
    if entries:
        writer.raw(tiles.entries_path(size // tiles.WIDTH, len(entries)), tiles.bundle(entries))
    for level, row in enumerate(rows):
        if row:
            writer.raw(tiles.tile_path(level, counts[level], len(row)), b"".join(row))


def _grow(writer: "_Writer", rows: list[list[bytes]], counts: list[int], leaf: bytes) -> None:
    level, carry = 0, leaf
    while True:
        rows[level].append(carry)
        if len(rows[level]) < tiles.WIDTH:
            return
        hashes = b"".join(rows[level])
        writer.raw(tiles.tile_path(level, counts[level]), hashes)
        carry, rows[level] = tiles.fold(hashes), []
        counts[level] += 1
        level += 1
        if level == len(rows):
            rows.append([])
            counts.append(0)


def content_of(event: RecordedEvent) -> bytes:
    """Return the canonical bytes that an event's content hash covers."""
    return content_bytes(
        log_id=event.log_id, event_id=event.event_id, stream=event.stream, version=event.version,
        event=NewEvent(
            type=event.type, schema=event.schema, data=event.raw_data, meta=event.raw_meta,
            occurred_at_us=event.occurred_at_us, subject=event.subject,
        ),
    )  # fmt: skip


class _Writer:
    """Writes files and notes their hashes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: dict[str, dict[str, object]] = {}

    def raw(self, name: str, content: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._note(name, len(content), hashlib.sha256(content).hexdigest())

    def text(self, name: str, content: str) -> None:
        self.raw(name, content.encode())

    def packed(self, name: str, content: bytes) -> None:
        self.raw(name, gzip.compress(content, _LEVEL, mtime=0))

    def stream(self, name: str) -> "_Stream":
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return _Stream(path, lambda size, digest: self._note(name, size, digest))

    def _note(self, name: str, size: int, digest: str) -> None:
        self.files[name] = {"bytes": size, "sha256": digest}


class _Stream:
    """A gzip file that is hashed once it is closed."""

    def __init__(self, path: Path, note: Callable[[int, str], None]) -> None:
        self._path, self._note = path, note
        self._file = gzip.GzipFile(path, "wb", _LEVEL, mtime=0)

    def __enter__(self) -> Self:
        return self

    def write(self, line: bytes) -> None:
        self._file.write(line)

    def __exit__(self, *_: object) -> None:
        self._file.close()
        with self._path.open("rb") as stream:
            self._note(self._path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest())


def lines_of(folder: Path) -> Iterator[bytes]:
    """Yield the events' lines of a bundle, in order."""
    for path in sorted((folder / "events").glob("*.ndjson.gz")):
        with gzip.open(path, "rb") as stream:
            yield from stream
