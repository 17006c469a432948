# SPDX-License-Identifier: Apache-2.0
"""Write a bundle: events, tiles, checkpoints and verifier as files, with a Parquet copy on request.

Takes events from anywhere, in one pass; memory is bounded by a row group, whatever the log's size.
The bundle appears under its name only once it is whole: until then it is ``NAME.part``.
"""

import gzip
import hashlib
import io
import shutil
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Self

from services.common.errors import Refused
from services.common.eventlog.bulk import Selection
from services.common.eventlog.record import NewEvent, RecordedEvent, content_bytes
from services.common.integrity import bundle, tiles

Progress = Callable[[int, int], None]
ToParquet = Callable[[Path, Iterable[RecordedEvent]], object]
SEGMENT: Final = 50_000
PROGRAM: Final = "verify.pyz"
_MODULES: Final = ("bundle", "checker", "grown", "merkle", "notes", "sweep", "tiles")
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A sealed log.

    Attributes:
        log_id: which.
        notes: (size, checkpoint with its cosignatures) by size, at least one.
        read: yields what is selected, in position order.
    """

    log_id: int
    notes: Sequence[tuple[int, str]]
    read: Callable[[Selection], Iterator[RecordedEvent]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    folder: Path
    size: int
    files: int


def write_bundle(
    source: Source, folder: Path, *, columns: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Exported:  # fmt: skip
    """Write the log up to its newest checkpoint.

    Args:
        source: the log.
        folder: is made; must not exist.
        columns: write the events as Parquet too; needs ``pyarrow``.
        progress: told now and then.

    Raises:
        Refused: ``folder_exists``, ``no_pyarrow``.
        Malformed: an event that Parquet cannot hold.
        OSError: no space, no right.
    """
    if folder.exists():
        raise Refused("folder_exists", f"{folder} exists", f"{folder} đã có", field="folder")
    to_parquet = parquet_writer() if columns else None
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    size, note = source.notes[-1]
    writer = Writer(part)
    _write_events(writer, source, size, to_parquet, progress)
    writer.text(bundle.CHECKPOINT, note)
    writer.packed(bundle.CHECKPOINTS, "\n\f\n".join(note for _, note in source.notes).encode())
    writer.raw(PROGRAM, verifier())
    writer.manifest(source.log_id, size)
    part.rename(folder)
    return Exported(folder=folder, size=size, files=len(writer.files) + 1)


def parquet_writer() -> ToParquet:
    """Return what writes Parquet.

    Raises:
        Refused: ``no_pyarrow``, it is not installed here.
    """
    try:
        from services.common.eventlog.columns import write_parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise Refused(
            "no_pyarrow", "Parquet needs pyarrow (extra audit)", "cần cài pyarrow (gói audit)"
        ) from error
    return write_parquet


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


def content_of(event: RecordedEvent) -> bytes:
    """Return the canonical bytes that an event's content hash covers."""
    return content_bytes(
        log_id=event.log_id, event_id=event.event_id, stream=event.stream, version=event.version,
        event=NewEvent(
            type=event.type, schema=event.schema, data=event.raw_data, meta=event.raw_meta,
            occurred_at_us=event.occurred_at_us, subject=event.subject,
        ),
    )  # fmt: skip


def _write_events(
    writer: "Writer", source: Source, size: int, to_parquet: ToParquet | None, progress: Progress
) -> None:
    tree = _Tree(writer)
    for first in range(1, size + 1, SEGMENT):
        last = min(first + SEGMENT - 1, size)
        selected = source.read(Selection(after=first - 1, through=last))
        with writer.stream(bundle.events_path(first)) as stream:
            passing = _passing(selected, stream, tree)
            if to_parquet is None:
                deque(passing, maxlen=0)
            else:
                name = bundle.columns_path(first)
                to_parquet(writer.place(name), passing)
                writer.note(name)
        progress(last, size)
    tree.end()


def _passing(
    events: Iterator[RecordedEvent], stream: "_Stream", tree: "_Tree"
) -> Iterator[RecordedEvent]:
    """Yield what it wrote, so that one reading serves every form."""
    for event in events:
        stream.write(bundle.line_of(content_of(event), event.position, event.recorded_at_us))
        tree.add(event)
        yield event


class _Tree:
    """Grows the tiles and entry bundles and writes each once it is full."""

    def __init__(self, writer: "Writer") -> None:
        self._writer = writer
        self._rows: list[list[bytes]] = [[]]
        self._counts = [0]
        self._entries: list[bytes] = []
        self._bundles = 0

    def add(self, event: RecordedEvent) -> None:
        self._entries.append(tiles.entry(event.content_hash, event.recorded_at_us))
        if len(self._entries) == tiles.WIDTH:
            self._bundle()
        level, carry = 0, event.leaf_hash
        while True:
            row = self._rows[level]
            row.append(carry)
            if len(row) < tiles.WIDTH:
                return
            carry = tiles.fold(self._tile(level))
            self._counts[level] += 1
            row.clear()
            level += 1
            if level == len(self._rows):
                self._rows.append([])
                self._counts.append(0)

    def end(self) -> None:
        """Write what is not full."""
        if self._entries:
            self._bundle()
        for level, row in enumerate(self._rows):
            if row:
                self._tile(level)

    def _tile(self, level: int) -> bytes:
        row = self._rows[level]
        hashes = b"".join(row)
        self._writer.raw(tiles.tile_path(level, self._counts[level], len(row)), hashes)
        return hashes

    def _bundle(self) -> None:
        path = tiles.entries_path(self._bundles, len(self._entries))
        self._writer.raw(path, tiles.bundle(self._entries))
        self._bundles += 1
        self._entries.clear()


class Writer:
    """Writes a bundle's files and notes their hashes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: dict[str, dict[str, object]] = {}

    def raw(self, name: str, content: bytes) -> None:
        """Write a file."""
        self.place(name).write_bytes(content)
        self._noted(name, len(content), hashlib.sha256(content).hexdigest())

    def text(self, name: str, content: str) -> None:
        """Write a text."""
        self.raw(name, content.encode())

    def packed(self, name: str, content: bytes) -> None:
        """Write a gzip file."""
        self.raw(name, gzip.compress(content, _LEVEL, mtime=0))

    def stream(self, name: str) -> "_Stream":
        """Return a gzip file to be written bit by bit."""
        return _Stream(self.place(name), lambda: self.note(name))

    def place(self, name: str) -> Path:
        """Return where a file goes; its folder is there."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def note(self, name: str) -> None:
        """Take up a file that somebody else wrote."""
        with (self._folder / name).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            self._noted(name, stream.tell(), digest)

    def manifest(self, log_id: int, size: int) -> None:
        """Write the manifest, the last file of all."""
        said = {"format": bundle.FORMAT, "log_id": log_id, "size": size, "files": self.files}
        text = bundle.manifest_text(said)
        (self._folder / bundle.MANIFEST).write_text(text, encoding="utf-8")

    def _noted(self, name: str, size: int, digest: str) -> None:
        self.files[name] = {"bytes": size, "sha256": digest}


class _Stream:
    """A gzip file that is hashed once it is closed."""

    def __init__(self, path: Path, close: Callable[[], None]) -> None:
        self._file, self._close = gzip.GzipFile(path, "wb", _LEVEL, mtime=0), close
        self.write = self._file.write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._close()
