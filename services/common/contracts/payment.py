# SPDX-License-Identifier: Apache-2.0
"""Events that payment writes. ``payment-<dossier id>``: the stream id is the dossier's id."""

from marshmallow import fields, validate

from services.common.contracts import values as v
from services.common.contracts.registry import EventContract, EventSchema, register


def _token() -> fields.String:
    """Eight characters without 0, O, 1 and I: what a bank transfer carries."""
    return fields.String(required=True, validate=v.matching("[2-9A-HJ-NP-Z]{8}"))


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


class PaymentCashUnplacedV1(EventSchema):
    """``payment-bank.cash.<note_event>``: a note stacked outside a session; a person has to look.

    It is placed or given back like a bank credit of the provider ``cash``.
    """

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
    body_digest = v.hex32()


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


class PaymentDutyRequestedV1(EventSchema):
    """A further fee came up while the dossier was resolved (``duty_event`` asked for it)."""

    duty_event = v.uuid()
    le_phi_vnd = v.vnd()
    phi_vnd = v.vnd()
    amount_vnd = v.vnd(low=1)
    token = _token()
    qr = fields.String(required=True, validate=validate.Length(1, 300))
    machine = v.serial(nullable=True)


class PaymentClosedV1(EventSchema):
    """The dossier ended without a result; ``owed_vnd`` is the citizen's again, by its parts."""

    because = v.one_of("refused", "withdrawn", "stopped")
    cause_event = v.uuid()
    le_phi_vnd = v.vnd()
    phi_vnd = v.vnd()
    advance_vnd = v.vnd()
    overpaid_vnd = v.vnd()
    owed_vnd = v.vnd()


class PaymentRefundRequestedV1(EventSchema):
    """An officer asks that what is owed be paid back; ``overpaid_vnd`` of it was overpaid."""

    refund = v.uuid()
    amount_vnd = v.vnd(low=1)
    overpaid_vnd = v.vnd()
    by = v.word()


class PaymentRefundApprovedV1(EventSchema):
    """A second officer agreed."""

    refund = v.uuid()
    by = v.word()


class PaymentRefundPaidV1(EventSchema):
    """The money went out."""

    refund = v.uuid()
    amount_vnd = v.vnd(low=1)
    reference = v.word()
    by = v.word()


class PaymentBankCallbackConflictV1(EventSchema):
    """On the bank credit: the same reference came with other facts; a person has to look."""

    provider = v.word(16)
    reference = v.word(64)
    amount_vnd = v.vnd(low=1)
    body_digest = v.hex32()


class PaymentBankCallbackConflictClosedV1(EventSchema):
    """On the bank credit: an officer found out which content is right."""

    by = v.word()
    reason = v.text(300)


class PaymentBankCreditReturnRequestedV1(EventSchema):
    """On the bank credit: nobody knows what it is for; an officer wants it sent back."""

    provider = v.word(16)
    reference = v.word(64)
    amount_vnd = v.vnd(low=1)
    by = v.word()
    reason = v.text(300)


class PaymentBankCreditReturnApprovedV1(EventSchema):
    """On the bank credit: a second officer agreed."""

    by = v.word()


class PaymentBankCreditReturnedV1(EventSchema):
    """On the bank credit: it went back under ``paid_reference``."""

    provider = v.word(16)
    reference = v.word(64)
    amount_vnd = v.vnd(low=1)
    paid_reference = v.word()
    by = v.word()


class PaymentAdvanceReleasedV1(EventSchema):
    """On the payment: money short of the fee is given up and owed; the fee stays asked."""

    amount_vnd = v.vnd(low=1)
    by = v.word()
    reason = v.text(300)


class PaymentStatementReadV1(EventSchema):
    """``payment-statement.<provider>.<account>``: the bank's statement up to line ``through``.

    ``credits`` lines of ``amount_vnd`` in all; ``missed`` of them no callback had told.
    """

    provider = v.word(16)
    account = v.word(19)
    through = v.count(1, 2**53 - 1)
    credits = v.count(1)
    amount_vnd = v.vnd()
    missed = v.count()
    disputed = v.count()
    unreadable = v.count()


class ReceiptLineSchema(EventSchema):
    """One amount of a receipt."""

    kind = v.one_of("le_phi", "phi")
    amount_vnd = v.vnd(low=1)


class ReceiptIssuedV1(EventSchema):
    """``receipt-<symbol>-<year>``: version = number, without a gap (Decree 254/2026 article 23)."""

    symbol = v.word(16)
    year = v.count(2024, 2999)
    number = v.count(1, 99_999_999)
    dossier = v.dossier_id()
    lines = fields.List(fields.Nested(ReceiptLineSchema), required=True, validate=v.some(10))
    amount_vnd = v.vnd(low=1)
    amount_words_vi = v.text(300)
    settled_event = v.uuid()
    collected_at = v.instant()


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
        type="payment.cash_unplaced", schema=1, fields=PaymentCashUnplacedV1,
        en="A note of nobody was booked.", vi="Ghi nhận một tờ tiền mặt chưa rõ của ai.",
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
    EventContract(
        type="payment.duty_requested", schema=1, fields=PaymentDutyRequestedV1,
        en="A further fee was asked.", vi="Yêu cầu nộp bổ sung phí, lệ phí.",
    ),
    EventContract(
        type="payment.closed", schema=1, fields=PaymentClosedV1,
        en="The dossier ended; what is not earned is owed.",
        vi="Hồ sơ kết thúc; ghi khoản phải hoàn.",
    ),
    EventContract(
        type="payment.refund_requested", schema=1, fields=PaymentRefundRequestedV1,
        en="A refund was asked for.", vi="Đề nghị hoàn tiền.",
    ),
    EventContract(
        type="payment.refund_approved", schema=1, fields=PaymentRefundApprovedV1,
        en="A refund was approved.", vi="Duyệt hoàn tiền.",
    ),
    EventContract(
        type="payment.refund_paid", schema=1, fields=PaymentRefundPaidV1,
        en="A refund was paid.", vi="Đã hoàn tiền.",
    ),
    EventContract(
        type="payment.bank_callback_conflict", schema=1, fields=PaymentBankCallbackConflictV1,
        en="The same bank reference came with other facts.",
        vi="Báo có trùng mã nhưng khác nội dung.",
    ),
    EventContract(
        type="payment.bank_callback_conflict_closed", schema=1,
        fields=PaymentBankCallbackConflictClosedV1,
        en="An officer settled which content of a bank reference is right.",
        vi="Đã xử lý báo có trùng mã.",
    ),
    EventContract(
        type="payment.bank_credit_return_requested", schema=1,
        fields=PaymentBankCreditReturnRequestedV1,
        en="A return to the sender was asked for.", vi="Đề nghị trả lại khoản báo có.",
    ),
    EventContract(
        type="payment.bank_credit_return_approved", schema=1,
        fields=PaymentBankCreditReturnApprovedV1,
        en="A return to the sender was approved.", vi="Duyệt trả lại khoản báo có.",
    ),
    EventContract(
        type="payment.bank_credit_returned", schema=1, fields=PaymentBankCreditReturnedV1,
        en="The bank credit went back to its sender.", vi="Đã trả lại khoản báo có.",
    ),
    EventContract(
        type="payment.advance_released", schema=1, fields=PaymentAdvanceReleasedV1,
        en="Money short of the fee is the citizen's again.",
        vi="Khoản nộp chưa đủ chuyển thành phải hoàn.",
    ),
    EventContract(
        type="payment.statement_read", schema=1, fields=PaymentStatementReadV1,
        en="The bank's statement was compared.", vi="Đã đối chiếu sao kê ngân hàng.",
    ),
    EventContract(
        type="receipt.issued", schema=1, fields=ReceiptIssuedV1,
        en="A receipt was issued.", vi="Đã lập biên lai.",
    ),
)  # fmt: skip
