# SPDX-License-Identifier: Apache-2.0
"""The feed over a real log, as its own login."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.common.clock import VIETNAM, SystemClock
from services.common.eventlog.memory import MemoryKeys
from services.common.eventlog.recording import Recorder
from services.common.integrity.notes import Note
from services.common.messaging.envelope import encode
from services.common.runtime import ReadConfig
from services.notify.application import feed as feed_module
from services.notify.application import limits
from services.notify.application.certificates import certificate_signer
from services.notify.application.subscribers import order_subscriber
from services.notify.config import FeedConfig
from services.notify.domain.credentials import token_digest
from services.notify.domain.subscriber_commands import Add, Command, Remove, Resume, Suspend
from services.notify.feeding import Feeding, make_feeding
from services.notify.web.server import make_app
from tests.support.database import LOG_ID, Database
from tests.support.events import fresh, request
from tests.support.intake_site import problem_of
from tests.support.offices import SERVICE_KEY
from tests.support.sealed_log import seal
from tests.support.waiting import wait_until

KEY = bytes(range(2, 34))
READY, RETURNED = "dossier.ready", "dossier.returned"


class Site:
    """The feed's application, and who writes the log."""

    def __init__(self, database: Database, feeding: Feeding) -> None:
        self.database, self.feeding = database, feeding
        self.app = make_app(feeding)
        self.client: FlaskClient = self.app.test_client()
        self.log = database.log("motcua_intake")
        self.recorder = Recorder(
            database.log("motcua_notify"), MemoryKeys(), SystemClock(), SERVICE_KEY
        )

    def order(self, command: Command, name: str = "ioc") -> None:
        """Carry out a command on a subscriber."""
        order_subscriber(self.recorder, name, command, source="test", actor="official:vh001")

    def add(self, *types: str, name: str = "ioc", after: int | None = None) -> None:
        """Add a subscriber whose token is its name."""
        after = self.log.head() if after is None else after
        self.order(
            Add(name=name, types=types, after=after, token_digest=token_digest(name), by="x"), name
        )

    def append(self, number: int, kind: str = READY) -> list[int]:
        """Append events; returns their positions."""
        answer = self.log.append(request((fresh(), 0, number), kind=kind))
        return list(range(answer.first_position, answer.first_position + number))

    def settle(self) -> None:
        """Return once the feed has looked up to the head: it does so ten times a second."""
        head = self.recorder.log.head()
        wait_until(lambda: self.feeding.subscribers.look().head >= head, what="the feed's look")

    def get(self, path: str, *, token: str = "ioc", **headers: str) -> TestResponse:
        """Ask as a subscriber."""
        self.settle()
        headers = {"Authorization": f"Bearer {token}", **headers}
        return self.client.get(f"/v1{path}", headers=headers)

    def page(self, query: str = "") -> tuple[Any, list[int]]:
        """Return a page and the positions in it."""
        answer = self.get(f"/events?{query}")
        assert answer.status_code == 200, answer.text
        body = answer.get_json()
        return body, [int(event["sequence"]) for event in body["events"]]


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    """A feed without subscribers on a log with something in it."""
    read = ReadConfig(
        service="feed", log_id=LOG_ID, database_url=database.url_for("motcua_feed"),
        http_host="127.0.0.1", metrics_port=0, log_format=None,
    )  # fmt: skip
    feeding = make_feeding(FeedConfig(read=read, http_port=1, certificate_key=KEY))
    site = Site(database, feeding)
    site.append(2)
    yield site
    site.order(Remove(by="x"))
    site.log.close()
    site.recorder.log.close()  # type: ignore[attr-defined]
    feeding.runtime.close()


def test_pages_hold_what_was_owed_and_say_how_far_was_looked(site: Site) -> None:
    """Types that are not granted are left out; through tells "nothing" from "not yet"."""
    site.add(READY)
    start = site.log.head()
    owed = site.append(3)
    site.append(2, RETURNED)
    body, positions = site.page(f"after={start}")
    assert (positions, body["through"], body["closed"]) == (owed, site.log.head(), False)
    body, positions = site.page(f"after={start}&limit=2")
    assert (positions, body["through"], body["closed"]) == (owed[:2], owed[1], True)
    site.add(READY, RETURNED)
    later = site.append(1, RETURNED)
    assert site.page(f"after={start}")[1] == owed + later
    assert site.page(f"after={start}&types={RETURNED}")[1] == [owed[2] + 1, owed[2] + 2, *later]
    assert site.page("after=0")[1][0] > start


def test_events_are_the_bytes_the_broker_got(site: Site) -> None:
    """A page's events are the messages' bodies, byte for byte."""
    site.add(READY)
    start = site.log.head()
    site.append(3)
    bodies = [encode(event) for event in site.log.read_all(start)]
    answer = site.get(f"/events?after={start}")
    assert b'"events":[' + b",".join(bodies) + b"]" in answer.data
    assert answer.headers["Motcua-Head"] == str(start + 3)
    assert answer.headers["Link"] == f'</v1/events?after={start + 3}&limit=100>; rel="next"'


def test_a_closed_page_is_cached_and_an_open_one_is_not(site: Site) -> None:
    """Full pages and pages of a whole span never change: ETag, 304; others are not stored."""
    site.add(READY)
    start = site.log.head()
    site.append(4)
    closed = site.get(f"/events?after={start}&limit=2")
    assert "immutable" in closed.headers["Cache-Control"]
    tag = closed.headers["ETag"]
    again = site.get(f"/events?after={start}&limit=2", **{"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    open_ = site.get(f"/events?after={start}&limit=9")
    assert (open_.headers["Cache-Control"], "ETag" in open_.headers) == ("no-store", False)
    site.append(3)
    assert site.get(f"/events?after={start}&limit=2").data == closed.data


def test_a_page_looks_at_so_many_positions(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rare type costs bounded time; the page says how far it came and is closed."""
    monkeypatch.setattr(feed_module, "SPAN_MAX", 3)
    site.add(READY)
    start = site.log.head()
    site.append(5, RETURNED)
    (last,) = site.append(1)
    body, positions = site.page(f"after={start}")
    assert (positions, body["through"], body["closed"]) == ([], start + 3, True)
    assert site.page(f"after={start + 3}")[1] == [last]


def test_a_long_poll_ends_with_the_first_event(site: Site) -> None:
    """Who waits hears of an event at once, and of nothing when the time is over."""
    site.add(READY)
    start = site.log.head()
    site.append(1, RETURNED)
    body, positions = site.page(f"after={start}&wait=1")
    assert (positions, body["through"]) == ([], start + 1)
    found: list[list[int]] = []
    waiting = threading.Thread(target=lambda: found.append(site.page(f"after={start}&wait=20")[1]))
    waiting.start()
    owed = site.append(1)
    waiting.join(15)
    assert found == [owed]


def test_digests_are_equal_for_who_has_all(site: Site) -> None:
    """Count and digest cover position and id of each event owed, in order."""
    site.add(READY)
    start = site.log.head()
    site.append(2), site.append(2, RETURNED), site.append(2)
    owed = [e for e in site.log.read_all(start) if e.type == READY]
    want = hashlib.sha256(b"".join(e.position.to_bytes(8, "big") + e.event_id.bytes for e in owed))
    answer = site.get(f"/digest?after={start}&through={start + 6}").get_json()
    assert (answer["count"], answer["digest"]) == (4, want.hexdigest())
    beyond = site.get(f"/digest?after={start}&through={start + 9}")
    assert problem_of(beyond, 422, "invalid") == ["through"]


def test_who_may_ask(site: Site) -> None:
    """No token 401, suspended 403, foreign types 409, wrong words 422; each says what is wrong."""
    assert problem_of(site.get("/events", token="nobody"), 401, "not_authenticated") == []
    site.add(READY)
    assert problem_of(site.get(f"/events?types={RETURNED}"), 409, "type_not_granted") == ["types"]
    wrong = site.get("/events?after=-1&limit=0&wait=26&types=x&more=1")
    fields = {one.rpartition(".")[2] for one in problem_of(wrong, 422, "invalid")}
    assert fields == {"after", "limit", "wait", "types", "more"}
    site.order(Suspend(scope="all", reason="by_hand", position=None, by="x"))
    assert site.get("/events").status_code == 403
    site.order(Resume(scope="all", by="x"))
    assert site.get("/events").status_code == 200
    site.order(Remove(by="x"))
    assert site.get("/events").status_code == 401


def test_nobody_takes_more_than_a_share(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many requests are told when to come again, and another subscriber is not held up."""
    monkeypatch.setattr(limits, "BURST", 3.0)
    monkeypatch.setattr(limits, "RATE_S", 0.01)
    site.add(READY), site.add(READY, name="soc")
    answers = [site.get("/subscription") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert problem_of(answers[-1], 429, "too_many_requests") == []
    assert site.get("/subscription", token="soc").status_code == 200
    monkeypatch.setattr(limits, "AT_ONCE_MAX", 0)
    assert site.get("/subscription", token="soc").status_code == 429
    site.order(Remove(by="x"), "soc")


def test_a_certificate_says_what_a_day_owed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed, the same each time, resting on a checkpoint; not before the day is over and sealed."""
    site.add(READY, after=0)
    owed = site.append(3)
    today = SystemClock().now().astimezone(VIETNAM).date()
    path = f"/certificates/{today}"
    assert problem_of(site.get(path), 409, "day_not_over") == ["day"]
    tomorrow = SystemClock().now() + timedelta(days=1, minutes=10)
    monkeypatch.setattr(type(site.feeding.runtime.clock), "now", lambda _self: tomorrow)
    assert problem_of(site.get(path), 409, "day_not_sealed") == ["day"]
    seal(site.database)
    answer = site.get(path)
    assert answer.status_code == 200, answer.text
    note = Note.parse(answer.text)
    assert note.signed_by([certificate_signer(LOG_ID, KEY).verifier])
    facts = dict(line.split(" ", 1) for line in note.text.splitlines()[1:])
    assert (facts["subscriber"], facts["day"]) == ("ioc", f"{today} Asia/Ho_Chi_Minh")
    assert int(facts["through"]) >= owed[-1]
    tally = site.get(f"/digest?after={facts['after']}&through={facts['through']}").get_json()
    assert (facts["count"], facts["digest"]) == (str(tally["count"]), tally["digest"])
    assert int(facts["checkpoint"].split()[1]) >= int(facts["through"])
    assert site.get(path).data == answer.data
    assert problem_of(site.get("/certificates/today"), 422, "invalid") == ["day"]


def test_the_feed_reads_no_personal_data(site: Site) -> None:
    """Its login can read neither ciphertexts nor any read model, and can append nothing."""
    with closing(site.database.log("motcua_feed")) as log:
        for act in (
            lambda: log.read_personal(log.read_all(0)[0].event_id),
            lambda: log.append(request((fresh(), 0, 1))),
            lambda: log.answer_of("a", "b", b""),
        ):
            with pytest.raises(Exception, match="permission denied"):
                act()
