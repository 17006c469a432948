# SPDX-License-Identifier: Apache-2.0
"""Who changes an event that was sealed long ago stops the sealer, at its start and while it runs."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from services.common.audit.patrol import Round
from services.common.audit.sealing import Sealing, Seals, TamperedError
from services.common.eventlog.postgres import PostgresLog
from services.common.integrity.notes import Signer
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.events import fresh, request
from tests.support.processes import Process
from tests.support.waiting import wait_until

ORIGIN = f"motcua247/{LOG_ID}/1"
SEED = bytes(range(32))
SEALS = Seals(log_id=LOG_ID, origin=ORIGIN, signer=Signer(ORIGIN, SEED))
CHANGE = "UPDATE eventlog.event SET data = data || ' '::bytea WHERE pos = 5"
UNDO = "UPDATE eventlog.event SET data = rtrim(data, ' '::bytea) WHERE pos = 5"

REHASHED = (
    "UPDATE eventlog.event SET content_hash = sha256('x'), leaf_hash ="
    " sha256('\\x00'::bytea || sha256('x') || int8send(recorded_at)) WHERE pos = 5"
)
SWAPPED = (
    "UPDATE eventlog.event AS e SET (event_id, stream, version, type, schema, subject,"
    " occurred_at, recorded_at, data, meta, content_hash, leaf_hash) = (SELECT event_id,"
    " stream, version, type, schema, subject, occurred_at, recorded_at, data, meta,"
    " content_hash, leaf_hash FROM eventlog.event AS o WHERE o.pos = 11 - e.pos)"
    " WHERE e.pos IN (5, 6)"
)


class Place:
    """A log of 1,300 sealed events, and an administrator who does what he should not."""

    def __init__(self, database: Database, log: PostgresLog, folder: Path) -> None:
        self.database, self.log, self.folder = database, log, folder

    def tamper(self, statement: str) -> None:
        with psycopg.connect(self.database.owner_url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            assert connection.execute(statement.encode()).rowcount > 0

    def sealed(self) -> int:
        with psycopg.connect(self.database.url_for("motcua_audit")) as connection:
            row = connection.execute("SELECT max(size) FROM eventlog.checkpoint").fetchone()
        return 0 if row is None else row[0]

    def walk(self) -> int:
        """Go one round as the sealer's login; returns what it came to."""
        with psycopg.connect(self.database.url_for("motcua_sealer"), autocommit=True) as connection:
            current = Round(connection, SEALS)
            while current.step():
                pass
            return current.frontier.size

    def noted(self) -> list[tuple[int, str | None]]:
        """Return events read and what was found of each round, as auditors see it."""
        with psycopg.connect(self.database.url_for("motcua_audit_web")) as connection:
            return connection.execute(
                "SELECT size, found FROM eventlog.patrol_round WHERE log_id = %s ORDER BY ended_at",
                (LOG_ID,),
            ).fetchall()

    def sealer(self) -> Process:
        key = self.folder / "seal_key"
        key.write_text(SEED.hex(), encoding="utf-8")
        environ = {
            "MOTCUA_LOG_ID": str(LOG_ID), "MOTCUA_SEAL_KEY_FILE": str(key),
            "MOTCUA_DATABASE_URL": self.database.url_for("motcua_sealer"),
            "MOTCUA_PATROL_REST_S": "1",
        }  # fmt: skip
        return Process("services.common.audit.sealer", environ, self.folder / "sealer.log")


@pytest.fixture
def place(server_url: str, tmp_path: Path) -> Iterator[Place]:
    with (
        fresh_database(server_url) as database,
        closing(database.log()) as log,
        psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as connection,
    ):
        for _ in range(13):
            log.append(request((fresh(), 0, 100)))
        sealing = Sealing(connection, SEALS)
        while sealing.step(1) is not None:
            pass
        yield Place(database, log, tmp_path)


def test_a_round_reads_everything(place: Place) -> None:
    """To the newest checkpoint and no further; nothing is read where nothing is sealed."""
    place.log.append(request((fresh(), 0, 1)))
    assert place.walk() == 1_300
    place.tamper("DELETE FROM eventlog.checkpoint")
    assert place.walk() == 0


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (CHANGE, "position 5 was changed"),
        ("UPDATE eventlog.event SET leaf_hash = sha256('x') WHERE pos = 5", "position 5"),
        ("DELETE FROM eventlog.event WHERE pos = 5", "position 5 is missing"),
        ("DELETE FROM eventlog.event WHERE pos > 1290", "position 1291 is missing"),
        (REHASHED, "position 5 was changed"),
        (SWAPPED, "first 1300 events are not those sealed"),
        ("UPDATE eventlog.checkpoint SET note = replace(note, '\n1300\n', '\n1299\n')",
         "checkpoint 1300"),
    ],
)  # fmt: skip
def test_whatever_was_changed_is_found(place: Place, statement: str, said: str) -> None:
    """Far from the edge, with every hash of the row made right again, even two rows swapped."""
    place.tamper(statement)
    with pytest.raises(TamperedError, match=said):
        place.walk()


def test_a_sealer_that_starts_signs_nothing_on_a_changed_log(place: Place) -> None:
    """Not ready, says so, and goes on by itself once the event is as it was."""
    place.tamper(CHANGE)
    place.log.append(request((fresh(), 0, 1)))
    sealer = place.sealer()
    try:
        wait_until(lambda: sealer.metric("seal_refused") == 1, what="it says so")
        assert "log as it was written" in sealer.not_ready()
        assert place.sealed() == 1_300
        place.tamper(UNDO)
        wait_until(lambda: place.sealed() == 1_301, what="it goes on")
        sealer.wait_ready()
        assert sealer.metric("seal_refused") == 0
    finally:
        sealer.end()
    assert any(
        line["event"] == "log_not_as_written" and "position 5 was changed" in line["found"]
        for line in sealer.lines()
    )


def test_a_sealer_that_runs_stops(place: Place) -> None:
    """A change behind its back is found in its next round; what comes then is not signed."""
    sealer = place.sealer()
    try:
        sealer.wait_ready()
        place.log.append(request((fresh(), 0, 1)))
        wait_until(lambda: place.sealed() == 1_301, what="sealed")
        place.tamper(CHANGE)
        wait_until(lambda: not sealer.ready(), what="it stops")
        place.log.append(request((fresh(), 0, 1)))
        told = len(sealer.lines())
        wait_until(lambda: len(sealer.lines()) >= told + 3, what="it looked again and again")
        assert place.sealed() == 1_301
        place.tamper(UNDO)
        wait_until(lambda: place.sealed() == 1_302, what="it goes on")
    finally:
        sealer.end()
    rounds = place.noted()
    bad = [found for _, found in rounds if found is not None]
    assert (len(bad), "position 5 was changed" in bad[0]) == (1, True), "noted once"
    assert rounds[0] == (1_300, None)
    assert rounds[-1][1] is None, "a round after it was mended"
