# SPDX-License-Identifier: Apache-2.0
"""Events that payment writes. ``payment-<dossier id>``: the stream id is the dossier's id."""

from marshmallow import fields, validate

from services.common.contracts import values as v
from services.common.contracts.registry import EventContract, EventSchema, register


def _token() -> fields.String:
    """Eight characters without 0, O, 1 and I: what a bank transfer carries."""
    return fields.String(required=True, validate=validate.Regexp(r"^[2-9A-HJ-NP-Z]{8}$"))


class PaymentRequestedV1(EventSchema):
    """The fee of a dossier is asked; phí and lệ phí apart; ``qr`` is empty when nothing is due."""

    procedure = v.procedure_code()
    procedure_version = v.count(1)
    le_phi_vnd = v.vnd()
    phi_vnd = v.vnd()
    amount_vnd = v.vnd()
    token = _token()
    qr = fields.String(required=True, validate=validate.Length(0, 300))
    machine = v.serial()


class PaymentTokenIssuedV1(EventSchema):
    """``payment-token.<TOKEN>``: finds the payment that a transfer's text names."""

    token = _token()
    dossier = v.dossier_id()


class PaymentCashCreditedV1(EventSchema):
    """A note that a machine stacked counts towards the fee."""

    machine = v.serial()
    denomination_vnd = v.vnd(low=1)
    note_event = v.uuid()


class PaymentBankCreditReceivedV1(EventSchema):
    """``payment-bank.<provider>.<reference>``: money came in, whatever it is for."""

    provider = v.word(16)
    reference = v.word(64)
    amount_vnd = v.vnd(low=1)
    token = fields.String(required=True, allow_none=True, validate=validate.Length(8, 8))
    account = v.word(19)
    body_digest = fields.String(required=True, validate=validate.Regexp(r"^[0-9a-f]{64}$"))


class PaymentBankCreditMatchedV1(EventSchema):
    """On the payment: this bank credit pays for it."""

    provider = v.word(16)
    reference = v.word(64)
    amount_vnd = v.vnd(low=1)


class PaymentBankCreditAssignedV1(EventSchema):
    """On the bank credit: it was matched to this dossier's payment."""

    dossier = v.dossier_id()


class PaymentBankCreditUnmatchedV1(EventSchema):
    """On the bank credit: no payment found; a person has to look."""

    reason = v.one_of("no_token", "unknown_token")


class PaymentSettledV1(EventSchema):
    """The fee is covered; whatever is above it is owed to the citizen."""

    method = v.one_of("cash", "qr", "none", "mixed")
    amount_vnd = v.vnd()
    paid_vnd = v.vnd()
    overpaid_vnd = v.vnd()


register(
    EventContract(
        type="payment.requested", schema=1, fields=PaymentRequestedV1,
        en="The fee of a dossier was asked.", vi="Yêu cầu thanh toán phí, lệ phí.",
    ),
    EventContract(
        type="payment.token_issued", schema=1, fields=PaymentTokenIssuedV1,
        en="A transfer text was given to a payment.", vi="Cấp mã nội dung chuyển khoản.",
    ),
    EventContract(
        type="payment.cash_credited", schema=1, fields=PaymentCashCreditedV1,
        en="A stacked note was credited.", vi="Ghi nhận một tờ tiền mặt.",
    ),
    EventContract(
        type="payment.bank_credit_received", schema=1, fields=PaymentBankCreditReceivedV1,
        en="The bank reported money in.", vi="Ngân hàng báo có.",
    ),
    EventContract(
        type="payment.bank_credit_matched", schema=1, fields=PaymentBankCreditMatchedV1,
        en="A bank credit pays for this dossier.", vi="Khoản báo có khớp với hồ sơ.",
    ),
    EventContract(
        type="payment.bank_credit_assigned", schema=1, fields=PaymentBankCreditAssignedV1,
        en="The bank credit was matched to a dossier.", vi="Khoản báo có đã gán cho hồ sơ.",
    ),
    EventContract(
        type="payment.bank_credit_unmatched", schema=1, fields=PaymentBankCreditUnmatchedV1,
        en="No payment was found for the bank credit.", vi="Không tìm thấy hồ sơ cho khoản báo có.",
    ),
    EventContract(
        type="payment.settled", schema=1, fields=PaymentSettledV1,
        en="The fee is covered.", vi="Đã thanh toán đủ.",
    ),
)  # fmt: skip
