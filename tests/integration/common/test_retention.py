# SPDX-License-Identifier: Apache-2.0
"""What was kept long enough goes from a real log, whoever interrupts the run and however often."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from services.common.audit.subjects import ERASED
from tests.support.database import KEK, LOG_ID, Database, fresh_database
from tests.support.lives import live
from tests.support.offices import SERVICE_KEY

YEAR_US = 366 * 86_400 * 1_000_000
COMMAND = [sys.executable, "-W", "ignore", "-m", "infra.motcua", "retention"]


def environ(database: Database) -> dict[str, str]:
    return {
        **os.environ, "MOTCUA_DATABASE_URL": database.url_for("motcua_eraser"),
        "MOTCUA_KEYS_DATABASE_URL": database.keys_url_for("motcua_eraser"),
        "MOTCUA_LOG_ID": str(LOG_ID), "MOTCUA_SERVICE_KEY": SERVICE_KEY.hex(),
        "MOTCUA_KEK": KEK.hex(),
    }  # fmt: skip


def retention(database: Database, *words: str) -> list[str]:
    done = subprocess.run(
        [*COMMAND, *words], check=False, capture_output=True, text=True, timeout=60,
        env=environ(database),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def left(database: Database) -> tuple[int, int]:
    """Return how many wrapped keys and ciphertexts there are."""
    with (
        psycopg.connect(database.keys_owner_url) as keys,
        psycopg.connect(database.owner_url) as log,
    ):
        counts = (
            keys.execute("SELECT count(*) FROM keys.subject_key").fetchone(),
            log.execute("SELECT count(*) FROM eventlog.event_pii").fetchone(),
        )
    return counts[0][0], counts[1][0]  # type: ignore[index]


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """Twelve dossiers of which nine came to their end."""
    with fresh_database(server_url) as database:
        live(database, 12, ended=9)
        yield database


def test_what_is_over_goes(database: Database) -> None:
    """Nothing while it is young; then what is closed, also after kills; the reason is on record."""
    assert retention(database, "--apply") == ["nothing is due"]
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE eventlog.event SET recorded_at = recorded_at - %s", (YEAR_US,))
    assert retention(database)[-1] == "dossier_open: 3, due: 9"
    assert left(database) == (12, 12)
    for _ in range(2):
        run = subprocess.Popen(
            [*COMMAND, "--apply"], stdout=subprocess.PIPE, text=True,
            env={**environ(database), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert run.stdout is not None
        while (line := run.stdout.readline()) and not line.endswith("\terased\n"):
            pass
        run.send_signal(signal.SIGKILL)
        run.wait(30)
        run.stdout.close()
    *_, said = retention(database, "--apply", "--by", "timer")
    assert said.startswith("dossier_open: 3, erased: ")
    assert left(database) == (3, 3)
    assert retention(database, "--apply")[-1] == "dossier_open: 3"
    with closing(database.log("motcua_audit")) as log:
        erasures = log.read_all(0, types=[ERASED])
    assert len({event.subject for event in erasures}) == len(erasures) == 9
    assert {str(event.data["basis"]) for event in erasures} == {"retention"}
    assert {str(event.data["reference"]) for event in erasures} == {"L91-2025/LUUTRU-180"}
    assert {str(event.data["official"]) for event in erasures} == {"retention", "timer"}
