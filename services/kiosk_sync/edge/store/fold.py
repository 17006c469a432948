# SPDX-License-Identifier: Apache-2.0
"""What follows from one journal record; the same code at append and at the rebuild check."""

from collections.abc import Callable
from typing import Final

import apsw

from services.common.canonical import JsonObject
from services.kiosk_sync.edge.store.schema import FOLDED, FOLDED_2, FOLDED_TABLES
from services.kiosk_sync.protocol import Record

TRIES: Final = 5
STORED: Final = "stored"
AUTHORISED: Final = "authorised"
RELEASED: Final = "released"
RECALLED: Final = "recalled"


def project(connection: apsw.Connection, record: Record) -> None:
    """Bring the folded tables up to ``record``; the caller's transaction. Never refuses."""
    handler = _HANDLERS.get(record.type)
    if handler is not None:
        handler(connection, record, record.data)


def differences(connection: apsw.Connection, records: list[Record]) -> list[str]:
    """Return the folded tables that differ from a fresh fold of ``records``."""
    fresh = apsw.Connection(":memory:")
    fresh.execute(FOLDED + FOLDED_2)
    with fresh:
        for record in records:
            project(fresh, record)
    return [t for t in FOLDED_TABLES if _rows(fresh, t) != _rows(connection, t)]


def _rows(connection: apsw.Connection, table: str) -> list[tuple[object, ...]]:
    return list(connection.execute(f"SELECT * FROM {table} ORDER BY 1"))  # noqa: S608 - constant


def _deposited(connection: apsw.Connection, record: Record, data: JsonObject) -> None:
    names = ("procedure", "pouch", "bin", "fee_vnd")
    connection.execute(
        "INSERT INTO deposit (dossier, seq, session, procedure, pouch, bin, fee_vnd)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (data["dossier"], record.seq, record.session, *(data[name] for name in names)),
    )


def _credited(connection: apsw.Connection, record: Record, data: JsonObject) -> None:
    connection.execute(
        "INSERT INTO cash_note (seq, dossier, denomination_vnd, stacked_count) VALUES (?, ?, ?, ?)",
        (record.seq, data["dossier"], data["denomination_vnd"], data["stacked_count"]),
    )
    _count(connection, record, data)


def _count(connection: apsw.Connection, _: Record, data: JsonObject) -> None:
    connection.execute(
        "INSERT INTO device_cursor VALUES ('cash', ?)"
        " ON CONFLICT (device) DO UPDATE SET value = excluded.value",
        (data["stacked_count"],),
    )


def _closed(connection: apsw.Connection, record: Record, data: JsonObject) -> None:
    connection.execute(
        "INSERT INTO cash_closed VALUES (?, ?, ?, ?)",
        (record.seq, data["dossier"], data["notes"], data["total_vnd"]),
    )


def _loaded(connection: apsw.Connection, record: Record, data: JsonObject) -> None:
    connection.execute(
        "INSERT INTO cell VALUES (?, ?, ?) ON CONFLICT (cell)"
        " DO UPDATE SET dossier = excluded.dossier, seq = excluded.seq",
        (data["cell"], data["dossier"], record.seq),
    )


def _granted(connection: apsw.Connection, record: Record, data: JsonObject) -> None:
    connection.execute(
        "INSERT INTO grant_state VALUES (?, ?, ?, ?, ?, ?)",
        (data["grant"], data["dossier"], data["cell"], STORED, TRIES, record.seq),
    )


def _authorised(connection: apsw.Connection, _: Record, data: JsonObject) -> None:
    _state(connection, data, AUTHORISED)


def _uncollected(connection: apsw.Connection, _: Record, data: JsonObject) -> None:
    _state(connection, data, STORED)


def _released(connection: apsw.Connection, _: Record, data: JsonObject) -> None:
    _state(connection, data, RELEASED)
    connection.execute(
        "DELETE FROM cell WHERE cell = ? AND dossier = ?", (data["cell"], data["dossier"])
    )


def _recalled(connection: apsw.Connection, record: Record, data: JsonObject) -> None:
    connection.execute(
        "INSERT INTO recall VALUES (?, ?, ?, ?)",
        (record.seq, data["dossier"], data["cell"], data["staff"]),
    )
    connection.execute(
        "UPDATE grant_state SET state = ? WHERE dossier = ? AND cell = ? AND state <> ?",
        (RECALLED, data["dossier"], data["cell"], RELEASED),
    )
    connection.execute(
        "DELETE FROM cell WHERE cell = ? AND dossier = ?", (data["cell"], data["dossier"])
    )


def _emptied(connection: apsw.Connection, record: Record, data: JsonObject) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO bin_emptied VALUES (?, ?, ?)",
        (data["seal"], record.seq, data["bin"]),
    )


def _refused(connection: apsw.Connection, _: Record, data: JsonObject) -> None:
    connection.execute(
        "UPDATE grant_state SET tries_left = ? WHERE grant_id = ?",
        (data["tries_left"], data["grant"]),
    )


def _state(connection: apsw.Connection, data: JsonObject, state: str) -> None:
    connection.execute(
        "UPDATE grant_state SET state = ? WHERE grant_id = ?", (state, data["grant"])
    )


_HANDLERS: Final[dict[str, Callable[[apsw.Connection, Record, JsonObject], None]]] = {
    "kiosk.dossier_deposited": _deposited,
    "kiosk.cash_note_credited": _credited,
    "kiosk.cash_note_unplaced": _count,
    "kiosk.cash_discrepancy": _count,
    "kiosk.cash_closed": _closed,
    "kiosk.result_loaded": _loaded,
    "kiosk.grant_stored": _granted,
    "kiosk.release_authorised": _authorised,
    "kiosk.release_refused": _refused,
    "kiosk.result_released": _released,
    "kiosk.result_uncollected": _uncollected,
    "kiosk.result_recalled": _recalled,
    "kiosk.bin_emptied": _emptied,
}
