# SPDX-License-Identifier: Apache-2.0
"""Sealer and witness together: cosignatures are stored, and nothing a witness does stops sealing."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from infra.local.system import free_port
from services.common.audit.cosigning import (
    AHEAD,
    COSIGNED,
    IDLE,
    REFUSED,
    UNAVAILABLE,
    Asking,
    WitnessPlace,
    read_witnesses,
)
from services.common.audit.sealing import Sealing, Seals
from services.common.eventlog.postgres import PostgresLog
from services.common.integrity.notes import COSIGNATURE, Note, NoteError, Signer
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.events import fresh, request
from tests.support.processes import Process
from tests.support.waiting import wait_until
from tests.support.witnesses import LOG, LOG_SEED, ORIGIN, WITNESS, start_witness

SEALS = Seals(log_id=LOG_ID, origin=ORIGIN, signer=LOG)


class Place:
    """A log with its sealer's connection."""

    def __init__(
        self, database: Database, log: PostgresLog, connection: psycopg.Connection
    ) -> None:
        self.database, self.log, self.connection = database, log, connection

    def grow(self, events: int = 1) -> int:
        """Append and seal; returns the new size."""
        for _ in range(events):
            self.log.append(request((fresh(), 0, 1)))
        sealing = Sealing(self.connection, SEALS)
        while sealing.step(1) is not None:
            pass
        return sealing.frontier.size

    def cosigned(self) -> list[int]:
        """Return the cosigned sizes; every line holds."""
        rows = self.connection.execute(
            "SELECT c.size, c.note, s.line FROM eventlog.cosignature AS s"
            " JOIN eventlog.checkpoint AS c USING (log_id, size) ORDER BY 1"
        ).fetchall()
        for _, text, line in rows:
            note = Note.parse(text)
            both = Note(note.text, (*note.signatures, line))
            assert WITNESS.verifier in both.signed_by([LOG.verifier, WITNESS.verifier])
        return [row[0] for row in rows]


@pytest.fixture
def place(server_url: str) -> Iterator[Place]:
    with (
        fresh_database(server_url) as database,
        closing(database.log()) as log,
        psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as connection,
    ):
        yield Place(database, log, connection)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Callable[[str], WitnessPlace]]:
    started: list[Process] = []

    def start(memory: str) -> WitnessPlace:
        process, url = start_witness(tmp_path, tmp_path / memory)
        started.append(process)
        process.wait_ready()
        return WitnessPlace(url, WITNESS.verifier)

    yield start
    for process in started:
        process.end()


Start = Callable[[str], WitnessPlace]


def test_each_newest_checkpoint_is_cosigned_once(place: Place, witness: Start) -> None:
    """Over tile borders too; whoever begins anew, here or there, finds its place again."""
    at = witness("one.db")
    asking = Asking(place.connection, LOG_ID, at)
    assert asking.step() == IDLE
    sizes = []
    for events in (1, 2, 300, 1):
        sizes.append(place.grow(events))
        assert (asking.step(), asking.step()) == (COSIGNED, IDLE)
    sizes.append(place.grow())
    again = Asking(place.connection, LOG_ID, at)
    assert (again.step(), again.step()) == (COSIGNED, IDLE)
    assert place.cosigned() == sizes
    sizes.append(place.grow())
    assert Asking(place.connection, LOG_ID, witness("another.db")).step() == COSIGNED
    sizes.append(place.grow())
    assert asking.step() == COSIGNED
    assert place.cosigned() == sizes


def test_a_log_that_lost_events_is_found_out(server_url: str, place: Place, witness: Start) -> None:
    """The witness has seen more, or something else; nothing is stored, and it is said."""
    at = witness("one.db")
    place.grow(5)
    assert Asking(place.connection, LOG_ID, at).step() == COSIGNED
    with (
        fresh_database(server_url) as restored,
        closing(restored.log()) as log,
        psycopg.connect(restored.url_for("motcua_sealer"), autocommit=True) as connection,
    ):
        shorter = Place(restored, log, connection)
        shorter.grow(3)
        assert Asking(connection, LOG_ID, at).step() == AHEAD
        shorter.grow(2)
        assert Asking(connection, LOG_ID, at).step() == REFUSED
        shorter.grow(2)
        assert Asking(connection, LOG_ID, at).step() == REFUSED
        assert shorter.cosigned() == []


def test_a_witness_that_is_down_changes_nothing(place: Place) -> None:
    """Not even a moment of sealing."""
    place.grow()
    nowhere = WitnessPlace(f"http://127.0.0.1:{free_port()}", WITNESS.verifier)
    asking = Asking(place.connection, LOG_ID, nowhere)
    assert (asking.step(), asking.step()) == (UNAVAILABLE, UNAVAILABLE)
    assert place.grow() == 2
    assert place.cosigned() == []


def test_the_sealer_s_process_asks(place: Place, witness: Start, tmp_path: Path) -> None:
    """Configured with a witness and with one that is down, it seals and gets cosignatures."""
    key, at = tmp_path / "seal_key", witness("one.db")
    key.write_text(LOG_SEED.hex(), encoding="utf-8")
    gone = Signer("gone.example", bytes(range(7, 39)), COSIGNATURE).verifier
    sealer = Process(
        "services.common.audit.sealer",
        {
            "MOTCUA_LOG_ID": str(LOG_ID),
            "MOTCUA_DATABASE_URL": place.database.url_for("motcua_sealer"),
            "MOTCUA_SEAL_KEY_FILE": str(key),
            "MOTCUA_WITNESSES": f"http://127.0.0.1:{free_port()} {gone}\n{at.url} {at.key}\n",
        },
        tmp_path / "sealer.log",
    )
    try:
        sealer.wait_ready()
        place.log.append(request((fresh(), 0, 3)))
        wait_until(lambda: place.cosigned() == [3], what="a cosignature")
        place.log.append(request((fresh(), 0, 1)))
        wait_until(lambda: 4 in place.cosigned(), what="the next one")
        assert sealer.metric("cosign_total") >= 2
        assert sealer.stop()[0] == 0
    finally:
        sealer.end()
    assert "cosigning_refused" not in json.dumps(sealer.lines())


@pytest.mark.parametrize(
    "text", ["x", "http://a", f"ftp://a {WITNESS.verifier}", f"http://a {LOG.verifier}"]
)
def test_what_is_no_witness(text: str) -> None:
    """Refused at start."""
    with pytest.raises(NoteError):
        read_witnesses(text)
    assert read_witnesses(f"\nhttp://a/ {WITNESS.verifier}\n") == (
        WitnessPlace("http://a", WITNESS.verifier),
    )
