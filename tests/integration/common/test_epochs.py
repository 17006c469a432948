# SPDX-License-Identifier: Apache-2.0
"""A log that lost its end is found out, takes nothing, and goes on only by a decision on record."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from infra.backups import back_up_log
from infra.motcua import app
from services.common.audit.cosigning import AHEAD, COSIGNED, Asking, WitnessPlace
from services.common.audit.epochs import Decision, close_log, open_epoch
from services.common.audit.outside import Lost
from services.common.audit.sealing import Sealing, Seals, SqlTree
from services.common.audit.seals import ClosedError, TamperedError, origin_of
from services.common.audit.verify import verify_log
from services.common.clock import SystemClock
from services.common.errors import MotCuaError, Refused, Unavailable
from services.common.integrity.bundle import verify_bundle
from services.common.integrity.checker import Report
from services.common.integrity.merkle import check_inclusion, inclusion_proof
from services.common.integrity.notes import Checkpoint, Signer, open_checkpoint, sign_checkpoint
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.events import fresh, request
from tests.support.processes import Process
from tests.support.waiting import wait_until
from tests.support.witnesses import LOG, LOG_SEED, ORIGIN, WITNESS, start_witness

SEALS = Seals(log_id=LOG_ID, origin=ORIGIN, signer=LOG)
SECOND = LOG.named(origin_of(LOG_ID, 2))
DECISION = Decision(by="cb007", reason="disk of the first server lost")
NOW_US = 1_800_000_000_000_000


def append(database: Database, events: int) -> None:
    with closing(database.log()) as log:
        log.append(request((fresh(), 0, events), kind="test.happened"))


@contextmanager
def sealer(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.url_for("motcua_sealer"), autocommit=True) as connection:
        yield connection


def seal(database: Database) -> str:
    """Seal everything; returns the newest note."""
    with sealer(database) as connection:
        sealing = Sealing(connection, SEALS)
        while sealing.step(NOW_US) is not None:
            pass
        row = connection.execute(
            "SELECT note FROM eventlog.checkpoint ORDER BY size DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    return str(row[0])


def verified(database: Database, *known: str) -> Report:
    with psycopg.connect(database.url_for("motcua_audit")) as connection:
        return verify_log(connection, LOG_ID, [LOG.verifier], known=known)


def motcua(database: Database, *words: str, role: str = "motcua_audit") -> tuple[int, str]:
    """Run the command line; returns exit code and what it said."""
    environ = {
        "MOTCUA_DATABASE_URL": database.url_for(role), "MOTCUA_LOG_ID": str(LOG_ID),
        "MOTCUA_SEAL_KEY": LOG_SEED.hex(), "MOTCUA_RESTORE_ADMIN_URL": database.server_url,
    }  # fmt: skip
    done = CliRunner().invoke(app, words, env=environ)
    if isinstance(done.exception, MotCuaError):
        return 2, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def drop(database: Database) -> None:
    with psycopg.connect(database.server_url, autocommit=True) as server:
        for name in (database.name, f"{database.name}_keys"):
            server.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


@contextmanager
def copy_of(database: Database) -> Iterator[Database]:
    """Copy the log as it stands: what a restored disk holds, without anybody's word about it."""
    copied = Database(database.server_url, f"t_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(database.server_url, autocommit=True) as server:
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(copied.name), sql.Identifier(database.name)
            )
        )
    try:
        yield copied
    finally:
        drop(copied)


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """A sealed log of 300 events and one of its own for each test."""
    with fresh_database(server_url) as database:
        append(database, 300)
        seal(database)
        yield database


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessPlace]:
    """A witness that knows both epochs' keys."""
    keys = (str(LOG.verifier), str(SECOND.verifier))
    process, url = start_witness(tmp_path, tmp_path / "memory.db", *keys)
    process.wait_ready()
    yield WitnessPlace(url, WITNESS.verifier)
    process.end()


def cosign(database: Database, place: WitnessPlace) -> str:
    with sealer(database) as connection:
        return Asking(connection, LOG_ID, place).step()


def test_a_tail_is_lost(database: Database, witness: WitnessPlace, tmp_path: Path) -> None:
    """From backup to the new epoch, as an operator does it; old proofs and exports stay good."""
    append(database, 5)  # not sealed when the backup is taken
    note, noted = back_up_log(database.owner_url, LOG_ID, tmp_path, (), SystemClock().now())
    append(database, 7)
    kept = tmp_path / "kept"
    kept.write_text(seal(database))
    assert cosign(database, witness) == COSIGNED
    proof, leaf, head = proven(database, 310)
    back = Database(database.server_url, f"t_{uuid.uuid4().hex[:12]}")
    at, key = f"{witness.url} {witness.key}", str(LOG.verifier)
    try:
        assert motcua(back, "restore", str(note), "--database", back.name)[0] == 0
        said = motcua(back, "restore", str(note), "--database", back.name)
        assert said[1].startswith("database_exists")
        with psycopg.connect(database.server_url, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {back.name}_keys".encode())
        back.migrate()
        with pytest.raises(Unavailable, match="closed: restored from the backup of"):
            append(back, 1)
        with sealer(back) as connection, pytest.raises(ClosedError):
            Sealing(connection, SEALS)
        tail = "tail of 7 events lost: positions 306–312 of motcua247/93/1"
        for words in (("--witness", at), ("--known", str(kept))):
            assert motcua(back, "epoch", "show", "--key", key, *words) == (
                1, (f"{ORIGIN}: 305 events, CLOSED: restored from the backup of {noted.taken_at}"
                f"\n{tail}\n"),
            )  # fmt: skip
            code, text = motcua(back, "verify", "--key", key, *words)
            assert code == 1
            assert "a tail of 7 is lost, positions 306–312" in text
        refused = motcua(back, "epoch", "resume", "--witness", at, role="motcua_sealer")
        assert refused == (2, f"events_lost: {tail}; only a new epoch can go on")
        words = ("open", "--by", DECISION.by, "--reason", DECISION.reason, "--witness", at)
        assert motcua(back, "epoch", *words, role="motcua_audit")[0] == 2
        code, text = motcua(back, "epoch", *words, role="motcua_sealer")
        assert (code, text.splitlines()[0]) == (
            0, ("motcua247/93/2 begins at 305, positions 306–312 of motcua247/93/1 are lost;"
            " cb007: disk of the first server lost"),
        )  # fmt: skip
        assert str(SECOND.verifier) in text
        append(back, 300)
        seal(back)
        assert cosign(back, witness) == COSIGNED
        goes_on(back, kept, at, tmp_path)
    finally:
        drop(back)
    check_inclusion(leaf, 309, head.size, proof, head.root)


def proven(database: Database, position: int) -> tuple[Sequence[bytes], bytes, Checkpoint]:
    """Return an event's inclusion proof, its leaf, and the checkpoint it leads to."""
    head, _ = open_checkpoint(seal(database), [LOG.verifier])
    with sealer(database) as connection, closing(database.log()) as log:
        tree = SqlTree(connection, LOG_ID)
        proof = inclusion_proof(position - 1, head.size, tree.read)
        return proof, log.read_positions([position])[0].leaf_hash, head


def goes_on(back: Database, kept: Path, at: str, folder: Path) -> None:
    """The log in its second epoch verifies by the first one's key, and says what was lost."""
    key = str(LOG.verifier)
    code, text = motcua(back, "verify", "--key", key, "--known", str(kept), "--witness", at)
    assert code == 0, text
    assert "epoch motcua247/93/2 begins at 305, positions 306–312" in text
    code, text = motcua(back, "epoch", "show", "--key", key, "--witness", at)
    assert (code, text.splitlines()[-1]) == (0, "motcua247/93/2: 605 events, open")
    assert motcua(back, "export", str(folder / "bundle"))[0] == 0
    report = verify_bundle(folder / "bundle", [LOG.verifier], known=[kept.read_text()])
    assert [str(one) for one in report.findings] == []
    assert [one.lost_through for one in report.epochs] == [312]
    assert (report.sealed, report.events) == (605, 605)
    with closing(back.log()) as log:
        assert [event.position for event in log.read_all(0)] == list(range(1, 606))


def test_more_was_lost_than_was_said(database: Database, tmp_path: Path) -> None:
    """A checkpoint beyond what the epoch declares is a finding; one of a third log, too."""
    with copy_of(database) as restored:
        append(database, 9)
        seal(database)
        append(database, 3)
        newest = seal(database)
        beyond, _ = open_checkpoint(newest, [LOG.verifier])
        with sealer(restored) as connection:
            close_log(connection, LOG_ID, "test")
            smaller = Checkpoint(origin=ORIGIN, size=309, root=beyond.root)
            missing = [Lost(head=300, known=smaller)]
            opened = open_epoch(
                connection, SEALS, DECISION, missing, now_us=NOW_US, pause=lambda _s: None
            )
        assert (opened.base, opened.lost_through) == (300, 309)
        append(restored, 20)
        seal(restored)
        assert verified(restored).good
        report = verified(restored, newest)
        assert [str(one) for one in report.findings] == [
            "checkpoint 312: motcua247/93/2 declares motcua247/93/1 lost through 309 only"
        ]
        foreign = Checkpoint(origin="motcua247/94/1", size=310, root=beyond.root)
        report = verified(restored, str(sign_checkpoint(foreign, [LOG])))
        assert [one.where for one in report.findings] == ["checkpoint 310"]


def test_nothing_is_lost(database: Database, tmp_path: Path) -> None:
    """The log goes on as it was, same epoch, once what is kept outside was compared."""
    kept = tmp_path / "kept"
    kept.write_text(seal(database))
    assert motcua(database, "epoch", "resume", "--known", str(kept), role="motcua_sealer") == (
        2, "log_open: the log is open; it is closed first, by a restore, the sealer or epoch close",
    )  # fmt: skip
    words = ("epoch", "close", "--reason", "moved to another server")
    assert motcua(database, *words, role="motcua_sealer") == (0, "closed\n")
    assert motcua(database, *words, role="motcua_sealer") == (0, "it is closed already\n")
    with pytest.raises(Unavailable, match="moved to another server"):
        append(database, 1)
    for act in (("resume",), ("open", "--by", "cb007", "--reason", "nobody was asked")):
        nothing = motcua(database, "epoch", *act, role="motcua_sealer")
        assert nothing[1].startswith("nothing_known")
    done = motcua(database, "epoch", "resume", "--known", str(kept), role="motcua_sealer")
    assert done[0] == 0
    append(database, 1)
    assert open_checkpoint(seal(database), [LOG.verifier])[0].origin == ORIGIN


@pytest.mark.parametrize("role", ["motcua_intake", "motcua_audit", "motcua_relay", "motcua_feed"])
def test_only_the_sealer_decides(database: Database, role: str) -> None:
    """No service closes or opens a log, or writes an epoch."""
    with psycopg.connect(database.url_for(role), autocommit=True) as connection:
        for statement in (
            f"SELECT eventlog.close_log({LOG_ID}, 'x')",
            f"SELECT eventlog.open_log({LOG_ID}, 2, 300, 'x', 1)",
            f"INSERT INTO eventlog.epoch VALUES ({LOG_ID}, 2, 300, 'x', 1)",
            "UPDATE eventlog.log_head SET closed = NULL",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_an_epoch_that_nobody_signed(database: Database) -> None:
    """A row that an administrator slipped in opens nothing: the sealer refuses, verify tells."""
    forged = Checkpoint(
        origin=SECOND.verifier.name, size=300, root=b"x" * 32,
        extensions=(f"epoch-after {ORIGIN}", "lost-through 312"),
    )  # fmt: skip
    other = Signer(SECOND.verifier.name, bytes(range(5, 37)))
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO eventlog.epoch VALUES (%s, 2, 300, %s, 1)",
            (LOG_ID, str(sign_checkpoint(forged, [other]))),
        )
    with sealer(database) as connection, pytest.raises(TamperedError, match="epoch 2"):
        Sealing(connection, SEALS)
    assert [one.where for one in verified(database).findings] == ["checkpoint 300"]


def test_what_is_refused(database: Database) -> None:
    """An open log, a decision that fits no line, a sealer that still leads, an empty log."""
    with sealer(database) as connection, sealer(database) as leading:

        def begin(decision: Decision = DECISION) -> None:
            open_epoch(connection, SEALS, decision, [], now_us=1, pause=lambda _s: None)

        with pytest.raises(Refused, match="log_open"):
            begin()
        close_log(connection, LOG_ID, "test")
        for decision in (Decision(by="", reason="x"), Decision(by="x", reason="a\nb")):
            with pytest.raises(MotCuaError, match="printable"):
                begin(decision)
        leading.execute(f"SELECT pg_advisory_lock(1296257861, {LOG_ID})")
        with pytest.raises(Refused, match="sealer_leads"):
            begin()
        leading.execute("SELECT pg_advisory_unlock_all()")
        begin()
        close_log(connection, LOG_ID, "again")
        begin()
        numbers = connection.execute("SELECT epoch, base FROM eventlog.epoch").fetchall()
    assert numbers == [(2, 300), (3, 300)]
    append(database, 1)
    assert open_checkpoint(seal(database), [LOG.named(origin_of(LOG_ID, 3)).verifier])
    assert [one.origin for one in verified(database).epochs] == [
        origin_of(LOG_ID, 2), origin_of(LOG_ID, 3),
    ]  # fmt: skip


def test_the_sealer_finds_it_out(database: Database, witness: WitnessPlace, tmp_path: Path) -> None:
    """A disk put back without a word: its sealer asks the witness, and closes the log itself."""
    with copy_of(database) as restored:
        append(database, 40)
        seal(database)
        assert cosign(database, witness) == COSIGNED
        append(restored, 1)
        assert cosign(restored, witness) == AHEAD
        key = tmp_path / "seal_key"
        key.write_text(LOG_SEED.hex(), encoding="utf-8")
        process = Process(
            "services.common.audit.sealer",
            {
                "MOTCUA_LOG_ID": str(LOG_ID), "MOTCUA_SEAL_KEY_FILE": str(key),
                "MOTCUA_DATABASE_URL": restored.url_for("motcua_sealer"),
                "MOTCUA_WITNESSES": f"{witness.url} {witness.key}",
            },
            tmp_path / "sealer.log",
        )  # fmt: skip
        try:
            wait_until(lambda: "log_closed" in str(process.lines()), what="the sealer's word")
            with pytest.raises(Unavailable, match="tail of 39 events lost: positions 302–340"):
                append(restored, 1)
            at = f"{witness.url} {witness.key}"
            words = ("epoch", "open", "--by", "cb007", "--reason", "test", "--witness", at)
            assert motcua(restored, *words, role="motcua_sealer")[0] == 0
            append(restored, 2)
            process.wait_ready()
            wait_until(lambda: sealed(restored) == 303, what="a seal of the second epoch")
        finally:
            process.end()
        assert verified(restored).good


def sealed(database: Database) -> int:
    with psycopg.connect(database.url_for("motcua_audit")) as connection:
        row = connection.execute("SELECT max(size) FROM eventlog.checkpoint").fetchone()
    return 0 if row is None else int(row[0])
