# SPDX-License-Identifier: Apache-2.0
"""Read models folded by SQL over Parquet columns, where their fold permits it.

A projection that can be folded so has ``vectors``: for each table a DuckDB query over ``event``
(position, event_id, stream, version, type, schema, subject, occurred_us, recorded_us, data as JSON
text) that yields exactly the rows of its fold. The order of events is their position; a query says
so itself. A fold whose rows depend on what other rows are at the moment (custody) has none.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal, Protocol, runtime_checkable

from services.auditing.application.moments import Moment
from services.common.errors import Malformed, Problem, Unavailable
from services.common.messaging.projector import Projection

MEMORY_MB: Final = 120
"""What DuckDB may hold; beyond it, it works on disk, but for texts that a grouping keeps."""
_ROWS: Final = 5_000
_EVENT: Final = """
    CREATE OR REPLACE VIEW event AS
    SELECT position, event_id, stream, version, type, schema, subject,
        epoch_us(occurred_at) AS occurred_us, epoch_us(recorded_at) AS recorded_us, data
    FROM read_parquet({files}) WHERE {within} AND {part}
"""


@runtime_checkable
class VectorProjection(Projection, Protocol):
    """A projection that is also a query.

    Attributes:
        vectors: table → query over ``event``, named columns in any order.
        segment_by: as ``BulkProjection``'s; no row follows from more than one of them.
    """

    vectors: Mapping[str, str]
    segment_by: Literal["stream", "subject"] | None


Rows = tuple[str, Sequence[str], Iterator[Sequence[object]]]


def fold_columns(
    projection: VectorProjection, files: Sequence[Path], to: Moment, *,
    jobs: int, each: int, folder: Path,
) -> Iterator[Rows]:  # fmt: skip
    """Yield table, columns and rows; take the rows before the next.

    A table comes part by part, as many as it takes to group about ``each`` events at once.

    Args:
        projection: whose rows.
        files: of Parquet columns.
        to: up to where.
        jobs: threads.
        each: events of a part, where the projection can be divided.
        folder: for what does not fit into memory; the caller removes it.

    Raises:
        Malformed: a file is broken or holds what no contract allows.
        Unavailable: a part does not fit into memory.
    """
    import duckdb  # noqa: PLC0415 - an extra

    try:
        with closing(duckdb.connect(config=_settings(jobs, folder))) as database:
            for part in _parts(database, projection, files, to, each):
                database.execute(_view(files, to, part))
                for table, query in projection.vectors.items():
                    found = database.execute(query)
                    columns = [str(one[0]) for one in found.description or ()]
                    yield table, columns, _rows(found)
    except duckdb.OutOfMemoryException as error:
        raise Unavailable("duckdb", str(error)) from error
    except duckdb.Error as error:
        problem = Problem("columns", "not_columns", str(error), "tệp cột bị hỏng")
        raise Malformed("replay", (problem,)) from error


def _parts(
    database: Any, projection: VectorProjection, files: Sequence[Path], to: Moment, each: int
) -> list[str]:
    """Return the conditions of the parts; what belongs together is in one of them."""
    database.execute(_view(files, to, "true"))
    (events,) = database.execute("SELECT count(*) FROM event").fetchone()
    count = math.ceil(events / each)
    if projection.segment_by is None or count <= 1:
        return ["true"]
    return [f"hash({projection.segment_by}) % {count} = {number}" for number in range(count)]


def _view(files: Sequence[Path], to: Moment, part: str) -> str:
    return _EVENT.format(files=_texts(files), within=_within(to), part=part)


def _rows(found: Any) -> Iterator[Sequence[object]]:
    while rows := found.fetchmany(_ROWS):
        yield from rows


def _settings(jobs: int, folder: Path) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": jobs, "memory_limit": f"{MEMORY_MB}MB", "temp_directory": str(folder),
        "preserve_insertion_order": False, "autoinstall_known_extensions": False,
    }  # fmt: skip


def _within(to: Moment) -> str:
    if to.position is not None:
        return f"position <= {to.position}"
    return "true" if to.until_us is None else f"recorded_at <= make_timestamptz({to.until_us})"


def _texts(files: Sequence[Path]) -> str:
    quoted = ("'" + str(path).replace("'", "''") + "'" for path in files)
    return f"[{', '.join(quoted)}]"
