# SPDX-License-Identifier: Apache-2.0
"""The editors' routes: procedures, offers, names of offices, days off."""

from datetime import date
from typing import Any, Final

from flask.views import MethodView
from marshmallow import RAISE, Schema, fields, validate

from services.common.contracts import catalogue as contracts
from services.common.errors import Malformed, Problem
from services.common.eventlog.recording import Cause
from services.common.web.app import (
    IDEMPOTENCY_KEY,
    StrictBlueprint,
    correlation_id,
    idempotency_key,
)
from services.common.web.auth import editors_only, official, officials_only
from services.intake.application.calendar import ClearDay, SetDay, change_calendar
from services.intake.application.catalogue import Edit, change_catalogue, versions
from services.intake.bootstrap import Intake

EDITS: Final = {
    "/procedures/<string:about>/versions": (
        "procedure.published", contracts.ProcedurePublishedV2, "code",
        "Publish a version of a procedure; open dossiers keep theirs.",
    ),
    "/offices/<string:about>/offers": (
        "office.procedure_offered", contracts.OfficeProcedureOfferedV1, "office",
        "Say what an office's machines take and give back of a procedure.",
    ),
    "/offices/<string:about>/names": (
        "office.renamed", contracts.OfficeRenamedV1, "office",
        "Give an office another name or code.",
    ),
}  # fmt: skip
"""Path → event, its contract, the field that the path holds, what it is for."""


class DaySchema(Schema):
    """A day off, or a weekend day that is worked."""

    class Meta:
        unknown = RAISE

    kind = fields.String(
        required=True, validate=validate.OneOf(("holiday", "substitute", "worked"))
    )
    name_vi = fields.String(required=True, validate=validate.Length(1, 200))
    legal_basis = fields.String(required=True, validate=validate.Length(1, 400))


class ClearSchema(Schema):
    """Why a day is like any other again."""

    class Meta:
        unknown = RAISE

    reason = fields.String(required=True, validate=validate.Length(1, 400))


class RecordedSchema(Schema):
    """Where the change stands in the log."""

    position = fields.Integer(required=True, attribute="first_position")
    duplicate = fields.Boolean(required=True)


def catalogue_routes(intake: Intake) -> StrictBlueprint:
    """Return the editors' routes."""
    blueprint = StrictBlueprint("catalogue", __name__, url_prefix="/catalogue/v1")
    for path, (event, schema, named, meaning) in EDITS.items():
        blueprint.route(path, endpoint=event.replace(".", "_"))(
            _edit(blueprint, intake, event, schema(exclude=(named,)), meaning)
        )

    @blueprint.route("/procedures/<string:code>")
    class Versions(MethodView):
        @officials_only
        @blueprint.response(200)
        def get(self, code: str) -> Any:
            """Return every version of a procedure, the first one first."""
            return {"versions": versions(intake.runtime.log, code)}

    _add_calendar(blueprint, intake)
    return blueprint


def _edit(
    blueprint: StrictBlueprint, intake: Intake, event: str, schema: Schema, meaning: str
) -> type[MethodView]:
    class EditView(MethodView):
        @editors_only
        @blueprint.arguments(schema)
        @blueprint.doc(
            parameters=[IDEMPOTENCY_KEY], operationId=event.replace(".", "_"), summary=meaning
        )
        @blueprint.response(200, RecordedSchema)
        def post(self, words: dict[str, Any], about: str) -> Any:
            """Record the change."""
            runtime = intake.runtime
            return change_catalogue(
                runtime.recorder, runtime.clock, Edit(event=event, about=about, data=words),
                source=_source(), key=idempotency_key(), cause=_cause(),
            )  # fmt: skip

    return EditView


def _add_calendar(blueprint: StrictBlueprint, intake: Intake) -> None:
    recorder = intake.runtime.recorder

    @blueprint.route("/calendar/<string:day>")
    class Day(MethodView):
        @editors_only
        @blueprint.arguments(DaySchema)
        @blueprint.doc(parameters=[IDEMPOTENCY_KEY])
        @blueprint.response(200, RecordedSchema)
        def post(self, words: dict[str, Any], day: str) -> Any:
            """Make a day a holiday or a worked weekend day; due times that were given stay."""
            return change_calendar(
                recorder, SetDay(day=_day(day), **words), source=_source(), key=idempotency_key(),
                cause=_cause(),
            )  # fmt: skip

    @blueprint.route("/calendar/<string:day>/clear")
    class Clearing(MethodView):
        @editors_only
        @blueprint.arguments(ClearSchema)
        @blueprint.doc(parameters=[IDEMPOTENCY_KEY])
        @blueprint.response(200, RecordedSchema)
        def post(self, words: dict[str, Any], day: str) -> Any:
            """Make a day like any other again."""
            return change_calendar(
                recorder, ClearDay(day=_day(day), **words), source=_source(),
                key=idempotency_key(), cause=_cause(),
            )  # fmt: skip


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        problem = Problem(
            "day", "not_a_day", "a day is written 2026-11-24", "ngày được viết 2026-11-24"
        )
        raise Malformed("calendar", (problem,)) from error


def _source() -> str:
    return f"http:{official().id}"


def _cause() -> Cause:
    return Cause(correlation_id=correlation_id(), actor=f"official:{official().id}")
