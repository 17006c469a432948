# SPDX-License-Identifier: Apache-2.0
"""Events as Parquet columns and back, nothing lost: for detached ranges, copies and vector folds.

Needs ``pyarrow`` (extra ``audit``). One file holds positions in order, in row groups small enough
to be skipped and to be held; a reading of a selection opens only the groups it may be in. ``data``
and ``meta`` are the stored bytes, as text, so that DuckDB reads them as JSON (``data->>'code'``);
times are microseconds with a zone, hashes are 32 bytes. Nothing is trusted for having been read:
what matters is verified by its hashes.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice, pairwise
from pathlib import Path
from sys import intern
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
from pyarrow import compute, parquet

from services.common.errors import Malformed, Problem
from services.common.eventlog.bulk import EVERYTHING, Selection
from services.common.eventlog.record import RecordedEvent

ROWS_PER_GROUP: Final = 50_000
GROUP_BYTES: Final = 64 * 1024 * 1024
_ROWS_PER_BATCH: Final = 1_000
_DICTIONARY: Final = ["log_id", "stream", "type", "schema", "subject", "recorded_at"]
_ALWAYS: Final = (
    "log_id", "position", "event_id", "stream", "version", "type", "schema", "occurred_at",
    "recorded_at", "data", "meta", "content_hash", "leaf_hash",
)  # fmt: skip
"""Columns without which no row is an event."""
_FORMAT: Final = {b"motcua247.format": b"1"}
_WHEN: Final = pa.timestamp("us", "UTC")
SCHEMA: Final = pa.schema(
    {
        "log_id": pa.int32(),
        "position": pa.int64(),
        "event_id": pa.uuid(),
        "stream": pa.string(),
        "version": pa.int64(),
        "type": pa.string(),
        "schema": pa.int32(),
        "subject": pa.string(),
        "occurred_at": _WHEN,
        "recorded_at": _WHEN,
        "data": pa.string(),
        "meta": pa.string(),
        "content_hash": pa.binary(32),
        "leaf_hash": pa.binary(32),
    }
).with_metadata(_FORMAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What is in a file now.

    Attributes:
        events: how many.
        first: lowest position; 0 where there are none.
        last: highest position.
        size_bytes: of the file.
    """

    events: int
    first: int
    last: int
    size_bytes: int


def write_parquet(path: Path, events: Iterable[RecordedEvent]) -> Written:
    """Write ``events``, given in position order, to a new file that is whole or not there.

    Durable when it returns: file and folder are flushed to disk.

    Raises:
        Malformed: an event that this format cannot hold (no UTF-8, no 32-byte hash, out of order);
            nothing stays under the name.
        OSError: no space, no right.
    """
    part = path.with_name(f"{path.name}.part")
    first = last = count = 0
    try:
        with part.open("wb") as stream:
            with _writer(stream) as writer:
                for table in _tables(path, events):
                    positions = table["position"]
                    first = first or positions[0].as_py()
                    last = positions[-1].as_py()
                    count += len(positions)
                    writer.write_table(table, row_group_size=ROWS_PER_GROUP)
            stream.flush()
            os.fsync(stream.fileno())
            size = stream.tell()
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    _flush_folder(path.parent)
    return Written(events=count, first=first, last=last, size_bytes=size)


def read_parquet(path: Path, selection: Selection = EVERYTHING) -> Iterator[RecordedEvent]:
    """Yield what ``selection`` names, in position order, as it was written.

    Memory is bounded by a row group, whatever the file's size.

    Raises:
        Malformed: no file of ``write_parquet``, or a broken one.
        OSError: it cannot be read.
    """
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(SCHEMA, check_metadata=True):
                raise _malformed(path, "columns", "not those of a log", "không phải của nhật ký")
            groups = _groups(file, selection)
            for batch in file.iter_batches(_ROWS_PER_BATCH, row_groups=groups, use_threads=False):
                if any(batch[name].null_count for name in _ALWAYS):
                    raise _malformed(path, "rows", "a value is missing", "thiếu giá trị")
                for event in _events(_narrowed(batch, selection)):
                    if selection.segment is None or selection.segment.holds(event):
                        yield event
    except pa.ArrowException as error:
        raise _malformed(path, "content", str(error), "bị hỏng") from error
    except OSError as error:
        if error.errno is None:  # a page whose checksum or compression is wrong
            raise _malformed(path, "content", str(error), "bị hỏng") from error
        raise


def _writer(stream: Any) -> Any:
    return parquet.ParquetWriter(
        stream, SCHEMA, compression="zstd", compression_level=3, write_page_checksum=True,
        use_dictionary=_DICTIONARY,
    )  # fmt: skip


def _tables(path: Path, events: Iterable[RecordedEvent]) -> Iterator[Any]:
    """Yield a row group's rows at a time; Python's objects of them live in smaller batches."""
    last, source = 0, iter(events)
    while True:
        left, held, packed = ROWS_PER_GROUP, 0, list[Any]()
        while (
            left
            and held < GROUP_BYTES
            and (batch := list(islice(source, min(left, _ROWS_PER_BATCH))))
        ):
            positions = [last, *(one.position for one in batch)]
            if not all(a < b for a, b in pairwise(positions)):
                raise _malformed(path, "positions", "they do not rise", "không tăng dần")
            last, left = positions[-1], left - len(batch)
            packed.append(_columns(batch))
            held += packed[-1].nbytes
        if not packed:
            return
        yield pa.Table.from_batches(packed)


def _columns(batch: Sequence[RecordedEvent]) -> Any:
    try:
        return pa.record_batch(
            [
                pa.array([e.log_id for e in batch], pa.int32()),
                pa.array([e.position for e in batch], pa.int64()),
                pa.ExtensionArray.from_storage(
                    pa.uuid(), pa.array([e.event_id.bytes for e in batch], pa.binary(16))
                ),
                pa.array([e.stream for e in batch], pa.string()),
                pa.array([e.version for e in batch], pa.int64()),
                pa.array([e.type for e in batch], pa.string()),
                pa.array([e.schema for e in batch], pa.int32()),
                pa.array([e.subject for e in batch], pa.string()),
                pa.array([e.occurred_at_us for e in batch], pa.int64()).cast(_WHEN),
                pa.array([e.recorded_at_us for e in batch], pa.int64()).cast(_WHEN),
                pa.array([e.raw_data for e in batch], pa.string()),
                pa.array([e.raw_meta for e in batch], pa.string()),
                pa.array([e.content_hash for e in batch], pa.binary(32)),
                pa.array([e.leaf_hash for e in batch], pa.binary(32)),
            ],
            schema=SCHEMA,
        )
    except pa.ArrowException as error:
        where = Path(f"positions {batch[0].position}–{batch[-1].position}")
        raise _malformed(where, "event", str(error), "không ghi được") from error


def _groups(file: Any, selection: Selection) -> list[int]:
    """Return the row groups whose positions overlap what is selected."""
    found = []
    column = SCHEMA.get_field_index("position")
    for number in range(file.metadata.num_row_groups):
        held = file.metadata.row_group(number).column(column).statistics
        if held is None:
            found.append(number)  # whoever wrote it said nothing; its rows are looked at
            continue
        before = selection.through is not None and held.min > selection.through
        if held.max > selection.after and not before:
            found.append(number)
    return found


def _narrowed(batch: Any, selection: Selection) -> Any:
    wanted = [compute.greater(batch["position"], selection.after)]
    if selection.through is not None:
        wanted.append(compute.less_equal(batch["position"], selection.through))
    if selection.types is not None:
        kinds = pa.array(list(selection.types), pa.string())
        wanted.append(compute.is_in(batch["type"], value_set=kinds))
    if selection.stream is not None:
        wanted.append(compute.equal(batch["stream"], selection.stream))
    if selection.subject is not None:
        wanted.append(compute.equal(batch["subject"], selection.subject))
    return batch.filter(reduce(compute.and_, wanted))


def _events(batch: Any) -> Iterator[RecordedEvent]:
    kinds = [intern(one) for one in batch["type"].to_pylist()]
    rows = zip(
        batch["log_id"].to_pylist(), batch["position"].to_pylist(),
        batch["event_id"].storage.to_pylist(), batch["stream"].to_pylist(),
        batch["version"].to_pylist(), kinds, batch["schema"].to_pylist(),
        batch["subject"].to_pylist(), batch["occurred_at"].cast(pa.int64()).to_pylist(),
        batch["recorded_at"].cast(pa.int64()).to_pylist(),
        batch["data"].cast(pa.binary()).to_pylist(), batch["meta"].cast(pa.binary()).to_pylist(),
        batch["content_hash"].to_pylist(), batch["leaf_hash"].to_pylist(), strict=True,
    )  # fmt: skip
    for (log_id, position, identifier, stream, version, kind, schema, subject, occurred_at,
         recorded_at, data, meta, content, leaf) in rows:  # fmt: skip
        yield RecordedEvent(
            log_id=log_id, position=position, event_id=UUID(bytes=identifier), stream=stream,
            version=version, type=kind, schema=schema, subject=subject,
            occurred_at_us=occurred_at, recorded_at_us=recorded_at, raw_data=data, raw_meta=meta,
            content_hash=content, leaf_hash=leaf,
        )  # fmt: skip


def _malformed(where: Path, field: str, en: str, vi: str) -> Malformed:
    return Malformed(str(where), (Problem(field, "not_columns", en, vi),))


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
