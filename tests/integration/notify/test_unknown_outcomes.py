# SPDX-License-Identifier: Apache-2.0
"""Messages of which nobody knows whether they went out: listed until the citizen is told again."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from services.common.canonical import Json
from services.common.clock import SystemClock
from services.common.eventlog.recording import Cause, Change, Fact, Recorder
from services.common.messaging.projector import Projector
from services.notify.application.queries import Unknown, unknown_outcomes
from services.notify.projections.notification import NotificationProjection
from tests.support.database import Database, fresh_database

ROLE = "motcua_notify"
DUE = "2026-11-23T20:00:00+00:00"


class Book:
    """Messages in a log, and what the read model says of them."""

    def __init__(self, database: Database, recorder: Recorder) -> None:
        self._database = database
        self._recorder = recorder

    def message(self, dossier: str, template: str, **outcomes: dict[str, Json]) -> str:
        """Record a message and its outcomes by name; returns its id."""
        identifier = str(uuid.uuid4())
        requested: dict[str, Json] = {
            "dossier": dossier, "template": template, "channel": "sms", "code_event": None,
            "params": {"code": f"H30.12-{dossier[:4]}"}, "contact_event": str(uuid.uuid4()),
        }  # fmt: skip
        told = {"requested": requested, "attempted": {"attempt": 1, "provider": "smsc"}, **outcomes}
        facts = tuple(
            Fact(type=f"notification.{name}", data=data, subject=dossier)
            for name, data in told.items()
        )
        self._recorder.record(
            [Change(stream=f"notification-{identifier}", expected_version=0, facts=facts)],
            source="test", key=identifier,
            cause=Cause(correlation_id=identifier, actor="service:notify"), asked=identifier,
        )  # fmt: skip
        return identifier

    def lost(self, dossier: str, template: str, *, owner: str = "VT", due_at: str = DUE) -> str:
        """Record a message with an unknown outcome."""
        outcome: dict[str, Json] = {
            "attempt": 1, "reason": "no_answer", "owner": owner, "due_at": due_at,
        }  # fmt: skip
        return self.message(dossier, template, outcome_unknown=outcome)

    def url(self) -> str:
        """Return notify's login."""
        return self._database.url_for(ROLE)

    def connect(self) -> psycopg.Connection:
        """Return a connection to the read model as it is now."""
        connection = psycopg.connect(self.url(), autocommit=True)
        Projector(
            NotificationProjection(), self._recorder.log, SystemClock(), database_url=self.url()
        ).catch_up(connection)
        return connection

    def listed(self, office: str = "") -> list[Unknown]:
        """Return the list."""
        with self.connect() as connection:
            return unknown_outcomes(connection, office=office)


@pytest.fixture
def book(server_url: str) -> Iterator[Book]:
    """A fresh log."""
    with fresh_database(server_url) as database:
        log, keys = database.log(ROLE), database.keys(ROLE)
        yield Book(database, Recorder(log, keys, SystemClock(), bytes(range(32))))
        log.close()
        keys.close()


def test_open_ones_are_listed_with_owner_and_due_time(book: Book) -> None:
    """The most urgent first; what went out, failed or was delivered is not there."""
    one, two, three = (str(uuid.uuid4()) for _ in range(3))
    later = book.lost(one, "accepted", due_at="2026-11-23T21:00:00+00:00")
    urgent = book.lost(two, "result_ready")
    book.message(three, "accepted", accepted={"attempt": 1, "provider_message": "M1"})
    book.message(three, "accepted", failed={"attempt": 1, "error": "smpp_0x0b"})
    assert [found.notification for found in book.listed()] == [urgent, later]
    assert book.listed()[0] == Unknown(
        notification=urgent, dossier=two, code=f"H30.12-{two[:4]}", template="result_ready",
        owner="VT", due_at=DUE,
    )  # fmt: skip


def test_each_office_sees_its_own(book: Book) -> None:
    """By its identifier; one that owns none has none."""
    mine = book.lost(str(uuid.uuid4()), "accepted", owner="CT")
    book.lost(str(uuid.uuid4()), "accepted")
    assert [found.notification for found in book.listed("CT")] == [mine]
    assert book.listed("XX") == []


def test_another_message_settles_it_a_reminder_does_not(book: Book) -> None:
    """Who is told again is not asked; a reminder speaks of the code that may never have come."""
    again, reminded = str(uuid.uuid4()), str(uuid.uuid4())
    sent: dict[str, Json] = {"attempt": 1, "provider_message": "M1"}
    book.lost(again, "result_ready")
    kept = book.lost(reminded, "result_ready")
    book.message(again, "result_ready", accepted=sent)
    book.message(reminded, "reminder", accepted=sent)
    assert [found.notification for found in book.listed()] == [kept]


def test_the_truth_that_comes_late_settles_it(book: Book) -> None:
    """Taken after all, and what the receipt says is kept in the table."""
    taken: dict[str, Json] = {"attempt": 1, "provider_message": "M1"}
    unknown: dict[str, Json] = {
        "attempt": 1, "reason": "no_answer", "owner": "VT", "due_at": DUE,
    }  # fmt: skip
    book.message(
        str(uuid.uuid4()), "accepted", outcome_unknown=unknown, accepted=taken,
        delivered={"provider_message": "M1", "state": "EXPIRED"},
    )  # fmt: skip
    assert book.listed() == []
    with book.connect() as connection:
        rows = connection.execute("SELECT state, receipt, owner FROM notify.notification")
        assert rows.fetchall() == [("delivered", "EXPIRED", None)]


def test_the_command_line_lists_them(book: Book) -> None:
    """One line each, as notify's own login sees it."""
    dossier = str(uuid.uuid4())
    book.lost(dossier, "refused")
    book.lost(str(uuid.uuid4()), "refused", owner="CT")
    book.listed()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "infra.motcua", "messages", "unknown",
         "--office", "VT"],
        check=False, capture_output=True, text=True, timeout=60,
        env={**os.environ, "MOTCUA_DATABASE_URL": book.url()},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{DUE}\tVT\trefused\t{dossier}\tH30.12-{dossier[:4]}\n"
