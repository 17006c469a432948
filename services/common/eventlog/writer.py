# SPDX-License-Identifier: Apache-2.0
"""The coalescing writer: many callers, one connection, one commit for all that queued up.

A commit under the log's lock costs an fsync. Callers therefore hand their request to the writer of
their process and wait; whatever queues up while one batch is being committed makes the next batch.
No timer is needed: the previous fsync is the accumulation window (ADR-0001).

The fast function takes a batch all or nothing. If anything in it mismatches, the batch is settled:
under the same lock each request gets its own answer, so one caller's conflict never fails another.
If the connection dies, even during the commit, the batch is settled again on a new connection;
the requests' keys make that safe.

Only ``threading``, ``queue`` and ``Future`` are used, so that a monkey-patched process works too.
"""

import contextlib
import os
import queue
import random
import threading
import time
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Final

import psycopg

from services.common.errors import Conflict, MotCuaError, Refused, Unavailable
from services.common.eventlog import batch as batches
from services.common.eventlog.ownership import foreign_category, key_reused
from services.common.eventlog.record import Appended, AppendRequest

BATCH_REQUESTS_MAX: Final = 1000
QUEUE_REQUESTS_MAX: Final = 20_000
_STATEMENT_TIMEOUT_MS: Final = 30_000
_RETRY_FIRST_S: Final = 0.1
_RETRY_LAST_S: Final = 5.0
_SETTLE_STATES: Final = frozenset({"MC001", "MC003", "MC004", "23505"})


@dataclass(slots=True)
class _Waiting:
    prepared: batches.Prepared
    future: "Future[Appended]"
    deadline_s: float


class Writer:
    """Appends requests of one process; started lazily, once per process, so forks are safe."""

    def __init__(self, url: str, log_id: int) -> None:
        """Remember where to write; nothing is opened before the first request."""
        self._url = url
        self._log_id = log_id
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(QUEUE_REQUESTS_MAX)
        self._held: deque[_Waiting] = deque()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._start_lock = threading.Lock()
        self._connection: psycopg.Connection | None = None

    def append(self, request: AppendRequest, timeout_s: float) -> Appended:
        """Queue ``request`` and wait for its durable answer (see ``EventLog.append``)."""
        self._start()
        waiting = _Waiting(
            batches.Prepared.of(request, self._log_id), Future(), time.monotonic() + timeout_s
        )
        try:
            self._queue.put(waiting, timeout=timeout_s)
            return waiting.future.result(max(0.0, waiting.deadline_s - time.monotonic()) + 1.0)
        except queue.Full as error:
            raise Unavailable("postgresql", "the append queue is full") from error
        except FutureTimeoutError as error:
            detail = f"no answer within {timeout_s} s; ask again to learn the outcome"
            raise Unavailable("postgresql", detail) from error

    def close(self, timeout_s: float = 30.0) -> None:
        """Answer what is queued, then stop; further requests start the writer again."""
        with self._start_lock:
            thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive() and self._pid == os.getpid():
            self._queue.put(None, timeout=timeout_s)
            thread.join(timeout_s)

    def _start(self) -> None:
        if self._thread is not None and self._pid == os.getpid() and self._thread.is_alive():
            return
        with self._start_lock:
            if self._thread is not None and self._pid == os.getpid() and self._thread.is_alive():
                return
            if self._pid != os.getpid():
                # A forked child inherits the parent's socket and queue; it must use neither.
                self._queue = queue.Queue(QUEUE_REQUESTS_MAX)
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
                self._write(batch)
        self._drop_connection()

    def _next_batch(self, *, block: bool) -> tuple[list[_Waiting], bool]:
        """Take what is queued: at most one request per stream and per key, the rest waits."""
        taken: list[_Waiting] = []
        later: deque[_Waiting] = deque()
        busy: set[object] = set()
        stop = False
        while len(taken) < BATCH_REQUESTS_MAX:
            if self._held:
                waiting: _Waiting | None = self._held.popleft()
            else:
                try:
                    waiting = self._queue.get(block and not taken and not later)
                except queue.Empty:
                    break
            if waiting is None:
                stop = True
                break
            request = waiting.prepared.request
            claims = {append.stream for append in request.appends}
            claims.add(f"\x00{request.source}\x00{request.key}")
            if busy.isdisjoint(claims):
                taken.append(waiting)
            else:
                later.append(waiting)
            busy |= claims
        later.extend(self._held)
        self._held = later
        return taken, stop

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
            except psycopg.Error as error:
                self._drop_connection()
                for waiting in batch:
                    waiting.future.set_exception(_refusal(error))
                return
            else:
                return

    def _append(self, connection: psycopg.Connection, batch: list[_Waiting]) -> bool:
        """Try the fast way; False when something mismatched and the batch has to be settled."""
        prepared = [waiting.prepared for waiting in batch]
        try:
            with connection.transaction(), connection.cursor() as cursor:
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
                _answer_of(waiting.prepared.request, verdict)
                for waiting, verdict in zip(batch, verdicts, strict=True)
            ]
            good = [w for w, answer in zip(batch, answers, strict=True) if answer is None]
            firsts = (
                batches.append(cursor, self._log_id, [w.prepared for w in good]) if good else []
            )
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Appended):
                waiting.future.set_result(answer)
            elif answer is not None:
                waiting.future.set_exception(answer)
        _answer(good, firsts)

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
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                connection.close()


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
        waiting.future.set_result(Appended(first_position=first, count=count, duplicate=False))


def _refusal(error: psycopg.Error) -> MotCuaError:
    if error.sqlstate == "MC004":
        return Refused(
            "foreign_reactor",
            "this login does not own that reactor",
            "tài khoản này không sở hữu bộ phản ứng đó",
            field="handled.reactor",
        )
    return Unavailable("postgresql", str(error))


def _expire(batch: list[_Waiting], detail: str) -> list[_Waiting]:
    now = time.monotonic()
    for waiting in batch:
        if waiting.deadline_s <= now:
            waiting.future.set_exception(Unavailable("postgresql", detail))
    return [waiting for waiting in batch if waiting.deadline_s > now]
