# SPDX-License-Identifier: Apache-2.0
"""The public look-up: how a dossier stands, for whoever holds its slip."""

import math
from typing import Any

from flask import Response
from flask.views import MethodView
from marshmallow import RAISE, Schema, fields, validate
from werkzeug.exceptions import NotFound

from services.common.web.app import StrictBlueprint
from services.common.web.problems import ProblemSchema, problem
from services.intake.application.status import StatusLookup, TooManyTriesError
from services.intake.bootstrap import Intake


class LookupSchema(Schema):
    """What is printed on the slip; the code of the dossier or that of the slip."""

    class Meta:
        unknown = RAISE

    code = fields.String(required=True, validate=validate.Length(1, 64))
    secret = fields.String(required=True, validate=validate.Length(1, 32))


class ToldSchema(Schema):
    """How a dossier stands; ``due_on`` is null where the clock does not run."""

    status = fields.Integer(required=True)
    name_vi = fields.String(required=True)
    name_en = fields.String(required=True)
    due_on = fields.String(required=True, allow_none=True)
    next_vi = fields.String(required=True)
    next_en = fields.String(required=True)


def status_routes(intake: Intake) -> StrictBlueprint:
    """Return the public routes; the secret goes in the body, never into a URL or a log."""
    blueprint = StrictBlueprint("status", __name__, url_prefix="/status/v1")
    blueprint.register_error_handler(TooManyTriesError, _too_many)
    lookup = StatusLookup(intake.runtime.log, intake.runtime.clock)

    @blueprint.route("/lookup")
    class Lookup(MethodView):
        @blueprint.arguments(LookupSchema)
        @blueprint.response(200, ToldSchema)
        @blueprint.alt_response(404, schema=ProblemSchema)
        @blueprint.alt_response(429, schema=ProblemSchema)
        def post(self, asked: dict[str, Any]) -> Any:
            """Tell how a dossier stands; 404 for an unknown code as for a wrong secret."""
            told = lookup.ask(asked["code"], asked["secret"])
            if told is None:
                raise NotFound("no dossier has this code and secret")
            return told

    return blueprint


def _too_many(error: TooManyTriesError) -> Response:
    wait_s = math.ceil(error.wait_s)
    answer = problem(
        429, "too_many_tries", f"too many tries for this code, wait {wait_s} s",
        f"mã này đã bị thử quá nhiều lần, xin thử lại sau {wait_s} giây",
    )  # fmt: skip
    answer.headers["Retry-After"] = str(wait_s)
    return answer
