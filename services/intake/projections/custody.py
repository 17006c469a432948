# SPDX-License-Identifier: Apache-2.0
"""Where every pouch and result is, and the cases about those that nobody finds, as tables."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from services.common import contracts
from services.common.clock import to_micros
from services.common.eventlog.record import RecordedEvent
from services.common.messaging.rows import MemoryRows, RowChange, Rows, write
from services.intake.application.cases import happening
from services.intake.domain.custody import TYPES, Item, MemoryShelf, apply

_COLUMNS: Final = tuple(field.name for field in fields(Item))
_NAMED: Final = (
    "office", "item", "kind", "because", "machine", "place", "pouch", "dossier", "owner",
)  # fmt: skip
_NAMES: Final = ", ".join(f'"{name}"' for name in _COLUMNS)
_PUT: Final = (
    f"INSERT INTO intake.item ({_NAMES}) VALUES ({', '.join(['%s'] * len(_COLUMNS))})"  # noqa: S608 - own names
    " ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f'"{name}" = excluded."{name}"' for name in _COLUMNS[1:])
)


class SqlShelf:
    """The shelf of the custody fold as a table; moves inside the projector's transaction."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        """Bind the projector's cursor."""
        self._connection = cursor.connection

    def get(self, key: str) -> Item | None:
        """Return one item."""
        return next(iter(self._items("key = %s", key)), None)

    def put(self, item: Item) -> None:
        """Remember ``item``."""
        self._connection.execute(_PUT.encode(), astuple(item))

    def lying_in(self, place: str) -> Sequence[Item]:
        """Return what lies in ``place``, by key."""
        return self._items("place = %s", place)

    def with_barcode(self, machine: str, barcode: str) -> Sequence[Item]:
        """Return the pouches of a machine that bear ``barcode``, by key."""
        return self._items("machine = %s AND barcode = %s", machine, barcode)

    def in_case(self, case: str) -> Item | None:
        """Return the item that an open case is about."""
        return next(iter(self._items('"case" = %s', case)), None)

    def enrol(self, machine: str, office: str) -> None:
        """Remember whose machine it is."""
        self._connection.execute(
            "INSERT INTO intake.item_machine (machine, office) VALUES (%s, %s)"
            " ON CONFLICT (machine) DO UPDATE SET office = excluded.office",
            (machine, office),
        )

    def office_of(self, machine: str) -> str:
        """Return whose machine it is."""
        row = self._connection.execute(
            "SELECT office FROM intake.item_machine WHERE machine = %s", (machine,)
        ).fetchone()
        return "" if row is None else str(row[0])

    def _items(self, where: str, *values: str) -> list[Item]:
        with self._connection.cursor(row_factory=class_row(Item)) as cursor:
            query = f'SELECT {_NAMES} FROM intake.item WHERE {where} ORDER BY key COLLATE "C"'  # noqa: S608 - own names
            return cursor.execute(query.encode(), values).fetchall()


class CustodyProjection:
    """Items by place, and cases with owner and due time."""

    name = "intake.custody"
    version = 1
    tables: tuple[str, ...] = ("item", "item_machine", "custody_case")
    types: tuple[str, ...] = TYPES
    ddl = """
        CREATE TABLE IF NOT EXISTS intake.item (
            key text PRIMARY KEY,
            kind text NOT NULL,
            dossier text NOT NULL,
            barcode text NOT NULL,
            machine text NOT NULL,
            office text NOT NULL,
            place text NOT NULL,
            since_us bigint NOT NULL,
            moved_by text NOT NULL,
            "case" text NOT NULL
        );
        CREATE INDEX IF NOT EXISTS item_place ON intake.item (place);
        CREATE INDEX IF NOT EXISTS item_office ON intake.item (office, since_us);
        CREATE INDEX IF NOT EXISTS item_barcode ON intake.item (machine, barcode);
        CREATE INDEX IF NOT EXISTS item_case ON intake.item ("case") WHERE "case" <> '';
        CREATE TABLE IF NOT EXISTS intake.item_machine (
            machine text PRIMARY KEY,
            office text NOT NULL
        );
        CREATE TABLE IF NOT EXISTS intake.custody_case (
            "case" text PRIMARY KEY,
            office text NOT NULL,
            item text NOT NULL,
            kind text NOT NULL,
            because text NOT NULL,
            machine text,
            place text NOT NULL,
            pouch text,
            dossier uuid,
            owner text NOT NULL,
            opened_at bigint NOT NULL,
            due_at bigint NOT NULL,
            closed_at bigint,
            official text,
            found text,
            found_at text
        );
        CREATE INDEX IF NOT EXISTS custody_case_queue
            ON intake.custody_case (office, closed_at, due_at)
    """

    segment_by = None

    def fold(self, cursor: psycopg.Cursor, event: RecordedEvent) -> None:
        """Apply one event."""
        apply(SqlShelf(cursor), happening(event))
        for change in _case(event):
            write(cursor, "intake", change)

    def in_memory(self) -> "CustodyInMemory":
        """Return an empty fold for a bulk rebuild; it grows with what is and was on hand."""
        return CustodyInMemory()


class CustodyInMemory:
    """The same folds over dictionaries."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._shelf, self._cases = MemoryShelf(), MemoryRows()

    def fold(self, event: RecordedEvent) -> None:
        """Apply one event."""
        apply(self._shelf, happening(event))
        for change in _case(event):
            self._cases.write(change)

    def rows(self) -> Iterator[Rows]:
        """Return the tables."""
        yield "item", _COLUMNS, (astuple(item) for item in self._shelf.items.values())
        yield "item_machine", ("machine", "office"), iter(self._shelf.offices.items())
        yield from self._cases.rows()


def _case(event: RecordedEvent) -> Iterator[RowChange]:
    """Return what ``event`` does to the row of a case."""
    if event.type == "office.custody_case_opened":
        data = contracts.current(event.type, event.schema, event.data)
        named = {name: data[name] for name in _NAMED}
        due_at = to_micros(datetime.fromisoformat(str(data["due_at"])))
        yield RowChange(
            table="custody_case", column="case", key=data["case"],
            make={
                **named, "opened_at": event.recorded_at_us, "due_at": due_at, "closed_at": None,
                "official": None, "found": None, "found_at": None,
            },
        )  # fmt: skip
    elif event.type == "office.custody_case_closed":
        data = contracts.current(event.type, event.schema, event.data)
        told = {name: data[name] for name in ("official", "found", "found_at")}
        yield RowChange(
            table="custody_case", column="case", key=data["case"],
            put={"closed_at": event.recorded_at_us, **told},
        )  # fmt: skip
