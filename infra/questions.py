# SPDX-License-Identifier: Apache-2.0
"""Auditors' questions to a bundle: views for DuckDB and the questions of ``questions.sql``.

Reads the Parquet copy where there is one, else the events' own lines. Nothing is verified here:
``motcua verify --bundle`` says whether bundle and copy are what was sealed. Needs ``duckdb``.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import duckdb

from services.common.clock import VIETNAM
from services.common.errors import Refused
from services.common.integrity import bundle

_NAMED: Final = re.compile(r"^-- name: (\S+)\n-- vi: (.+)\n-- en: (.+)\n", re.MULTILINE)
_COLUMNS: Final = (
    "SELECT position, event_id::VARCHAR AS event_id, stream, version, type, schema,"
    " subject AS dossier, occurred_at, recorded_at, data::JSON AS data, meta::JSON AS meta,"
    " meta->>'actor' AS actor FROM read_parquet({files})"
)
_LINES: Final = (
    "SELECT position, content->>'event_id' AS event_id, content->>'stream' AS stream,"
    " (content->>'version')::BIGINT AS version, content->>'type' AS type,"
    " (content->>'schema')::INT AS schema, content->>'subject' AS dossier,"
    " make_timestamptz((content->>'occurred_at')::BIGINT) AS occurred_at,"
    " make_timestamptz(recorded_at) AS recorded_at, content->'data' AS data,"
    " content->'meta' AS meta, content->'meta'->>'actor' AS actor"
    " FROM read_json({files}, format = 'newline_delimited', maximum_object_size = 1048576,"
    " columns = {{content: 'JSON', position: 'BIGINT', recorded_at: 'BIGINT'}})"
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question that auditors ask.

    Attributes:
        name: by which it is called.
        vi: in Vietnamese.
        en: in English.
        sql: one SELECT over the views.
    """

    name: str
    vi: str
    en: str
    sql: str


@lru_cache
def questions() -> dict[str, Question]:
    """Return the questions by name, in their order."""
    _, *parts = _NAMED.split(_text())
    found = zip(*(iter(parts),) * 4, strict=True)
    return {name: Question(name, vi, en, sql.strip()) for name, vi, en, sql in found}


def open_bundle(folder: Path, database: str = ":memory:") -> duckdb.DuckDBPyConnection:
    """Return a connection with the views ``event``, ``dossier``, ``log_end``; the caller closes it.

    Args:
        folder: of the bundle.
        database: file to be made that keeps the views, for DuckDB's own command line.

    Raises:
        BundleError: it is no bundle.
        Refused: ``cannot_ask``, DuckDB cannot read it.
    """
    manifest = bundle.read_manifest(folder)
    part = "columns/" if bundle.has_copy(manifest) else "events/"
    files = [str((folder / one).absolute()) for one in manifest["files"] if one.startswith(part)]
    quoted = ", ".join("'{}'".format(one.replace("'", "''")) for one in sorted(files))
    select = (_COLUMNS if part == "columns/" else _LINES).format(files=f"[{quoted}]")
    connection = duckdb.connect(database)
    try:
        connection.execute("SET TimeZone = 'Asia/Ho_Chi_Minh'")
        connection.execute(f"CREATE VIEW event AS {select}; {_NAMED.split(_text())[0]}")
    except duckdb.Error as error:
        connection.close()
        raise _refused(error) from error
    return connection


def ask(
    connection: duckdb.DuckDBPyConnection, sql: str
) -> tuple[Sequence[str], Iterator[tuple[Any, ...]]]:
    """Return the columns' names and the rows of one statement; times are text in Vietnam's zone.

    Raises:
        Refused: ``cannot_ask``, with DuckDB's words.
    """
    try:
        found: Any = connection.sql(sql)
        if found is None:
            return (), iter(())
        table = found.to_arrow_table()
    except duckdb.Error as error:
        raise _refused(error) from error
    rows = (
        tuple(_plain(cell.as_py()) for cell in row)
        for batch in table.to_batches()
        for row in zip(*batch.columns, strict=True)
    )
    return table.column_names, rows


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return (value.astimezone(VIETNAM) if value.tzinfo else value).isoformat(" ")
    if isinstance(value, Decimal) and value == int(value):
        return int(value)  # sums are wider than 64 bits
    if isinstance(value, str | int | float | bool | list | dict) or value is None:
        return value
    return str(value)


def _text() -> str:
    return resources.files("infra").joinpath("questions.sql").read_text(encoding="utf-8")


def _refused(error: duckdb.Error) -> Refused:
    return Refused("cannot_ask", str(error).partition("\n")[0], "không trả lời được")
