# SPDX-License-Identifier: Apache-2.0
"""The officials' API over dossiers."""

from typing import Any
from uuid import UUID

from flask.views import MethodView
from marshmallow import RAISE, Schema, fields, validate

from services.common.eventlog.recording import Cause
from services.common.web.app import (
    IDEMPOTENCY_KEY,
    StrictBlueprint,
    correlation_id,
    idempotency_key,
)
from services.common.web.auth import official, officials_only
from services.intake.application import queries
from services.intake.application.commands import Accept
from services.intake.bootstrap import Intake


class NothingSchema(Schema):
    """A command without fields: an empty JSON object."""

    class Meta:
        unknown = RAISE


class QueueQuerySchema(Schema):
    """Which part of the work queue."""

    status = fields.Integer(load_default=None, validate=validate.Range(1, 10))
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
    return_machine = fields.String(required=True)
    ready_at = fields.String(required=True)
    reported = fields.List(fields.Integer(), required=True)


class QueueEntrySchema(Schema):
    """One dossier of the work queue; ``registered_at`` in microseconds since 1970."""

    dossier = fields.UUID(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True, allow_none=True)
    procedure = fields.String(required=True)
    machine = fields.String(required=True)
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
                limit=asked["limit"],
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

    @blueprint.route("/dossiers/<uuid:dossier>/accept")
    class Acceptance(MethodView):
        @officials_only
        @blueprint.arguments(NothingSchema)
        @blueprint.doc(parameters=[IDEMPOTENCY_KEY])
        @blueprint.response(200, DossierSchema)
        def post(self, _nothing: dict[str, Any], dossier: UUID) -> Any:
            """Accept a dossier: it gets its code and its due time."""
            who, key = official(), idempotency_key()
            intake.commands.accept(
                Accept(dossier=str(dossier), official=who.id, office=who.office),
                source=f"http:{who.id}",
                key=key,
                cause=Cause(correlation_id=correlation_id(), actor=f"official:{who.id}"),
            )
            return queries.dossier(runtime.log, str(dossier), office=official().office)

    return blueprint
