# SPDX-License-Identifier: Apache-2.0
"""The officials' work queue as a table: one row for each dossier."""

import psycopg

from services.common.eventlog.record import RecordedEvent

_STATUS = {"dossier.accepted": 2, "dossier.completed": 9, "dossier.returned": 10}


class DossierProjection:
    """Office, status, code, procedure and machine of every dossier."""

    name = "intake.dossiers"
    version = 2
    tables: tuple[str, ...] = ("dossier",)
    types: tuple[str, ...] = ("dossier.registered", *_STATUS)
    ddl = """
        CREATE TABLE IF NOT EXISTS intake.dossier (
            dossier uuid PRIMARY KEY,
            office text NOT NULL,
            status integer NOT NULL,
            code text,
            procedure text NOT NULL,
            machine text NOT NULL,
            registered_at bigint NOT NULL
        )
    """

    def fold(self, cursor: psycopg.Cursor, event: RecordedEvent) -> None:
        """Apply one event."""
        data = event.data
        if event.type == "dossier.registered":
            cursor.execute(
                "INSERT INTO intake.dossier"
                " (dossier, office, status, procedure, machine, registered_at)"
                " VALUES (%s, %s, 1, %s, %s, %s) ON CONFLICT (dossier) DO NOTHING",
                (
                    event.subject,
                    data["office"],
                    data["procedure"],
                    data["machine"],
                    event.recorded_at_us,
                ),
            )
        else:
            cursor.execute(
                "UPDATE intake.dossier SET status = %s, code = coalesce(%s, code)"
                " WHERE dossier = %s",
                (_STATUS[event.type], data.get("code"), event.subject),
            )
