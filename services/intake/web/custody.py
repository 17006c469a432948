# SPDX-License-Identifier: Apache-2.0
"""The officials' API over custody: what lies where, and cases about what nobody finds."""

from typing import Any
from uuid import UUID

from flask.views import MethodView
from marshmallow import RAISE, Schema, fields, validate

from services.common.clock import to_micros
from services.common.eventlog.recording import Cause
from services.common.web.app import (
    IDEMPOTENCY_KEY,
    StrictBlueprint,
    correlation_id,
    idempotency_key,
)
from services.common.web.auth import official, officials_only
from services.intake.application import custody_queries as queries
from services.intake.application.cases import CloseCase, close_case
from services.intake.bootstrap import Intake


class CasesQuerySchema(Schema):
    """Which cases."""

    closed = fields.Boolean(load_default=False)
    overdue = fields.Boolean(load_default=False)
    limit = fields.Integer(load_default=50, validate=validate.Range(1, queries.PAGE_MAX))


class CaseSchema(Schema):
    """A case; times in microseconds since 1970, the last four null while it is open."""

    case = fields.String(required=True)
    item = fields.String(required=True)
    kind = fields.String(required=True)
    because = fields.String(required=True)
    machine = fields.String(required=True, allow_none=True)
    place = fields.String(required=True)
    pouch = fields.String(required=True, allow_none=True)
    dossier = fields.UUID(required=True, allow_none=True)
    owner = fields.String(required=True)
    opened_at = fields.Integer(required=True)
    due_at = fields.Integer(required=True)
    closed_at = fields.Integer(required=True, allow_none=True)
    official = fields.String(required=True, allow_none=True)
    found = fields.String(required=True, allow_none=True)
    found_at = fields.String(required=True, allow_none=True)


class CasesSchema(Schema):
    """Cases, the most urgent first."""

    cases = fields.List(fields.Nested(CaseSchema), required=True)


class CloseSchema(Schema):
    """What an official found out: at the office, at the citizen's, or lost; and where exactly."""

    class Meta:
        unknown = RAISE

    found = fields.String(required=True, validate=validate.OneOf(("office", "citizen", "lost")))
    found_at = fields.String(
        required=True, validate=[validate.Length(1, 200), validate.Regexp(r"[^\x00-\x1f]*\S")]
    )


class ClosedSchema(Schema):
    """The case as it was closed."""

    case = fields.String(required=True)
    found = fields.String(required=True)
    found_at = fields.String(required=True)


class ItemsQuerySchema(Schema):
    """Which place; without one, everything in the care of office, agency and machines."""

    place = fields.String(load_default="", validate=validate.Length(max=64))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, queries.PAGE_MAX))


class ItemSchema(Schema):
    """A pouch, papers or a result; ``since`` in microseconds since 1970."""

    key = fields.String(required=True)
    kind = fields.String(required=True)
    dossier = fields.UUID(required=True, allow_none=True)
    pouch = fields.String(required=True, allow_none=True)
    machine = fields.String(required=True, allow_none=True)
    place = fields.String(required=True)
    since = fields.Integer(required=True)
    case = fields.String(required=True, allow_none=True)


class ItemsSchema(Schema):
    """What lies there, longest there first."""

    items = fields.List(fields.Nested(ItemSchema), required=True)


def custody_routes(intake: Intake) -> StrictBlueprint:
    """Return the officials' routes over custody."""
    blueprint = StrictBlueprint("custody", __name__, url_prefix="/office/v1")
    runtime = intake.runtime

    @blueprint.route("/items")
    class Items(MethodView):
        @officials_only
        @blueprint.arguments(ItemsQuerySchema, location="query")
        @blueprint.response(200, ItemsSchema)
        def get(self, asked: dict[str, Any]) -> Any:
            """Return what lies in a place."""
            found = queries.items(runtime.read_models, office=official().office, **asked)
            return {"items": found}

    @blueprint.route("/cases")
    class Cases(MethodView):
        @officials_only
        @blueprint.arguments(CasesQuerySchema, location="query")
        @blueprint.response(200, CasesSchema)
        def get(self, asked: dict[str, Any]) -> Any:
            """Return the office's cases, the most urgent first."""
            now = to_micros(runtime.clock.now()) if asked["overdue"] else None
            found = queries.cases(
                runtime.read_models, office=official().office, closed=asked["closed"],
                overdue_at=now, limit=asked["limit"],
            )  # fmt: skip
            return {"cases": found}

    @blueprint.route("/cases/<uuid:event>.<int(min=1):number>/close")
    class Close(MethodView):
        @officials_only
        @blueprint.arguments(CloseSchema)
        @blueprint.doc(parameters=[IDEMPOTENCY_KEY])
        @blueprint.response(200, ClosedSchema)
        def post(self, words: dict[str, Any], event: UUID, number: int) -> Any:
            """Say where it was found, or that it is lost; once for the key."""
            who, key, case = official(), idempotency_key(), f"{event}.{number}"
            close_case(
                runtime.recorder,
                CloseCase(case=case, official=who.id, office=who.office, **words),
                source=f"http:{who.id}", key=key,
                cause=Cause(correlation_id=correlation_id(), actor=f"official:{who.id}"),
            )  # fmt: skip
            return {"case": case, **words}

    return blueprint
