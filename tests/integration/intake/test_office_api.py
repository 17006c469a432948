# SPDX-License-Identifier: Apache-2.0
"""The officials' API over a real log: what is answered, and that bad input changes nothing."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from infra.local.system import free_port
from services.intake.bootstrap import bootstrap
from services.intake.web.server import make_app
from services.intake.web.verbs import VERBS
from tests.support.database import Database
from tests.support.intake_site import (
    LOGIN,
    OTHER_TOKEN,
    TOKEN,
    Site,
    config_of,
    intake_site,
    problem_of,
    project,
)
from tests.support.openapi import check_openapi


@pytest.fixture(scope="module")
def site(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One application for the module; every test makes its own dossiers."""
    with intake_site(database, tmp_path_factory.mktemp("intake")) as opened:
        yield opened


def test_acceptance(site: Site) -> None:
    """An official accepts a paid dossier; the same key again gets the same answer."""
    dossier, key, request_id = site.registered(), str(uuid.uuid4()), str(uuid.uuid4())
    first, again = site.accept(dossier, key=key), site.accept(dossier, key=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.get_json() == again.get_json()
    assert first.get_json()["status"] == 2
    assert first.get_json()["code"].startswith("H30.12-")
    assert site.office.story(dossier) == ["dossier.registered", "dossier.accepted"]
    assert (
        site.get(f"/dossiers/{dossier}", **{"X-Request-Id": request_id}).headers["X-Request-Id"]
        == request_id
    )
    problem_of(site.accept(dossier), 409, "wrong_status")
    other = site.registered()
    problem_of(site.accept(other, key=key), 409, "idempotency_key_reused")
    assert site.office.story(other) == ["dossier.registered"]


def test_the_request_is_the_correlation(site: Site) -> None:
    """The caller's X-Request-Id becomes the correlation id of the events; garbage does not."""
    dossier, request_id = site.registered(), str(uuid.uuid4())
    headers = {**LOGIN, "Idempotency-Key": str(uuid.uuid4()), "X-Request-Id": request_id}
    url = f"/office/v1/dossiers/{dossier}/accept"
    assert site.client.post(url, json={}, headers=headers).status_code == 200
    event = site.office.log.read_stream(f"dossier-{dossier}")[-1]
    assert event.correlation_id == request_id
    assert event.meta["actor"] == "official:cb001"
    assert uuid.UUID(site.get("/dossiers", **{"X-Request-Id": "x"}).headers["X-Request-Id"])


@pytest.mark.parametrize("key", [None, "7", "not-a-uuid", "Ắ"])
def test_a_missing_or_bad_key(site: Site, key: str | None) -> None:
    """A command without a UUID as key is refused, naming the header; nothing happens."""
    dossier = site.registered()
    assert problem_of(site.accept(dossier, key=key), 422, "invalid") == ["Idempotency-Key"]
    assert site.office.story(dossier) == ["dossier.registered"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_request"),
        (b"\xff", "application/json", 400, "bad_request"),
        (b"", "application/json", 400, "bad_request"),
        (b"[]", "application/json", 422, "invalid"),
        (b"null", "application/json", 422, "invalid"),
        (b'{"code": "H30.12-1"}', "application/json", 422, "invalid"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"", "", 415, "unsupported_media_type"),
        (b"[" * 100_000, "application/json", 400, "bad_request"),
        (b" " * 1_200_000, "application/json", 413, "too_large"),
    ],
)
def test_bad_bodies(site: Site, body: bytes, content_type: str, status: int, code: str) -> None:
    """A body that is not the empty object is refused in the error's own shape; nothing happens."""
    dossier = site.registered()
    headers = {**LOGIN, "Idempotency-Key": str(uuid.uuid4())}
    response = site.client.post(
        f"/office/v1/dossiers/{dossier}/accept", data=body, content_type=content_type,
        headers=headers,
    )  # fmt: skip
    problem_of(response, status, code)
    assert site.office.story(dossier) == ["dossier.registered"]


def test_the_wrong_field_is_named(site: Site) -> None:
    """Unknown fields in body and query are refused by name."""
    dossier = site.registered()
    assert problem_of(site.accept(dossier, body={"x": 1}), 422, "invalid") == ["json.x"]
    for query, field in (
        ("statis=1", "query.statis"), ("status=0", "query.status"), ("status=x", "query.status"),
        ("limit=201", "query.limit"), ("limit=", "query.limit"),
    ):  # fmt: skip
        assert problem_of(site.get(f"/dossiers?{query}"), 422, "invalid") == [field], query


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer khác"],
)
def test_nobody_gets_in_without_a_token(site: Site, header: str) -> None:
    """Without a known bearer token every route answers 401 and says how to log in."""
    dossier = site.registered()
    base = f"/office/v1/dossiers/{dossier}"
    headers = {"Authorization": header, "Idempotency-Key": str(uuid.uuid4())}
    answers = [
        site.client.get(path, headers=headers)
        for path in ("/office/v1/dossiers", base, f"{base}/timeline")
    ]
    answers.append(site.client.post(f"{base}/accept", json={}, headers=headers))
    for answer in answers:
        problem_of(answer, 401, "not_authenticated")
        assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
    assert site.office.story(dossier) == ["dossier.registered"]


def test_refusals(site: Site) -> None:
    """Unpaid, another office's and unknown dossiers are refused with their codes."""
    unpaid, paid = site.registered(paid=False), site.registered()
    problem_of(site.accept(unpaid), 409, "fee_unpaid")
    assert problem_of(site.accept(paid, token=OTHER_TOKEN), 409, "other_office") == ["dossier"]
    problem_of(site.accept(str(uuid.uuid4())), 409, "not_registered")
    for dossier in (unpaid, paid):
        assert site.office.story(dossier) == ["dossier.registered"]


def test_what_is_not_there(site: Site) -> None:
    """Unknown dossiers and paths are 404; a wrong method is 405 and names the right ones."""
    unknown = uuid.uuid4()
    problem_of(site.get(f"/dossiers/{unknown}"), 404, "not_registered")
    problem_of(site.get(f"/dossiers/{unknown}/timeline"), 404, "not_registered")
    problem_of(site.get("/dossiers/7"), 404, "not_found")
    response = site.client.delete("/office/v1/dossiers", headers=LOGIN)
    problem_of(response, 405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]


def test_timeline_has_no_personal_data(site: Site) -> None:
    """The timeline shows every service's events in order, and no name or number of a person."""
    dossier = site.registered()
    site.accept(dossier)
    response = site.get(f"/dossiers/{dossier}/timeline")
    types = [event["type"] for event in response.get_json()["events"]]
    assert types == [
        "kiosk.dossier_deposited", "dossier.registered", "payment.settled", "dossier.accepted",
        "office.code_assigned",
    ]  # fmt: skip
    for secret in ("Nguyễn", "912345678"):
        assert secret not in response.get_data(as_text=True)


def test_the_work_queue(site: Site, database: Database) -> None:
    """The read model shows registered and accepted dossiers, oldest first, by status and page."""
    first, second = site.registered(), site.registered()
    code = site.accept(second).get_json()["code"]
    project(site, database)
    waiting = [row["dossier"] for row in site.get("/dossiers?status=1").get_json()["dossiers"]]
    accepted = site.get("/dossiers?status=2&limit=200").get_json()["dossiers"]
    assert first in waiting
    assert second not in waiting
    assert {"dossier": second, "code": code}.items() <= accepted[-1].items()
    assert len(site.get("/dossiers?limit=1").get_json()["dossiers"]) == 1


def test_answers_are_not_kept_by_browsers(site: Site) -> None:
    """Every answer, errors too, forbids sniffing, framing and storing."""
    for path in ("/dossiers", "/nothing"):
        headers = site.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_another_offices_dossiers_are_not_there(site: Site, database: Database) -> None:
    """Neither one by one, nor its story, nor in the queue."""
    dossier = site.registered()
    project(site, database)
    other = {"Authorization": f"Bearer {OTHER_TOKEN}"}
    for path in (f"/dossiers/{dossier}", f"/dossiers/{dossier}/timeline"):
        assert site.get(path).status_code == 200
        problem_of(site.get(path, **other), 404, "not_registered")
    mine, theirs = site.get("/dossiers?limit=200"), site.get("/dossiers?limit=200", **other)
    assert dossier in {row["dossier"] for row in mine.get_json()["dossiers"]}
    assert theirs.get_json() == {"dossiers": []}


def test_the_document_is_true(site: Site, database: Database) -> None:
    """Generated good and bad requests get what the OpenAPI document promises, never a 5xx."""
    project(site, database)
    seen = check_openapi(site.app, LOGIN, known={"dossier": site.registered()},
                         under="/office/v1/dossiers")  # fmt: skip
    operations = {operation for operation, _ in seen}
    assert len(operations) == 3 + len(VERBS)
    understood = {operation for operation, status in seen if status in {200, 409}}
    assert understood == operations, seen
    assert ("GET /office/v1/dossiers", 422) in seen


def test_the_log_is_down(database: Database, tmp_path: Path) -> None:
    """Without a database a request gets 503 and when to ask again, not a stack trace."""
    officials = tmp_path / "officials.json"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    officials.write_text(json.dumps({digest: {"id": "cb001", "name": "An", "office": "VT"}}))
    config = config_of(database, str(officials))
    nowhere = f"postgresql://motcua_intake@127.0.0.1:{free_port()}/gone"
    intake = bootstrap(replace(config, core=replace(config.core, database_url=nowhere)))
    client = make_app(intake).test_client()
    response = client.get(f"/office/v1/dossiers/{uuid.uuid4()}", headers=LOGIN)
    problem_of(response, 503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0
    intake.runtime.close()


def do(site: Site, dossier: str, verb: str, **words: object) -> TestResponse:
    """Let the official do something."""
    headers = {**LOGIN, "Idempotency-Key": str(uuid.uuid4())}
    return site.client.post(f"/office/v1/dossiers/{dossier}/{verb}", json=words, headers=headers)


def test_papers_are_missing_and_come(site: Site) -> None:
    """Opened, asked for before acceptance, complete: code and due time come with the papers."""
    dossier = site.registered()
    assert do(site, dossier, "open", differences=["Thiếu bản sao"]).get_json()["opened"]
    asked = do(site, dossier, "request-supplement", reasons=["Thiếu bản sao căn cước"])
    assert (asked.get_json()["status"], asked.get_json()["code"]) == (5, "")
    problem_of(do(site, dossier, "request-supplement", reasons=["Còn thiếu"]), 409, "wrong_status")
    received = do(site, dossier, "receive-supplement").get_json()
    assert received["status"] == 4
    assert received["code"].startswith("H30.12-")
    assert received["due_at"]


def test_every_way_through_the_office(site: Site) -> None:
    """Started, rescheduled once, further fee, result at the counter, reversed, given again."""
    dossier = site.registered()
    assert site.accept(dossier).status_code == 200
    assert do(site, dossier, "start", agency="Phòng Tư pháp").get_json()["status"] == 4
    moved = do(site, dossier, "reschedule", due_on="2026-12-31", reason="Chờ xác minh")
    assert moved.get_json()["due_at"].startswith("2026-12-31T17:00")
    again = do(site, dossier, "reschedule", due_on="2027-01-04", reason="Chờ xác minh")
    problem_of(again, 409, "already_rescheduled")
    words = {"result_number": "KQ-1", "return_channel": "counter"}
    assert do(site, dossier, "complete", **words).get_json()["status"] == 9
    assert (
        do(site, dossier, "return", channel="counter", proof="Ký nhận").get_json()["status"] == 10
    )
    assert do(site, dossier, "reverse-return", reason="Giao nhầm").get_json()["status"] == 9
    assert do(site, dossier, "return", channel="post", proof="EMS 1").get_json()["status"] == 10


@pytest.mark.parametrize(
    ("verb", "words", "field"),
    [
        ("refuse", {}, "reason"),
        ("refuse", {"reason": "  "}, "reason"),
        ("request-supplement", {"reasons": []}, "reasons"),
        ("request-supplement", {"reasons": ["x"], "respond_by": "soon"}, "respond_by"),
        ("ask-fee", {"le_phi_vnd": -1, "reason": "x"}, "le_phi_vnd"),
        ("reschedule", {"due_on": "2026-13-01", "reason": "x"}, "due_on"),
        ("complete", {"result_number": "1", "return_channel": "drone"}, "return_channel"),
        ("return", {"channel": "kiosk", "proof": "x"}, "channel"),
        ("resolve-report", {"event": "x", "reason": "x"}, "event"),
        ("accept", {"surprise": 1}, "surprise"),
    ],
)
def test_words_that_make_no_sense(
    site: Site, verb: str, words: dict[str, object], field: str
) -> None:
    """Each bad word is refused by its field's name; nothing happens."""
    dossier = site.registered()
    assert f"json.{field}" in {
        ".".join(name.split(".")[:2])
        for name in problem_of(do(site, dossier, verb, **words), 422, "invalid")
    }
    assert site.office.story(dossier) == ["dossier.registered"]


def test_nothing_due_and_days_off(site: Site) -> None:
    """A fee of 0 and a new date on a Sunday or before the old one are refused by field."""
    dossier = site.registered()
    site.accept(dossier)
    do(site, dossier, "start", agency="Phòng Tư pháp")
    assert problem_of(do(site, dossier, "ask-fee", reason="x"), 409, "nothing_due") == ["phi_vnd"]
    for day, code in (
        ("2026-12-27", "not_a_working_day"),
        ("2026-11-16", "not_near"),
        ("9999-12-31", "not_near"),
    ):
        moved = do(site, dossier, "reschedule", due_on=day, reason="x")
        assert problem_of(moved, 409, code) == ["due_on"]
