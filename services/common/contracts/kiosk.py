# SPDX-License-Identifier: Apache-2.0
"""Events that kiosk_sync writes: machine journals, orders to machines, and their enrolment.

``kiosk-<serial>-<epoch>``: what a machine journalled; version = journal sequence.
``grant-<serial>``: what the centre orders a machine; version = downlink sequence.
``config-<serial>``: enrolment and keys.
"""

from collections.abc import Mapping

from marshmallow import fields, validate

from services.common.canonical import Json
from services.common.contracts import values as v
from services.common.contracts.registry import EventContract, EventSchema, StubSchema, register


class KioskBootedV1(EventSchema):
    """The machine's core started."""

    release = v.word(32)


class KioskDossierDepositedV1(EventSchema):
    """A pouch was taken in; what the screen calls ĐÃ NHẬN comes after this is on disk."""

    dossier = v.dossier_id()
    procedure = v.procedure_code()
    procedure_version = v.count(1)
    pouch = v.word(32)
    bin = v.count(1, 100)
    copies = v.count(1, 200)
    papers = fields.List(v.text(), required=True)
    fee_vnd = v.vnd()
    contact = fields.Nested(StubSchema, required=True)


class KioskDossierDepositedV2(KioskDossierDepositedV1):
    """As version 1, with what fees per page, exemptions and the public look-up need.

    ``exemption`` is what the citizen claims and an official checks; ``lookup`` is the digest of
    the secret on the slip (``services.common.lookup``), 64 zeros where the slip had none.
    """

    pages = v.count(1, 2000)
    exemption = v.word(32, nullable=True)
    lookup = v.hex32()


class KioskReceiptPrintedV1(EventSchema):
    """A slip was printed."""

    dossier = v.dossier_id()
    kind = v.one_of("deposit")


class KioskQRShownV1(EventSchema):
    """A payment code was on the screen."""

    dossier = v.dossier_id()
    token = v.word(8)


class KioskCashNoteCreditedV1(EventSchema):
    """The validator stacked a note (its credit point); ``stacked_count`` is the device's own."""

    dossier = v.dossier_id()
    denomination_vnd = v.vnd(low=1)
    stacked_count = v.count(1, 10_000_000)


class KioskCashNoteUnplacedV1(EventSchema):
    """The validator stacked a note while no cash session was open; nobody knows whose it is."""

    denomination_vnd = v.vnd(low=1)
    stacked_count = v.count(1, 10_000_000)


class KioskCashClosedV1(EventSchema):
    """The cash session of a dossier ended."""

    dossier = v.dossier_id()
    notes = v.count(0, 1000)
    total_vnd = v.vnd()


class KioskCashClosedV2(KioskCashClosedV1):
    """As version 1, with why: the citizen was done, went away, or the machine could not go on."""

    reason = v.one_of("done", "abandoned", "fault")


class KioskResultLoadedV1(EventSchema):
    """An official laid a result into a cell and the door closed."""

    dossier = v.dossier_id()
    cell = v.count(1, 500)
    staff = v.word()


class KioskGrantStoredV1(EventSchema):
    """The machine holds the right to release a result; from now on it may be announced."""

    grant = v.uuid()
    dossier = v.dossier_id()
    cell = v.count(1, 500)


class KioskReleaseAuthorisedV1(EventSchema):
    """The code was right; recorded before the lock is opened."""

    grant = v.uuid()
    dossier = v.dossier_id()
    cell = v.count(1, 500)


class KioskReleaseRefusedV1(EventSchema):
    """A collection attempt was refused."""

    grant = v.uuid()
    dossier = v.dossier_id()
    reason = v.one_of("wrong_code", "expired", "locked")
    tries_left = v.count(0, 10)


class KioskResultReleasedV1(EventSchema):
    """The cell is empty and its door closed: the citizen took the result."""

    grant = v.uuid()
    dossier = v.dossier_id()
    cell = v.count(1, 500)


class KioskResultUncollectedV1(EventSchema):
    """The door was opened but the result stayed inside; the grant still stands."""

    grant = v.uuid()
    dossier = v.dossier_id()
    cell = v.count(1, 500)


class KioskCustodyUnknownV1(EventSchema):
    """The machine cannot tell where a pouch or result is; opens a case for the office."""

    dossier = v.uuid(nullable=True)
    place = v.one_of("intake", "cell")
    reason = v.text(100)


class KioskCustodyUnknownV2(KioskCustodyUnknownV1):
    """As version 1, with the pouch's barcode where it could be read."""

    pouch = v.word(32, nullable=True)


class KioskBinEmptiedV1(EventSchema):
    """Two officials took the pouches out of a bin into a sealed bag; the list is what they counted.

    A pouch that should have been there and is not listed opens a case.
    """

    bin = v.count(1, 100)
    staff = v.word()
    second_staff = v.word()
    pouches = fields.List(v.word(32), required=True, validate=validate.Length(max=1000))
    seal = v.word(32)


class KioskResultRecalledV1(EventSchema):
    """An official took a result out of its cell again, and the cell is empty."""

    dossier = v.dossier_id()
    cell = v.count(1, 500)
    staff = v.word()


class KioskCashDiscrepancyV1(EventSchema):
    """The validator counted notes that no open session explains."""

    stacked_count = v.count(0, 10_000_000)
    journalled_count = v.count(0, 10_000_000)


class GrantPaymentOfferedV1(EventSchema):
    """Show this payment to the citizen at the machine."""

    dossier = v.dossier_id()
    token = v.word(8)
    amount_vnd = v.vnd()
    qr = v.text(300)


class GrantPaymentConfirmedV1(EventSchema):
    """Tell the citizen at the machine that the fee is paid."""

    dossier = v.dossier_id()
    method = v.one_of("cash", "qr", "none", "mixed")
    paid_vnd = v.vnd()
    overpaid_vnd = v.vnd()


class GrantPaymentWithdrawnV1(EventSchema):
    """The dossier ended before it was paid: the machine asks for no money any more."""

    dossier = v.dossier_id()


class GrantReleaseIssuedV1(EventSchema):
    """The machine may release one result to whoever knows the code, until ``not_after``."""

    grant = v.uuid()
    dossier = v.dossier_id()
    cell = v.count(1, 500)
    not_after = v.instant()
    code = fields.Nested(StubSchema, required=True)


class ConfigMachineEnrolledV1(EventSchema):
    """A machine may speak: its certificate's fingerprint, signing key and epoch."""

    serial = v.serial()
    epoch = v.count(1, 10_000)
    office = v.word(32)
    tls_fingerprint = v.hex32()
    sign_key = v.hex32()
    approved_by = v.word()


class ConfigMachineRevokedV1(EventSchema):
    """A machine may not speak any more."""

    reason = v.text(200)
    by = v.word()


class ConfigMachineQuarantinedV1(EventSchema):
    """Two histories under one identity: nothing more is taken until people decide."""

    epoch = v.count(1, 10_000)
    seq = v.count(1, 2**40)
    reason = v.one_of("fork", "behind")


def _unread(data: Mapping[str, Json]) -> dict[str, Json]:
    return {**data, "pouch": None}


def _was_done(data: Mapping[str, Json]) -> dict[str, Json]:
    return {**data, "reason": "done"}


def _kiosk(
    name: str, fields_: type[EventSchema], en: str, vi: str, **personal: str
) -> EventContract:
    return EventContract(type=name, schema=1, fields=fields_, en=en, vi=vi, personal=personal)


register(
    _kiosk("kiosk.booted", KioskBootedV1, "The machine started.", "Máy khởi động."),
    EventContract(
        type="kiosk.dossier_deposited", schema=1, fields=KioskDossierDepositedV1,
        en="The machine took in a pouch.", vi="Máy đã nhận túi hồ sơ.",
        personal={"contact": "contact"}, upcast=v.before_pages,
    ),
    EventContract(
        type="kiosk.dossier_deposited", schema=2, fields=KioskDossierDepositedV2,
        en="The machine took in a pouch.", vi="Máy đã nhận túi hồ sơ.",
        personal={"contact": "contact"},
    ),
    _kiosk("kiosk.receipt_printed", KioskReceiptPrintedV1, "A slip was printed.", "Đã in phiếu."),
    _kiosk("kiosk.qr_shown", KioskQRShownV1, "A payment code was shown.", "Hiện mã QR thanh toán."),
    _kiosk("kiosk.cash_note_credited", KioskCashNoteCreditedV1, "The machine stacked a note.",
           "Máy đã nhận một tờ tiền."),
    _kiosk("kiosk.cash_note_unplaced", KioskCashNoteUnplacedV1,
           "The machine stacked a note outside a session.",
           "Máy đã nhận một tờ tiền ngoài phiên nộp."),
    EventContract(
        type="kiosk.cash_closed", schema=1, fields=KioskCashClosedV1,
        en="The cash session ended.", vi="Kết thúc nộp tiền mặt.", upcast=_was_done,
    ),
    EventContract(
        type="kiosk.cash_closed", schema=2, fields=KioskCashClosedV2,
        en="The cash session ended.", vi="Kết thúc nộp tiền mặt.",
    ),
    _kiosk("kiosk.result_loaded", KioskResultLoadedV1, "A result was laid into a cell.",
           "Kết quả được đưa vào ngăn."),
    _kiosk("kiosk.grant_stored", KioskGrantStoredV1, "The machine holds the right to release.",
           "Máy đã nhận quyền trả kết quả."),
    _kiosk("kiosk.release_authorised", KioskReleaseAuthorisedV1, "The collection code was right.",
           "Mã nhận đúng."),
    _kiosk("kiosk.release_refused", KioskReleaseRefusedV1, "A collection was refused.",
           "Từ chối trả kết quả."),
    _kiosk("kiosk.result_released", KioskResultReleasedV1, "The citizen took the result.",
           "Công dân đã lấy kết quả."),
    _kiosk("kiosk.result_uncollected", KioskResultUncollectedV1, "The result stayed in the cell.",
           "Kết quả chưa được lấy."),
    EventContract(
        type="kiosk.custody_unknown", schema=1, fields=KioskCustodyUnknownV1,
        en="The machine cannot tell where it is.", vi="Không rõ hồ sơ đang ở đâu.",
        upcast=_unread,
    ),
    EventContract(
        type="kiosk.custody_unknown", schema=2, fields=KioskCustodyUnknownV2,
        en="The machine cannot tell where it is.", vi="Không rõ hồ sơ đang ở đâu.",
    ),
    _kiosk("kiosk.bin_emptied", KioskBinEmptiedV1, "A bin was emptied by two officials.",
           "Hai công chức đã lấy hồ sơ khỏi thùng chứa."),
    _kiosk("kiosk.result_recalled", KioskResultRecalledV1, "A result was taken out of its cell.",
           "Kết quả được lấy lại khỏi ngăn."),
    _kiosk("kiosk.cash_discrepancy", KioskCashDiscrepancyV1, "The validator's count differs.",
           "Số tờ tiền không khớp."),
    _kiosk("grant.payment_offered", GrantPaymentOfferedV1, "Show a payment at the machine.",
           "Hiện yêu cầu thanh toán tại máy."),
    _kiosk("grant.payment_confirmed", GrantPaymentConfirmedV1, "Tell the machine the fee is paid.",
           "Báo máy đã thanh toán."),
    _kiosk("grant.payment_withdrawn", GrantPaymentWithdrawnV1,
           "Tell the machine that nothing is due any more.", "Báo máy không còn phải thu."),
    _kiosk("grant.release_issued", GrantReleaseIssuedV1, "The machine may release a result.",
           "Cấp quyền trả kết quả cho máy.", code="contact"),
    _kiosk("config.machine_enrolled", ConfigMachineEnrolledV1, "A machine was enrolled.",
           "Máy được ghi danh."),
    _kiosk("config.machine_revoked", ConfigMachineRevokedV1, "A machine was revoked.",
           "Máy bị thu hồi."),
    _kiosk("config.machine_quarantined", ConfigMachineQuarantinedV1, "A machine was quarantined.",
           "Máy bị cách ly."),
)  # fmt: skip
