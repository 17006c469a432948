# SPDX-License-Identifier: Apache-2.0
"""What officials ask: one dossier from the log, its timeline, and the work queue.

An office sees its own dossiers; another office's look as if they were not there.
"""

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from services.common.canonical import Json
from services.common.errors import Refused, Unavailable
from services.common.eventlog.port import EventLog
from services.intake.application.facts import dossier_of

PAGE_MAX = 200
_SHOWN = (
    "version", "status", "procedure", "procedure_version", "office", "code", "due_at", "opened",
    "rescheduled", "stopped_at", "return_channel", "return_machine", "ready_at",
)  # fmt: skip


def dossier(log: EventLog, identifier: str, *, office: str) -> dict[str, Json]:
    """Return the office's dossier as the log has it now; raises Refused ``not_registered``."""
    found = dossier_of(log, identifier)
    if not found.status or found.office != office:
        raise _unknown()
    shown: dict[str, Json] = {name: getattr(found, name) for name in _SHOWN}
    disputed: dict[str, Json] = {**found.disputed}
    return {
        **shown, "dossier": identifier, "reported": sorted(found.reported), "disputed": disputed,
    }  # fmt: skip


def timeline(log: EventLog, identifier: str, *, office: str) -> list[dict[str, Json]]:
    """Return what happened to a dossier over all services, oldest first, without personal data.

    Raises:
        Refused: ``not_registered``: the office has no such dossier.
    """
    if dossier_of(log, identifier).office != office:
        raise _unknown()
    events = log.read_subject(identifier)
    return [
        {
            "position": event.position,
            "type": event.type,
            "stream": event.stream,
            "occurred_at": event.occurred_at.isoformat(),
            "recorded_at": event.recorded_at.isoformat(),
            "actor": event.meta.get("actor"),
        }
        for event in events
    ]


def work_queue(
    pool: ConnectionPool, *, office: str, status: int | None, disputed: bool, limit: int
) -> list[dict[str, Json]]:
    """Return the office's dossiers from the read model, oldest first; raises Unavailable.

    ``disputed`` asks only for those with a report that the one-stop system refused.
    """
    try:
        with pool.connection() as connection:
            rows = connection.execute(
                "SELECT dossier, status, code, procedure, machine, registered_at"
                " FROM intake.dossier WHERE office = %s AND (%s::int IS NULL OR status = %s)"
                " AND (disputed > 0 OR NOT %s)"
                " ORDER BY registered_at, dossier LIMIT %s",
                (office, status, status, disputed, min(limit, PAGE_MAX)),
            ).fetchall()
    except (psycopg.Error, PoolTimeout) as error:
        raise Unavailable("postgresql", str(error)) from error
    names = ("dossier", "status", "code", "procedure", "machine", "registered_at")
    return [dict(zip(names, (str(row[0]), *row[1:]), strict=True)) for row in rows]


def _unknown() -> Refused:
    return Refused("not_registered", "no such dossier", "không có hồ sơ này", field="dossier")
