# SPDX-License-Identifier: Apache-2.0
"""What finance officers do with bank credits that no token placed, or that contradict."""

from collections.abc import Callable
from typing import Any, Final

from flask.views import MethodView
from marshmallow import fields, validate

from services.common.runtime import Runtime
from services.common.web.app import IDEMPOTENCY_KEY, StrictBlueprint
from services.common.web.auth import official, officials_only
from services.payment.application import bank_credits, queries
from services.payment.domain.credit import (
    ApproveReturn,
    AskReturn,
    CloseConflict,
    PayReturn,
    PlaceCredit,
)
from services.payment.web.finance import NothingSchema, PaidSchema, ReasonSchema, Strict, ask


class PlaceSchema(Strict):
    """Which dossier the bank credit is for, and how that is known."""

    dossier = fields.UUID(required=True)
    reason = fields.String(required=True, validate=validate.Length(1, 300))


Make = Callable[[str, dict[str, Any]], AskReturn | ApproveReturn | PayReturn | CloseConflict]

ACTS: Final[dict[str, tuple[type[Strict], Make, str]]] = {
    "return": (
        ReasonSchema, lambda by, words: AskReturn(by=by, reason=words["reason"]),
        "Ask that it be sent back: nobody here knows what it is for.",
    ),
    "return/approve": (
        NothingSchema, lambda by, _words: ApproveReturn(by=by), "Agree as a second officer.",
    ),
    "return/pay": (
        PaidSchema, lambda by, words: PayReturn(by=by, reference=words["reference"]),
        "Note that it went back.",
    ),
    "close-conflict": (
        ReasonSchema, lambda by, words: CloseConflict(by=by, reason=words["reason"]),
        "Note which of two contents is right, after asking the bank.",
    ),
}  # fmt: skip
"""Path below the credit → words, command, what it is for."""


def add_routes(blueprint: StrictBlueprint, runtime: Runtime) -> None:
    """Add the routes."""

    @blueprint.route("/bank-credits/<string:provider>/<path:reference>/place")
    class Placing(MethodView):
        @officials_only
        @blueprint.arguments(PlaceSchema)
        @blueprint.doc(parameters=[IDEMPOTENCY_KEY])
        @blueprint.response(200)
        def post(self, words: dict[str, Any], provider: str, reference: str) -> Any:
            """Place a bank credit that no token placed."""
            dossier = str(words["dossier"])
            bank_credits.place_credit(
                runtime.recorder, ask(dossier, reason=words["reason"]),
                PlaceCredit(dossier=dossier), provider=provider, reference=reference,
            )  # fmt: skip
            return queries.payment(runtime.log, dossier)

    for path, (schema, make, meaning) in ACTS.items():
        name = path.replace("/", "_").replace("-", "_")
        blueprint.route(
            f"/bank-credits/<string:provider>/<path:reference>/{path}", endpoint=f"credit_{name}"
        )(_act(blueprint, runtime, schema=schema, make=make, meaning=meaning))


def _act(
    blueprint: StrictBlueprint,
    runtime: Runtime,
    *,
    schema: type[Strict],
    make: Make,
    meaning: str,
) -> type[MethodView]:
    class Act(MethodView):
        @officials_only
        @blueprint.arguments(schema)
        @blueprint.doc(parameters=[IDEMPOTENCY_KEY], summary=meaning)
        @blueprint.response(200)
        def post(self, words: dict[str, Any], provider: str, reference: str) -> Any:
            """Do it, in the officer's name."""
            bank_credits.handle_credit(
                runtime.recorder, ask("", reason=words.get("reason")),
                make(official().id, words), provider=provider, reference=reference,
            )  # fmt: skip
            return queries.bank_credit(runtime.log, provider, reference)

    return Act
