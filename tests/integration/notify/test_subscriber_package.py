# SPDX-License-Identifier: Apache-2.0
"""The subscribers' package against the feed's process and a broker: away, back, complete."""

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from werkzeug.serving import make_server

from infra.local.system import free_port
from motcua_subscriber import (
    CertificateError,
    Event,
    FeedClient,
    FeedError,
    SQLiteInbox,
    Subscriber,
)
from services.common.clock import VIETNAM, SystemClock
from services.common.eventlog.postgres import PostgresLog
from services.common.messaging import topology
from services.common.messaging.envelope import encode, wire_name
from services.common.runtime import ReadConfig
from services.notify.application.certificates import certificate_signer
from services.notify.config import FeedConfig
from services.notify.feeding import make_feeding
from services.notify.web.server import make_app
from tests.support.broker import Broker
from tests.support.database import LOG_ID, Database
from tests.support.events import fresh, request
from tests.support.offices import CONTACT, HandClock, Office
from tests.support.processes import Process
from tests.support.sealed_log import seal
from tests.support.subscribing import Desk, subscriber_desk
from tests.support.waiting import wait_until

KEY = bytes(range(3, 35))
READY, RETURNED = "dossier.ready", "dossier.returned"


class Place:
    """A feed process, a broker, a log, and one subscriber's side."""

    def __init__(self, desk: Desk, folder: Path, log: PostgresLog) -> None:
        self.desk, self.folder, self.log = desk, folder, log
        self.name = f"t{uuid.uuid4().hex[:8]}"
        self.port = free_port()
        self.process = Process("services.notify", self.environ, folder / "feed.log", ("feed",))
        self.given = desk.add(self.name, READY, "kiosk.*")
        self.start = log.head()

    @property
    def environ(self) -> dict[str, str]:
        """Settings of the feed's process; the database login is the feed's own."""
        return {
            "MOTCUA_LOG_ID": str(LOG_ID), "MOTCUA_HTTP_PORT": str(self.port),
            "MOTCUA_DATABASE_URL": self.desk.database.url_for("motcua_feed"),
            "MOTCUA_CERTIFICATE_KEY": KEY.hex(),
        }  # fmt: skip

    def append(self, number: int, kind: str = READY) -> None:
        """Append events, at most 500 at once."""
        for first in range(0, number, 500):
            self.log.append(request((fresh(), 0, min(500, number - first)), kind=kind))

    def owed(self) -> list[int]:
        """Return the positions that are owed."""
        found = self.log.read_all(self.start, limit=100_000)
        return [e.position for e in found if e.type == READY or e.type.startswith("kiosk.")]

    def relay(self, after: int, *, without: set[int] | None = None) -> None:
        """Publish as the relay does, but for some that get lost."""
        with self.desk.broker.channel() as channel:
            for event in self.log.read_all(after, limit=100_000):
                if event.position not in (without or set()):
                    self.desk.broker.send(channel, topology.EVENTS, wire_name(event), encode(event))

    def feed(self, port: int | None = None) -> FeedClient:
        """Return the feed as the subscriber sees it."""
        return FeedClient(f"http://127.0.0.1:{port or self.port}", self.given["token"])


@pytest.fixture
def place(broker: Broker, database: Database, tmp_path: Path) -> Iterator[Place]:
    """A subscriber that was just added."""
    with subscriber_desk(broker, database) as desk, closing(database.log()) as log:
        place = Place(desk, tmp_path, log)
        place.process.wait_ready()
        yield place
        desk.run("remove", place.name, "--by", "x")
        place.process.stop()


class Taker:
    """What a subscriber does with events: counts each in the inbox's own file."""

    def __init__(self, folder: Path) -> None:
        self.inbox = SQLiteInbox(folder / "inbox.db")
        self.inbox.connection.execute(
            "CREATE TABLE IF NOT EXISTS counted (position INTEGER, type TEXT)"
        )

    def effect(self, event: Event, connection: object) -> None:
        self.inbox.connection.execute(
            "INSERT INTO counted VALUES (?, ?)", (event.position, event.type)
        )

    def counted(self) -> list[int]:
        """Return positions in the order of their effects."""
        rows = self.inbox.connection.execute("SELECT position FROM counted ORDER BY rowid")
        return [row[0] for row in rows]


def test_three_days_away_and_nothing_is_missing(place: Place) -> None:
    """What the queue lost meanwhile comes from the feed, in order, each once in effect."""
    place.append(1500), place.append(700, RETURNED), place.append(800)
    place.relay(place.start)
    place.desk.broker.api("DELETE", f"/queues/{{v}}/{place.given['queue']}/contents")
    taker = Taker(place.folder)
    away = Subscriber(place.feed(), taker.inbox)
    assert away.catch_up(taker.effect) == 2300
    assert taker.counted() == place.owed()
    assert taker.inbox.through() == place.log.head()
    assert away.catch_up(taker.effect) == 0
    taker.inbox.close()


def test_queue_and_feed_together(place: Place) -> None:
    """Live by the queue; doubled messages have no effect, lost ones come by the next check."""
    place.append(20)
    place.relay(place.start)  # before it begins: the queue has what the feed gives first

    def live() -> None:
        taker = Taker(place.folder)
        with closing(taker.inbox):
            subscribers.append(Subscriber(
                place.feed(), taker.inbox, amqp_url=place.given["amqp_url"],
                queue=place.given["queue"], check_every_s=0.5,
            ))  # fmt: skip
            subscribers[0].run(taker.effect)

    subscribers: list[Subscriber] = []
    thread = Thread(target=live)
    thread.start()
    watch = Taker(place.folder)
    wait_until(lambda: len(watch.counted()) == 20, what="the past")
    head = place.log.head()
    place.append(30)
    lost = {head + 7, head + 8, head + 30}
    place.relay(head, without=lost)
    place.relay(head, without=lost)
    wait_until(lambda: len(watch.counted()) == 50, what="what was lost")
    assert sorted(watch.counted()) == place.owed()
    place.desk.broker.api("DELETE", f"/queues/{{v}}/{place.given['queue']}")
    place.append(5)
    place.desk.run("restore")
    wait_until(lambda: len(watch.counted()) == 55, what="after the queue was deleted")
    assert sorted(watch.counted()) == place.owed()
    subscribers[0].stop()
    thread.join(20)
    assert not thread.is_alive()
    watch.inbox.close()


def test_a_days_certificate_names_what_is_missing(place: Place) -> None:
    """It agrees with a whole inbox; one event lost or made up is named by its position."""
    place.append(60)
    seal(place.desk.database)
    clock = HandClock(SystemClock().now() + timedelta(days=1, minutes=6))
    today = SystemClock().now().astimezone(VIETNAM).date()
    read = ReadConfig(
        service="feed", log_id=LOG_ID, metrics_port=0, http_host="127.0.0.1", log_format=None,
        database_url=place.desk.database.url_for("motcua_feed"),
    )  # fmt: skip
    feeding = make_feeding(FeedConfig(read=read, http_port=1, certificate_key=KEY), today=clock)
    server = make_server("127.0.0.1", 0, make_app(feeding), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    key = str(certificate_signer(LOG_ID, KEY).verifier)
    taker = Taker(place.folder)
    subscriber = Subscriber(place.feed(server.server_port), taker.inbox)
    try:
        subscriber.catch_up(taker.effect)
        whole = subscriber.check_day(today, key)
        assert (whole.complete, whole.owed) == (True, 60)
        run = taker.inbox.connection.execute
        run("DELETE FROM motcua_taken WHERE position = ?", (place.start + 9,))
        run("INSERT INTO motcua_taken VALUES (?, ?, 0)", (place.start, b"\0" * 16))
        broken = subscriber.check_day(today, key)
        assert (broken.complete, broken.missing) == (False, [place.start + 9])
        assert broken.too_much == [place.start]
        with pytest.raises(CertificateError):
            subscriber.check_day(today, str(certificate_signer(LOG_ID, bytes(31) + b"x").verifier))
        with pytest.raises(FeedError, match="day_not_over"):
            subscriber.check_day(today + timedelta(days=2), key)
    finally:
        server.shutdown()
        thread.join(10)
        feeding.runtime.close()
        taker.inbox.close()


def test_personal_data_travel_by_no_way(place: Place) -> None:
    """A citizen's name and number are in no message, page or dead letter."""
    logs: dict[str, PostgresLog] = {}
    keys = place.desk.database.keys("motcua_kiosk_sync")

    def log_as(role: str) -> PostgresLog:
        return logs.setdefault(role, place.desk.database.log(role))

    head = place.log.head()
    office = Office(log_as, keys, HandClock(SystemClock().now()))  # type: ignore[arg-type]
    dossier = office.deposit()
    place.relay(head)
    queue = place.given["queue"]
    with place.desk.broker.channel() as channel:
        tag = channel.basic_get(queue)[0].delivery_tag
        channel.basic_reject(tag, requeue=False)
        channel.queue_declare(queue, passive=True)
    wait_until(lambda: place.desk.broker.depth(f"{queue}.dlq"), what="a dead letter")
    request_ = f"/v1/events?after={head}&limit=1000"
    page, _ = place.feed()._get(request_)
    said = [page, *place.desk.broker.take(queue), *place.desk.broker.take(f"{queue}.dlq")]
    assert len(said) >= 3 - 1
    assert any(dossier.encode() in one for one in said)
    assert isinstance(CONTACT, dict)
    for value in map(str, CONTACT.values()):
        for spelt in (
            value.encode(),
            json.dumps(value).strip('"').encode(),
            value.strip("+").encode(),
        ):
            assert not any(spelt in one for one in said)
    for part in (*logs.values(), keys):
        part.close()
