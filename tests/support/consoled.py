# SPDX-License-Identifier: Apache-2.0
"""Subscribers with something behind them, as their pages find them: deliveries, gaps, a queue."""

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from services.common.clock import SystemClock
from services.common.eventlog.memory import MemoryKeys
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Recorder
from services.common.messaging import topology
from services.common.runtime import ReadConfig
from services.common.web.people import LoginConfig
from services.notify.adapters.subscriber_queues import SubscriberQueues
from services.notify.adapters.webhook_ledger import PostgresLedger
from services.notify.application.ports import Attempt
from services.notify.application.subscribers import order_subscriber, subscriber_of
from services.notify.config import ConsoleConfig
from services.notify.consoling import Consoling
from services.notify.domain.credentials import token_digest
from services.notify.domain.subscriber_commands import Add, Command, SetWebhook, Suspend
from services.notify.domain.webhook import Answer, Progress, taken
from tests.support.broker import Broker
from tests.support.database import LOG_ID, Database
from tests.support.events import fresh, request
from tests.support.offices import SERVICE_KEY
from tests.support.sealed_log import seal
from tests.support.webhooks import READY, RETURNED

ROLE = "motcua_notify"
URL = "https://ioc.example.vn/motcua"
OWED = 60


@dataclass(frozen=True, kw_only=True)
class Consoled:
    """What there is.

    Attributes:
        dossier: whose events ``ioc`` was sent; ``scattered`` are their positions.
        owed: positions that the webhook of ``ioc`` is sent; the last five are not there yet.
        missing: one of them of which no delivery is noted.
    """

    database: Database
    broker: Broker
    dossier: str
    scattered: tuple[int, ...]
    owed: tuple[int, ...]
    missing: int

    @property
    def looker_url(self) -> str:
        """Login to the broker that may do nothing."""
        return self.broker.url_for(f"{self.broker.vhost}_looker", "p-of-looker")


@contextmanager
def consoled(database: Database, broker: Broker) -> Iterator[Consoled]:
    """Make ``ioc`` with webhook and queue, ``soc`` whose webhook stopped, ``tin`` without one."""
    broker.declare()
    user = f"{broker.vhost}_looker"
    broker.api("PUT", f"/users/{user}", {"password": "p-of-looker", "tags": ""})
    broker.api("PUT", f"/permissions/{{v}}/{user}", topology.permissions("notify_web"))
    try:
        with (
            closing(database.log(ROLE)) as log,
            closing(database.log("motcua_intake")) as dossiers,
        ):
            yield _fill(database, broker, log, dossiers)
    finally:
        broker.api("DELETE", f"/users/{user}")


def consoling(place: Consoled, login: LoginConfig, *, amqp_url: str = "") -> Consoling:
    """Return the pages' runtime; the caller closes it."""
    return Consoling(
        ConsoleConfig(
            read=ReadConfig(
                service="notify", log_id=LOG_ID, metrics_port=0, http_host="127.0.0.1",
                database_url=place.database.url_for(ROLE), log_format="json",
            ),
            http_port=1, login=login, service_key=SERVICE_KEY,
            amqp_url=amqp_url or place.looker_url,
        )
    )  # fmt: skip


def _fill(database: Database, broker: Broker, log: PostgresLog, dossiers: PostgresLog) -> Consoled:
    recorder = Recorder(log, MemoryKeys(), SystemClock(), SERVICE_KEY)

    def order(name: str, command: Command) -> None:
        order_subscriber(recorder, name, command, source="test", actor="official:vh001")

    for name in ("ioc", "soc", "tin"):
        order(name, Add(name=name, types=(READY, RETURNED), after=log.head(),
                        token_digest=token_digest(name), by="vh001"))  # fmt: skip
    for name in ("ioc", "soc"):
        order(name, SetWebhook(url=URL, by="vh001"))
    order("soc", Suspend(scope="webhook", reason="refused", position=2, by="service:notify"))
    queue = topology.subscriber_queue("ioc", (READY,))
    SubscriberQueues(broker.url).ensure("ioc", (READY,))
    dossier, scattered = str(uuid.uuid4()), list[int]()
    owed: list[int] = []
    for number in range(OWED):
        subject = dossier if number in {3, 4, 20} else None
        done = dossiers.append(request((fresh(), 0, 1), subject=subject))
        owed.append(done.first_position)
        scattered += [done.first_position] if subject else []
        if number == 10:
            dossiers.append(request((fresh(), 0, 1), kind="dossier.opened", subject=dossier))
    missing = owed[7]
    _deliver(database, log, owed[:-5], missing)
    seal(database)
    for _ in range(3):
        broker.publish("", queue.name, b"{}")
    broker.publish("", queue.dead_letter_queue, b"{}")
    return Consoled(
        database=database, broker=broker, dossier=dossier, scattered=tuple(scattered),
        owed=tuple(owed), missing=missing,
    )  # fmt: skip


def _deliver(database: Database, log: PostgresLog, positions: list[int], missing: int) -> None:
    """Write down as the sender does that ``positions`` were taken, ``missing`` by nobody's note."""
    ledger = PostgresLedger.begin(database.url_for(ROLE), LOG_ID)
    ids = {event.position: event.event_id for event in log.read_positions(positions)}
    try:
        assert ledger.take()
        before: Progress | None = None
        progress = Progress(through=subscriber_of(log, "ioc").url_after)
        for position in positions:
            if position != missing:
                attempt = Attempt(
                    position=position, event_id=ids[position], number=1, redriven=False,
                    answer=Answer(outcome="answered", status=204, latency_ms=7),
                )  # fmt: skip
                after = taken(progress, 0, position)
                ledger.record("ioc", before, after, attempt)
                before = progress = after
        attempt = Attempt(
            position=positions[-1], event_id=ids[positions[-1]], number=1, redriven=False,
            answer=Answer(outcome="timeout", latency_ms=10_000),
        )  # fmt: skip
        ledger.record("ioc", before, progress, attempt)
    finally:
        ledger.close()
