# SPDX-License-Identifier: Apache-2.0
"""Banks' callbacks and the finance office's questions."""

from typing import Any
from uuid import UUID

from flask.views import MethodView
from marshmallow import EXCLUDE, Schema, fields, validate
from werkzeug.exceptions import Unauthorized

from services.common.web.app import StrictBlueprint, correlation_id
from services.common.web.auth import officials_only
from services.payment.adapters import payos
from services.payment.application import queries
from services.payment.application.commands import record_bank_credit
from services.payment.bootstrap import PaymentService
from services.payment.web import bank_credits, finance


class PayOSSchema(Schema):
    """A payOS notification."""

    class Meta:
        unknown = EXCLUDE

    data = fields.Dict(keys=fields.String(), required=True)
    signature = fields.String(required=True, validate=validate.Length(1, 128))


def routes(service: PaymentService) -> StrictBlueprint:
    """Return the routes of the web process."""
    blueprint = StrictBlueprint("payment", __name__, url_prefix="/payment/v1")
    runtime = service.runtime

    @blueprint.route("/callbacks/payos")
    class PayOSCallback(MethodView):
        @blueprint.arguments(PayOSSchema)
        @blueprint.response(200)
        def post(self, body: dict[str, Any]) -> Any:
            """Take a bank credit; 200 means it is durable, anything else: send again.

            A payment that failed is no money: heard, and nothing is recorded under its reference.
            """
            data = payos.flat(body["data"])
            if not payos.is_signed(data, body["signature"], service.config.payos_checksum_key):
                raise Unauthorized("the signature does not belong to the data")
            if payos.tells_of_money(data):
                record_bank_credit(
                    runtime.recorder, payos.credit_in(data), correlation_id=correlation_id()
                )
            return {"success": True}

    @blueprint.route("/dossiers/<uuid:dossier>")
    class OnePayment(MethodView):
        @officials_only
        @blueprint.response(200)
        def get(self, dossier: UUID) -> Any:
            """Return the payment of a dossier."""
            return queries.payment(runtime.log, str(dossier))

    @blueprint.route("/balance")
    class Balance(MethodView):
        @officials_only
        @blueprint.response(200)
        def get(self) -> Any:
            """Return every ledger account and their sum, which is 0."""
            book = queries.ledger(runtime.log)
            return {"accounts": book.balances(), "sum": book.total()}

    finance.add_routes(blueprint, service)
    bank_credits.add_routes(blueprint, runtime)
    return blueprint
