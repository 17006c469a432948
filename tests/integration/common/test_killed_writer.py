# SPDX-License-Identifier: Apache-2.0
"""Writers die by SIGKILL, PostgreSQL loses its memory; what was acknowledged is there, once."""

import random
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local.postgres import PostgresServer
from infra.local.servers import data_folder, install_missing
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.waiting import wait_until

THREADS = 6


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that these tests may harm."""
    install_missing()
    folder = data_folder("killed-writer")
    server = PostgresServer(folder / "postgres", secrets.token_hex(16))
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def command(program: str, url: str, diary: Path, *words: str) -> list[str]:
    """Return how to start a program of this test."""
    return [sys.executable, "-m", f"tests.support.{program}", url, str(LOG_ID), str(diary), *words]


@contextmanager
def writing(database: Database, diary: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of writers for the block; it never ends by itself."""
    url = database.url_for("motcua_intake")
    writer = subprocess.Popen(
        command("killed_writer", url, diary, str(THREADS)), stderr=subprocess.DEVNULL
    )
    try:
        yield writer
    finally:
        writer.kill()
        writer.wait(10)


def answered(diary: Path) -> int:
    """Return how many answers stand in the diary."""
    return diary.read_bytes().count(b'"answered"') if diary.exists() else 0


def failed(diary: Path) -> bool:
    """Say whether a writer got an answer that no outage explains."""
    return diary.exists() and b'"failed"' in diary.read_bytes()


def more_answers(diary: Path, wanted: int) -> None:
    """Return once ``wanted`` answers more are in the diary, or a failure that the judge will tell."""
    goal = answered(diary) + wanted
    wait_until(
        lambda: answered(diary) >= goal or failed(diary),
        timeout_s=60, what=f"{wanted} more answers",
    )  # fmt: skip


def harm_and_judge(server: PostgresServer, diary: Path, *, lives: int, seed: int) -> None:
    """Let writers live and die; in each life the server dies once, then the writers do."""
    chance = random.Random(seed)
    with fresh_database(server.url) as database:
        for life in range(lives):
            with writing(database, diary) as writer:
                more_answers(diary, chance.randint(1, 300))
                server.stop("immediate")
                if life % 2:  # every other life meets its end while the server is away
                    writer.kill()
                server.start()
                if not life % 2:
                    more_answers(diary, chance.randint(1, 300))
        url = database.url_for("motcua_intake")
        again = command("killed_writer", url, diary, str(THREADS), "finish")
        finished = subprocess.run(again, check=False, capture_output=True, timeout=300)
        judged = subprocess.run(
            command("log_judge", database.owner_url, diary),
            check=False, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert answered(diary) > lives
    assert judged.returncode == 0, judged.stdout[-3000:] + judged.stderr[-3000:]
    assert finished.returncode == 0, finished.stderr[-3000:]


def test_what_was_acknowledged_is_there_once(server: PostgresServer, tmp_path: Path) -> None:
    """Three lives."""
    harm_and_judge(server, tmp_path / "diary", lives=3, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(3))
def test_what_was_acknowledged_is_there_once_at_length(
    server: PostgresServer, tmp_path: Path, seed: int
) -> None:
    """Thirty lives each."""
    harm_and_judge(server, tmp_path / "diary", lives=30, seed=seed)
