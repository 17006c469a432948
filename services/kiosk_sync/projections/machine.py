# SPDX-License-Identifier: Apache-2.0
"""The fleet as a table: one row for each machine."""

from typing import Final

import psycopg

from services.common.eventlog.record import RecordedEvent

_STANDING: Final = {
    "config.machine_enrolled": "may_speak",
    "config.machine_revoked": "revoked",
    "config.machine_quarantined": "quarantined",
}


class MachineProjection:
    """Serial, epoch, standing and the last journal record of every machine."""

    name = "kiosk_sync.fleet"
    version = 1
    tables: tuple[str, ...] = ("machine",)
    types: tuple[str, ...] = ()
    ddl = """
        CREATE TABLE IF NOT EXISTS kiosk_sync.machine (
            serial text PRIMARY KEY,
            epoch integer NOT NULL DEFAULT 0,
            standing text NOT NULL DEFAULT 'unknown',
            journal_seq bigint NOT NULL DEFAULT 0,
            journal_type text,
            last_seen bigint NOT NULL DEFAULT 0
        )
    """

    def fold(self, cursor: psycopg.Cursor, event: RecordedEvent) -> None:
        """Apply one event; others than journals and enrolments change nothing."""
        category, _, rest = event.stream.partition("-")
        if category == "config" and event.type in _STANDING:
            epoch = event.data.get("epoch")
            cursor.execute(
                "INSERT INTO kiosk_sync.machine (serial, epoch, standing)"
                " VALUES (%s, coalesce(%s::int, 0), %s) ON CONFLICT (serial) DO UPDATE"
                " SET standing = excluded.standing,"
                " epoch = greatest(machine.epoch, excluded.epoch)",
                (rest, epoch, _STANDING[event.type]),
            )
        elif category == "kiosk":
            serial, _, _ = rest.partition("-")
            cursor.execute(
                "UPDATE kiosk_sync.machine SET journal_seq = %s, journal_type = %s, last_seen = %s"
                " WHERE serial = %s",
                (event.version, event.type, event.recorded_at_us, serial),
            )
