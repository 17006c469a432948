# SPDX-License-Identifier: Apache-2.0
"""The coalescing writer: one caller's trouble is nobody else's, and closing loses nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import psycopg
import pytest

from services.common.errors import MotCuaError, Unavailable
from services.common.eventlog import writer
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import Appended, AppendRequest
from services.common.telemetry import metrics
from tests.support.database import Database
from tests.support.events import fresh, request


@pytest.fixture
def log(database: Database) -> Iterator[PostgresLog]:
    """The log, logged in as intake."""
    opened = database.log("motcua_intake")
    yield opened
    opened.close()


def spoilt() -> AppendRequest:
    """Return a request that no check of ours sees, but that the database refuses."""
    good = request((fresh(), 0, 1))
    event = replace(good.appends[0].events[0], subject=cast("Any", 7))
    return replace(good, appends=(replace(good.appends[0], events=(event,)),))


def outcome_of(log: PostgresLog, one: AppendRequest) -> Appended | Exception:
    """Return what the caller gets."""
    try:
        return log.append(one)
    except (MotCuaError, AttributeError) as error:
        return error


def test_a_spoilt_request_fails_alone(log: PostgresLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty callers in one batch, one of them impossible: nineteen are in the log."""
    monkeypatch.setattr("services.common.eventlog.postgres.check", lambda _request: None)
    before = log.head()
    wanted = [request((fresh(), 0, 1)) for _ in range(19)] + [spoilt()]
    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(lambda one: outcome_of(log, one), wanted))
    assert [isinstance(one, Appended) for one in outcomes] == [True] * 19 + [False]
    assert log.head() == before + 19


def test_a_full_queue_says_so_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every queue has a limit; beyond it callers are told instead of waiting."""
    monkeypatch.setattr(writer, "QUEUE_REQUESTS_MAX", 0)
    log = database.log("motcua_intake")
    with pytest.raises(Unavailable, match="queue is full"):
        log.append(request((fresh(), 0, 1)))
    log.close()


def test_closing_answers_what_is_queued(database: Database) -> None:
    """Whoever asked before the end gets a durable answer; whoever asks after it does too."""
    log = database.log("motcua_intake")
    before = log.head()
    with ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(log.append, request((fresh(), 0, 1))) for _ in range(200)]
        log.close()
        answers = [one.result() for one in asked]
    positions = sorted(answer.first_position for answer in answers)
    assert positions == list(range(before + 1, before + 201))
    log.close()


def test_time_never_falls(database: Database, log: PostgresLog) -> None:
    """A clock that goes back does not take the log's time with it."""
    log.append(request((fresh(), 0, 1)))
    ahead = 9_000_000_000_000_000
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        (before,) = owner.execute("select recorded_at from eventlog.log_head").fetchone() or (0,)
        owner.execute("update eventlog.log_head set recorded_at = %s", (ahead,))
        first = log.append(request((fresh(), 0, 1))).first_position
        owner.execute("update eventlog.log_head set recorded_at = %s", (before,))
    assert [event.recorded_at_us for event in log.read_positions([first])] == [ahead]


def test_appends_are_measured(log: PostgresLog) -> None:
    """The time to a durable answer is a metric."""

    def count() -> float:
        found = metrics.REGISTRY.get_sample_value(
            "eventlog_append_seconds_count", {"outcome": "durable"}
        )
        return found or 0.0

    before = count()
    log.append(request((fresh(), 0, 1)))
    assert count() == before + 1
