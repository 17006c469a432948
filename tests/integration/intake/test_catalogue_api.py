# SPDX-License-Identifier: Apache-2.0
"""Editors change the catalogue over HTTP; others may not, and bad input changes nothing."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from services.common.clock import VIETNAM
from tests.support.database import Database
from tests.support.intake_site import (
    EDITOR_TOKEN,
    LOGIN,
    TOKEN,
    Site,
    intake_site,
    problem_of,
    project,
)
from tests.support.openapi import check_openapi


@pytest.fixture(scope="module")
def site(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One application for the module."""
    with intake_site(database, tmp_path_factory.mktemp("catalogue")) as opened:
        yield opened


def post(
    site: Site, path: str, body: object, *, token: str = EDITOR_TOKEN, key: str = ""
) -> TestResponse:
    """Ask for a change."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key or str(uuid.uuid4())}
    return site.client.post(f"/catalogue/v1{path}", json=body, headers=headers)


def published(site: Site, code: str = "2.000635") -> dict[str, Any]:
    """Return the newest version as the document for the next one."""
    answer = site.client.get(f"/catalogue/v1/procedures/{code}", headers=LOGIN).get_json()
    newest = dict(answer["versions"][-1])
    del newest["version"], newest["code"]
    return newest


def day(site: Site, days: int) -> str:
    """Return a day from today on."""
    today = site.office.clock.now().astimezone(VIETNAM).date()
    return (today + timedelta(days=days)).isoformat()


def test_a_fee_change_is_published_once(site: Site) -> None:
    """Another version with another fee; the same key again gets the same answer."""
    fees = [{**line, "amount_vnd": 10_000} for line in published(site)["fees"]]
    body = {**published(site), "fees": fees, "valid_from": day(site, 7)}
    key = str(uuid.uuid4())
    path = "/procedures/2.000635/versions"
    first, again = post(site, path, body, key=key), post(site, path, body, key=key)
    assert (first.status_code, again.status_code) == (200, 200), first.get_json()
    assert (first.get_json()["duplicate"], again.get_json()["duplicate"]) == (False, True)
    assert published(site)["fees"][0]["amount_vnd"] == 10_000
    event = site.office.newest("procedure.published")
    assert event.meta["actor"] == "official:bt001"


def test_an_office_offers_and_is_renamed(site: Site) -> None:
    """Both from a day on."""
    offer = {
        "procedure": "1.001266", "accept": True, "give_back": True, "valid_from": day(site, 0),
    }  # fmt: skip
    assert post(site, "/offices/CT/offers", offer).status_code == 200
    assert site.office.newest("office.procedure_offered").data["office"] == "CT"
    name = {
        "agency_code": "H30.99", "name_vi": "Bộ phận một cửa xã Châu Thành",
        "name_sms": "UBND xa Chau Thanh", "valid_from": day(site, 30), "legal_basis": "NQ 202",
    }  # fmt: skip
    assert post(site, "/offices/CT/names", name).status_code == 200


def test_a_day_off_is_set_and_cleared(site: Site) -> None:
    """A holiday that the government adds, and takes back."""
    holiday = {"kind": "holiday", "name_vi": "Ngày nghỉ thêm", "legal_basis": "QĐ 1/2027"}
    assert post(site, "/calendar/2027-03-03", holiday).status_code == 200
    assert post(site, "/calendar/2027-03-03/clear", {"reason": "Bãi bỏ"}).status_code == 200
    problem_of(post(site, "/calendar/2027-02-30", holiday), 422, "invalid")


@pytest.mark.parametrize(
    ("path", "wrong", "refusal", "field"),
    [
        ("/procedures/2.000635/versions", {"valid_from": "2024-01-01"}, (409, "retroactive"),
         "valid_from"),
        ("/procedures/2.000635/versions", {"valid_from": "soon"}, (422, "invalid"), "valid_from"),
        ("/procedures/2.000635/versions", {"working_days": -1}, (422, "invalid"), "working_days"),
        ("/procedures/2.000635/versions", {"fees": "none"}, (422, "invalid"), "fees"),
        ("/procedures/2.000635/versions", {"surprise": 1}, (422, "invalid"), "surprise"),
        ("/procedures/x/versions", {}, (422, "invalid"), "code"),
        ("/offices/XX/offers", None, (409, "unknown_office"), "office"),
        ("/offices/CT/offers", {"procedure": "9.999999"}, (409, "unknown_procedure"), "procedure"),
        ("/offices/CT/offers", {"procedure": "1.004859"}, (409, "not_at_machines"), "accept"),
        ("/offices/CT/offers", {"valid_from": "2024-01-01"}, (409, "retroactive"), "valid_from"),
    ],
)  # fmt: skip
def test_wrong_edits_name_the_field_and_change_nothing(
    site: Site, path: str, wrong: dict[str, object] | None, refusal: tuple[int, str], field: str
) -> None:
    """Nothing is backdated, nothing half understood, nothing about what nobody knows."""
    offer = {"procedure": "1.001266", "accept": True, "give_back": True}
    right = published(site) if path.endswith("versions") else offer
    body = {**right, "valid_from": day(site, 400), **(wrong or {})}
    before = site.office.log.head()
    assert field in str(problem_of(post(site, path, body), *refusal))
    assert site.office.log.head() == before


def test_only_editors_may(site: Site) -> None:
    """An official without the role gets 403, a stranger 401; nothing changes."""
    before = site.office.log.head()
    body = {"kind": "holiday", "name_vi": "x", "legal_basis": "x"}
    assert post(site, "/calendar/2027-03-04", body, token=TOKEN).status_code == 403
    assert post(site, "/calendar/2027-03-04", body, token="nobody").status_code == 401
    assert site.office.log.head() == before


def test_the_document_tells_the_truth(site: Site, database: Database) -> None:
    """Generated requests: no server error, bad ones refused, answers as documented."""
    project(site, database)
    login = {"Authorization": f"Bearer {EDITOR_TOKEN}"}
    known = {"about": "CT", "code": "2.000635", "day": "2027-04-05"}
    seen = check_openapi(site.app, login, known=known, examples=8, under="/catalogue")
    assert any(status == 200 for _, status in seen)
