# SPDX-License-Identifier: Apache-2.0
"""A generated log whose closed dossiers have nothing personal any more, sealed and archived."""

from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import psycopg

from infra.detaching import Detaching
from infra.retention import why_kept
from services.common.audit.archive import Archive
from services.common.audit.subjects import Erase, erase
from services.common.audit.verify import verify_log
from services.common.clock import SystemClock
from services.common.eventlog.recording import Recorder
from services.common.messaging.lead import Lead
from tests.support.database import LOG_ID, Database
from tests.support.events import fresh, request
from tests.support.generated import fill_generated
from tests.support.offices import SERVICE_KEY
from tests.support.partitions import narrow
from tests.support.sealed_log import KEYS, seal

LATER = SystemClock().now() + timedelta(days=2)
"""A moment at which all that is in the log is old enough for ``days=1``."""


def fill_archived(database: Database, folder: Path, events: int, width: int) -> None:
    """Fill an empty log in partitions of ``width`` and archive all that are whole."""
    narrow(database, width)
    fill_generated(database, events, seed=8)
    _erase(database)
    with closing(database.log()) as log:
        for _ in range(width // 10):
            log.append(request((fresh(), 0, 7), (fresh(), 0, 4), kind="test.happened"))
        head = log.head()
    seal(database)
    relay(database, head)
    url = database.url_for("motcua_sealer")
    with psycopg.connect(url, autocommit=True) as connection:
        archive = Archive(connection, url, LOG_ID, folder)
        assert list(archive.extend(KEYS, now_us=1, witnessed=False))


def relay(database: Database, position: int) -> None:
    """Say that everything up to a position is published."""
    with psycopg.connect(database.url_for("motcua_relay"), autocommit=True) as connection:
        Lead(connection, LOG_ID).move(position)


def detach(database: Database, folder: Path) -> Detaching:
    """Let everything leave that is over; returns what was counted."""
    with (
        psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as connection,
        closing(database.log("motcua_sealer")) as log,
    ):
        detaching = Detaching(connection, log, folder)
        for _ in detaching.run(LATER, days=1):
            pass
    return detaching


def found_by_verify(database: Database, archive: Path | None) -> list[str]:
    """Return what a full verification with the archive's folder finds."""
    with psycopg.connect(database.url_for("motcua_audit")) as connection:
        report = verify_log(connection, LOG_ID, KEYS, archive=archive)
    return [str(one) for one in report.findings]


def _erase(database: Database) -> None:
    """Erase the personal data of every closed dossier but one."""
    with ExitStack() as opened:
        log = opened.enter_context(closing(database.log("motcua_eraser")))
        keys = opened.enter_context(closing(database.keys("motcua_eraser")))
        recorder = Recorder(log, keys, SystemClock(), SERVICE_KEY)
        with psycopg.connect(database.owner_url) as connection:
            rows = connection.execute(
                "SELECT DISTINCT e.subject FROM eventlog.event AS e JOIN eventlog.event_pii"
                " USING (log_id, event_id) WHERE e.subject IS NOT NULL ORDER BY 1"
            ).fetchall()
        closed = [one for (one,) in rows if not why_kept(log, one, log.read_subject(one))]
        for dossier in closed[1:]:
            order = Erase(dossier=dossier, basis="retention", reference="R-1", official="timer")
            erase(recorder, keys, order)
