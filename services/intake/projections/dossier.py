# SPDX-License-Identifier: Apache-2.0
"""The officials' work queue as a table: one row for each dossier."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import ClassVar

from services.common import contracts
from services.common.canonical import Json
from services.common.clock import to_micros
from services.common.eventlog.record import RecordedEvent
from services.common.messaging.rows import RowChange, RowProjection
from services.intake.domain.transitions import TRANSITIONS
from services.intake.projections.dossier_vector import having, vector

_CREATES = ("dossier.registered", "dossier.imported")
_COLUMNS = ("code", "due_at", "return_machine")
_COUNTS = {"dossier.report_disputed": {"disputed": 1}, "dossier.report_resolved": {"disputed": -1}}
_NOT_FROM = ("dossier.report_disputed", "dossier.reported")
_TELLING = frozenset({*_CREATES, "dossier.ready"}).union(*having(_COLUMNS, _NOT_FROM).values())
"""Events whose data is read; decoding the others would be a fifth of the fold."""


class DossierProjection(RowProjection):
    """Where every dossier stands, for the queues of its office."""

    name = "intake.dossiers"
    version = 3
    tables: tuple[str, ...] = ("dossier",)
    types: tuple[str, ...] = tuple(TRANSITIONS)
    segment_by = "subject"
    ddl = """
        CREATE TABLE IF NOT EXISTS intake.dossier (
            dossier uuid PRIMARY KEY,
            office text NOT NULL,
            status integer NOT NULL,
            code text,
            procedure text NOT NULL,
            machine text,
            registered_at bigint NOT NULL,
            moved_at bigint NOT NULL,
            due_at bigint,
            opened boolean NOT NULL DEFAULT false,
            return_machine text,
            ready_at text,
            disputed integer NOT NULL DEFAULT 0
        );
        CREATE INDEX IF NOT EXISTS dossier_queue ON intake.dossier (office, status, registered_at)
    """

    vectors: ClassVar[Mapping[str, str]] = {"dossier": vector(_CREATES, _COLUMNS, _NOT_FROM)}

    def changes(self, event: RecordedEvent) -> Iterator[RowChange]:
        """Return what one event does to its dossier's row."""
        data: Mapping[str, Json] = {}
        if event.type in _TELLING:
            data = contracts.current(event.type, event.schema, event.data)
        yield RowChange(
            table="dossier", column="dossier", key=event.subject,
            make=_made(event, data) if event.type in _CREATES else None,
            put=_values(event, data), add=_COUNTS.get(event.type, {}),
        )  # fmt: skip


def _made(event: RecordedEvent, data: Mapping[str, Json]) -> dict[str, object]:
    return {
        "office": data["office"], "status": 0, "code": None, "procedure": data["procedure"],
        "machine": data.get("machine"), "registered_at": event.recorded_at_us, "moved_at": 0,
        "due_at": None, "opened": False, "return_machine": None, "ready_at": None, "disputed": 0,
    }  # fmt: skip


def _values(event: RecordedEvent, data: Mapping[str, Json]) -> dict[str, object]:
    """Return the columns that ``event`` changes."""
    values: dict[str, object] = {}
    target = TRANSITIONS[event.type].target
    if target is not None:
        values |= {"status": target, "moved_at": event.recorded_at_us}
    if data and event.type not in _NOT_FROM:
        values |= {name: data[name] for name in _COLUMNS if name in data}
    if values.get("due_at") is not None:
        values["due_at"] = to_micros(datetime.fromisoformat(str(data["due_at"])))
    match event.type:
        case "dossier.opened":
            values["opened"] = True
        case "dossier.ready":
            values["ready_at"] = f"{data['machine']}/{data['cell']}"
        case "dossier.recalled":
            values |= {"ready_at": None, "return_machine": None}
        case "dossier.returned":
            values["ready_at"] = None
        case _:
            pass
    return values or {"moved_at": event.recorded_at_us}
