# SPDX-License-Identifier: Apache-2.0
"""The subscribers' pages, in process: who sees what, what they tell, and orders to send again."""

import re
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.common import contracts
from services.common.clock import VIETNAM, SystemClock
from services.notify.application.subscribers import subscriber_of
from services.notify.web.console.server import make_app
from tests.support.broker import fresh_broker
from tests.support.consoled import ROLE, URL, Consoled, consoled, consoling
from tests.support.database import fresh_database
from tests.support.pages import Provider, check_words, login_of, provider_for, query

SITE = "http://127.0.0.1:5997"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OPERATOR, TECHNICIAN, AUDITOR, ALL = "vh001", "dl001", "kt001", "qt001"
IOC = "/subscribers/one/ioc"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The sandbox's identity provider, as a process."""
    with provider_for(SITE, tmp_path_factory.mktemp("identity"), "subscribers") as provider:
        yield provider


@pytest.fixture(scope="module")
def place(server_url: str, amqp_url: str, management_url: str) -> Iterator[Consoled]:
    """Subscribers with something behind them."""
    with (
        fresh_database(server_url) as database,
        fresh_broker(amqp_url, management_url) as broker,
        consoled(database, broker) as place,
    ):
        yield place


@contextmanager
def browser(
    place: Consoled, provider: Provider, person: str, *, amqp_url: str = ""
) -> Iterator[FlaskClient]:
    """Lend a browser in which ``person`` is logged in."""
    login = login_of(SITE, provider.issuer)
    with closing(consoling(place, login, amqp_url=amqp_url)) as runtime:
        client = make_app(runtime, login).test_client()
        away = ask(client, "/subscribers/login/start").headers["Location"]
        back = provider.choose(away, person).removeprefix(SITE)
        assert ask(client, back).status_code == 303
        yield client


@pytest.fixture(scope="module")
def operator(place: Consoled, provider: Provider) -> Iterator[FlaskClient]:
    """An operator's browser."""
    with browser(place, provider, OPERATOR) as client:
        yield client


@pytest.fixture(scope="module")
def technician(place: Consoled, provider: Provider) -> Iterator[FlaskClient]:
    """The browser of a technician of ``ioc``."""
    with browser(place, provider, TECHNICIAN) as client:
        yield client


def ask(client: FlaskClient, path: str, language: str = "vi") -> TestResponse:
    """Ask as a browser does."""
    client.set_cookie("motcua_subscribers_lang", language, path="/subscribers", domain="127.0.0.1")
    return client.get(path, base_url=SITE, headers=BROWSER)


def text_of(page: TestResponse) -> str:
    """Return what a reader sees, blanks joined."""
    body = page.text.partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def hidden(page: TestResponse) -> dict[str, str]:
    """Return what the order's form sends along."""
    form = page.text.partition("<main")[2].partition('method="post"')[2]
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


def send(client: FlaskClient, path: str, **form: str) -> TestResponse:
    """Send a form."""
    return client.post(path, base_url=SITE, headers={**BROWSER, "Origin": SITE}, data=form)


def orders(place: Consoled) -> list[tuple[int, int, str, str, str]]:
    """Return first, last, reference, by and actor of every order, as the log has them."""
    with closing(place.database.log(ROLE)) as log:
        return [
            (int(str(e.data["first"])), int(str(e.data["last"])), str(e.data["reference"]),
             str(e.data["by"]), str(e.meta["actor"]))
            for e in log.read_stream("subscriber-ioc") if e.type == "subscriber.redrive_ordered"
        ]  # fmt: skip


def test_operators_see_all_and_technicians_their_own(
    operator: FlaskClient, technician: FlaskClient
) -> None:
    """Another's subscriber is answered as one that does not exist, for pages and orders alike."""
    listed = text_of(ask(operator, "/subscribers"))
    assert "3 bên đăng ký" in listed
    own = text_of(ask(technician, "/subscribers"))
    assert "1 bên đăng ký" in own
    assert "soc" not in own
    token = hidden(ask(technician, f"{IOC}/replay?since=2001-01-01T00:00"))["csrf"]
    form = {"csrf": token, "key": str(uuid.uuid4()), "spans": "1-1", "reference": "CV-1"}
    for name in ("soc", "nobody"):
        answers = [ask(technician, f"/subscribers/one/{name}{end}")
                   for end in ("", "/deliveries", "/day", "/replay")]  # fmt: skip
        answers.append(send(technician, f"/subscribers/one/{name}/replay", **form))
        assert {answer.status_code for answer in answers} == {404}
    assert ask(technician, IOC).status_code == 200
    assert ask(operator, "/subscribers/one/soc").status_code == 200
    assert ask(operator, "/subscribers/one/nobody").status_code == 404


def test_nobody_else_comes_in(place: Consoled, provider: Provider) -> None:
    """Auditors without the role are refused, people without a login are asked for one."""
    with browser(place, provider, AUDITOR) as client:
        assert ask(client, "/subscribers").status_code == 403
    with browser(place, provider, ALL) as client:
        assert "3 bên đăng ký" in text_of(ask(client, "/subscribers"))
        client.delete_cookie("motcua_subscribers", path="/subscribers", domain="127.0.0.1")
        asked = ask(client, IOC)
        assert (asked.status_code, asked.headers["Location"]) == (
            303, f"/subscribers/login?next={IOC}",
        )  # fmt: skip


def test_how_one_stands(operator: FlaskClient, place: Consoled) -> None:
    """Lag of queue, feed and webhook; the dead letter, the missing note; the types with links."""
    page = ask(operator, IOC)
    text = text_of(page)
    for said in (
        "Hàng đợi còn 3 sự kiện", "0 kết nối đang đọc", "Webhook đang gửi còn 5 sự kiện", URL,
        "1 thông điệp bị từ chối", "1 sự kiện chưa thấy ghi là đã nhận",
        "Được cấp 2 loại sự kiện",
    ):  # fmt: skip
        assert said in text, said
    assert f"<code>{place.missing}</code>" in page.text
    assert 'href="/subscribers/types/dossier.ready.v1"' in page.text
    feed = text_of(ask(operator, f"{IOC}?at={place.owed[-3]}"))
    assert f"Nguồn đọc còn 2 sự kiện, 0 giây tính từ vị trí {place.owed[-3]}" in re.sub(
        r"2 sự kiện, \d+ giây", "2 sự kiện, 0 giây", feed
    )
    assert "Nguồn đọc không trễ" in text_of(ask(operator, f"{IOC}?at=9007199254740991"))
    assert ask(operator, f"{IOC}?at=x").status_code == 422
    english = text_of(ask(operator, IOC, "en"))
    assert "Queue 3 events behind" in english
    stopped = text_of(ask(operator, "/subscribers/one/soc"))
    assert "Webhook đã dừng và chờ người xử lý Bên nhận từ chối suốt một ngày." in stopped
    assert "motcua subscriber webhook resume soc" in stopped
    assert "Webhook không có" in text_of(ask(operator, "/subscribers/one/tin"))


def test_a_broker_that_is_down_costs_its_figures_only(place: Consoled, provider: Provider) -> None:
    """The queue's lag is not known; everything else is there."""
    with browser(place, provider, OPERATOR, amqp_url="amqp://a:b@127.0.0.1:1/x") as client:
        text = text_of(ask(client, IOC))
        assert "Hàng đợi chưa rõ" in text
        assert "còn 5 sự kiện" in text


def test_the_delivery_log(operator: FlaskClient, place: Consoled) -> None:
    """Newest first, in pages without overlap; only what failed; none where there is no webhook."""
    first = ask(operator, f"{IOC}/deliveries")
    older = re.search(r'href="([^"]*below=[^"]*)"', first.text)
    assert older is not None
    second = ask(operator, unescape(older[1]))
    ids = [re.findall(r"<td><code>([0-9a-f-]{36})</code>", p.text) for p in (first, second)]
    assert [len(one) for one in ids] == [50, len(place.owed) - 5 - 50]
    assert len({*ids[0][1:], *ids[1]}) == len(place.owed) - 5 - 1
    assert "204" in first.text
    bad = text_of(ask(operator, f"{IOC}/deliveries?failed=1"))
    assert "hết giờ 10.000 ms" in bad
    assert "204" not in bad
    assert "không có webhook" in text_of(ask(operator, "/subscribers/one/tin/deliveries"))
    assert "Chưa có lượt gửi" in text_of(ask(operator, "/subscribers/one/soc/deliveries"))


def test_a_day(operator: FlaskClient) -> None:
    """Yesterday's text as the feed signs it; today is not over; what is no day is said."""
    today = SystemClock().now().astimezone(VIETNAM).date()
    yesterday = today - timedelta(days=1)
    page = text_of(ask(operator, f"{IOC}/day?day={yesterday}"))
    assert f"motcua247/93/certificate/1 subscriber ioc day {yesterday} Asia/Ho_Chi_Minh" in page
    assert f"GET /v1/certificates/{yesterday}" in page
    assert "chỉ cấp sau 0 giờ 5 phút" in text_of(ask(operator, f"{IOC}/day?day={today}"))
    assert ask(operator, f"{IOC}/day?day=hôm+qua").status_code == 422


def test_a_time_is_sent_again_once(technician: FlaskClient, place: Consoled) -> None:
    """Looked at first with the feed's position; ordered with who and why; twice is once."""
    way = f"{IOC}/replay"
    look = ask(technician, f"{way}?since=2001-01-01T00:00")
    text = text_of(look)
    assert "Số sự kiện 60" in text
    assert "GET /v1/events?after=0" in text
    form = hidden(look)
    before = orders(place)
    assert send(technician, way, **{**form, "csrf": "x"}, reference="CV-1").status_code == 403
    for wrong in ("", "hai từ", "có-dấu", "x" * 65):
        page = send(technician, way, **form, reference=wrong)
        assert page.status_code == 409
        assert "cần số văn bản" in page.text
        assert hidden(page)["key"] == form["key"]
    assert send(technician, way, **{**form, "spans": "0-9"}, reference="CV-1").status_code == 422
    assert send(technician, way, **{**form, "key": "x"}, reference="CV-1").status_code == 422
    assert orders(place) == before
    for _ in range(2):
        done = send(technician, way, **form, reference="CV-1")
        assert done.status_code == 303
    first, last = (int(one) for one in form["spans"].split("-"))
    assert orders(place)[len(before) :] == [(first, last, "CV-1", TECHNICIAN, "official:dl001")]
    assert send(technician, way, **form, reference="CV-2").status_code == 409
    after = text_of(ask(technician, done.headers["Location"].partition("#")[0]))
    assert "Đã ghi 1 yêu cầu gửi lại" in after
    assert f"{first} {last} đang chờ" in after
    behind = {**form, "key": str(uuid.uuid4()), "spans": f"1-{10**9}"}
    assert send(technician, way, **behind, reference="CV-3").status_code == 409


def test_a_dossier_is_sent_again_and_nothing_between(
    operator: FlaskClient, place: Consoled
) -> None:
    """Runs of neighbours are an order each; events that are not granted are left out."""
    way, before = f"{IOC}/replay", orders(place)
    look = ask(operator, f"{way}?{query(dossier=place.dossier.upper())}")
    form = hidden(look)
    one, two, three = place.scattered
    assert form["spans"] == f"{one}-{two},{three}-{three}"
    assert "Số sự kiện 3" in text_of(look)
    assert send(operator, way, **form, reference="HS-7").status_code == 303
    assert [(first, last) for first, last, *_ in orders(place)[len(before) :]] == [
        (one, two), (three, three),
    ]  # fmt: skip
    with closing(place.database.log(ROLE)) as log:
        again = [o for o in subscriber_of(log, "ioc").redrives if o.first in {one, three}]
    assert len(again) == 2


def test_what_cannot_be_sent_again_is_said(operator: FlaskClient) -> None:
    """Nothing then, no dossier, no webhook, no time."""
    for asked, status, said in (
        ("since=2001-01-01T00:00&until=2001-01-02T00:00", 422, "không có sự kiện nào"),
        (f"dossier={uuid.uuid4()}", 422, "không có sự kiện nào"),
        ("dossier=H30.12-261116-0001", 422, "là một UUID"),
        ("since=x", 422, "cần một thời điểm"),
    ):
        page = ask(operator, f"{IOC}/replay?{asked}")
        assert page.status_code == status
        assert said in page.text
    none = ask(operator, "/subscribers/one/tin/replay?since=2001-01-01T00:00")
    assert none.status_code == 422
    assert "tin không có webhook" in none.text


def test_every_type_has_a_page(technician: FlaskClient) -> None:
    """What it tells, fields with meanings, example and schema, in both languages."""
    every = contracts.all_contracts()
    for contract in every:
        for language in ("vi", "en"):
            page = ask(technician, f"/subscribers/types/{contract.wire_name}", language)
            assert page.status_code == 200
            assert (contract.vi if language == "vi" else contract.en) in unescape(page.text)
            assert f"urn:motcua247:{contract.wire_name}" in page.text
    assert "Phiên bản cũ" in ask(technician, "/subscribers/types/dossier.completed.v1").text
    listed = ask(technician, "/subscribers/types").text
    for contract in every:
        newest = contracts.newest(contract.type).wire_name
        assert f'href="/subscribers/types/{newest}"' in listed
    assert ask(technician, "/subscribers/types/dossier.nothing.v1").status_code == 404
    assert "Ai xem được gì" in ask(technician, "/subscribers/help").text


def test_a_platform_without_subscribers(
    server_url: str, place: Consoled, provider: Provider
) -> None:
    """Both kinds of people are told what to do."""
    with fresh_database(server_url) as database:
        empty = Consoled(database=database, broker=place.broker, dossier="", scattered=(),
                         owed=(), missing=0)  # fmt: skip
        for person, said in (
            (OPERATOR, "motcua subscriber add"), (TECHNICIAN, "chưa gắn với bên đăng ký nào"),
        ):  # fmt: skip
            with browser(empty, provider, person) as client:
                assert said in text_of(ask(client, "/subscribers"))


def test_words_are_complete() -> None:
    """Both languages say everything that the pages ask for, and nothing in vain."""
    check_words(
        "services.notify.web.console", Path("services/notify/web/console"), "sending.", "stop.",
        "outcome.", "help.",
    )  # fmt: skip
