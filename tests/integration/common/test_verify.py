# SPDX-License-Identifier: Apache-2.0
"""Whatever somebody with all rights changes in a sealed log is found, and where."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.common.audit.verify import verify_log, verify_snapshot
from services.common.integrity.checker import Report
from services.common.integrity.notes import Signer
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.sealed_log import KEYS, ORIGIN, SIGNER, fill, motcua
from tests.support.tampering import ACTS, Vandal

HARMS, HARM_PARTS = 1_000, 10


def newest(connection: psycopg.Connection[Any]) -> tuple[int, str]:
    row = connection.execute(
        "SELECT size, note FROM eventlog.checkpoint ORDER BY size DESC LIMIT 1"
    ).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])


@pytest.fixture(scope="module")
def sealed(server_url: str) -> Iterator[Database]:
    """A sealed log of some 600 events."""
    with fresh_database(server_url) as database:
        fill(database, 600)
        yield database


def vandalised(database: Database, act: str, seed: int) -> tuple[str, Report]:
    """Do ``act`` in a transaction, verify what it left, and undo it."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("SET session_replication_role = replica")
        size, note = newest(connection)
        where = ACTS[act](Vandal(connection, seed, size))
        report = verify_snapshot(connection, LOG_ID, KEYS, known=[note])
        connection.rollback()
    return where, report


def placed(where: str, report: Report) -> bool:
    """Say whether something was found there."""
    return any(found.where.startswith(tuple(where.split("|"))) for found in report.findings)


def test_a_good_log_is_good(sealed: Database) -> None:
    """Nothing is found; erased data are no finding; progress ends at the end."""
    told: list[tuple[int, int]] = []
    with psycopg.connect(sealed.url_for("motcua_audit")) as connection:
        report = verify_log(
            connection, LOG_ID, KEYS, progress=lambda done, total: told.append((done, total))
        )
    assert [str(found) for found in report.findings] == []
    assert report.good
    assert report.events == report.sealed >= 600
    assert report.checkpoints > 2
    assert told[-1] == (report.events, report.events)


@pytest.mark.parametrize("act", ACTS)
def test_every_harm_is_found(sealed: Database, act: str) -> None:
    """Three times, elsewhere each time; and where it happened is said."""
    for seed in range(3):
        where, report = vandalised(sealed, act, seed)
        assert placed(where, report), (
            act, seed, where, [str(found) for found in report.findings][:5],
        )  # fmt: skip


def test_the_command_line(sealed: Database, tmp_path: Path) -> None:
    """Key and checkpoint are printed, kept, and given to the verifier; 0 is good."""
    key = motcua(sealed, "seal-key").stdout.strip()
    assert key == str(SIGNER.verifier)
    keys, kept = tmp_path / "keys", tmp_path / "checkpoint"
    keys.write_text(key + "\n")
    kept.write_text(motcua(sealed, "checkpoint").stdout)
    done = motcua(sealed, "verify", "--key", str(keys), "--known", str(kept))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("as written\n")
    said = json.loads(motcua(sealed, "verify", "--key", key, "--json").stdout)
    assert (said["good"], said["findings"]) == (True, [])


def test_the_command_line_says_no(server_url: str, tmp_path: Path) -> None:
    """1 and the place for a changed log or a foreign key; 2 for what cannot be checked."""
    key = str(SIGNER.verifier)
    with fresh_database(server_url) as database:
        empty = motcua(database, "checkpoint")
        assert (empty.returncode, empty.stderr) == (2, "not_sealed: nothing is sealed yet\n")
        fill(database, 60)
        with psycopg.connect(database.owner_url) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("UPDATE eventlog.event SET type = 'x' WHERE pos = 7")
        done = motcua(database, "verify", "--key", key)
        assert done.returncode == 1
        assert done.stdout.startswith("position 7: ")
        assert done.stdout.endswith("CHANGED\n")
        foreign = str(Signer(ORIGIN, bytes(range(1, 33))).verifier)
        assert "trusted" in motcua(database, "verify", "--key", foreign).stdout
        other = tmp_path / "other"
        other.write_text("no checkpoint")
        for words in (("--key", "x"), ("--key", key, "--known", str(other)),
                      ("--key", key, "--known", str(tmp_path / "absent"))):  # fmt: skip
            bad = motcua(database, "verify", *words)
            assert (bad.returncode, bad.stdout) == (2, ""), words
            assert len(bad.stderr.splitlines()) == 1


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(HARM_PARTS))
def test_a_thousand_harms_are_found(server_url: str, part: int) -> None:
    """Over 5,000 events, a thousand seeded harms of every kind: all found, all placed."""
    with fresh_database(server_url) as database:
        fill(database, 5_000)
        missed = []
        for seed in range(part, HARMS, HARM_PARTS):
            act = sorted(ACTS)[seed % len(ACTS)]
            where, report = vandalised(database, act, seed)
            if not placed(where, report):
                missed.append((act, seed))
        assert missed == []
