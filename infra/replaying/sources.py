# SPDX-License-Identifier: Apache-2.0
"""Where a log lies: in PostgreSQL, read fast or page by page, in a bundle, in Parquet columns.

All of them say the same events in position order and go to child processes by name only. Nothing
is verified here: that is for ``motcua verify``, before or after.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

from services.common.canonical import canonical_json, parse_json
from services.common.errors import Malformed, Problem
from services.common.eventlog.bulk import BulkReader, Selection
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent, content_hash, leaf_hash
from services.common.integrity import bundle
from services.common.integrity.checker import Report
from services.common.messaging.building import Source

PAGE: Final = 1_000


class From(StrEnum):
    """How the log is read."""

    COPY = "copy"
    PAGED = "paged"
    BUNDLE = "bundle"
    PARQUET = "parquet"


class WholeLog(Source, Protocol):
    """A source that knows where it ends."""

    def head(self) -> int:
        """Return the highest position; 0 for an empty log."""
        ...


@dataclass(frozen=True, slots=True)
class Paged:
    """The log page by page through the port, as services read it; the slow way that is compared."""

    url: str
    log_id: int

    def head(self) -> int:
        """Return the highest position."""
        return BulkReader(self.url, self.log_id).head()

    def read(self, selection: Selection) -> Iterator[RecordedEvent]:
        """Yield what ``selection`` names; a stream or a dossier alone is not asked for here."""
        after, segment = selection.after, selection.segment
        with closing(PostgresLog(self.url, self.log_id)) as log:
            while page := log.read_all(
                after, limit=PAGE, types=selection.types, through=selection.through
            ):
                for event in page:
                    if segment is None or segment.holds(event):
                        yield event
                after = page[-1].position


@dataclass(frozen=True)
class Bundle:
    """The files of an export."""

    folder: Path

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        try:
            return bundle.read_manifest(self.folder)
        except bundle.BundleError as error:
            raise _malformed("path", str(error)) from error

    def head(self) -> int:
        """Return how many events it has."""
        return int(self._manifest["size"])

    def read(self, selection: Selection) -> Iterator[RecordedEvent]:
        """Yield what ``selection`` names; raises Malformed for what is no event's line."""
        report = Report()
        for name in bundle.event_files(self._manifest):
            for line in bundle.lines_of(self.folder, name, report):
                event = _event(line, name)
                if selection.through is not None and event.position > selection.through:
                    return
                if _wanted(event, selection):
                    yield event
            if report.findings:
                raise _malformed(name, str(report.findings[0]))


@dataclass(frozen=True, slots=True)
class Columns:
    """Files of Parquet columns, first positions first."""

    files: tuple[Path, ...]

    @classmethod
    def under(cls, path: Path) -> "Columns":
        """Return the columns of a bundle or folder, or one file; raises Malformed without any."""
        places = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
        if not places:
            raise _malformed(str(path), "no Parquet columns there: motcua export --parquet")
        return cls(tuple(sorted(places, key=lambda one: _reach(one)[0])))

    def head(self) -> int:
        """Return the highest position."""
        return _reach(self.files[-1])[1]

    def read(self, selection: Selection) -> Iterator[RecordedEvent]:
        """Yield what ``selection`` names."""
        for path in self.files:
            yield from _events(path, selection)


def source_of(
    how: From, url: str, log_id: int, path: Path | None, *, archive: Path | None = None
) -> WholeLog:
    """Return the source; ``path`` is for bundle and parquet, the others read the database.

    COPY takes what has left the database from the folder ``archive``.

    Raises:
        Malformed: a bundle or columns without ``path``, or none there.
    """
    if how in {From.COPY, From.PAGED}:
        copy = how is From.COPY
        return BulkReader(url, log_id, archive=archive) if copy else Paged(url, log_id)
    if path is None:
        raise _malformed("path", f"--from {how} needs --path")
    return Bundle(path) if how is From.BUNDLE else Columns.under(path)


def _reach(path: Path) -> tuple[int, int]:
    """Return the first and last position of a file, from what it says of itself."""
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415

    try:
        with parquet.ParquetFile(path) as file:
            column = file.schema_arrow.get_field_index("position")
            groups = range(file.metadata.num_row_groups)
            held = [file.metadata.row_group(one).column(column).statistics for one in groups]
            return (int(held[0].min), int(held[-1].max)) if held else (0, 0)
    except (pa.ArrowException, OSError, LookupError, AttributeError, ArithmeticError) as error:
        # Columns of something else have no positions, or say nothing of them.
        raise _malformed(str(path), f"no Parquet columns: {error}") from error


def _events(path: Path, selection: Selection) -> Iterator[RecordedEvent]:
    from services.common.eventlog.columns import read_parquet  # noqa: PLC0415 - an extra

    return read_parquet(path, selection)


def _event(line: bytes, name: str) -> RecordedEvent:
    try:
        content, position, recorded_us = bundle.parse_line(line)
        said = parse_json(content)
        assert isinstance(said, dict)
        digest = content_hash(content)
        return RecordedEvent(
            log_id=said["log_id"], position=position, event_id=UUID(said["event_id"]),
            stream=said["stream"], version=said["version"], type=said["type"],
            schema=said["schema"], subject=said["subject"], occurred_at_us=said["occurred_at"],
            recorded_at_us=recorded_us, raw_data=canonical_json(said["data"]),
            raw_meta=canonical_json(said["meta"]), content_hash=digest,
            leaf_hash=leaf_hash(digest, recorded_us),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise _malformed(name, f"a line is not an event's: {error}") from error


def _wanted(event: RecordedEvent, selection: Selection) -> bool:
    return (
        event.position > selection.after
        and (selection.types is None or event.type in selection.types)
        and (selection.segment is None or selection.segment.holds(event))
    )


def _malformed(where: str, what: str) -> Malformed:
    return Malformed("replay", (Problem(where, "no_log", what, f"không đọc được: {what}"),))
