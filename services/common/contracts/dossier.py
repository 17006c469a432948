# SPDX-License-Identifier: Apache-2.0
"""Events that intake writes: dossiers, procedures and offices."""

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


class DossierRegisteredV1(EventSchema):
    """Portal status 1: deposited at a machine and known to the office, not yet accepted."""

    procedure = v.procedure_code()
    procedure_version = v.count(1)
    office = v.word(32)
    channel = v.one_of("kiosk")
    machine = v.serial()
    pouch = v.word(32)
    copies = v.count(1, 200)
    papers = fields.List(v.text(), required=True)
    contact_event = v.uuid()


class DossierRegisteredV2(DossierRegisteredV1):
    """As version 1, with pages, the exemption that is claimed, and the look-up's digest."""

    pages = v.count(1, 2000)
    exemption = v.word(32, nullable=True)
    lookup = v.hex32()


class DossierAcceptedV1(EventSchema):
    """Portal status 2: an official checked it; the clock runs until ``due_at``."""

    code = v.word(32)
    official = v.word()
    due_at = v.instant()
    working_days = v.count(0, 400)


class DossierCompletedV1(EventSchema):
    """Portal status 9: the agency finished; the result is to be returned at ``return_machine``."""

    code = v.word(32)
    result_number = v.text(64)
    return_machine = v.serial()


class DossierReadyV1(EventSchema):
    """The result lies in a cell of a machine and may be announced."""

    machine = v.serial()
    cell = v.count(1, 500)
    loaded_event = v.uuid()


class DossierReturnedV1(EventSchema):
    """Portal status 10: the citizen took the result."""

    channel = v.one_of("kiosk")
    machine = v.serial()
    grant = v.uuid()
    released_event = v.uuid()


class DossierReportedV1(EventSchema):
    """The one-stop system acknowledged a portal status of ours."""

    system = v.one_of("one_stop")
    status = v.count(1, 10)
    code = v.word(32)
    reference = v.text(64)


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
        type="dossier.registered", schema=1, fields=DossierRegisteredV1,
        en="A deposited dossier became known to the office.",
        vi="Hồ sơ nộp tại máy được ghi nhận.", upcast=v.before_pages,
    ),
    EventContract(
        type="dossier.registered", schema=2, fields=DossierRegisteredV2,
        en="A deposited dossier became known to the office.",
        vi="Hồ sơ nộp tại máy được ghi nhận.",
    ),
    EventContract(
        type="dossier.accepted", schema=1, fields=DossierAcceptedV1,
        en="An official accepted the dossier and gave a due time.",
        vi="Công chức tiếp nhận hồ sơ và hẹn trả kết quả.",
    ),
    EventContract(
        type="dossier.completed", schema=1, fields=DossierCompletedV1,
        en="The result is finished and to be returned at a machine.",
        vi="Hồ sơ đã xử lý xong, trả kết quả qua máy.",
    ),
    EventContract(
        type="dossier.ready", schema=1, fields=DossierReadyV1,
        en="The result lies in a cell of the machine.",
        vi="Kết quả đã nằm trong ngăn của máy.",
    ),
    EventContract(
        type="dossier.returned", schema=1, fields=DossierReturnedV1,
        en="The citizen took the result.",
        vi="Công dân đã nhận kết quả.",
    ),
    EventContract(
        type="dossier.reported", schema=1, fields=DossierReportedV1,
        en="The one-stop system acknowledged our status.",
        vi="Phần mềm một cửa đã xác nhận trạng thái.",
    ),
)  # fmt: skip
