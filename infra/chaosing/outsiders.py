# SPDX-License-Identifier: Apache-2.0
"""Three systems outside: each added by command line, each behind a line that can be cut.

They run under the platform's supervisor only because something has to start them again.
"""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.chaosing.plan import IOC, PORTAL, PROVINCE
from infra.local.servers import Servers
from infra.local.settings import LOG_ID, Stack
from infra.local.stack import Program
from infra.local.system import free_port
from infra.sandbox.line import Line

KINDS: Final = (
    "access.*", "calendar.*", "config.*", "dossier.*", "grant.*", "kiosk.*", "notification.*",
    "office.*", "payment.*", "procedure.*", "receipt.*",
)  # fmt: skip
"""Everything but what is said about subscribers themselves."""
TIMEOUT_S: Final = 60
_MANAGEMENT: Final = "MOTCUA_AMQP_MANAGEMENT_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outsider:
    """One subscriber.

    Attributes:
        token: for the feed.
        types: that it is owed.
        store: its inbox, with a table of effects.
        line: between it and the platform.
        ordered: whether its events come in log order.
    """

    name: str
    token: str
    types: frozenset[str]
    store: Path
    line: Line
    ordered: bool

    def effects(self) -> list[int]:
        """Return positions in the order of their effects; nothing before its first start."""
        return [row[0] for row in self._rows("SELECT position FROM effect ORDER BY place")]

    def taken(self) -> dict[int, float]:
        """Return when it took which position, in whole seconds since 1970."""
        rows = self._rows("SELECT position, taken_at FROM motcua_taken")
        return {position: float(at) for position, at in rows}

    def _rows(self, query: str) -> list[tuple[int, ...]]:
        if not self.store.exists():
            return []
        with closing(sqlite3.connect(self.store, timeout=10)) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []  # its tables are not made yet


class Outsiders:
    """All three, their programs, and the command line that keeps their queues and logins."""

    def __init__(self, servers: Servers, local: Stack) -> None:
        """Add them; broker and database must be prepared."""
        assert servers.rabbit is not None, "private servers only"
        self._local, self._broker = local, servers.rabbit.port
        self.programs: dict[str, Program] = {}
        self.receiver_port = free_port()
        self.book = local.folder / "books" / f"{PROVINCE}.db"
        self.all = (self._by_queue(), self._by_feed(), self._by_webhook())

    def motcua(self, *words: str) -> dict[str, str]:
        """Run ``motcua subscriber``; returns what it printed as ``name=value``."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "infra.motcua", "subscriber", *words],
            check=True, capture_output=True, text=True, timeout=TIMEOUT_S,
            env={**os.environ, **self._environ()},
        )  # fmt: skip
        pairs = (line.partition("=") for line in done.stdout.splitlines())
        return {name: value for name, _, value in pairs}

    def close(self) -> None:
        """Take the lines away."""
        for one in self.all:
            one.line.close()

    def _by_queue(self) -> Outsider:
        given, amqp, feed = self._add(IOC), free_port(), free_port()
        line = Line([(amqp, self._broker), (feed, self._local.ports["notify-feed-http"])])
        url = given["amqp_url"].replace(f":{self._broker}/", f":{amqp}/")
        one = self._outsider(IOC, given, line, ordered=False)
        self._listener(one, feed, {"AMQP_URL": url, "QUEUE": given["queue"]})
        return one

    def _by_feed(self) -> Outsider:
        given, feed = self._add(PORTAL), free_port()
        line = Line([(feed, self._local.ports["notify-feed-http"])])
        one = self._outsider(PORTAL, given, line, ordered=True)
        self._listener(one, feed, {})
        return one

    def _by_webhook(self) -> Outsider:
        given, port = self._add(PROVINCE), free_port()
        line = Line([(port, self.receiver_port)])
        url = f"http://127.0.0.1:{port}/events"
        told = self.motcua("webhook", "add", PROVINCE, url, "--by", "vh001")
        secret = self._local.secret(f"{PROVINCE}_webhook")
        secret.touch(mode=0o600)
        secret.write_text(told["webhook_secret"], encoding="utf-8")
        command = [
            sys.executable, "-m", "infra.sandbox.receiver", "--port", str(self.receiver_port),
            "--book", str(self.book), "--secret-file", str(secret),
        ]  # fmt: skip
        self.programs[f"listener-{PROVINCE}"] = (command, {"PYTHONWARNINGS": "ignore"})
        store = self.book.with_suffix(".inbox.db")
        return self._outsider(PROVINCE, given, line, ordered=True, store=store)

    def _add(self, name: str) -> dict[str, str]:
        types = [word for kind in KINDS for word in ("--type", kind)]
        return self.motcua("add", name, *types, "--by", "vh001")

    def _outsider(
        self, name: str, given: Mapping[str, str], line: Line, *, ordered: bool,
        store: Path | None = None,
    ) -> Outsider:  # fmt: skip
        return Outsider(
            name=name, token=given["token"], types=frozenset(given["types"].split(",")), line=line,
            store=store or self._local.folder / "books" / f"{name}.inbox.db", ordered=ordered,
        )  # fmt: skip

    def _listener(self, one: Outsider, feed: int, more: Mapping[str, str]) -> None:
        self.programs[f"listener-{one.name}"] = listener(one, feed, more)

    def _environ(self) -> dict[str, str]:
        local = self._local
        return {
            "MOTCUA_DATABASE_URL": local.database_url("motcua_notify"),
            "MOTCUA_LOG_ID": str(LOG_ID),
            "MOTCUA_SERVICE_KEY_FILE": str(local.secret("service_key")),
            "MOTCUA_AMQP_URL": local.amqp_url("motcua_notify"),
            _MANAGEMENT: local.addresses.management_url,
            "MOTCUA_SUBSCRIBER_KEY_FILE": str(local.secret("subscriber_key")),
            "MOTCUA_WEBHOOK_KEY_FILE": str(local.secret("webhook_key")),
            "MOTCUA_WEBHOOK_NETWORKS": "127.0.0.0/8",
        }


def listener(one: Outsider, feed: int, more: Mapping[str, str]) -> Program:
    """Return the program of a subscriber that asks the feed at local port ``feed``."""
    environ = {
        "STORE": str(one.store), "FEED_URL": f"http://127.0.0.1:{feed}", "TOKEN": one.token,
        "PYTHONWARNINGS": "ignore", **more,
    }  # fmt: skip
    return [sys.executable, "-m", "infra.chaosing.listener"], environ
