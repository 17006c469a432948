# SPDX-License-Identifier: Apache-2.0
"""The delivery log as a table: one row for each message."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from services.common.canonical import Json
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import facts_of
from services.common.messaging.rows import RowChange, RowProjection

_KEPT: Final = {"owner": "owner", "due_at": "due_at", "state": "receipt"}
"""What an outcome says, and the column it is kept in."""


class NotificationProjection(RowProjection):
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
    segment_by = "stream"
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

    vectors: ClassVar[Mapping[str, str]] = {
        "notification": """
        WITH said AS (
            SELECT stream, position, type = 'notification.requested' AS begins,
                CASE WHEN begins THEN {
                    'dossier': subject, 'at': recorded_us, 'template': data->>'template',
                    'code': coalesce(data->'params'->>'code', '')
                } END AS first,
                CASE WHEN NOT begins THEN {
                    'state': substr(type, 14), 'at': recorded_us, 'receipt': data->>'state',
                    'owner': CASE WHEN type = 'notification.outcome_unknown' AND schema = 1
                        THEN 'operations' ELSE data->>'owner' END,
                    'due_at': data->>'due_at'
                } END AS last
            FROM event
            WHERE type IN ('notification.requested', 'notification.attempted',
                'notification.accepted', 'notification.failed', 'notification.outcome_unknown',
                'notification.delivered')
        ), told AS (
            SELECT stream, min(position) FILTER (begins) AS asked,
                max(position) FILTER (NOT begins) AS later,
                arg_min(first, position) AS first, arg_max(last, position) AS last
            FROM said GROUP BY stream
        ), became AS (
            SELECT stream, asked, first, CASE WHEN later > asked THEN last END AS last
            FROM told WHERE asked IS NOT NULL
        )
        SELECT substr(stream, 14) AS notification, first.dossier AS dossier, first.code AS code,
            first.template AS template, coalesce(last.state, 'requested') AS state,
            last.receipt AS receipt, last.owner AS owner, last.due_at AS due_at, asked,
            coalesce(last.at, first.at) AS changed_at
        FROM became
    """
    }

    def changes(self, event: RecordedEvent) -> Iterator[RowChange]:
        """Return what one event does to its message's row."""
        identifier = event.stream.partition("-")[2]
        state = event.type.partition(".")[2]
        data = facts_of([event])[0][1]
        made: dict[str, object] | None = None
        kept: dict[str, object] = {}
        if event.type == "notification.requested":
            made = {
                "dossier": event.subject, "code": _code(data["params"]),
                "template": data["template"], "state": state, "receipt": None, "owner": None,
                "due_at": None, "asked": event.position, "changed_at": event.recorded_at_us,
            }  # fmt: skip
        else:
            kept = {
                "state": state, "changed_at": event.recorded_at_us,
                **{column: data.get(name) for name, column in _KEPT.items()},
            }  # fmt: skip
        yield RowChange(
            table="notification", column="notification", key=identifier, make=made, put=kept
        )


def _code(params: Json) -> str:
    return str(params.get("code", "")) if isinstance(params, Mapping) else ""
