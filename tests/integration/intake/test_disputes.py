# SPDX-License-Identifier: Apache-2.0
"""From a one-stop system that says no, or nothing, to the office's worklist and off it again."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from services.common.errors import Unavailable
from services.common.messaging.projector import Projector
from services.common.messaging.reactor_runner import Outcome, ReactorRunner
from services.intake.bootstrap import bootstrap
from services.intake.projections.dossier import DossierProjection
from tests.integration.intake.test_office_api import LOGIN, TOKEN, Site, config_of
from tests.support.database import Database
from tests.support.offices import HandClock, Office
from tests.support.sandboxes import SESSION, OneStopProcess, one_stop_in


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[OneStopProcess]:
    """A one-stop system of its own."""
    with one_stop_in(tmp_path) as process:
        yield process


@pytest.fixture(params=["", "VT"], ids=["2020", "2026"])
def site(
    database: Database, sandbox: OneStopProcess, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Site]:
    """Intake, wired as in service, with office VT on one generation or the other."""
    officials = tmp_path / "officials.json"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    officials.write_text(json.dumps({digest: {"id": "cb001", "name": "An", "office": "VT"}}))
    config = replace(
        config_of(database, str(officials)), one_stop_url=sandbox.url,
        second_offices=tuple(request.param.split()), second_url=sandbox.url,
        second_client="motcua247", second_secret=SESSION,
    )  # fmt: skip
    intake = bootstrap(config)
    intake.runtime.open(serve_health=False)
    logs: dict[str, object] = {}
    keys = database.keys("motcua_kiosk_sync")
    clock = HandClock(intake.runtime.clock.now())
    office = Office(lambda role: logs.setdefault(role, database.log(role)), keys, clock)  # type: ignore[arg-type, return-value]
    yield Site(intake, office)
    intake.runtime.close()
    for part in (*logs.values(), keys):
        part.close()  # type: ignore[attr-defined]


def disputed(site: Site, database: Database) -> list[str]:
    """Return the dossiers of the conflict queue."""
    projector = Projector(
        DossierProjection(), site.office.log, site.office.clock,
        database_url=database.url_for("motcua_intake"),
    )  # fmt: skip
    with psycopg.connect(database.url_for("motcua_intake"), autocommit=True) as connection:
        projector.catch_up(connection)
    queue = site.get("/dossiers?disputed=true&limit=200").get_json()["dossiers"]
    return [row["dossier"] for row in queue]


def test_a_refusal_goes_to_the_office_and_an_outage_does_not(
    site: Site, sandbox: OneStopProcess, database: Database
) -> None:
    """Down, then garbled, then no: only the no is the office's, until an official settles it."""
    dossier, quiet = site.registered(), site.registered()
    name = "intake.one_stop_2026" if site.intake.config.second_offices else "intake.one_stop"
    (reactor,) = [one for one in site.intake.reactors if one.name == name]
    push = ReactorRunner(reactor, site.intake.runtime.recorder, site.office.clock)
    assert site.accept(dossier).status_code == 200
    accepted = site.office.newest("dossier.accepted")
    for fault in ({"down_s": 600}, {"down_s": 0, "wrong": 1}):
        sandbox.control("faults", **fault)
        with pytest.raises(Unavailable):
            push.handle(accepted)
    assert dossier not in disputed(site, database)
    sandbox.control("faults", refuse=1)
    assert push.handle(accepted) is Outcome.HANDLED
    assert site.accept(quiet).status_code == 200
    assert push.handle(site.office.newest("dossier.accepted")) is Outcome.HANDLED
    queue = disputed(site, database)
    assert dossier in queue
    assert quiet not in queue
    answer = site.client.post(
        f"/office/v1/dossiers/{dossier}/resolve-report",
        json={"event": str(accepted.event_id), "reason": "Đã sửa ở phần mềm một cửa"},
        headers={**LOGIN, "Idempotency-Key": str(uuid.uuid4())},
    )
    assert answer.status_code == 200, answer.get_json()
    assert dossier not in disputed(site, database)
