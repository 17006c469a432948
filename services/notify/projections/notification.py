# SPDX-License-Identifier: Apache-2.0
"""The delivery log as a table: one row for each message."""

import psycopg

from services.common.eventlog.record import RecordedEvent


class NotificationProjection:
    """State of every message; no number and no text."""

    name = "notify.messages"
    version = 1
    tables: tuple[str, ...] = ("notification",)
    types: tuple[str, ...] = (
        "notification.requested", "notification.attempted", "notification.accepted",
        "notification.failed", "notification.outcome_unknown", "notification.delivered",
    )  # fmt: skip
    ddl = """
        CREATE TABLE IF NOT EXISTS notify.notification (
            notification uuid PRIMARY KEY,
            dossier uuid,
            template text NOT NULL,
            state text NOT NULL,
            changed_at bigint NOT NULL
        )
    """

    def fold(self, cursor: psycopg.Cursor, event: RecordedEvent) -> None:
        """Apply one event."""
        identifier = event.stream.partition("-")[2]
        state = event.type.partition(".")[2]
        if event.type == "notification.requested":
            cursor.execute(
                "INSERT INTO notify.notification (notification, dossier, template, state,"
                " changed_at) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (notification) DO NOTHING",
                (identifier, event.subject, event.data["template"], state, event.recorded_at_us),
            )
        else:
            cursor.execute(
                "UPDATE notify.notification SET state = %s, changed_at = %s"
                " WHERE notification = %s",
                (state, event.recorded_at_us, identifier),
            )
