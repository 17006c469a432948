# SPDX-License-Identifier: Apache-2.0
"""Events that intake writes about procedures and offices."""

from marshmallow import fields

from services.common.contracts import values as v
from services.common.contracts.registry import EventContract, EventSchema, register


class FeesV1(EventSchema):
    """Fees of one procedure version, phí and lệ phí apart; all amounts whole đồng."""

    le_phi_vnd = v.vnd()
    phi_vnd = v.vnd()
    rule = v.one_of("none", "flat", "per_copy")


class ProcedurePublishedV1(EventSchema):
    """``procedure-<code>``; the stream's version is what dossiers are pinned to."""

    code = v.procedure_code()
    name_vi = v.text()
    field = v.word()
    accept_at_machine = fields.Boolean(required=True)
    return_at_machine = fields.Boolean(required=True)
    fees = fields.Nested(FeesV1, required=True)
    working_days = v.count(0, 400)
    legal_basis = v.text(400)


class OfficeOpenedV1(EventSchema):
    """``office-<id>``."""

    office = v.word(32)
    agency_code = v.word(32)
    name_vi = v.text()
    name_sms = v.text(30)


class OfficeCodeAssignedV1(EventSchema):
    """``office-<id>.codes.<yymmdd>``; the version is the day's running number."""

    office = v.word(32)
    code = v.word(32)
    dossier = v.dossier_id()


class OfficeCodeImportedV1(EventSchema):
    """``office-<id>.imported.<code>``: finds a dossier that another system gave its code."""

    office = v.word(32)
    code = v.word(32)
    dossier = v.dossier_id()


register(
    EventContract(
        type="procedure.published", schema=1, fields=ProcedurePublishedV1,
        en="A version of a procedure was published.",
        vi="Một phiên bản thủ tục được công bố.",
    ),
    EventContract(
        type="office.opened", schema=1, fields=OfficeOpenedV1,
        en="An office began to take dossiers.",
        vi="Một bộ phận một cửa bắt đầu tiếp nhận hồ sơ.",
    ),
    EventContract(
        type="office.code_assigned", schema=1, fields=OfficeCodeAssignedV1,
        en="The office gave out a dossier code.",
        vi="Bộ phận một cửa cấp mã hồ sơ.",
    ),
    EventContract(
        type="office.code_imported", schema=1, fields=OfficeCodeImportedV1,
        en="A code that another system gave belongs to this dossier.",
        vi="Mã hồ sơ do hệ thống khác cấp được gắn với hồ sơ này.",
    ),
)  # fmt: skip
