# SPDX-License-Identifier: Apache-2.0
"""Asks witnesses to cosign, beside the sealer; whatever they do or do not answer, sealing goes on.

Each witness has a thread, a connection and an advisory lock of its own: of several replicas one
asks, and a witness that hangs holds up no other. Only the newest checkpoint is brought; it covers
all before it.
"""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import requests

from services.common.audit.sealing import SqlTree
from services.common.audit.seals import TamperedError
from services.common.clock import SystemClock, to_micros
from services.common.integrity.merkle import consistency_proof
from services.common.integrity.notes import COSIGNATURE, Note, NoteError, VerifierKey
from services.common.integrity.witnessing import (
    BODY_MAX,
    CONFLICT,
    SIZE_TYPE,
    UNPROCESSABLE,
    AddCheckpoint,
    checked_cosignature,
)
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger

EVERY_S: Final = 1.0
PAUSE_LAST_S: Final = 60.0
CONNECT_S, READ_S = 3.0, 10.0
IDLE, COSIGNED, AHEAD, REFUSED, UNAVAILABLE = "idle", "cosigned", "ahead", "refused", "unavailable"
_OK: Final = 200
_SESSION: Final = "-c statement_timeout=30000 -c application_name=cosigning"
_NEWEST: Final = (
    "SELECT size, note FROM eventlog.checkpoint WHERE log_id = %s ORDER BY size DESC LIMIT 1"
)
_COSIGNED: Final = (
    "SELECT coalesce(max(size), 0) FROM eventlog.cosignature WHERE log_id = %s AND witness = %s"
)
_OPEN_SINCE: Final = (
    "SELECT sealed_at FROM eventlog.checkpoint WHERE log_id = %s AND size > %s"
    " ORDER BY size LIMIT 1"
)
_CLOCK: Final = SystemClock()
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WitnessPlace:
    """Where a witness listens, and by which key it is known."""

    url: str
    key: VerifierKey


def read_witnesses(text: str) -> tuple[WitnessPlace, ...]:
    """Return witnesses from lines ``<url> <verifier key>``; raises NoteError."""
    places = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        url, _, key_text = line.partition(" ")
        key = VerifierKey.parse(key_text)
        if urlsplit(url).scheme not in {"http", "https"} or key.algorithm != COSIGNATURE:
            raise NoteError(f"a witness is '<url> <verifier key of a witness>', not {line!r}")
        places.append(WitnessPlace(url.rstrip("/"), key))
    return tuple(places)


class Asking:
    """Brings one log's newest checkpoint to one witness."""

    def __init__(
        self, connection: psycopg.Connection[Any], log_id: int, place: WitnessPlace
    ) -> None:
        """Begin where the stored cosignatures end; ``connection`` is in autocommit mode."""
        self._connection = connection
        self._log_id = log_id
        self._place = place
        self._http = requests.Session()
        self._http.trust_env = False
        self.contradicted = False
        row = connection.execute(_COSIGNED, (log_id, place.key.name)).fetchone()
        self.stored = self._old = 0 if row is None else int(row[0])

    def step(self) -> str:
        """Ask once where there is something to cosign; returns what came of it.

        Raises:
            psycopg.Error: the database is down.
        """
        row = self._connection.execute(_NEWEST, (self._log_id,)).fetchone()
        if row is None or row[0] <= self.stored:
            metrics.cosign_lag_seconds.labels(self._place.key.name).set(0)
            return IDLE
        self.contradicted = False
        outcome = self._ask(int(row[0]), str(row[1]))
        metrics.cosign_total.labels(self._place.key.name, outcome).inc()
        self._measure()
        return outcome

    def _ask(self, size: int, note: str) -> str:
        try:
            answer = self._post(size, note)
            if answer[:2] == (CONFLICT, SIZE_TYPE):
                # The witness knows where we stand; what we remember of it may be older.
                self._old = int(answer[2])
                if self._old > size:
                    self.contradicted = True
                    _LOG.critical("witness_knows_more", size=size, witness_size=self._old)
                    return AHEAD
                answer = self._post(size, note)
            if answer[0] != _OK:
                self.contradicted = answer[0] in {CONFLICT, UNPROCESSABLE}
                level = _LOG.warning if answer[0] >= 500 else _LOG.error  # noqa: PLR2004
                level("cosigning_refused", witness=self._place.key.name, status=answer[0])
                return UNAVAILABLE if answer[0] >= 500 else REFUSED  # noqa: PLR2004
            line = checked_cosignature(Note.parse(note), answer[2], self._place.key)
        except (requests.RequestException, OSError):
            return UNAVAILABLE
        except (NoteError, TamperedError, ValueError) as error:
            _LOG.error("cosigning_refused", witness=self._place.key.name, reason=str(error))
            return REFUSED
        self._connection.execute(
            "INSERT INTO eventlog.cosignature (log_id, size, witness, line)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (self._log_id, size, self._place.key.name, line),
        )
        self.stored = self._old = size
        return COSIGNED

    def _post(self, size: int, note: str) -> tuple[int, str, str]:
        tree = SqlTree(self._connection, self._log_id)
        proof = tuple(consistency_proof(self._old, size, tree.read)) if self._old <= size else ()
        body = str(AddCheckpoint(old=min(self._old, size), proof=proof, checkpoint=note))
        with self._http.post(
            f"{self._place.url}/add-checkpoint", data=body.encode(), timeout=(CONNECT_S, READ_S),
            allow_redirects=False, stream=True,
        ) as response:  # fmt: skip
            content = response.raw.read(BODY_MAX, decode_content=True)
            kind = response.headers.get("Content-Type", "")
            return response.status_code, kind, content.decode("utf-8", "replace")

    def _measure(self) -> None:
        row = self._connection.execute(_OPEN_SINCE, (self._log_id, self.stored)).fetchone()
        age_s = 0.0 if row is None else (to_micros(_CLOCK.now()) - int(row[0])) / 1e6
        metrics.cosign_lag_seconds.labels(self._place.key.name).set(max(0.0, age_s))


def start_cosigning(
    database_url: str, log_id: int, places: Sequence[WitnessPlace], stopping: threading.Event,
    doubt: threading.Event,
) -> list[threading.Thread]:  # fmt: skip
    """Start a thread for each witness; all end soon after ``stopping``.

    ``doubt`` is set when a witness says that our log is not the one it saw before.
    """
    threads = [
        threading.Thread(
            target=_run, args=(database_url, log_id, place, stopping, doubt),
            name=f"witness {place.key.name}", daemon=True,
        )
        for place in places
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    return threads


def _run(
    database_url: str, log_id: int, place: WitnessPlace, stopping: threading.Event,
    doubt: threading.Event,
) -> None:  # fmt: skip
    pause_s = EVERY_S
    while not stopping.is_set():
        try:
            with psycopg.connect(
                database_url, autocommit=True, connect_timeout=5, options=_SESSION,
                keepalives_idle=5, keepalives_interval=2, keepalives_count=3,
            ) as connection:  # fmt: skip
                if alone(connection, f"motcua/cosigning/{log_id}/{place.key}"):
                    asking = Asking(connection, log_id, place)
                    while not stopping.is_set():
                        good = asking.step() in {IDLE, COSIGNED}
                        if asking.contradicted:
                            doubt.set()
                        pause_s = EVERY_S if good else min(PAUSE_LAST_S, pause_s * 2)
                        stopping.wait(random.uniform(pause_s / 2, pause_s))  # noqa: S311
        except psycopg.Error as error:
            _LOG.warning("cosigning_interrupted", error=type(error).__name__)
        stopping.wait(PAUSE_LAST_S / 12)


def alone(connection: psycopg.Connection[Any], work: str) -> bool:
    """Take the lock of a piece of work for as long as the connection lasts; False when taken."""
    number = int.from_bytes(sha256(work.encode()).digest()[:8], signed=True)
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (number,)).fetchone()
    return row is not None and bool(row[0])
