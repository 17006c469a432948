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
from services.payment.application import queries, refunds
from services.payment.bootstrap import PaymentService
from services.payment.domain.ledger import ADVANCE, OWED

_WORD: Final = validate.Regexp(r"^[!-~]{1,64}\Z")


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class LimitSchema(Schema):
    """How many rows."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, 500))


class NothingSchema(_Strict):
    """An act that needs no words: an empty JSON object."""


class PaidSchema(_Strict):
    """Under which reference the money went out."""

    reference = fields.String(required=True, validate=_WORD)


class PlaceSchema(_Strict):
    """Which dossier the bank credit is for."""

    dossier = fields.UUID(required=True)


WORKLISTS: Final[dict[str, Callable[[EventLog, int], list[dict[str, Json]]]]] = {
    "unmatched": queries.unmatched,
    "conflicts": queries.conflicts,
    "owed": lambda log, limit: queries.in_accounts(log, OWED, limit),
    "short": lambda log, limit: queries.in_accounts(log, ADVANCE, limit),
}
"""Money without a place, references with two contents, money owed, money not yet enough."""


def add_routes(blueprint: StrictBlueprint, service: PaymentService) -> None:
    """Add the officers' routes."""
    runtime = service.runtime
    parameters = [IDEMPOTENCY_KEY]

    def ask(dossier: UUID) -> refunds.Ask:
        who = official()
        cause = Cause(correlation_id=correlation_id(), actor=f"official:{who.id}")
        return refunds.Ask(
            source=f"http:{who.id}", key=idempotency_key(), cause=cause, dossier=str(dossier)
        )

    for name, rows in WORKLISTS.items():
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
            asked = ask(dossier)
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
                runtime.recorder, ask(dossier), refund=str(refund), by=official().id
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
                runtime.recorder, ask(dossier), refund=str(refund), by=official().id,
                reference=words["reference"],
            )  # fmt: skip
            return queries.payment(runtime.log, str(dossier))

    _add_placing(blueprint, service, ask)


def _add_placing(
    blueprint: StrictBlueprint, service: PaymentService, ask: Callable[[UUID], refunds.Ask]
) -> None:
    runtime = service.runtime

    @blueprint.route("/bank-credits/<string:provider>/<string:reference>/place")
    class Placing(MethodView):
        @officials_only
        @blueprint.arguments(PlaceSchema)
        @blueprint.doc(parameters=[IDEMPOTENCY_KEY])
        @blueprint.response(200)
        def post(self, words: dict[str, Any], provider: str, reference: str) -> Any:
            """Place a bank credit that no token placed."""
            dossier = words["dossier"]
            refunds.place_credit(
                runtime.recorder, ask(dossier), provider=provider, reference=reference
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
