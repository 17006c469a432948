# SPDX-License-Identifier: Apache-2.0
"""Dossiers with real ciphertexts and read models: a log that verifies, restores and replays."""

import uuid
from contextlib import ExitStack, closing
from functools import cache

import psycopg

from infra.cli_upkeep import projections
from services.common import contracts
from services.common.canonical import Json
from services.common.clock import SystemClock
from services.common.eventlog.recording import Fact
from services.common.messaging.projector import Projector
from tests.support.database import Database
from tests.support.offices import MACHINE, OFFICE, HandClock, Office

ENDED = ("dossier.opened", "dossier.accepted", "dossier.completed", "dossier.returned")


def live(database: Database, dossiers: int, *, ended: int = 0) -> list[str]:
    """Hand in so many dossiers, the first ``ended`` of them to their end; returns their ids."""
    with ExitStack() as opened:

        @cache
        def log_as(role: str) -> object:
            return opened.enter_context(closing(database.log(role)))

        keys = opened.enter_context(closing(database.keys("motcua_kiosk_sync")))
        office = Office(log_as, keys, HandClock())  # type: ignore[arg-type]
        found = [office.deposit(pouch=uuid.uuid4().hex[:12]) for _ in range(dossiers)]
        for number, dossier in enumerate(found):
            add(office, "dossier.registered", dossier, office=OFFICE, machine=MACHINE)
            for kind in ENDED if number < ended else ENDED[:2]:
                add(office, kind, dossier)
    return found


def add(site: Office, kind: str, dossier: str, **data: Json) -> None:
    """Append an event like its contract's example."""
    fact = Fact(type=kind, data={**contracts.newest(kind).example(), **data}, subject=dossier)
    site._add("motcua_intake", f"dossier-{dossier}", fact)


def project(database: Database) -> None:
    """Let every read model fold what there is."""
    with (
        closing(database.log()) as log,
        psycopg.connect(database.owner_url, autocommit=True) as connection,
    ):
        for one in projections().values():
            Projector(one, log, SystemClock(), database_url=database.owner_url).catch_up(connection)
