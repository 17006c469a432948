# SPDX-License-Identifier: Apache-2.0
"""The public look-up over a real log: no login, the same answer for wrong and unknown, limits."""

import uuid
from collections.abc import Iterator
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from services.common import lookup
from services.intake.application.status import TRIES_MAX
from tests.support.database import Database
from tests.support.intake_site import Site, intake_site, problem_of
from tests.support.openapi import check_openapi

SECRET, WRONG = "K7M2PQ9X", "K7M2PQ9Y"


@pytest.fixture(scope="module")
def site(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One application for the module; every test has a slip of its own."""
    with intake_site(database, tmp_path_factory.mktemp("status")) as opened:
        yield opened


@pytest.fixture
def slip(site: Site) -> str:
    """The code of a slip whose dossier is registered and paid."""
    dossier = str(uuid.uuid4())
    site.office.deposit(dossier, lookup=lookup.digest(SECRET, UUID(dossier)))
    site.runner.handle(site.office.newest("kiosk.dossier_deposited"))
    site.office.settle(dossier)
    return f"VT01-3-{site.office.log.stream_version('kiosk-VT01-3'):06d}"


def ask(site: Site, body: object, **more: str) -> TestResponse:
    """Ask as anybody."""
    return site.client.post("/status/v1/lookup", json=body, **more)  # type: ignore[arg-type]


def test_both_codes_and_both_languages(site: Site, slip: str) -> None:
    """With the slip's code, and later with the dossier's; nothing about a person."""
    answer = ask(site, {"code": slip, "secret": SECRET})
    assert answer.status_code == 200, answer.text
    assert answer.get_json() == {
        "status": 1, "name_vi": "mới đăng ký", "name_en": "newly registered", "due_on": None,
        "next_vi": "Bộ phận một cửa kiểm tra hồ sơ và nhắn tin cho bạn.",
        "next_en": "The office checks the dossier and sends you a message.",
    }  # fmt: skip
    assert answer.headers["Cache-Control"] == "no-store"
    dossier = str(site.office.newest("kiosk.dossier_deposited").subject)
    accepted = site.accept(dossier).get_json()
    told = ask(site, {"code": accepted["code"].lower(), "secret": SECRET.lower()}).get_json()
    assert (told["status"], told["due_on"]) == (2, accepted["due_at"][:10])


def test_wrong_and_unknown_are_the_same_document(site: Site, slip: str) -> None:
    """But for the request's id, byte for byte."""
    wrong = ask(site, {"code": slip, "secret": WRONG})
    unknown = ask(site, {"code": "VT01-3-999999", "secret": SECRET})
    for answer in (wrong, unknown):
        assert problem_of(answer, 404, "not_found") == []
    bodies = [{**answer.get_json(), "request_id": ""} for answer in (wrong, unknown)]
    assert bodies[0] == bodies[1]


def test_too_many_tries(site: Site, slip: str) -> None:
    """429 with the time to wait, in both languages."""
    for _ in range(TRIES_MAX):
        problem_of(ask(site, {"code": slip, "secret": WRONG}), 404, "not_found")
    answer = ask(site, {"code": slip, "secret": SECRET})
    assert problem_of(answer, 429, "too_many_tries") == []
    assert 0 < int(answer.headers["Retry-After"]) <= 900


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"secret": SECRET}, "json.code"),
        ({"code": "VT01-3-000001"}, "json.secret"),
        ({"code": 7, "secret": SECRET}, "json.code"),
        ({"code": "x" * 65, "secret": SECRET}, "json.code"),
        ({"code": "x", "secret": SECRET}, "code"),
        ({"code": "VT01-3-000001", "secret": "short"}, "secret"),
        ({"code": "VT01-3-000001", "secret": SECRET, "name": "An"}, "json.name"),
        ([], "json._schema"),
    ],
)
def test_bad_input_is_named(site: Site, body: object, field: str) -> None:
    """Refused by the field's name."""
    assert problem_of(ask(site, body), 422, "invalid") == [field]


def test_the_secret_never_goes_into_a_url(site: Site, slip: str) -> None:
    """There is nothing to get."""
    answer = site.client.get(f"/status/v1/lookup?code={slip}&secret={SECRET}")
    problem_of(answer, 405, "method_not_allowed")


def test_the_document_is_true(site: Site) -> None:
    """Generated good and bad requests get what the OpenAPI document promises, never a 5xx."""
    seen = check_openapi(site.app, {}, under="/status")
    assert {operation for operation, _ in seen} == {"POST /status/v1/lookup"}
