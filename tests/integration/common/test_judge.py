# SPDX-License-Identifier: Apache-2.0
"""The judge as a program, on a log that our code wrote and somebody then changed."""

import json
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.judge import canonical
from services.common.eventlog.record import AppendRequest, NewEvent, StreamAppend
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.events import META, request

D, CODE = "0193b0a0-0000-7000-8000-000000000001", "H30.12-261123-0001"
DOSSIER: list[tuple[str, dict[str, Any]]] = [
    ("dossier.registered", {"name": 'Huỳnh "Út" \\ \u20ac\n'}),
    ("dossier.accepted", {"code": CODE}),
    ("dossier.completed", {}),
    ("dossier.returned", {}),
    ("dossier.reported", {"code": CODE, "status": 10}),
]
MESSAGE: list[tuple[str, dict[str, Any]]] = [
    ("notification.requested", {}),
    ("notification.attempted", {}),
    ("notification.accepted", {"provider_message": "M1"}),
]


@dataclass(frozen=True)
class Run:
    """A recorded run."""

    database: Database
    folder: Path

    def judged(self) -> tuple[int, dict[str, list[str]], str]:
        """Let the judge look once; returns exit code, what is wrong by check, and its table."""
        command = [
            sys.executable, "-m", "infra.judge", "--acks", str(self.folder / "acks.ndjson"),
            "--database-url", self.database.url_for("motcua_audit"), "--log-id", str(LOG_ID),
            "--books", str(self.folder), "--mechanics", str(self.folder / "mechanics.json"),
            "--patience", "0",
        ]  # fmt: skip
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)["wrong"], done.stderr

    def book(self, name: str, *statements: str) -> None:
        """Write into an outside book."""
        with closing(sqlite3.connect(self.folder / f"{name}.db")) as book, book:
            for statement in statements:
                book.execute(statement)

    def alter(self, statement: str, *values: object) -> None:
        """Change the log as only the owner of the database can."""
        with psycopg.connect(self.database.owner_url, autocommit=True) as owner:
            owner.execute("SET session_replication_role = replica")  # past the triggers
            assert owner.execute(statement.encode(), values).rowcount >= 1


def appended(stream: str, facts: list[tuple[str, dict[str, Any]]]) -> AppendRequest:
    """Return one request for a whole stream."""
    events = tuple(
        NewEvent(type=kind, schema=1, data=canonical(data), meta=META,
                 occurred_at_us=1_700_000_000_000_000, subject=D)
        for kind, data in facts
    )  # fmt: skip
    made = request((stream, 0, 0), key=str(uuid.uuid4()))
    whole = StreamAppend(stream=stream, expected_version=0, events=events)
    return AppendRequest(source=made.source, key=made.key, digest=made.digest,
                         cause_ms=made.cause_ms, appends=(whole,))  # fmt: skip


@pytest.fixture
def run(server_url: str, tmp_path: Path) -> Iterator[Run]:
    """One dossier accepted, announced, returned and reported; everybody agrees."""
    with fresh_database(server_url) as database:
        for role, stream, facts in (
            ("motcua_intake", f"dossier-{D}", DOSSIER),
            ("motcua_notify", "notification-1", MESSAGE),
        ):
            with closing(database.log(role)) as log:
                log.append(appended(stream, facts))
        made = Run(database, tmp_path)
        made.book("bank", "CREATE TABLE transfer (reference, amount)")
        made.book(
            "smsc", "CREATE TABLE message (id, destination, text)",
            "INSERT INTO message VALUES ('M1', '84912345678', 'da tiep nhan')",
        )  # fmt: skip
        made.book(
            "one_stop", "CREATE TABLE dossier (code, status)", "CREATE TABLE history (code, status)",
            f"INSERT INTO dossier VALUES ('{CODE}', 10)",
            f"INSERT INTO history VALUES ('{CODE}', 10)",
        )  # fmt: skip
        (tmp_path / "mechanics.json").write_text('{"box": [], "bin": [], "cells": {}}')
        told = [{"what": "accepted", "dossier": D, "code": CODE},
                {"what": "completed", "dossier": D}, {"what": "reported", "code": CODE}]  # fmt: skip
        lines = "".join(json.dumps(each) + "\n" for each in told)
        (tmp_path / "acks.ndjson").write_text(lines)
        yield made


def test_our_own_log_is_whole(run: Run) -> None:
    """Bytes and hashes that our code writes are what the judge computes from their description."""
    code, wrong, table = run.judged()
    assert (code, wrong) == (0, {})
    assert table.count("agrees") == 8


def test_a_lost_event_is_found(run: Run) -> None:
    """An acknowledged event that is gone from the log breaks the promise and the order."""
    run.alter("DELETE FROM eventlog.event WHERE type = 'dossier.completed'")
    code, wrong, table = run.judged()
    assert code == 1
    assert {"promises to clients", "order of the log"} <= set(wrong)
    assert f"completed {D}: dossier.completed stands 0 times" in table


def test_a_changed_event_is_found(run: Run) -> None:
    """Other bytes under the same hash."""
    data = canonical({"code": CODE, "status": 9})
    run.alter("UPDATE eventlog.event SET data = %s WHERE type = 'dossier.reported'", data)
    code, wrong, _ = run.judged()
    assert code == 1
    assert wrong["hashes"] == ["content hash at position 5", "leaf hash at position 5"]
    assert "one-stop system" in wrong


def test_a_changed_time_is_found(run: Run) -> None:
    """The time of recording is part of the leaf."""
    run.alter("UPDATE eventlog.event SET recorded_at = recorded_at + 1 WHERE pos = 8")
    assert run.judged()[:2] == (1, {"hashes": ["leaf hash at position 8"]})


def test_a_doubled_message_is_found(run: Run) -> None:
    """The SMS centre took one message more than the log knows of."""
    run.book("smsc", "INSERT INTO message VALUES ('M2', '84912345678', 'da tiep nhan')")
    code, wrong, _ = run.judged()
    assert (code, list(wrong)) == (1, ["messages"])


def test_a_credit_nobody_booked_is_found(run: Run) -> None:
    """The bank's book holds money that the log does not know."""
    run.book("bank", "INSERT INTO transfer VALUES ('R1', 12000)")
    code, wrong, _ = run.judged()
    assert (code, list(wrong)) == (1, ["money"])
