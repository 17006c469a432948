# SPDX-License-Identifier: Apache-2.0
"""Events that intake writes about procedures, offices and the calendar."""

from collections.abc import Mapping

from marshmallow import fields

from services.common.canonical import Json
from services.common.contracts import values as v
from services.common.contracts.registry import EventContract, EventSchema, register


class FeesV1(EventSchema):
    """Fees of one procedure version, phí and lệ phí apart; all amounts whole đồng."""

    le_phi_vnd = v.vnd()
    phi_vnd = v.vnd()
    rule = v.one_of("none", "flat", "per_copy")


class ProcedurePublishedV1(EventSchema):
    """``procedure-<code>``: rules in force; dossiers are pinned to the stream's version."""

    code = v.procedure_code()
    name_vi = v.text()
    field = v.word()
    accept_at_machine = v.flag()
    return_at_machine = v.flag()
    fees = fields.Nested(FeesV1, required=True)
    working_days = v.count(0, 400)
    legal_basis = v.text(400)


class FeeLineSchema(EventSchema):
    """One fee of a procedure version: what kind, by which rule, in whole đồng.

    ``flat`` once · ``per_copy`` for each copy · ``per_page`` for each page of each copy: from page
    ``then_from_page`` on ``then_vnd`` a page, never above ``cap_vnd`` a copy.
    """

    kind = v.one_of("le_phi", "phi")
    name_vi = v.text()
    rule = v.one_of("flat", "per_copy", "per_page")
    amount_vnd = v.vnd()
    then_from_page = v.count(2, 2000, nullable=True)
    then_vnd = v.vnd(nullable=True)
    cap_vnd = v.vnd(nullable=True)


class ExemptionSchema(EventSchema):
    """Who pays nothing of some kinds; the text is shown as it stands."""

    code = v.word(32)
    text_vi = v.text(400)
    kinds = fields.List(v.one_of("le_phi", "phi"), required=True, validate=v.some(2))


class PaperSchema(EventSchema):
    """One paper of the checklist."""

    name_vi = v.text()
    form = v.one_of("original", "copy", "declaration")


class ProcedurePublishedV2(EventSchema):
    """``procedure-<code>``: in force from ``valid_from`` until a later version is.

    ``excluded_calendar_days`` (a public posting) run before the working days;
    ``supplement_clock`` says what the deadline does while papers are missing.
    """

    code = v.procedure_code()
    name_vi = v.text()
    field = v.word()
    field_vi = v.text(64)
    accept_at_machine = v.flag()
    return_at_machine = v.flag()
    valid_from = v.day()
    fees = fields.List(fields.Nested(FeeLineSchema), required=True)
    exemptions = fields.List(fields.Nested(ExemptionSchema), required=True)
    working_days = v.count(0, 400)
    excluded_calendar_days = v.count(0, 400)
    supplement_clock = v.one_of("pause", "restart")
    checklist = fields.List(fields.Nested(PaperSchema), required=True)
    legal_basis = v.text(400)


class OfficeProcedureOfferedV1(EventSchema):
    """``office-<id>.offers``: what the office's machines take and give back, from a day on."""

    office = v.word(32)
    procedure = v.procedure_code()
    accept = v.flag()
    give_back = v.flag()
    valid_from = v.day()


class OfficeRenamedV1(EventSchema):
    """``office-<id>``: another name or agency code from a day on; old papers keep the old."""

    office = v.word(32)
    agency_code = v.word(32)
    name_vi = v.text()
    name_sms = v.text(30)
    valid_from = v.day()
    legal_basis = v.text(400)


class CalendarDaySetV1(EventSchema):
    """``calendar-VN``: a day off, or a weekend day that is worked."""

    day = v.day()
    kind = v.one_of("holiday", "substitute", "worked")
    name_vi = v.text()
    legal_basis = v.text(400)


class CalendarDayClearedV1(EventSchema):
    """``calendar-VN``: the day is like any other again."""

    day = v.day()
    reason = v.text(400)


def _before_fee_lines(data: Mapping[str, Json]) -> dict[str, Json]:
    """Lift version 1: one rule for both kinds, no exemptions, no list, in force for ever."""
    old = data["fees"]
    assert isinstance(old, dict), "the contract nests the fees"
    lines: list[Json] = [
        {
            "kind": kind, "name_vi": name, "rule": old["rule"], "amount_vnd": old[f"{kind}_vnd"],
            "then_from_page": None, "then_vnd": None, "cap_vnd": None,
        }
        for kind, name in (("le_phi", "Lệ phí"), ("phi", "Phí"))
        if old["rule"] != "none" and old[f"{kind}_vnd"]
    ]  # fmt: skip
    return {
        **data, "field_vi": data["field"], "valid_from": "2000-01-01", "fees": lines,
        "exemptions": [], "excluded_calendar_days": 0, "supplement_clock": "pause", "checklist": [],
    }  # fmt: skip


class OfficeOpenedV1(EventSchema):
    """``office-<id>``: a one-stop unit with its agency code begins to take dossiers."""

    office = v.word(32)
    agency_code = v.word(32)
    name_vi = v.text()
    name_sms = v.text(30)


class OfficeCodeAssignedV1(EventSchema):
    """``office-<id>.codes.<yymmdd>``: a code is given; version = the day's running number."""

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
        vi="Một phiên bản thủ tục được công bố.", upcast=_before_fee_lines,
    ),
    EventContract(
        type="procedure.published", schema=2, fields=ProcedurePublishedV2,
        en="A version of a procedure was published.",
        vi="Một phiên bản thủ tục được công bố.",
    ),
    EventContract(
        type="office.procedure_offered", schema=1, fields=OfficeProcedureOfferedV1,
        en="An office offers a procedure at its machines.",
        vi="Bộ phận một cửa cung cấp thủ tục tại máy.",
    ),
    EventContract(
        type="office.renamed", schema=1, fields=OfficeRenamedV1,
        en="An office has another name or code.", vi="Bộ phận một cửa đổi tên hoặc mã.",
    ),
    EventContract(
        type="calendar.day_set", schema=1, fields=CalendarDaySetV1,
        en="A day off, or a weekend day that is worked.",
        vi="Ngày nghỉ hoặc ngày làm bù.",
    ),
    EventContract(
        type="calendar.day_cleared", schema=1, fields=CalendarDayClearedV1,
        en="A day is like any other again.", vi="Bỏ ngày nghỉ hoặc ngày làm bù.",
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
