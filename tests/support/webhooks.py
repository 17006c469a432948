# SPDX-License-Identifier: Apache-2.0
"""A log, one subscriber with a webhook, a receiver over a real socket, and senders."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.system import free_port
from infra.sandbox.receiver import Receiver, make_server
from services.common.clock import SystemClock
from services.common.eventlog.memory import MemoryKeys
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Recorder
from services.notify.adapters.webhook_ledger import progress_of
from services.notify.application.subscribers import order_subscriber, subscriber_of
from services.notify.domain.credentials import shown_secret, token_digest, webhook_secret
from services.notify.domain.subscriber import Subscriber
from services.notify.domain.subscriber_commands import Add, Command, Remove, SetWebhook
from services.notify.domain.webhook import Progress
from tests.support.database import LOG_ID, Database
from tests.support.events import fresh, request
from tests.support.offices import SERVICE_KEY
from tests.support.processes import Process
from tests.support.subscribing import WEBHOOK_KEY
from tests.support.waiting import wait_until

READY, RETURNED = "dossier.ready", "dossier.returned"


class Inbox:
    """A receiver that serves in this process."""

    def __init__(self, folder: Path) -> None:
        self.name = f"t{uuid.uuid4().hex[:8]}"
        secret = webhook_secret(WEBHOOK_KEY, self.name, 1)
        self.secret_file = folder / f"{self.name}.secret"
        self.secret_file.write_text(shown_secret(secret))
        self.receiver = Receiver(folder / f"{self.name}.db", self.secret_file)
        self.port = free_port()
        self._server = make_server(self.receiver, self.port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    def order(self, **faults: float) -> None:
        """Order faults."""
        status, answer = self.receiver.faults.order(faults)
        assert status == 200, answer

    def effects(self) -> list[int]:
        """Return positions in the order of their effects."""
        return [one["position"] for one in self.receiver.told()["effects"]]

    def answers(self) -> Counter[str]:
        """Return how often each answer was given."""
        told = self.receiver.told()["answers"]
        return Counter({one["answer"]: one["times"] for one in told})

    def bodies(self) -> list[bytes]:
        """Return every body that came."""
        return [bytes(row["body"]) for row in self.receiver.book.rows("SELECT body FROM request")]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        self.receiver.book.close()


class Post:
    """Database, log and whoever sends from it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.log = PostgresLog(database.url_for("motcua_notify"), LOG_ID)
        self.dossiers = PostgresLog(database.url_for("motcua_intake"), LOG_ID)
        self.recorder = Recorder(self.log, MemoryKeys(), SystemClock(), SERVICE_KEY)
        self.senders: list[Process] = []
        self.names: list[str] = []

    def order(self, name: str, command: Command) -> None:
        """Carry out a command on a subscriber."""
        order_subscriber(self.recorder, name, command, source="test", actor="official:x")

    def add(self, inbox: Inbox, *types: str, chosen: tuple[str, ...] | None = None) -> None:
        """Add a subscriber with a webhook to ``inbox``."""
        digest = token_digest(inbox.name)
        self.names.append(inbox.name)
        self.order(inbox.name, Add(name=inbox.name, types=types or (READY,), after=self.log.head(),
                                   token_digest=digest, by="x"))  # fmt: skip
        self.order(inbox.name, SetWebhook(url=inbox.url, types=chosen, by="x"))

    def state(self, name: str) -> Subscriber:
        """Return a subscriber as the log knows it."""
        return subscriber_of(self.log, name)

    def progress(self, name: str) -> Progress:
        """Return what is stored of a webhook."""
        with self.log._pool.connection() as connection:
            return progress_of(connection, LOG_ID)[name]

    def append(self, number: int, kind: str = READY) -> list[int]:
        """Append events; returns their positions."""
        found: list[int] = []
        for first in range(0, number, 500):
            count = min(500, number - first)
            done = self.dossiers.append(request((fresh(), 0, count), kind=kind))
            found += range(done.first_position, done.first_position + count)
        return found

    def environ(self, **more: str) -> dict[str, str]:
        """Settings of a sender."""
        return {
            "MOTCUA_LOG_ID": str(LOG_ID),
            "MOTCUA_DATABASE_URL": self.database.url_for("motcua_notify"),
            "MOTCUA_SERVICE_KEY": SERVICE_KEY.hex(),
            "MOTCUA_WEBHOOK_KEY": WEBHOOK_KEY.hex(),
            "MOTCUA_WEBHOOK_NETWORKS": "127.0.0.0/8",
            "MOTCUA_WEBHOOK_PAUSE_FIRST_S": "0.1",
            "MOTCUA_WEBHOOK_TIMEOUT_S": "5",
            "MOTCUA_WEBHOOK_CONFIRM_S": "1",
            **more,
        }

    def sender(self, **more: str) -> Process:
        """Start a sender that may lead."""
        log = self.folder / f"sender-{len(self.senders)}.log"
        self.senders.append(Process("services.notify", self.environ(**more), log, ("webhooks",)))
        return self.senders[-1]

    def wait_taken(self, inbox: Inbox, positions: list[int], timeout_s: float = 40.0) -> None:
        """Return once exactly ``positions`` had their effect, in order."""
        wait_until(lambda: len(inbox.effects()) >= len(positions), timeout_s=timeout_s,
                   what="webhooks to be taken")  # fmt: skip
        assert inbox.effects() == positions


@contextmanager
def post_office(database: Database, folder: Path) -> Iterator[Post]:
    """Open; finally stop every sender and remove every subscriber."""
    post = Post(database, folder)
    try:
        yield post
    finally:
        for one in post.senders:
            one.end()
        for name in post.names:
            post.order(name, Remove(by="x"))
        post.log.close()
        post.dossiers.close()
