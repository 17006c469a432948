# SPDX-License-Identifier: Apache-2.0
"""The sealer over a real log: what it signs, that it rests, and that it signs nothing false."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg
import pytest
from pymerkle import InmemoryTree

from services.common.audit.sealing import Sealing, Seals, SqlTree, TamperedError
from services.common.eventlog.migrate import LOGINS
from services.common.eventlog.postgres import PostgresLog
from services.common.integrity.merkle import check_consistency, consistency_proof, root_of
from services.common.integrity.notes import Checkpoint, Signer, VerifierKey, open_checkpoint
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.events import fresh, request
from tests.support.waiting import wait_until

ORIGIN = f"motcua247/{LOG_ID}/1"
SIGNER, FOLLOWING = Signer(ORIGIN, bytes(range(32))), Signer(ORIGIN, bytes(range(1, 33)))
SEALS = Seals(log_id=LOG_ID, origin=ORIGIN, signer=SIGNER)
NOW_US = 1_800_000_000_000_000


class Place:
    """A log, its sealer, and an administrator who does what he should not."""

    def __init__(self, database: Database, log: PostgresLog) -> None:
        self.database, self.log = database, log

    def append(self, events: int) -> None:
        """Append events on new streams."""
        while events:
            each = min(events, 100)
            self.log.append(request((fresh(), 0, each)))
            events -= each

    @contextmanager
    def sealing(self, seals: Seals = SEALS) -> Iterator[Sealing]:
        """Seal as the sealer's login."""
        with psycopg.connect(self.database.url_for("motcua_sealer"), autocommit=True) as connection:
            yield Sealing(connection, seals)

    def seal(self, seals: Seals = SEALS) -> int:
        """Seal everything; returns how many checkpoints that took."""
        with self.sealing(seals) as sealing:
            steps = 0
            while sealing.step(NOW_US) is not None:
                steps += 1
            return steps

    def checkpoints(self, *keys: VerifierKey) -> list[Checkpoint]:
        """Return every checkpoint, opened with these keys."""
        with psycopg.connect(self.database.url_for("motcua_audit")) as connection:
            rows = connection.execute("SELECT note FROM eventlog.checkpoint ORDER BY size")
            return [open_checkpoint(row[0], keys or (SIGNER.verifier,))[0] for row in rows]

    def tamper(self, statement: str) -> None:
        """Change something as the administrator, behind every trigger."""
        with psycopg.connect(self.database.owner_url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            assert connection.execute(statement.encode()).rowcount > 0


@pytest.fixture
def place(server_url: str) -> Iterator[Place]:
    """A log of its own."""
    with fresh_database(server_url) as database, closing(database.log()) as log:
        yield Place(database, log)


def test_every_event_is_under_a_checkpoint(place: Place) -> None:
    """Roots as another implementation has them; each checkpoint grows from the one before."""
    place.append(1_300)
    assert place.seal() == 2
    place.append(257)
    assert place.seal() == 1
    assert place.seal() == 0, "it rests while the log rests"
    leaves = [event.leaf_hash for event in place.log.read_all(0, limit=5_000)]
    theirs = InmemoryTree(algorithm="sha256")
    theirs.append_entries([
        event.content_hash + event.recorded_at_us.to_bytes(8)
        for event in place.log.read_all(0, limit=5_000)
    ])  # fmt: skip
    heads = place.checkpoints()
    assert [head.size for head in heads] == [1_000, 1_300, 1_557]
    assert {head.origin for head in heads} == {ORIGIN}
    for head in heads:
        assert head.root == root_of(leaves[: head.size]) == theirs.get_root(head.size)
    with psycopg.connect(place.database.url_for("motcua_audit"), autocommit=True) as connection:
        read = SqlTree(connection, LOG_ID).read
        proof = consistency_proof(1_000, 1_557, read)
        check_consistency(1_000, 1_557, proof, heads[0].root, heads[2].root)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE eventlog.event SET data = data || ' '::bytea WHERE pos = 5", "position 5 was"),
        ("UPDATE eventlog.event SET recorded_at = recorded_at + 1 WHERE pos = 5", "position 5"),
        ("UPDATE eventlog.event SET subject = 'x' WHERE pos = 5", "position 5 was changed"),
        ("UPDATE eventlog.event SET leaf_hash = sha256('x') WHERE pos = 5", "position 5"),
        ("DELETE FROM eventlog.event WHERE pos = 5", "position 5 is missing"),
    ],
)  # fmt: skip
def test_what_was_changed_is_not_sealed(place: Place, statement: str, said: str) -> None:
    """Found before it is signed, and named; nothing is signed from then on."""
    place.append(20)
    place.tamper(statement)
    with pytest.raises(TamperedError, match=said):
        place.seal()
    assert place.checkpoints() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE eventlog.event SET leaf_hash = sha256('x') WHERE pos = 300",
        "DELETE FROM eventlog.event WHERE pos = 300",
        "UPDATE eventlog.tree_node SET hash = sha256('x')",
        "DELETE FROM eventlog.tree_node",
        "UPDATE eventlog.checkpoint SET note = replace(note, '\n300\n', '\n299\n')",
        "DELETE FROM eventlog.event WHERE pos > 290",
    ],
)
def test_what_was_sealed_may_not_change(place: Place, statement: str) -> None:
    """A sealer that starts checks the last checkpoint against what stands there now."""
    place.append(300)
    place.seal()
    place.tamper(statement)
    with pytest.raises(TamperedError):
        place.seal()


def test_another_key_or_log_is_not_continued(place: Place) -> None:
    """A checkpoint of another key, and that of another epoch."""
    place.append(10)
    place.seal()
    with pytest.raises(TamperedError, match="trusted"):
        place.seal(Seals(log_id=LOG_ID, origin=ORIGIN, signer=FOLLOWING))
    with pytest.raises(TamperedError):
        place.seal(Seals(log_id=LOG_ID, origin=f"{ORIGIN}0", signer=SIGNER))


def test_keys_follow_one_another(place: Place) -> None:
    """The old key vouches for the new one and both sign; then the new one goes on alone."""
    place.append(10)
    place.seal()
    place.append(10)
    place.seal(Seals(log_id=LOG_ID, origin=ORIGIN, signer=SIGNER, following=FOLLOWING))
    place.append(10)
    place.seal(Seals(log_id=LOG_ID, origin=ORIGIN, signer=FOLLOWING))
    first, both, _ = place.checkpoints(SIGNER.verifier, FOLLOWING.verifier)
    assert first.next_keys() == []
    assert both.next_keys() == [FOLLOWING.verifier]


@pytest.mark.parametrize("table", ["tree_node", "checkpoint", "cosignature", "patrol_round"])
def test_nobody_takes_a_seal_back(place: Place, table: str) -> None:
    """No login changes or removes one, the sealer adds, all others only read."""
    for role in LOGINS:
        with psycopg.connect(place.database.url_for(role), autocommit=True) as connection:
            for change in ("UPDATE eventlog.{} SET log_id = 1", "DELETE FROM eventlog.{}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(change.format(table).encode())
            if role != "motcua_sealer":
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"INSERT INTO eventlog.{table} DEFAULT VALUES".encode())
    with (
        psycopg.connect(place.database.owner_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(f"DELETE FROM eventlog.{table}".encode())


def test_killed_sealers_are_followed(place: Place) -> None:
    """Two run, the lead is killed again and again: checkpoints stay one line, and go on."""
    environ = {
        **os.environ, "MOTCUA_LOG_ID": str(LOG_ID), "MOTCUA_METRICS_PORT": "0",
        "MOTCUA_DATABASE_URL": place.database.url_for("motcua_sealer"),
        "MOTCUA_SEAL_KEY": bytes(range(32)).hex(), "MOTCUA_LOG_FORMAT": "json",
    }  # fmt: skip
    command = [sys.executable, "-m", "services.common.audit.sealer"]
    for _ in range(3):
        place.append(300)
        with ExitStack() as running:
            processes = [
                running.enter_context(subprocess.Popen(command, env=environ)) for _ in range(2)
            ]
            wait_until(
                lambda: [head.size for head in place.checkpoints()][-1:] == [place.log.head()],
                what="everything sealed",
            )
            place.append(200)
            for process in processes:
                process.kill()
    place.seal()
    leaves = [event.leaf_hash for event in place.log.read_all(0, limit=5_000)]
    for head in place.checkpoints():
        assert head.root == root_of(leaves[: head.size])
