# SPDX-License-Identifier: Apache-2.0
"""Banks' callbacks and the finance office's questions."""

from typing import Any
from uuid import UUID

from flask.views import MethodView
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from werkzeug.exceptions import Unauthorized

from services.common.web.app import StrictBlueprint, correlation_id
from services.common.web.auth import officials_only
from services.payment.adapters import payos
from services.payment.application import queries
from services.payment.application.commands import RecordBankCredit, record_bank_credit
from services.payment.bootstrap import PaymentService
from services.payment.domain.token import find_token
from services.payment.web import bank_credits, finance


class PayOSDataSchema(Schema):
    """What this service reads of a notification; the signature covers the other fields too."""

    class Meta:
        unknown = EXCLUDE

    amount = fields.Integer(required=True, strict=True, validate=validate.Range(1, 10**10))
    description = fields.String(required=True, validate=validate.Length(0, 500))
    accountNumber = fields.String(  # noqa: N815 - the bank's name
        required=True, validate=validate.Regexp(r"^[0-9A-Za-z]{1,19}$")
    )
    reference = fields.String(required=True, validate=validate.Regexp(r"^[!-~]{1,64}$"))


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
            """Take a bank credit; 200 means it is durable, anything else: send again."""
            data = flat(body["data"])
            if not payos.is_signed(data, body["signature"], service.config.payos_checksum_key):
                raise Unauthorized("the signature does not belong to the data")
            credit = PayOSDataSchema().load(data)
            record_bank_credit(
                runtime.recorder,
                RecordBankCredit(
                    provider="payos",
                    reference=credit["reference"],
                    amount_vnd=credit["amount"],
                    token=find_token(credit["description"]),
                    account=credit["accountNumber"],
                    body_digest=payos.digest(data),
                ),
                correlation_id=correlation_id(),
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


def flat(data: dict[str, Any]) -> dict[str, payos.Value]:
    """Return ``data`` if it holds plain values only; payOS signs nothing else."""
    Schema.from_dict({name: fields.Raw(allow_none=True, validate=_plain) for name in data})().load(
        data
    )
    return data


def _plain(value: object) -> None:
    whole = isinstance(value, int) and abs(value) < 2**53
    if not (value is None or isinstance(value, str) or whole):
        raise ValidationError("must be a text, a whole number, a boolean or null")
