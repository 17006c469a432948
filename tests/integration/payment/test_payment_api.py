# SPDX-License-Identifier: Apache-2.0
"""Payment's HTTP API over a real log: what banks and the finance office may do, and bad input."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.common.canonical import Json
from services.common.eventlog.recording import Cause, Change, Fact
from services.common.messaging.reactor_runner import ReactorRunner
from services.common.runtime import CoreConfig
from services.payment.adapters.payos import sign
from services.payment.application.worklists import WORKLISTS
from services.payment.bootstrap import PaymentService, bootstrap
from services.payment.config import Config
from services.payment.web.bank_credits import ACTS
from services.payment.web.server import make_app
from tests.support.database import KEK, LOG_ID, Database
from tests.support.offices import SERVICE_KEY, HandClock
from tests.support.openapi import check_openapi

NOBODY = "00000000-0000-4000-8000-000000000000"
TOKEN = "an-official-of-the-finance-office"
LOGIN = {"Authorization": f"Bearer {TOKEN}"}
CHECKSUM_KEY = "a-checksum-key-of-the-bank"
CALLBACK = "/payment/v1/callbacks/payos"


class Site:
    """The application with its log."""

    def __init__(self, service: PaymentService) -> None:
        self.service = service
        self.app = make_app(service)
        self.client: FlaskClient = self.app.test_client()
        self.log = service.runtime.log
        self.runner = ReactorRunner(service.reactors[0], service.runtime.recorder, HandClock())

    def call(self, data: dict[str, Json], **change: Json) -> TestResponse:
        """Notify as the bank does; ``change`` comes after the signature."""
        body = {"code": "00", "desc": "success", "success": True, "data": {**data, **change},
                "signature": sign(data, CHECKSUM_KEY)}  # type: ignore[arg-type]  # fmt: skip
        return self.client.post(CALLBACK, json=body)

    def react(self) -> None:
        """Let the reactor handle the newest event."""
        self.runner.handle(self.log.read_positions([self.log.head()])[0])


def transfer(amount: int = 8000, text: str = "CT tu 0123 TTHC") -> dict[str, Json]:
    """Return what a bank tells about one transfer."""
    return {
        "orderCode": 123, "amount": amount, "description": text, "accountNumber": "12345678",
        "reference": f"FT{uuid.uuid4().hex[:12]}", "currency": "VND", "counterAccountName": None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def site(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One application for the module."""
    officials = tmp_path_factory.mktemp("payment") / "officials.json"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    entry = {digest: {"id": "tc001", "name": "Bình", "office": "VT"}}
    Path(officials).write_text(json.dumps(entry), encoding="utf-8")
    core = CoreConfig(
        service="payment", log_id=LOG_ID, database_url=database.url_for("motcua_payment"),
        keys_database_url=database.keys_url_for("motcua_payment"), amqp_url="amqp://unused/",
        service_key=SERVICE_KEY, key_encryption_key=KEK, http_host="127.0.0.1", metrics_port=0,
        log_format=None,
    )  # fmt: skip
    service = bootstrap(Config(
        core=core, http_port=0, payos_checksum_key=CHECKSUM_KEY, bank_bin="970418",
        bank_account="1234567890", officials_file=str(officials), receipt_symbol="BL",
        statement_url="http://127.0.0.1:9/", statement_interval_s=60.0,
    ))  # fmt: skip
    service.runtime.open(serve_health=False)
    yield Site(service)
    service.runtime.close()


def test_a_transfer_is_durable_when_the_bank_is_told_so(site: Site) -> None:
    """The first call records it, the same call again records nothing more and is told the same."""
    head, data = site.log.head(), transfer()
    first, again = site.call(data), site.call(data)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.get_json() == again.get_json() == {"success": True}
    assert site.log.head() == head + 1
    (event,) = site.log.read_all(head)
    assert (event.type, event.data["amount_vnd"]) == ("payment.bank_credit_received", 8000)


def test_the_same_transfer_at_the_same_time(site: Site) -> None:
    """A bank that calls five times at once is told five times that it is durable, once."""
    head, data = site.log.head(), transfer()

    def call(_place: int) -> int:
        return Site(site.service).call(data).status_code

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(call, range(5))) == [200] * 5
    assert site.log.head() == head + 1


@pytest.mark.parametrize(
    "change",
    [{"amount": 8001}, {"accountNumber": "12345679"}, {"reference": "FT0"}, {"extra": "1"},
     {"description": "TTHC K7F3Q2A9"}],
)  # fmt: skip
def test_one_changed_byte_is_refused(site: Site, change: dict[str, Json]) -> None:
    """What the bank did not sign is not money."""
    head = site.log.head()
    response = site.call(transfer(), **change)
    assert (response.status_code, response.get_json()["code"]) == (401, "not_authenticated")
    assert site.log.head() == head


def test_the_same_reference_with_another_amount_is_refused(site: Site) -> None:
    """A reference is one transfer for ever; people find the other content on their list, once."""
    data = transfer()
    assert site.call(data).status_code == 200
    head = site.log.head()
    for _ in range(2):
        other = site.call({**data, "amount": 9000})
        assert (other.status_code, other.get_json()["code"]) == (409, "idempotency_key_reused")
    assert [e.type for e in site.log.read_all(head)] == ["payment.bank_callback_conflict"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("amount", 0), ("amount", -5), ("amount", "8000"), ("amount", 10**10 + 1),
     ("reference", ""), ("reference", "with space"), ("reference", "x" * 65),
     ("reference", "FT1\n"), ("accountNumber", "12-34"), ("accountNumber", "1\n"),
     ("description", "x" * 501)],
)  # fmt: skip
def test_signed_nonsense_is_refused_by_name(site: Site, field: str, value: Json) -> None:
    """Even what is signed must make sense; the answer names the field."""
    head = site.log.head()
    response = site.call({**transfer(), field: value})
    assert response.status_code == 422
    assert field in {problem["field"] for problem in response.get_json()["problems"]}
    assert site.log.head() == head


def test_a_payment_that_failed_is_no_money(site: Site) -> None:
    """Heard, so that the bank calls no more, and not booked; money may come under it later."""
    head, data = site.log.head(), transfer()
    assert site.call({**data, "code": "01", "desc": "Giao dịch thất bại"}).status_code == 200
    assert site.log.head() == head
    assert site.call({**data, "code": "00", "desc": "Thành công"}).status_code == 200
    assert site.log.head() == head + 1


def test_a_reference_with_slashes(site: Site) -> None:
    """Banks write them; such a credit can be sent back like any other."""
    data = {**transfer(), "reference": f"MBVCB/{uuid.uuid4().hex[:8]}/return"}
    site.call(data)
    site.react()
    path = f"/payment/v1/bank-credits/payos/{data['reference']}"
    asked, approved = (
        site.client.post(
            f"{path}/{act}", json=words, headers={**LOGIN, "Idempotency-Key": str(uuid.uuid4())}
        )
        for act, words in (("return", {"reason": "Không rõ"}), ("return/approve", {}))
    )
    assert (asked.status_code, asked.get_json()["reference"]) == (200, data["reference"])
    assert (approved.status_code, approved.get_json()["code"]) == (409, "same_person")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"", "application/json", 400), (b"{", "application/json", 400),
     (b"[]", "application/json", 422), (b"{}", "application/json", 422),
     (b"{}", "text/plain", 415), (b"[" * 100_000, "application/json", 400),
     (b'{"data": {}, "signature": "' + b"x" * 2_000_000 + b'"}', "application/json", 413),
     (b'{"data": {"a": [1]}, "signature": "x"}', "application/json", 422)],
)  # fmt: skip
def test_bad_bodies(site: Site, body: bytes, kind: str, status: int) -> None:
    """Whatever is sent gets a clear answer, and nothing changes."""
    head = site.log.head()
    response = site.client.post(CALLBACK, data=body, content_type=kind)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert site.log.head() == head


@pytest.mark.parametrize("path", ["/balance", "/worklists/unmatched", f"/dossiers/{NOBODY}"])
@pytest.mark.parametrize("login", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "x"}])
def test_strangers_see_nothing(site: Site, path: str, login: dict[str, str]) -> None:
    """Questions about money need a login."""
    assert site.client.get(f"/payment/v1{path}", headers=login).status_code == 401


def test_money_without_an_owner_is_on_the_list(site: Site) -> None:
    """A transfer without a token is kept, listed and in the ledger."""
    data = transfer(amount=4321)
    site.call(data)
    site.react()
    listed = site.client.get("/payment/v1/worklists/unmatched?limit=500", headers=LOGIN).get_json()
    assert f"payos.{data['reference']}" in {row["bank_credit"] for row in listed["rows"]}
    balance = site.client.get("/payment/v1/balance", headers=LOGIN).get_json()
    assert balance["sum"] == 0
    assert balance["accounts"]["unplaced"] <= -4321
    answer = site.client.get("/payment/v1/worklists/unmatched?limit=0", headers=LOGIN)
    assert [p["field"] for p in answer.get_json()["problems"]] == ["query.limit"]
    assert site.client.get("/payment/v1/worklists/unmatched?x=1", headers=LOGIN).status_code == 422


def test_the_document_is_true(site: Site) -> None:
    """Generated good and bad requests get what the OpenAPI document promises, never a 5xx."""
    dossier = str(uuid.uuid4())
    requested = {
        "procedure": "2.000635", "procedure_version": 1, "le_phi_vnd": 8000, "phi_vnd": 0,
        "amount_vnd": 8000, "token": "K7M2QX9P", "qr": "", "machine": "VT01",
    }  # fmt: skip
    fact = Fact(type="payment.requested", data=requested, subject=dossier)
    change = Change(stream=f"payment-{dossier}", expected_version=0, facts=(fact,))
    cause = Cause(correlation_id=dossier, actor="test")
    site.service.runtime.recorder.record(
        [change], source="test", key=dossier, cause=cause, asked=None
    )
    head = site.log.head()
    seen = check_openapi(site.app, LOGIN, known={"dossier": dossier})
    operations = {operation for operation, _ in seen}
    assert len(operations) == 3 + len(WORKLISTS) + 5 + len(ACTS)
    understood = {operation for operation, status in seen if status < 400 or status == 409}
    assert operations - understood == {"POST /payment/v1/callbacks/payos"}
    assert ("GET /payment/v1/dossiers/{dossier}", 200) in seen
    assert site.log.head() == head
