# SPDX-License-Identifier: Apache-2.0
"""Events that intake writes about dossiers: ``dossier-<id>``; the states are the portal's."""

from collections.abc import Mapping

from marshmallow import fields

from services.common.canonical import Json
from services.common.contracts import values as v
from services.common.contracts.registry import (
    EventContract,
    EventSchema,
    StubSchema,
    Upcaster,
    register,
)


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


class DossierImportedV1(EventSchema):
    """Portal status 4: handed in at a counter or online; its result goes through a machine."""

    system = v.one_of("one_stop")
    code = v.word(32)
    procedure = v.procedure_code()
    procedure_version = v.count(1)
    office = v.word(32)
    channel = v.one_of("counter", "online", "post")
    due_at = v.instant()
    contact = fields.Nested(StubSchema, required=True)


class DossierOpenedV1(EventSchema):
    """An official opened the pouch and compared it with the citizen's list."""

    official = v.word()
    as_listed = v.flag()
    differences = fields.List(v.text(), required=True)


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


class DossierCompletedV2(EventSchema):
    """As version 1, for any way of return; ``return_machine`` is null but for a machine."""

    code = v.word(32)
    result_number = v.text(64)
    return_channel = v.one_of("machine", "counter", "post")
    return_machine = v.serial(nullable=True)


class DossierReadyV1(EventSchema):
    """The result lies in a cell of a machine and may be announced."""

    machine = v.serial()
    cell = v.count(1, 500)
    loaded_event = v.uuid()


class DossierRefusedV1(EventSchema):
    """Portal status 3: not taken, with the reason, by form 03."""

    official = v.word()
    reason = v.text(500)
    form = v.one_of("03")


class DossierSupplementRequestedV1(EventSchema):
    """Portal status 5: papers are missing; all reasons at once, by form 02.

    ``clock`` says what the deadline does: it had not begun, it pauses, or it begins anew when the
    papers are there. ``requested_at`` is when it stopped.
    """

    official = v.word()
    reasons = fields.List(v.text(500), required=True, validate=v.some(20))
    respond_by = v.instant()
    clock = v.one_of("not_started", "pause", "restart")
    requested_at = v.instant()
    form = v.one_of("02")


class DossierSupplementReceivedV1(EventSchema):
    """Portal status 4 again: the papers are complete; the clock runs until ``due_at``."""

    official = v.word()
    code = v.word(32)
    due_at = v.instant()
    clock = v.one_of("not_started", "pause", "restart")


class DossierProcessingStartedV1(EventSchema):
    """Portal status 4: the dossier went to the agency that resolves it, by form 06."""

    official = v.word()
    agency = v.text(100)


class DossierFeeDueV1(EventSchema):
    """Portal status 6: a further financial duty; the clock pauses until it is met."""

    official = v.word()
    le_phi_vnd = v.vnd()
    phi_vnd = v.vnd()
    reason = v.text(500)
    requested_at = v.instant()


class DossierFeeClearedV1(EventSchema):
    """Portal status 4 again: the duty is met; the clock runs until ``due_at``."""

    payment_event = v.uuid()
    due_at = v.instant()


class DossierWithdrawnV1(EventSchema):
    """Portal status 7: the citizen wants the dossier back."""

    official = v.word()
    reason = v.text(500)


class DossierStoppedV1(EventSchema):
    """Portal status 8: the agency stops, with the reason, by form 05 of 2025."""

    official = v.word()
    reason = v.text(500)
    form = v.one_of("05")


class DossierRescheduledV1(EventSchema):
    """An apology and a new due time, by form 04; at most once.

    ``in_time`` says whether the citizen is told at least a day before the old due time.
    """

    official = v.word()
    reason = v.text(500)
    due_at = v.instant()
    in_time = v.flag()
    form = v.one_of("04")


class DossierRecalledV1(EventSchema):
    """Staff took the result out of its cell again; it is to be had at the counter."""

    machine = v.serial()
    cell = v.count(1, 500)
    staff = v.word()
    recalled_event = v.uuid()


class DossierReturnedV1(EventSchema):
    """Portal status 10: the citizen took the result."""

    channel = v.one_of("kiosk")
    machine = v.serial()
    grant = v.uuid()
    released_event = v.uuid()


class DossierReturnedV2(EventSchema):
    """As version 1, for every channel; ``proof`` says what shows it (grant, signature, way-bill).

    Machine, grant and released_event are null but for a machine, ``official`` is null for it.
    """

    channel = v.one_of("kiosk", "counter", "post")
    machine = v.serial(nullable=True)
    grant = v.uuid(nullable=True)
    released_event = v.uuid(nullable=True)
    proof = v.text(100)
    official = v.word(nullable=True)


class DossierReturnReversedV1(EventSchema):
    """Portal status 9 again: it was not the citizen who has the result; an incident is open."""

    official = v.word()
    reason = v.text(500)
    incident = v.word(32)


class DossierReportedV1(EventSchema):
    """The one-stop system acknowledged a portal status of ours."""

    system = v.one_of("one_stop")
    status = v.count(1, 10)
    code = v.word(32)
    reference = v.text(64)


class DossierReportedV2(DossierReportedV1):
    """As version 1; ``event`` is what was reported, null where that was not kept."""

    event = v.uuid(nullable=True)


class DossierNoticeRepeatedV1(EventSchema):
    """The citizen did not get a message; the last one is to be sent again."""

    official = v.word()
    reason = v.text(500)


class DossierReportDisputedV1(EventSchema):
    """The one-stop system refused a report; a person has to decide until ``due_at``."""

    system = v.one_of("one_stop")
    status = v.count(1, 10)
    code = v.word(32)
    event = v.uuid()
    error = v.text()
    owner = v.word()
    due_at = v.instant()


class DossierReportResolvedV1(EventSchema):
    """A person settled a disputed report."""

    status = v.count(1, 10)
    event = v.uuid()
    official = v.word()
    reason = v.text(500)


def _completed_at_machine(data: Mapping[str, Json]) -> dict[str, Json]:
    return {**data, "return_channel": "machine"}


def _returned_by_machine(data: Mapping[str, Json]) -> dict[str, Json]:
    return {**data, "proof": f"grant {data['grant']}", "official": None}


def _reported_nothing_named(data: Mapping[str, Json]) -> dict[str, Json]:
    return {**data, "event": None}


def _dossier(
    name: str,
    fields_: type[EventSchema],
    said: tuple[str, str],
    *,
    schema: int = 1,
    upcast: Upcaster | None = None,
    personal: Mapping[str, str] | None = None,
) -> EventContract:
    en, vi = said
    return EventContract(
        type=f"dossier.{name}", schema=schema, fields=fields_, en=en, vi=vi, upcast=upcast,
        personal=personal or {},
    )  # fmt: skip


_REGISTERED = (
    "A deposited dossier became known to the office.", "Hồ sơ nộp tại máy được ghi nhận.",
)  # fmt: skip
_COMPLETED = ("The result is finished and to be returned.", "Hồ sơ đã xử lý xong, chờ trả kết quả.")
_RETURNED = ("The citizen has the result.", "Công dân đã nhận kết quả.")
_REPORTED = (
    "The one-stop system acknowledged our status.", "Phần mềm một cửa đã xác nhận trạng thái.",
)  # fmt: skip

register(
    _dossier("registered", DossierRegisteredV1, _REGISTERED, upcast=v.before_pages),
    _dossier("registered", DossierRegisteredV2, _REGISTERED, schema=2),
    _dossier("imported", DossierImportedV1, personal={"contact": "contact"}, said=(
        "A dossier from the counter is to be returned here.", "Nhận hồ sơ trả kết quả qua máy.")),
    _dossier("opened", DossierOpenedV1, (
        "An official opened the pouch.", "Công chức đã mở túi hồ sơ.")),
    _dossier("accepted", DossierAcceptedV1, (
        "An official accepted the dossier and gave a due time.",
        "Công chức tiếp nhận hồ sơ và hẹn trả kết quả.")),
    _dossier("refused", DossierRefusedV1, (
        "The dossier was refused with its reason.", "Từ chối tiếp nhận hồ sơ.")),
    _dossier("supplement_requested", DossierSupplementRequestedV1, (
        "Papers are missing.", "Yêu cầu bổ sung hồ sơ.")),
    _dossier("supplement_received", DossierSupplementReceivedV1, (
        "The missing papers are there.", "Đã bổ sung đủ hồ sơ.")),
    _dossier("processing_started", DossierProcessingStartedV1, (
        "The dossier went to the agency.", "Đã chuyển hồ sơ đến cơ quan giải quyết.")),
    _dossier("fee_due", DossierFeeDueV1, (
        "A further fee is due.", "Yêu cầu thực hiện nghĩa vụ tài chính.")),
    _dossier("fee_cleared", DossierFeeClearedV1, (
        "The further fee is paid.", "Đã thực hiện nghĩa vụ tài chính.")),
    _dossier("withdrawn", DossierWithdrawnV1, (
        "The citizen withdrew the dossier.", "Công dân rút hồ sơ.")),
    _dossier("stopped", DossierStoppedV1, (
        "The agency stopped.", "Dừng giải quyết hồ sơ.")),
    _dossier("rescheduled", DossierRescheduledV1, (
        "An apology with a new due time.", "Xin lỗi và hẹn lại ngày trả kết quả.")),
    _dossier("completed", DossierCompletedV1, _COMPLETED, upcast=_completed_at_machine),
    _dossier("completed", DossierCompletedV2, _COMPLETED, schema=2),
    _dossier("ready", DossierReadyV1, (
        "The result lies in a cell of the machine.", "Kết quả đã nằm trong ngăn của máy.")),
    _dossier("recalled", DossierRecalledV1, (
        "The result was taken back to the counter.", "Kết quả được thu hồi về quầy.")),
    _dossier("returned", DossierReturnedV1, _RETURNED, upcast=_returned_by_machine),
    _dossier("returned", DossierReturnedV2, _RETURNED, schema=2),
    _dossier("return_reversed", DossierReturnReversedV1, (
        "The return was reversed.", "Hủy ghi nhận trả kết quả.")),
    _dossier("reported", DossierReportedV1, _REPORTED, upcast=_reported_nothing_named),
    _dossier("reported", DossierReportedV2, _REPORTED, schema=2),
    _dossier("notice_repeated", DossierNoticeRepeatedV1, (
        "An official had the last message sent again.",
        "Công chức yêu cầu gửi lại tin nhắn gần nhất.")),
    _dossier("report_disputed", DossierReportDisputedV1, (
        "The one-stop system refused our status.", "Phần mềm một cửa từ chối trạng thái.")),
    _dossier("report_resolved", DossierReportResolvedV1, (
        "A disputed status was settled.", "Đã xử lý trạng thái không khớp.")),
)  # fmt: skip
