# SPDX-License-Identifier: Apache-2.0
"""What finance officers do: place money, pay it back with four eyes, work through the lists."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from flask.views import MethodView
from marshmallow import RAISE, Schema, fields, validate

from services.common.canonical import Json
from services.common.eventlog.port import EventLog
from services.common.eventlog.recording import Cause
from services.common.web.app import (
    IDEMPOTENCY_KEY,
    StrictBlueprint,
    correlation_id,
    idempotency_key,
)
from services.common.web.auth import official, officials_only
from services.payment.application import queries, refunds, worklists
from services.payment.bootstrap import PaymentService

_WORD: Final = validate.Regexp(r"^[!-~]{1,64}\Z")


class Strict(Schema):
    """Refuses what it does not name."""

    class Meta:
        unknown = RAISE


class LimitSchema(Schema):
    """How many rows."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, 500))


class NothingSchema(Strict):
    """An act that needs no words: an empty JSON object."""


class PaidSchema(Strict):
    """Under which reference the money went out."""

    reference = fields.String(required=True, validate=_WORD)


class ReasonSchema(Strict):
    """Why, for whoever looks at it later."""

    reason = fields.String(required=True, validate=validate.Length(1, 300))


def ask(dossier: str, *, reason: str | None = None) -> refunds.Ask:
    """Return who asks, with which key."""
    who = official()
    cause = Cause(correlation_id=correlation_id(), actor=f"official:{who.id}", reason=reason)
    return refunds.Ask(source=f"http:{who.id}", key=idempotency_key(), cause=cause, dossier=dossier)


def add_routes(blueprint: StrictBlueprint, service: PaymentService) -> None:
    """Add the officers' routes."""
    runtime = service.runtime
    parameters = [IDEMPOTENCY_KEY]

    for name, rows in worklists.WORKLISTS.items():
        blueprint.route(f"/worklists/{name}", endpoint=f"worklist_{name}")(
            _worklist(blueprint, runtime.log, rows, name)
        )

    @blueprint.route("/dossiers/<uuid:dossier>/refunds")
    class Refunds(MethodView):
        @officials_only
        @blueprint.arguments(NothingSchema)
        @blueprint.doc(parameters=parameters)
        @blueprint.response(200)
        def post(self, _nothing: dict[str, Any], dossier: UUID) -> Any:
            """Ask that everything owed be paid back; the refund has the request's key as id."""
            asked = ask(str(dossier))
            refunds.request_refund(runtime.recorder, asked, by=official().id)
            return {"refund": asked.key, **queries.payment(runtime.log, str(dossier))}

    @blueprint.route("/dossiers/<uuid:dossier>/refunds/<uuid:refund>/approve")
    class Approval(MethodView):
        @officials_only
        @blueprint.arguments(NothingSchema)
        @blueprint.doc(parameters=parameters)
        @blueprint.response(200)
        def post(self, _nothing: dict[str, Any], dossier: UUID, refund: UUID) -> Any:
            """Agree as a second officer."""
            refunds.approve_refund(
                runtime.recorder, ask(str(dossier)), refund=str(refund), by=official().id
            )
            return queries.payment(runtime.log, str(dossier))

    @blueprint.route("/dossiers/<uuid:dossier>/refunds/<uuid:refund>/pay")
    class Paying(MethodView):
        @officials_only
        @blueprint.arguments(PaidSchema)
        @blueprint.doc(parameters=parameters)
        @blueprint.response(200)
        def post(self, words: dict[str, Any], dossier: UUID, refund: UUID) -> Any:
            """Note that the money went out."""
            refunds.pay_refund(
                runtime.recorder, ask(str(dossier)), refund=str(refund), by=official().id,
                reference=words["reference"],
            )  # fmt: skip
            return queries.payment(runtime.log, str(dossier))

    _add_release(blueprint, service)


def _add_release(blueprint: StrictBlueprint, service: PaymentService) -> None:
    runtime = service.runtime

    @blueprint.route("/dossiers/<uuid:dossier>/release-advance")
    class Release(MethodView):
        @officials_only
        @blueprint.arguments(ReasonSchema)
        @blueprint.doc(parameters=[IDEMPOTENCY_KEY])
        @blueprint.response(200)
        def post(self, words: dict[str, Any], dossier: UUID) -> Any:
            """Give up money short of the fee: the citizen left; it is owed from now on."""
            asked = ask(str(dossier), reason=words["reason"])
            refunds.release_advance(
                runtime.recorder, asked, by=official().id, reason=words["reason"]
            )
            return queries.payment(runtime.log, str(dossier))


def _worklist(
    blueprint: StrictBlueprint,
    log: EventLog,
    rows: Callable[[EventLog, int], list[dict[str, Json]]],
    name: str,
) -> type[MethodView]:
    class Worklist(MethodView):
        @officials_only
        @blueprint.arguments(LimitSchema, location="query")
        @blueprint.doc(operationId=f"worklist_{name}")
        @blueprint.response(200)
        def get(self, asked: dict[str, Any]) -> Any:
            """Return what people have to look at."""
            return {"rows": rows(log, asked["limit"])}

    return Worklist
