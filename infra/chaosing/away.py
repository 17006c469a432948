# SPDX-License-Identifier: Apache-2.0
"""A subscriber that was away for three days, at a log of its own with sixty days of history.

The log's days are over, so their certificates are the feed's own, with nothing done to its clock.
"""

import dataclasses
import os
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from typing import Final

import psycopg
from psycopg import sql

from infra.chaosing.outsiders import KINDS, Outsider, listener
from infra.generating.loading import SCRATCH, generate
from infra.local.settings import LOG_ID, Stack
from infra.local.stack import Program, environment
from infra.local.system import free_port
from infra.sandbox.line import Line
from services.common.audit.sealing import Sealing
from services.common.audit.seals import Seals, origin_of
from services.common.clock import VIETNAM, SystemClock, from_micros, to_micros
from services.common.eventlog.memory import MemoryKeys
from services.common.eventlog.migrate import migrate
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Recorder
from services.common.integrity.notes import Signer
from services.notify.application.subscribers import granted_types, order_subscriber
from services.notify.domain import credentials
from services.notify.domain.subscriber_commands import Add

NAME: Final = "away"
DAYS: Final = 3
EVENTS: Final = 30_000
DATABASE: Final = "motcua_past"


class Away:
    """Log, feed and subscriber."""

    def __init__(self, local: Stack, seed: int) -> None:
        """Generate and seal the log; add the subscriber as of three days before its end."""
        self.local = dataclasses.replace(local, database=DATABASE)
        self.feed_port, line_port = free_port(), free_port()
        self._make(seed)
        log = PostgresLog(self.local.database_url("motcua_notify"), LOG_ID)
        try:
            self.head = log.head()
            (last,) = log.read_positions([self.head])
            self.days = _days(from_micros(last.recorded_at_us))
            self.after = self._before(self.days[0])
            types, token = granted_types(KINDS), credentials.token_of(os.urandom(32))
            self._add(log, types, token)
            self.end = log.head()
        finally:
            log.close()
        self._seal()
        store = local.folder / "books" / f"{NAME}.inbox.db"
        self.outsider = Outsider(
            name=NAME, token=token, types=frozenset(types), store=store, ordered=True,
            line=Line([(line_port, self.feed_port)]),
        )  # fmt: skip
        self._command, self._environ = listener(self.outsider, line_port, {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def programs(self) -> dict[str, Program]:
        """The feed of this log."""
        values = environment(self.local, "past-feed", None) | {
            "MOTCUA_LOG_ID": str(LOG_ID),
            "MOTCUA_DATABASE_URL": self.local.database_url("motcua_feed"),
            "MOTCUA_CERTIFICATE_KEY_FILE": str(self.local.secret("certificate_key")),
            "MOTCUA_HTTP_PORT": str(self.feed_port),
        }
        return {"past-feed": ([sys.executable, "-m", "services.notify", "feed"], values)}

    def come_back(self) -> None:
        """Begin to catch up, in whatever is going on just then."""
        self._process = subprocess.Popen(self._command, env={**os.environ, **self._environ})

    def close(self) -> None:
        """End the subscriber."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
        self.outsider.line.close()

    def _make(self, seed: int) -> None:
        keys = f"{DATABASE}_keys"
        with psycopg.connect(self.local.addresses.database_url, autocommit=True) as connection:
            for name in (DATABASE, keys):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            mark = sql.SQL("COMMENT ON DATABASE {} IS {}")
            connection.execute(mark.format(sql.Identifier(DATABASE), sql.Literal(SCRATCH)))
        url = self.local.admin_url()
        migrate(url, self.local.admin_url(keys=True), self.local.passwords, LOG_ID)
        generate(url, LOG_ID, events=EVENTS, seed=seed)

    def _before(self, day: date) -> int:
        begin_us = to_micros(datetime.combine(day, time(), VIETNAM))
        with psycopg.connect(self.local.admin_url()) as connection:
            row = connection.execute(
                "SELECT coalesce(max(pos), 0) FROM eventlog.event"
                " WHERE log_id = %s AND recorded_at < %s", (LOG_ID, begin_us),
            ).fetchone()  # fmt: skip
        assert row is not None, "an aggregate has a row"
        return int(row[0])

    def _add(self, log: PostgresLog, types: tuple[str, ...], token: str) -> None:
        key = bytes.fromhex(self.local.secret("service_key").read_text())
        recorder = Recorder(log, MemoryKeys(), SystemClock(), key)
        command = Add(
            name=NAME, types=types, after=self.after, by="vh001",
            token_digest=credentials.token_digest(token),
        )  # fmt: skip
        order_subscriber(recorder, NAME, command, source="cli:subscriber", actor="official:vh001")

    def _seal(self) -> None:
        origin = origin_of(LOG_ID, 1)
        signer = Signer(origin, bytes.fromhex(self.local.secret("seal_key").read_text()))
        with psycopg.connect(
            self.local.database_url("motcua_sealer"), autocommit=True
        ) as connection:
            sealing = Sealing(connection, Seals(log_id=LOG_ID, origin=origin, signer=signer))
            while sealing.step(to_micros(SystemClock().now())) is not None:
                pass


def _days(end: datetime) -> list[date]:
    """Return the last whole days before ``end``, in Vietnam."""
    last = end.astimezone(VIETNAM).date()
    return [last - timedelta(days=n) for n in range(DAYS, 0, -1)]
