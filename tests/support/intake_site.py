# SPDX-License-Identifier: Apache-2.0
"""Intake's HTTP application over a real log, with logins of two offices and an editor."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from infra.local.system import free_port
from services.common.messaging.projector import Projection, Projector
from services.common.messaging.reactor_runner import ReactorRunner
from services.common.runtime import CoreConfig
from services.intake.bootstrap import Intake, bootstrap
from services.intake.config import Config
from services.intake.projections.dossier import DossierProjection
from services.intake.web.server import make_app
from tests.support.database import KEK, LOG_ID, Database
from tests.support.offices import SERVICE_KEY, HandClock, Office
from tests.support.sandboxes import SESSION

TOKEN, OTHER_TOKEN, EDITOR_TOKEN = (
    "token-of-an-official", "token-of-another-office", "token-of-an-editor",
)  # fmt: skip
LOGIN = {"Authorization": f"Bearer {TOKEN}"}
PROBLEM = "application/problem+json"


class Site:
    """Intake's HTTP application over a real log."""

    def __init__(self, intake: Intake, office: Office) -> None:
        self.intake, self.office = intake, office
        self.app = make_app(intake)
        self.client: FlaskClient = self.app.test_client()
        self.runner = ReactorRunner(intake.reactors[0], intake.runtime.recorder, office.clock)

    def registered(self, *, paid: bool = True) -> str:
        """Return a dossier in status 1."""
        dossier = self.office.deposit()
        self.runner.handle(self.office.newest("kiosk.dossier_deposited"))
        if paid:
            self.office.settle(dossier)
        return dossier

    def accept(
        self, dossier: str, *, key: str | None = "", body: object = None, token: str = TOKEN
    ) -> TestResponse:
        """Call the acceptance; a fresh key unless given, none for None."""
        headers = {"Authorization": f"Bearer {token}"}
        if key is not None:
            headers["Idempotency-Key"] = key or str(uuid.uuid4())
        url = f"/office/v1/dossiers/{dossier}/accept"
        return self.client.post(url, json={} if body is None else body, headers=headers)

    def get(self, path: str, **headers: str) -> TestResponse:
        """Ask as an official."""
        return self.client.get(f"/office/v1{path}", headers={**LOGIN, **headers})


@contextmanager
def intake_site(database: Database, folder: Path) -> Iterator[Site]:
    """Serve from ``database``, with the officials' file in ``folder``."""
    officials = folder / "officials.json"
    entries: dict[str, tuple[str, str, list[str]]] = {
        TOKEN: ("cb001", "VT", []), OTHER_TOKEN: ("cb900", "CT", []),
        EDITOR_TOKEN: ("bt001", "VT", ["editor"]),
    }  # fmt: skip
    text = json.dumps({
        hashlib.sha256(token.encode()).hexdigest():
            {"id": who, "name": "An", "office": office, "roles": roles}
        for token, (who, office, roles) in entries.items()
    })  # fmt: skip
    officials.write_text(text, encoding="utf-8")
    intake = bootstrap(config_of(database, str(officials)))
    intake.runtime.open(serve_health=False)
    logs: dict[str, object] = {}

    def log_as(role: str) -> object:
        return logs.setdefault(role, database.log(role))

    keys = database.keys("motcua_kiosk_sync")
    clock = HandClock(intake.runtime.clock.now())
    yield Site(intake, Office(log_as, keys, clock))  # type: ignore[arg-type]
    intake.runtime.close()
    for part in (*logs.values(), keys):
        part.close()  # type: ignore[attr-defined]


def config_of(database: Database, officials: str) -> Config:
    """Return intake's settings for a test."""
    core = CoreConfig(
        service="intake", log_id=LOG_ID, database_url=database.url_for("motcua_intake"),
        keys_database_url=database.keys_url_for("motcua_intake"), amqp_url="amqp://unused/",
        service_key=SERVICE_KEY, key_encryption_key=KEK, http_host="127.0.0.1", metrics_port=0, log_format=None,
    )  # fmt: skip
    return Config(
        core=core, http_port=0, one_stop_url=f"http://127.0.0.1:{free_port()}",
        one_stop_session=SESSION, officials_file=officials, pull_interval_s=30.0,
    )  # fmt: skip


def problem_of(response: TestResponse, status: int, code: str) -> list[str]:
    """Check a problem document; returns the fields it names."""
    assert (response.status_code, response.content_type) == (status, PROBLEM)
    body = response.get_json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail_en"]
    assert body["detail_vi"]
    assert body["request_id"] == response.headers["X-Request-Id"]
    return [found["field"] for found in body["problems"]]


def project(site: Site, database: Database, projection: Projection | None = None) -> None:
    """Fold the log into a read model of intake, dossiers unless told, as its projector does."""
    projector = Projector(
        projection or DossierProjection(), site.office.log, site.office.clock,
        database_url=database.url_for("motcua_intake"),
    )  # fmt: skip
    with psycopg.connect(database.url_for("motcua_intake"), autocommit=True) as connection:
        projector.catch_up(connection)
