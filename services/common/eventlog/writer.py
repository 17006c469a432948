# SPDX-License-Identifier: Apache-2.0
"""The coalescing writer: many callers, one connection, one commit for all that queued up.

A commit under the log's lock costs an fsync. Callers therefore hand their request to the writer of
their process and wait; whatever queues up while one batch is being committed makes the next batch.
No timer is needed: the previous fsync is the accumulation window (ADR-0001).

The fast function takes a batch all or nothing. If anything in it mismatches, the batch is settled:
under the same lock each request gets its own answer, so one caller's conflict never fails another.
If the connection dies, even during the commit, the batch is settled again on a new connection;
the requests' keys make that safe.

Only ``threading`` and ``queue`` are used, so that a monkey-patched process works too. A bare lock
is what a caller waits on: waking one is most of what an append costs in Python.
"""

import contextlib
import os
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg

from services.common.errors import (
    Conflict,
    EventsArchived,
    MotCuaError,
    Refused,
    Unavailable,
)
from services.common.eventlog import arrays, away
from services.common.eventlog import batch as batches
from services.common.eventlog.ownership import foreign_category, key_reused
from services.common.eventlog.record import Appended, AppendRequest
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

BATCH_REQUESTS_MAX: Final = 1000
QUEUE_REQUESTS_MAX: Final = 20_000
_STATEMENT_TIMEOUT_MS: Final = 30_000
_RETRY_FIRST_S: Final = 0.1
_RETRY_LAST_S: Final = 5.0
_SETTLE_STATES: Final = frozenset({"MC001", "MC003", "MC004", "23505"})
_LOG = get_logger(__name__)


@dataclass(slots=True)
class _Waiting:
    """A caller; ``answered`` is held until there is an outcome."""

    prepared: batches.Prepared
    claims: tuple[object, ...]
    began_s: float
    deadline_s: float
    outcome: Appended | MotCuaError | None = None
    answered: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, outcome: Appended | MotCuaError) -> None:
        """Let the caller go on; only the first outcome counts."""
        if self.outcome is None:
            self.outcome = outcome
            self.answered.release()


class Writer:
    """Appends requests of one process; started lazily, once per process, so forks are safe."""

    def __init__(self, url: str, log_id: int) -> None:
        """Remember where to write; nothing is opened before the first request."""
        self._url = url
        self._log_id = log_id
        self._queue: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
        self._held: deque[_Waiting] = deque()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._start_lock = threading.Lock()
        self._connection: psycopg.Connection | None = None

    def append(
        self, requests: Sequence[AppendRequest], timeout_s: float
    ) -> list[Appended | MotCuaError]:
        """Queue ``requests`` together and wait for their answers (see ``EventLog.append_all``)."""
        self._start()
        if self._queue.qsize() >= QUEUE_REQUESTS_MAX:
            return [Unavailable("postgresql", "the append queue is full") for _ in requests]
        began_s = time.monotonic()
        group = []
        for request in requests:
            prepared = batches.Prepared.of(request, self._log_id)
            claims = ((request.source, request.key), *(one.stream for one in request.appends))
            waiting = _Waiting(prepared, claims, began_s, began_s + timeout_s)
            waiting.answered.acquire()
            group.append(waiting)
        self._queue.put(group)
        until_s = began_s + timeout_s + 1.0
        return [_awaited(waiting, until_s) for waiting in group]

    def close(self, timeout_s: float = 30.0) -> None:
        """Answer what is queued, then stop; further requests start the writer again."""
        with self._start_lock:
            thread, self._thread = self._thread, None
            if thread is not None and thread.is_alive() and self._pid == os.getpid():
                self._queue.put(None)
                thread.join(timeout_s)

    def _start(self) -> None:
        if self._thread is not None and self._pid == os.getpid() and self._thread.is_alive():
            return
        with self._start_lock:
            if self._thread is not None and self._pid == os.getpid() and self._thread.is_alive():
                return
            if self._pid != os.getpid():
                # A forked child inherits the parent's socket and queue; it must use neither.
                self._queue = queue.SimpleQueue()
                self._held = deque()
                self._connection = None
            self._pid = os.getpid()
            self._thread = threading.Thread(target=self._run, name="eventlog-writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        stopping = False
        while not (stopping and self._queue.empty() and not self._held):
            batch, saw_stop = self._next_batch(block=not stopping)
            stopping = stopping or saw_stop
            if batch:
                self._serve(batch)
        self._drop_connection()

    def _next_batch(self, *, block: bool) -> tuple[list[_Waiting], bool]:
        """Take what is queued: at most one request per stream and per key, the rest waits."""
        taken: list[_Waiting] = []
        later: deque[_Waiting] = deque()
        busy: set[object] = set()
        stop = False
        while len(taken) < BATCH_REQUESTS_MAX:
            if not self._held:
                try:
                    group = self._queue.get(block and not taken and not later)
                except queue.Empty:
                    break
                if group is None:
                    stop = True
                    break
                self._held.extend(group)
                continue
            waiting = self._held.popleft()
            claims = waiting.claims
            if busy.isdisjoint(claims):
                taken.append(waiting)
            else:
                later.append(waiting)
            busy.update(claims)
        later.extend(self._held)
        self._held = later
        return taken, stop

    def _serve(self, batch: list[_Waiting]) -> None:
        """Answer every request of ``batch``, whatever happens."""
        began_s = min(waiting.began_s for waiting in batch)
        outcome = "durable"
        try:
            self._write(batch)
        except Exception as error:  # noqa: BLE001 - the thread serves every caller of the process
            outcome = "failed"
            self._drop_connection()
            self._isolate(batch, error)
        metrics.eventlog_append_seconds.labels(outcome).observe(time.monotonic() - began_s)

    def _isolate(self, batch: list[_Waiting], error: Exception) -> None:
        """Keep what one request broke from its neighbours: each travels alone."""
        _LOG.error("append_failed", error=type(error).__qualname__, requests=len(batch))
        if len(batch) == 1:
            batch[0].answer(_refusal(error))
            return
        for waiting in batch:
            if waiting.outcome is None:
                self._serve([waiting])

    def _write(self, batch: list[_Waiting]) -> None:
        """Answer every request of ``batch``; retry through lost connections until they expire."""
        pause_s = _RETRY_FIRST_S
        settling = False
        while batch:
            try:
                connection = self._connect()
                if settling or not self._append(connection, batch):
                    self._settle(connection, batch)
            except psycopg.OperationalError as error:
                self._drop_connection()
                settling = True
                batch = _expire(batch, str(error))
                if batch:
                    time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                    pause_s = min(pause_s * 2, _RETRY_LAST_S)
            else:
                return

    def _append(self, connection: psycopg.Connection, batch: list[_Waiting]) -> bool:
        """Try the fast way; False when something mismatched and the batch has to be settled."""
        prepared = [waiting.prepared for waiting in batch]
        try:
            with connection.cursor() as cursor:
                firsts = batches.append(cursor, self._log_id, prepared)
        except psycopg.Error as error:
            if error.sqlstate in _SETTLE_STATES:
                return False
            raise
        _answer(batch, firsts)
        return True

    def _settle(self, connection: psycopg.Connection, batch: list[_Waiting]) -> None:
        """Answer each request by itself and append the good ones, under one lock."""
        answers: list[Appended | MotCuaError | None]
        with connection.transaction(), connection.cursor() as cursor:
            verdicts = batches.settle(cursor, self._log_id, [w.prepared for w in batch])
            answers = [
                self._gone(connection, verdict.stream or "")
                if verdict.outcome == "archived"
                else _answer_of(waiting.prepared.request, verdict)
                for waiting, verdict in zip(batch, verdicts, strict=True)
            ]
            good = [w for w, answer in zip(batch, answers, strict=True) if answer is None]
            firsts = (
                batches.append(cursor, self._log_id, [w.prepared for w in good]) if good else []
            )
        for waiting, answer in zip(batch, answers, strict=True):
            if answer is not None:
                waiting.answer(answer)
        _answer(good, firsts)

    def _gone(self, connection: psycopg.Connection, stream: str) -> EventsArchived:
        row = connection.execute(away.OF_STREAM, (self._log_id, stream)).fetchone()
        first, last = row or (0, 0)
        return away.refusal(connection, self._log_id, f"stream {stream}", first, last)

    def _connect(self) -> psycopg.Connection:
        if self._connection is None:
            options = (
                f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c synchronous_commit=on "
                "-c application_name=eventlog-writer"
            )
            self._connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=5, options=options,
                keepalives_idle=5, keepalives_interval=2, keepalives_count=3,
                tcp_user_timeout=10_000,
            )  # fmt: skip
            arrays.register(self._connection)
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                connection.close()


def _awaited(waiting: _Waiting, until_s: float) -> Appended | MotCuaError:
    if not waiting.answered.acquire(timeout=max(0.0, until_s - time.monotonic())):
        return Unavailable("postgresql", "no answer in time; ask again to learn the outcome")
    assert waiting.outcome is not None, "answered with an outcome"
    return waiting.outcome


def _answer_of(request: AppendRequest, verdict: batches.Verdict) -> Appended | MotCuaError | None:
    if verdict.outcome == "duplicate":
        return Appended(
            first_position=verdict.first_position or 0, count=verdict.count or 0, duplicate=True
        )
    if verdict.outcome == "reused":
        return key_reused(request.source, request.key)
    if verdict.outcome == "foreign":
        return foreign_category(verdict.stream or "")
    if verdict.outcome == "conflict":
        return Conflict(verdict.stream or "", verdict.expected or 0, verdict.actual or 0)
    return None


def _answer(batch: list[_Waiting], firsts: list[int]) -> None:
    for waiting, first in zip(batch, firsts, strict=True):
        count = len(waiting.prepared.events)
        waiting.answer(Appended(first_position=first, count=count, duplicate=False))


def _refusal(error: Exception) -> MotCuaError:
    if isinstance(error, psycopg.Error) and error.sqlstate == "MC004":
        return Refused(
            "foreign_reactor",
            "this login does not own that reactor",
            "tài khoản này không sở hữu bộ phản ứng đó",
            field="handled.reactor",
        )
    if isinstance(error, psycopg.Error) and error.sqlstate == "MC006":
        return Unavailable("eventlog", str(error.diag.message_primary))
    return Unavailable("postgresql", str(error))


def _expire(batch: list[_Waiting], detail: str) -> list[_Waiting]:
    now = time.monotonic()
    for waiting in batch:
        if waiting.deadline_s <= now:
            waiting.answer(Unavailable("postgresql", detail))
    return [waiting for waiting in batch if waiting.deadline_s > now]
