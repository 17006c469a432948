# SPDX-License-Identifier: Apache-2.0
"""A sealed log with people in it, and the command line over it."""

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, closing

import psycopg

from services.common.audit.sealing import Sealing, Seals
from services.common.audit.subjects import Erase, erase
from services.common.clock import SystemClock
from services.common.eventlog.recording import Recorder
from services.common.integrity.notes import Signer
from tests.support.database import LOG_ID, Database
from tests.support.events import fresh, request
from tests.support.offices import SERVICE_KEY, HandClock, Office

ORIGIN = f"motcua247/{LOG_ID}/1"
SIGNER = Signer(ORIGIN, bytes(range(32)))
KEYS = [SIGNER.verifier]
SEALS = Seals(log_id=LOG_ID, origin=ORIGIN, signer=SIGNER)


def fill(database: Database, events: int) -> None:
    """Make a log with people in it, sealed every now and then."""
    with ExitStack() as opened:

        def log_as(role: str) -> object:
            return opened.enter_context(closing(database.log(role)))

        keys = opened.enter_context(closing(database.keys("motcua_kiosk_sync")))
        office = Office(log_as, keys, HandClock())  # type: ignore[arg-type]
        erased, *_ = [office.deposit(pouch=uuid.uuid4().hex[:12]) for _ in range(30)]
        eraser = opened.enter_context(closing(database.log("motcua_eraser")))
        store = opened.enter_context(closing(database.keys("motcua_eraser")))
        recorder = Recorder(eraser, store, SystemClock(), SERVICE_KEY)
        order = Erase(dossier=erased, basis="request", reference="CV-1", official="cb007")
        erase(recorder, store, order)
        log = opened.enter_context(closing(database.log()))
        seal(database)
        while (left := events - log.head()) > 0:
            log.append(request((fresh(), 0, min(left, 7)), (fresh(), 0, 3)))
            if log.head() % 5 == 0:
                seal(database)
    seal(database)


def seal(database: Database) -> None:
    """Seal everything there is."""
    with psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as connection:
        sealing = Sealing(connection, SEALS)
        while sealing.step(1_800_000_000_000_000) is not None:
            pass


def motcua(
    database: Database, *words: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line as audit, or as ``environ`` says."""
    settings = {
        "MOTCUA_DATABASE_URL": database.url_for("motcua_audit"), "MOTCUA_LOG_ID": str(LOG_ID),
        "MOTCUA_SEAL_KEY": bytes(range(32)).hex(),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "infra.motcua", *words],
        check=False, capture_output=True, text=True, timeout=60, env={**os.environ, **settings, **(environ or {})},
    )  # fmt: skip
