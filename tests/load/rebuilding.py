# SPDX-License-Identifier: Apache-2.0
"""Rebuilding a read model: beside the one that serves, in bulk, against a transaction an event.

The peer does what libraries' projection runners do by default: for every event its rows and its
checkpoint in one transaction, on a prefix of the log long enough for a steady rate. It is handed its
events ready made, so only folding and committing is inside its measure; ours reads, folds, copies,
makes indexes and exchanges the tables.
"""

import statistics
import time
from itertools import islice

import psycopg

from services.common.eventlog.bulk import BulkReader, Selection
from services.common.messaging.projector import prepare_checkpoints
from services.common.messaging.rebuild import Rebuild
from services.intake.projections.dossier import DossierProjection
from tests.load.made import made_log
from tests.load.report import Entry, Scale
from tests.support.database import LOG_ID, Database

TARGET = 100.0
PEER_EVENTS = 2_000
ROLE = "motcua_intake"


def rows(scale: Scale) -> list[Entry]:
    """Measure in turn; a rate counts the events that the read model folds, on both sides."""
    projection = DossierProjection()
    with made_log(scale.events) as database:
        reader = BulkReader(database.url_for("motcua_audit"), LOG_ID)
        folded = sum(1 for _ in reader.read(Selection(types=projection.types)))
        pairs = []
        for _ in range(scale.rounds):
            slow = _peer(database, projection, reader)
            began = time.monotonic()
            Rebuild(projection, database.url_for(ROLE), LOG_ID).run()
            pairs.append((folded / (time.monotonic() - began), slow))
    ours, peer = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    name = f"rebuild of {projection.name}"
    return [Entry(name, ours, peer, ours / peer, TARGET, "events folded/s")]


def _peer(database: Database, projection: DossierProjection, reader: BulkReader) -> float:
    selection = Selection(types=projection.types)
    events = list(islice(reader.read(selection), PEER_EVENTS))
    with psycopg.connect(database.url_for(ROLE), autocommit=True) as connection:
        with connection.transaction(), connection.cursor() as cursor:
            prepare_checkpoints(cursor, "intake")
            cursor.execute("DELETE FROM intake.projection WHERE name = %s", (projection.name,))
            cursor.execute("DROP TABLE IF EXISTS intake.dossier")
            cursor.execute(projection.ddl.encode())
            cursor.execute(
                "INSERT INTO intake.projection VALUES (%s, %s, 0)",
                (projection.name, projection.version),
            )
        began = time.monotonic()
        for event in events:
            with connection.transaction(), connection.cursor() as cursor:
                projection.fold(cursor, event)
                cursor.execute(
                    "UPDATE intake.projection SET pos = %s WHERE name = %s",
                    (event.position, projection.name),
                )
        return len(events) / (time.monotonic() - began)
