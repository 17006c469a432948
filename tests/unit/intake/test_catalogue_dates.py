# SPDX-License-Identifier: Apache-2.0
"""Changes of the catalogue take effect from their day; open dossiers keep what they were given."""

import uuid
from datetime import date, timedelta
from typing import Any

import pytest

from services.common.clock import VIETNAM
from services.common.errors import Refused
from services.common.eventlog.recording import Cause
from services.intake.adapters.calendar import LogCalendar
from services.intake.application.catalogue import Edit, change_catalogue, versions
from services.intake.application.facts import office_of
from services.intake.domain.dossier_code import read_code
from services.kiosk_sync.application.queries import Catalogues
from tests.support.province import Province

CODE = "2.000635"


@pytest.fixture
def province() -> Province:
    """A province with its seed, on Monday 16/11/2026."""
    return Province()


def today(province: Province) -> date:
    """Return the day it is."""
    return province.clock.at.astimezone(VIETNAM).date()


def edit(province: Province, event: str, about: str, **data: Any) -> None:
    """An editor changes something."""
    change_catalogue(
        province.office.recorder("motcua_intake"), province.clock,
        Edit(event=event, about=about, data=data), source="http:bt001", key=str(uuid.uuid4()),
        cause=Cause(correlation_id=str(uuid.uuid4()), actor="official:bt001"),
    )  # fmt: skip


def publish(province: Province, valid_from: date, **other: Any) -> None:
    """Publish the next version of the procedure."""
    newest = dict(versions(province.log, CODE)[-1])
    del newest["version"], newest["code"]
    edit(province, "procedure.published", CODE, **{**newest, "valid_from": valid_from, **other})


def on_screen(province: Province, office: str = "VT") -> dict[str, Any]:
    """Return what a machine of the office shows today, by code."""
    rows = Catalogues(province.log).of_office(office, today(province))
    return {str(row["code"]): row for row in rows}


def test_a_fee_and_a_deadline_change_from_their_day(province: Province) -> None:
    """Shown and asked from the day on; who handed in before pays and waits as it was."""
    in_a_week = today(province) + timedelta(days=7)
    fee = {**versions(province.log, CODE)[-1]["fees"][0], "amount_vnd": 10_000}  # type: ignore[index,call-overload,dict-item]
    publish(province, in_a_week, fees=[fee], working_days=3)
    before = province.deposit(pouch="before")
    assert on_screen(province)[CODE]["version"] == 1
    province.clock.sleep(7 * 86_400)
    assert on_screen(province)[CODE]["version"] == 2
    after = province.deposit(pouch="after", procedure_version=2, fee_vnd=10_000)
    assert province.payment(before).due == 8_000
    assert province.payment(after).due == 10_000
    for dossier, paid in ((before, 8_000), (after, 10_000)):
        province.pays(dossier, paid)
        province.does(dossier, "accept")
    assert province.dossier(before).due_at[:10] == "2026-11-23"
    # 3 working days after Monday 23/11; Tuesday 24/11 is a day off.
    assert province.dossier(after).due_at[:10] == "2026-11-27"


def test_a_further_procedure_appears_at_one_office_only(province: Province) -> None:
    """Châu Thành adds a procedure from tomorrow on; Vị Thanh's own list stays."""
    tomorrow = today(province) + timedelta(days=1)
    mine = set(on_screen(province))
    assert "1.001266" not in on_screen(province, "CT")
    edit(
        province, "office.procedure_offered", "CT", procedure="1.001266", accept=True,
        give_back=True, valid_from=tomorrow,
    )  # fmt: skip
    assert "1.001266" not in on_screen(province, "CT")
    province.clock.sleep(86_400)
    assert on_screen(province, "CT")["1.001266"]["accept"]
    assert set(on_screen(province)) == mine
    edit(
        province, "office.procedure_offered", "CT", procedure="1.001266", accept=False,
        give_back=True, valid_from=today(province),
    )  # fmt: skip
    row = on_screen(province, "CT")["1.001266"]
    assert (row["accept"], row["return"]) == (False, True)


def test_a_renamed_office_keeps_its_old_codes(province: Province) -> None:
    """The name and agency code of the day of the acceptance stand in the code, for ever."""
    first = province.deposit(pouch="a")
    province.pays(first, 8_000)
    province.does(first, "accept")
    edit(
        province, "office.renamed", "VT", agency_code="H31.07",
        name_vi="Trung tâm phục vụ hành chính công phường Vị Thanh",
        name_sms="UBND P. Vi Thanh", valid_from=today(province) + timedelta(days=1),
        legal_basis="Nghị quyết 202/2025/QH15",
    )  # fmt: skip
    province.clock.sleep(86_400)
    second = province.deposit(pouch="b")
    province.pays(second, 8_000)
    province.does(second, "accept")
    assert province.dossier(first).code == "H30.12-261116-0001"
    assert province.dossier(second).code == "H31.07-261117-0001"
    old, new = today(province) - timedelta(days=1), today(province)
    names = [str(office_of(province.log, "VT", day)["name_sms"]) for day in (old, new)]
    assert names == ["UBND TP Vi Thanh", "UBND P. Vi Thanh"]


def test_replay_gives_the_same(province: Province) -> None:
    """Everything above is a fold over the log: readers that begin anew see what others saw."""
    reader, calendar = Catalogues(province.log), LogCalendar(province.log)
    days = [today(province) + timedelta(days=n) for n in range(10)]
    publish(province, days[3], working_days=2)
    edit(
        province, "office.procedure_offered", "CT", procedure="1.001266", accept=True,
        give_back=False, valid_from=days[5],
    )  # fmt: skip
    for office in ("VT", "CT"):
        for day in days:
            seen = reader.of_office(office, day)
            assert Catalogues(province.log).of_office(office, day) == seen
    assert LogCalendar(province.log)() == calendar()


@pytest.mark.parametrize(
    ("event", "about", "data", "code"),
    [
        ("office.renamed", "XX", {"agency_code": "H1", "name_vi": "x", "name_sms": "x",
         "legal_basis": "x"}, "unknown_office"),
        ("office.procedure_offered", "VT", {"procedure": "9.9", "accept": True,
         "give_back": True}, "unknown_procedure"),
    ],
)  # fmt: skip
def test_about_what_nobody_knows(
    province: Province, event: str, about: str, data: dict[str, Any], code: str
) -> None:
    """An edit of an unknown office or procedure is refused."""
    with pytest.raises(Refused, match=code):
        edit(province, event, about, valid_from=today(province), **data)


def test_nothing_changes_backwards(province: Province) -> None:
    """Neither before today, nor before a version that is published already."""
    with pytest.raises(Refused, match="retroactive"):
        publish(province, today(province) - timedelta(days=1))
    publish(province, today(province) + timedelta(days=30))
    with pytest.raises(Refused, match="not_later"):
        publish(province, today(province) + timedelta(days=29))


NAME = {
    "agency_code": "H31.07", "name_vi": "Trung tâm", "name_sms": "UBND P. Vi Thanh",
    "legal_basis": "Nghị quyết 202/2025/QH15",
}  # fmt: skip


def test_a_name_or_an_offer_that_would_never_take_effect(province: Province) -> None:
    """What holds from the first of the month is not overtaken by what begins before, told later."""
    next_month, tomorrow = (today(province) + timedelta(days=days) for days in (30, 1))
    offer = {"procedure": "1.001266", "accept": True, "give_back": True}
    edit(province, "office.renamed", "VT", **NAME, valid_from=next_month)
    edit(province, "office.procedure_offered", "CT", **offer, valid_from=next_month)
    with pytest.raises(Refused, match="not_later") as caught:
        edit(province, "office.renamed", "VT", **NAME, valid_from=tomorrow)
    assert caught.value.field == "valid_from"
    with pytest.raises(Refused, match="not_later"):
        edit(province, "office.procedure_offered", "CT", **offer, valid_from=tomorrow)
    edit(
        province, "office.procedure_offered", "CT", **{**offer, "procedure": "1.001570"},
        valid_from=tomorrow,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("agency_code", "VT-01", "not_an_agency_code"),
        ("agency_code", "h31.07", "not_an_agency_code"),
        ("agency_code", "H31.07.1.2.3", "not_an_agency_code"),
        ("agency_code", "H30.33", "agency_code_taken"),
        ("name_sms", "UBND P. Vị Thanh", "not_plain"),
        ("name_sms", "UBND_P@Vi[Thanh]", "not_plain"),
    ],
)
def test_a_name_that_codes_or_messages_cannot_bear(
    province: Province, field: str, value: str, code: str
) -> None:
    """Refused by its field: later nobody could accept a dossier, or be told of one."""
    with pytest.raises(Refused, match=code) as caught:
        edit(province, "office.renamed", "VT", **{**NAME, field: value}, valid_from=today(province))
    assert caught.value.field == field
    assert caught.value.vi


@pytest.mark.parametrize("agency", ["H31.07", "000.00.12.H30", "H15.50.05.13", "G09.20"])
def test_every_name_that_is_taken_gives_readable_codes(province: Province, agency: str) -> None:
    """What the editor may write, the code of the next dossier shows and everybody can read."""
    edit(province, "office.renamed", "VT", **{**NAME, "agency_code": agency},
         valid_from=today(province))  # fmt: skip
    dossier = province.deposit(pouch="a")
    province.pays(dossier, 8_000)
    province.does(dossier, "accept")
    code = province.dossier(dossier).code
    assert code == read_code(code) == f"{agency}-261116-0001"


def test_no_two_offices_ever_give_the_same_code(province: Province) -> None:
    """Also not under a name that an office has given up; its own it may take again."""
    edit(province, "office.renamed", "VT", **NAME, valid_from=today(province))
    with pytest.raises(Refused, match="agency_code_taken"):
        edit(
            province, "office.renamed", "CT", **{**NAME, "agency_code": "H30.12"},
            valid_from=today(province),
        )  # fmt: skip
    old = {**NAME, "agency_code": "H30.12"}
    edit(province, "office.renamed", "VT", **old, valid_from=today(province))


LINE = {
    "kind": "phi", "name_vi": "Phí", "rule": "per_page", "amount_vnd": 2_000,
    "then_from_page": 3, "then_vnd": 1_000, "cap_vnd": 200_000,
}  # fmt: skip
EXEMPT = {"code": "poor", "text_vi": "Hộ nghèo", "kinds": ["phi"]}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fees": [{**LINE, "then_vnd": None}]}, "fee_incomplete"),
        ({"fees": [LINE, {**LINE, "then_from_page": None}]}, "fee_incomplete"),
        ({"fees": [{**LINE, "rule": "flat"}]}, "fee_incomplete"),
        (
            {"fees": [{**LINE, "rule": "per_copy", "then_from_page": None, "then_vnd": None}]},
            "fee_incomplete",
        ),
        ({"fees": [{**LINE, "then_vnd": 25_100, "cap_vnd": None}]}, "fee_too_high"),
        ({"exemptions": [EXEMPT, {**EXEMPT, "kinds": ["le_phi"]}]}, "exemption_repeated"),
    ],
)
def test_a_fee_that_would_not_be_asked_as_it_is_meant(
    province: Province, change: dict[str, Any], code: str
) -> None:
    """Pages for nothing, a step that is passed over, more than can be booked: never published."""
    publish(province, today(province), fees=[LINE], exemptions=[EXEMPT])
    head = province.log.head()
    with pytest.raises(Refused, match=code) as caught:
        publish(province, today(province), **change)
    assert caught.value.field == next(iter(change))
    assert province.log.head() == head
