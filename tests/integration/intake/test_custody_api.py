# SPDX-License-Identifier: Apache-2.0
"""Custody over a real log: what lies where, cases with owner and due time, who closes them."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from werkzeug.test import TestResponse

from services.common.eventlog.recording import Cause
from services.intake.application import custody_queries as queries
from services.intake.application.cases import CloseCase, close_case, happening
from services.intake.domain.custody import MemoryShelf, apply
from services.intake.projections.custody import CustodyProjection, SqlShelf
from tests.support.database import Database
from tests.support.intake_site import LOGIN, OTHER_TOKEN, Site, intake_site, problem_of, project
from tests.support.openapi import check_openapi
from tests.support.province import Province

FOUND = {"found": "office", "found_at": "Sau tủ số 2"}


@pytest.fixture(scope="module")
def site(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One application for the module; every test loses a pouch of its own."""
    with intake_site(database, tmp_path_factory.mktemp("custody")) as opened:
        yield opened


@pytest.fixture
def lost(site: Site, database: Database) -> str:
    """The dossier whose pouch was not in the bag."""
    pouch = uuid.uuid4().hex[:8]
    dossier = site.office.deposit(pouch=pouch)
    site.runner.handle(site.office.newest("kiosk.dossier_deposited"))
    site.office.journal(
        "kiosk.bin_emptied", bin=1, staff="cb001", second_staff="cb002", pouches=[], seal=pouch
    )
    site.runner.handle(site.office.newest("kiosk.bin_emptied"))
    project(site, database, CustodyProjection())
    return dossier


def case_of(site: Site, dossier: str, query: str = "") -> dict[str, Any]:
    """Return the one case about a dossier."""
    found = site.get(f"/cases?limit=200{query}").get_json()["cases"]
    (case,) = [one for one in found if one["dossier"] == dossier]
    return dict(case)


def close(
    site: Site, case: str, body: object = None, *, key: str = "", token: str = ""
) -> TestResponse:
    """Close a case as an official."""
    login = {"Authorization": f"Bearer {token}"} if token else LOGIN
    headers = {**login, "Idempotency-Key": key or str(uuid.uuid4())}
    return site.client.post(
        f"/office/v1/cases/{case}/close", json=FOUND if body is None else body, headers=headers
    )


def test_a_missing_pouch_has_a_case(site: Site, database: Database, lost: str) -> None:
    """Listed with reason, last place, owner and due time until somebody says where it is."""
    case = case_of(site, lost)
    assert (case["because"], case["place"], case["owner"]) == ("missing_in_bag", "bin:VT01/1", "VT")
    assert case["due_at"] > case["opened_at"] - 1
    (item,) = [
        one for one in site.get("/items?place=unknown&limit=200").get_json()["items"]
        if one["dossier"] == lost
    ]  # fmt: skip
    assert (item["kind"], item["case"]) == ("pouch", case["case"])
    key = str(uuid.uuid4())
    first, again = close(site, case["case"], key=key), close(site, case["case"], key=key)
    assert (first.status_code, again.status_code) == (200, 200), first.text
    assert first.get_json() == again.get_json() == {"case": case["case"], **FOUND}
    project(site, database, CustodyProjection())
    closed = case_of(site, lost, "&closed=true")
    assert (closed["official"], closed["found_at"]) == ("cb001", "Sau tủ số 2")
    assert lost not in {one["dossier"] for one in site.get("/cases?limit=200").get_json()["cases"]}
    shelf = site.get("/items?place=office:VT/shelf&limit=200").get_json()["items"]
    assert lost in {one["dossier"] for one in shelf}


def test_what_is_refused(site: Site, lost: str) -> None:
    """Another office, an unknown case, a closed one, bad words: named, and nothing is closed."""
    case = str(case_of(site, lost)["case"])
    before = site.office.log.head()
    problem_of(close(site, case, token=OTHER_TOKEN), 409, "no_such_case")
    problem_of(close(site, f"{uuid.uuid4()}.1"), 409, "no_such_case")
    problem_of(close(site, "7"), 404, "not_found")
    for body, field in (
        ({}, "json.found"), ({**FOUND, "found": "nowhere"}, "json.found"),
        ({**FOUND, "found_at": " "}, "json.found_at"), ({**FOUND, "x": 1}, "json.x"),
        ({**FOUND, "found_at": "x" * 201}, "json.found_at"),
    ):  # fmt: skip
        assert field in problem_of(close(site, case, body), 422, "invalid")
    assert site.office.log.head() == before
    assert close(site, case).status_code == 200
    problem_of(close(site, case), 409, "case_closed")


def test_each_office_sees_its_own(site: Site, lost: str) -> None:
    """Neither cases nor things of another one; nobody without a login."""
    other = {"Authorization": f"Bearer {OTHER_TOKEN}"}
    assert site.get("/cases", **other).get_json() == {"cases": []}
    assert lost not in site.get("/items?limit=200", **other).text
    assert lost in site.get("/items?limit=200").text
    for path in ("cases", "items"):
        assert site.client.get(f"/office/v1/{path}").status_code == 401


def test_only_what_is_overdue(site: Site, lost: str) -> None:
    """A case is overdue once its time is over."""
    case = case_of(site, lost)
    assert site.get("/cases?overdue=true").get_json() == {"cases": []}
    pool = site.intake.runtime.read_models
    late = queries.cases(
        pool, office="VT", closed=False, overdue_at=case["due_at"] + 1, limit=queries.PAGE_MAX
    )
    assert case["case"] in {one["case"] for one in late}


@pytest.mark.parametrize("query", ["cases?limit=0", "cases?limit=201", "items?place=" + "x" * 65])
def test_bad_queries(site: Site, query: str) -> None:
    """Refused by name."""
    (field,) = problem_of(site.get(f"/{query}"), 422, "invalid")
    assert field.startswith("query.")


def test_the_document_is_true(site: Site) -> None:
    """Generated good and bad requests get what the OpenAPI document promises, never a 5xx."""
    for path in ("/office/v1/cases", "/office/v1/items"):
        assert check_openapi(site.app, {**LOGIN, "Idempotency-Key": str(uuid.uuid4())}, under=path)


def test_the_table_is_the_fold(database: Database) -> None:
    """After every event of a troubled day the tables hold what the fold in memory holds."""
    province = troubled_day()
    shelf, projection = MemoryShelf(), CustodyProjection()
    url = database.url_for("motcua_intake")
    with (
        psycopg.connect(url, autocommit=True) as connection,
        connection.transaction(force_rollback=True),
    ):
        connection.execute("DROP TABLE IF EXISTS intake.item, intake.item_machine")
        connection.execute("DROP TABLE IF EXISTS intake.custody_case")
        connection.execute(projection.ddl.encode())
        with connection.cursor() as cursor:
            for event in province.log.read_all(0, types=projection.types):
                apply(shelf, happening(event))
                projection.fold(cursor, event)
                kept = {key: SqlShelf(cursor).get(key) for key in shelf.items}
                assert kept == shelf.items, event.type
            rows = (
                connection.cursor(row_factory=dict_row)
                .execute(
                    'SELECT "case", closed_at, found FROM intake.custody_case ORDER BY opened_at'
                )
                .fetchall()
            )
    assert len(shelf.items) >= 6
    assert [row["found"] for row in rows].count("lost") == 1
    assert {row["closed_at"] is None for row in rows} == {True, False}


def troubled_day() -> Province:
    """Pouches missing and too many, a cell loaded twice, a result recalled, a case closed."""
    province = Province()
    first, _, third = (province.deposit(pouch=pouch) for pouch in ("P1", "P2", "P3"))
    province.office.journal(
        "kiosk.bin_emptied", bin=1, staff="cb001", second_staff="cb002", pouches=["P1", "S9"],
        seal="NP1",
    )  # fmt: skip
    province.run()
    for dossier in (first, third):
        province.pays(dossier, 8_000)
        province.does(dossier, "accept")
        province.does(dossier, "complete", result_number="1", return_channel="machine",
                      return_machine="VT01")  # fmt: skip
        province.office.load(dossier)
        province.run()
    province.clock.at += timedelta(days=1)
    opened = province.log.read_all(0, types=["office.custody_case_opened"])
    close_case(
        province.office.recorder("motcua_intake"),
        CloseCase(case=str(opened[0].data["case"]), official="cb001", office="VT", found="lost",
                  found_at="Không tìm thấy"),
        source="http:cb001", key=str(uuid.uuid4()),
        cause=Cause(correlation_id=str(uuid.uuid4()), actor="official:cb001"),
    )  # fmt: skip
    province.run()
    return province
