# SPDX-License-Identifier: Apache-2.0
"""The delivery log as a table: one row for each message."""

from collections.abc import Mapping
from typing import Final

import psycopg

from services.common.canonical import Json
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import facts_of

_KEPT: Final = {"owner": "owner", "due_at": "due_at", "state": "receipt"}
"""What an outcome says, and the column it is kept in."""


class NotificationProjection:
    """State of every message; no number and no text.

    ``receipt`` is the delivery state that the SMS centre reported; ``owner`` finds out what became
    of a message with an unknown outcome until ``due_at``.
    """

    name = "notify.messages"
    version = 2
    tables: tuple[str, ...] = ("notification",)
    types: tuple[str, ...] = (
        "notification.requested", "notification.attempted", "notification.accepted",
        "notification.failed", "notification.outcome_unknown", "notification.delivered",
    )  # fmt: skip
    ddl = """
        CREATE TABLE IF NOT EXISTS notify.notification (
            notification uuid PRIMARY KEY,
            dossier uuid,
            code text NOT NULL,
            template text NOT NULL,
            state text NOT NULL,
            receipt text,
            owner text,
            due_at text,
            asked bigint NOT NULL,
            changed_at bigint NOT NULL
        );
        CREATE INDEX IF NOT EXISTS notification_of_dossier
            ON notify.notification (dossier, asked)
    """

    def fold(self, cursor: psycopg.Cursor, event: RecordedEvent) -> None:
        """Apply one event."""
        identifier = event.stream.partition("-")[2]
        state = event.type.partition(".")[2]
        data = facts_of([event])[0][1]
        if event.type == "notification.requested":
            cursor.execute(
                "INSERT INTO notify.notification (notification, dossier, code, template, state,"
                " asked, changed_at) VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (notification) DO NOTHING",
                (identifier, event.subject, _code(data["params"]), data["template"], state,
                 event.position, event.recorded_at_us),
            )  # fmt: skip
        else:
            kept = {column: data.get(name) for name, column in _KEPT.items()}
            cursor.execute(
                "UPDATE notify.notification SET state = %s, changed_at = %s, receipt = %s,"
                " owner = %s, due_at = %s WHERE notification = %s",
                (state, event.recorded_at_us, kept["receipt"], kept["owner"], kept["due_at"],
                 identifier),
            )  # fmt: skip


def _code(params: Json) -> str:
    return str(params.get("code", "")) if isinstance(params, Mapping) else ""
