# SPDX-License-Identifier: Apache-2.0
"""The officials' API over dossiers."""

from typing import Any
from uuid import UUID

from flask.views import MethodView
from marshmallow import Schema, fields, validate

from services.common.eventlog.recording import Cause
from services.common.web.app import (
    IDEMPOTENCY_KEY,
    StrictBlueprint,
    correlation_id,
    idempotency_key,
)
from services.common.web.auth import official, officials_only
from services.intake.application import queries
from services.intake.application.commands import Perform
from services.intake.bootstrap import Intake
from services.intake.web.verbs import VERBS


class QueueQuerySchema(Schema):
    """Which part of the work queue."""

    status = fields.Integer(load_default=None, validate=validate.Range(1, 10))
    disputed = fields.Boolean(load_default=False)
    limit = fields.Integer(load_default=50, validate=validate.Range(1, queries.PAGE_MAX))


class DossierSchema(Schema):
    """A dossier; ``version`` is how many events it has had."""

    dossier = fields.UUID(required=True)
    version = fields.Integer(required=True)
    status = fields.Integer(required=True)
    procedure = fields.String(required=True)
    procedure_version = fields.Integer(required=True)
    office = fields.String(required=True)
    code = fields.String(required=True)
    due_at = fields.String(required=True)
    opened = fields.Boolean(required=True)
    rescheduled = fields.Boolean(required=True)
    stopped_at = fields.String(required=True)
    return_channel = fields.String(required=True)
    return_machine = fields.String(required=True)
    ready_at = fields.String(required=True)
    reported = fields.List(fields.Integer(), required=True)
    disputed = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class QueueEntrySchema(Schema):
    """One dossier of the work queue; ``registered_at`` in microseconds since 1970."""

    dossier = fields.UUID(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True, allow_none=True)
    procedure = fields.String(required=True)
    machine = fields.String(required=True, allow_none=True)
    registered_at = fields.Integer(required=True)


class QueueSchema(Schema):
    """The work queue."""

    dossiers = fields.List(fields.Nested(QueueEntrySchema), required=True)


class TimelineEventSchema(Schema):
    """One event, without personal data."""

    position = fields.Integer(required=True)
    type = fields.String(required=True)
    stream = fields.String(required=True)
    occurred_at = fields.String(required=True)
    recorded_at = fields.String(required=True)
    actor = fields.String(required=True)


class TimelineSchema(Schema):
    """What happened, oldest first."""

    events = fields.List(fields.Nested(TimelineEventSchema), required=True)


def routes(intake: Intake) -> StrictBlueprint:
    """Return the officials' routes."""
    blueprint = StrictBlueprint("office", __name__, url_prefix="/office/v1")
    runtime = intake.runtime

    @blueprint.route("/dossiers")
    class Queue(MethodView):
        @officials_only
        @blueprint.arguments(QueueQuerySchema, location="query")
        @blueprint.response(200, QueueSchema)
        def get(self, asked: dict[str, Any]) -> Any:
            """Return dossiers of the work queue, oldest first."""
            rows = queries.work_queue(
                runtime.read_models, office=official().office, status=asked["status"],
                disputed=asked["disputed"], limit=asked["limit"],
            )  # fmt: skip
            return {"dossiers": rows}

    @blueprint.route("/dossiers/<uuid:dossier>")
    class One(MethodView):
        @officials_only
        @blueprint.response(200, DossierSchema)
        def get(self, dossier: UUID) -> Any:
            """Return a dossier as the log has it now."""
            return queries.dossier(runtime.log, str(dossier), office=official().office)

    @blueprint.route("/dossiers/<uuid:dossier>/timeline")
    class Timeline(MethodView):
        @officials_only
        @blueprint.response(200, TimelineSchema)
        def get(self, dossier: UUID) -> Any:
            """Return what happened to a dossier, over all services."""
            return {"events": queries.timeline(runtime.log, str(dossier), office=official().office)}

    for verb, schema in VERBS.items():
        blueprint.route(f"/dossiers/<uuid:dossier>/{verb}", endpoint=verb)(
            _verb(blueprint, intake, verb, schema)
        )
    return blueprint


def _verb(
    blueprint: StrictBlueprint, intake: Intake, verb: str, schema: type[Schema]
) -> type[MethodView]:
    """Return the view that lets officials do ``verb``."""

    class Verb(MethodView):
        @officials_only
        @blueprint.arguments(schema)
        @blueprint.doc(
            parameters=[IDEMPOTENCY_KEY], operationId=verb, summary=schema.__doc__ or verb
        )
        @blueprint.response(200, DossierSchema)
        def post(self, words: dict[str, Any], dossier: UUID) -> Any:
            """Do it once for the key, and return the dossier after it."""
            who, key = official(), idempotency_key()
            intake.commands.perform(
                Perform(
                    verb=verb, dossier=str(dossier), official=who.id, office=who.office,
                    words=words,
                ),
                source=f"http:{who.id}",
                key=key,
                cause=Cause(correlation_id=correlation_id(), actor=f"official:{who.id}"),
            )  # fmt: skip
            return queries.dossier(intake.runtime.log, str(dossier), office=who.office)

    return Verb
