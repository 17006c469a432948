# SPDX-License-Identifier: Apache-2.0
"""Prove that a bundle's Parquet copy holds its events and nothing else.

Each row is turned back into the bytes that were hashed and compared with the event's line; both of
its hashes are computed anew. That the lines are the sealed log is for ``verify_bundle`` to say.
Needs ``pyarrow``. Memory is bounded by a row group.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.common.audit.bundling import content_of
from services.common.errors import Malformed
from services.common.eventlog.columns import read_parquet
from services.common.eventlog.record import RecordedEvent, content_hash, leaf_hash
from services.common.integrity import bundle
from services.common.integrity.checker import Report

_FOLDERS: Final = ("columns/", "events/")
_COLUMNS: Final = {
    "log_id": "log_id", "stream": "stream", "version": "version", "type": "type",
    "schema": "schema", "subject": "subject", "occurred_at": "occurred_at_us",
}  # fmt: skip
_AROUND: Final = {"data": (b'{"data":', b',"event_id":'), "meta": (b',"meta":', b',"occurred_at":')}


@dataclass(frozen=True, slots=True)
class _Line:
    content: bytes
    position: int
    recorded_at_us: int


def compare(folder: Path, *, progress: bundle.Progress = lambda _done, _total: None) -> Report:
    """Compare every row of the copy with the event's line; ``events`` counts the rows.

    Raises:
        BundleError: it is no bundle, or it has no Parquet copy.
    """
    manifest = bundle.read_manifest(folder)
    files = manifest["files"]
    if not bundle.has_copy(manifest):
        raise bundle.BundleError(f"{folder} has no Parquet copy")
    report = Report()
    for where, what in bundle.changed_files(folder, files):
        if where.startswith(_FOLDERS):
            report.add(where, what)
    names = [one.partition("/")[2] for one in bundle.event_files(manifest)]
    copies = {one.partition("/")[2] for one in files if one.startswith("columns/")}
    for name in names:
        first = name.partition(".")[0]
        if f"{first}.parquet" not in copies:
            report.add(f"events/{name}", "has no Parquet copy")
            continue
        copies.discard(f"{first}.parquet")
        _compare_file(folder, first, report)
        progress(report.events, max(int(manifest["size"]), report.events))
    for name in sorted(copies):
        report.add(f"columns/{name}", "is a copy of no events")
    if report.events != manifest["size"]:
        report.add("columns", f"{report.events} of {manifest['size']} are there")
    return report


def _compare_file(folder: Path, first: str, report: Report) -> None:
    copy = f"columns/{first}.parquet"
    lines = _lines(folder, f"events/{first}.ndjson.gz", report)
    line = next(lines, None)
    try:
        for number, row in enumerate(read_parquet(folder / copy), start=1):
            where = f"{copy} row {number}"
            report.events += 1
            while line is not None and line.position < row.position:
                report.add(where, f"position {line.position} is missing before it")
                line = next(lines, None)
            if line is None or line.position > row.position:
                report.add(where, f"there is no event at position {row.position}")
                continue
            for what in _differences(row, line):
                report.add(where, f"position {row.position}: {what}")
            line = next(lines, None)
    except (Malformed, OSError, UnicodeError) as error:
        report.add(copy, f"cannot be read: {error}")
        return
    while line is not None:
        report.add(copy, f"position {line.position} is missing at its end")
        line = next(lines, None)


def _lines(folder: Path, name: str, report: Report) -> Iterator[_Line]:
    for number, line in enumerate(bundle.lines_of(folder, name, report), start=1):
        try:
            yield _Line(*bundle.parse_line(line))
        except ValueError:
            report.add(name, f"line {number} is not an event's")


def _differences(row: RecordedEvent, line: _Line) -> Sequence[str]:
    """Return in which columns a row differs; none for nearly every row."""
    content, digest = content_of(row), content_hash(line.content)
    found = []
    if row.recorded_at_us != line.recorded_at_us:
        found.append("recorded_at is not the event's")
    if row.content_hash != digest:
        found.append("content_hash is not the event's")
    if row.leaf_hash != leaf_hash(digest, line.recorded_at_us):
        found.append("leaf_hash is not the event's")
    if content != line.content:
        found += [f"{name} is not the event's" for name in _columns(row, line.content)]
    return found


def _columns(row: RecordedEvent, content: bytes) -> list[str]:
    try:
        said = json.loads(content)
        names = [name for name, held in _COLUMNS.items() if said[name] != getattr(row, held)]
        if said["event_id"] != str(row.event_id):
            names.append("event_id")
    except (ValueError, KeyError, TypeError):
        return ["content"]
    raw = {"data": row.raw_data, "meta": row.raw_meta}
    for name, (before, behind) in _AROUND.items():
        if before + raw[name] + behind not in content:
            names.append(name)
    return names or ["content"]
