# SPDX-License-Identifier: Apache-2.0
"""Folds said once and done twice: what an event does to a row, in a table or in memory.

A live projector applies a ``RowChange`` by SQL, a bulk rebuild to dictionaries that become tables
by COPY. Both read the same change, so both make the same rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

import psycopg
from psycopg import sql

from services.common.eventlog.record import RecordedEvent

Rows = tuple[str, Sequence[str], Iterator[Sequence[object]]]
"""Table, columns, values."""


_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class RowChange(NamedTuple):
    """What an event does to one row; a tuple, because a rebuild makes one for every event.

    Attributes:
        table: unqualified name.
        column: its key column.
        key: which row.
        make: every other column of the row where there is none; None leaves it so.
        put: columns that get a value.
        add: columns that grow by a number.
        least: columns that are at least this afterwards.
    """

    table: str
    column: str
    key: object
    make: Mapping[str, object] | None = None
    put: Mapping[str, object] = _NONE
    add: Mapping[str, int] = _NONE
    least: Mapping[str, int] = _NONE


class Fold(Protocol):
    """A read model that is built in memory, then copied."""

    def fold(self, event: RecordedEvent) -> None:
        """Apply one event; never refuses."""
        ...

    def rows(self) -> Iterable[Rows]:
        """Return what became of the tables."""
        ...


class RowProjection:
    """Base of projections that say what an event does by ``RowChange``."""

    name: str
    segment_by: str | None = None

    def changes(self, event: RecordedEvent) -> Iterable[RowChange]:
        """Return what ``event`` does."""
        raise NotImplementedError

    def fold(self, cursor: psycopg.Cursor[Any], event: RecordedEvent) -> None:
        """Apply one event inside the projector's transaction."""
        schema = self.name.partition(".")[0]
        for change in self.changes(event):
            write(cursor, schema, change)

    def in_memory(self) -> Fold:
        """Return an empty fold for a bulk rebuild."""
        return _Following(self)


class MemoryRows:
    """Tables as dictionaries."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._tables: dict[tuple[str, str], dict[object, dict[str, object]]] = {}

    def write(self, change: RowChange) -> None:
        """Do what ``change`` says."""
        table = self._tables.setdefault((change.table, change.column), {})
        row = table.get(change.key)
        if row is None:
            if change.make is None:
                return
            row = table[change.key] = dict(change.make)
        row |= change.put
        for name, number in change.add.items():
            row[name] = _number(row[name]) + number
        for name, number in change.least.items():
            row[name] = max(_number(row[name]), number)

    def rows(self) -> Iterator[Rows]:
        """Return the tables."""
        for (table, column), kept in self._tables.items():
            first = next(iter(kept.values()), None)
            if first is not None:
                names = tuple(first)
                values = ((key, *map(row.__getitem__, names)) for key, row in kept.items())
                yield table, (column, *names), values


class _Following:
    """The rows of a ``RowProjection``."""

    def __init__(self, projection: RowProjection) -> None:
        self._changes = projection.changes
        self._rows = MemoryRows()

    def fold(self, event: RecordedEvent) -> None:
        for change in self._changes(event):
            self._rows.write(change)

    def rows(self) -> Iterator[Rows]:
        return self._rows.rows()


def write(cursor: psycopg.Cursor[Any], schema: str, change: RowChange) -> None:
    """Do what ``change`` says to the table in ``schema``; the caller commits."""
    table, column = sql.Identifier(schema, change.table), sql.Identifier(change.column)
    if change.make is not None:
        names = (change.column, *change.make)
        cursor.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO NOTHING").format(
                table, sql.SQL(", ").join(map(sql.Identifier, names)),
                sql.SQL(", ").join([sql.Placeholder()] * len(names)), column,
            ),
            (change.key, *change.make.values()),
        )  # fmt: skip
    sets = [
        *(sql.SQL("{0} = %s").format(sql.Identifier(name)) for name in change.put),
        *(sql.SQL("{0} = {0} + %s").format(sql.Identifier(name)) for name in change.add),
        *(sql.SQL("{0} = greatest({0}, %s)").format(sql.Identifier(name)) for name in change.least),
    ]
    if sets:
        cursor.execute(
            sql.SQL("UPDATE {} SET {} WHERE {} = %s").format(
                table, sql.SQL(", ").join(sets), column
            ),
            (*change.put.values(), *change.add.values(), *change.least.values(), change.key),
        )


def _number(value: object) -> int:
    assert isinstance(value, int), "numbers only are added to"
    return value
