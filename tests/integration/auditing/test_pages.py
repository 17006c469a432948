# SPDX-License-Identifier: Apache-2.0
"""The auditors' pages, in process: what they tell, in both languages, and what they never show."""

import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from html import unescape
from pathlib import Path

import psycopg
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.auditing.web.server import make_app
from services.common.eventlog.record import RecordedEvent
from services.common.integrity.proofs import TlogProof
from tests.support.audited import CODE, EVIL, ROLE, TRUSTED, Audited, auditing, fill
from tests.support.database import fresh_database
from tests.support.offices import CONTACT
from tests.support.pages import Provider, check_words, login_of, provider_for, query

SITE = "http://127.0.0.1:5998"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The sandbox's identity provider, as a process."""
    with provider_for(SITE, tmp_path_factory.mktemp("identity"), "audit") as provider:
        yield provider


@pytest.fixture(scope="module")
def audited(server_url: str) -> Iterator[Audited]:
    """A sealed log with people in it."""
    with fresh_database(server_url) as database:
        yield fill(database)


@pytest.fixture(scope="module")
def client(provider: Provider, audited: Audited) -> Iterator[FlaskClient]:
    """A browser in which an auditor is logged in."""
    login = login_of(SITE, provider.issuer)
    with closing(auditing(audited, login)) as runtime:
        client = make_app(runtime, login).test_client()
        away = ask(client, "/audit/login/start").headers["Location"]
        back = provider.choose(away, "kt001").removeprefix(SITE)
        assert ask(client, back).status_code == 303
        yield client


def ask(client: FlaskClient, path: str, language: str = "vi") -> TestResponse:
    """Ask as a browser does."""
    client.set_cookie("motcua_audit_lang", language, path="/audit", domain="127.0.0.1")
    return client.get(path, base_url=SITE, headers=BROWSER)


def text_of(page: TestResponse) -> str:
    """Return what a reader sees, blanks joined."""
    body = page.text.partition("<main")[2].partition("</main>")[0]
    body = re.sub(r"</(li|dd|dt|td|th|p|h\d|option)>", "\n", body)
    lines = unescape(re.sub(r"<[^>]+>", "", body)).split("\n")
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))


def every_path(audited: Audited) -> list[str]:
    """Return an address of every page, of one event of each type among them."""
    whole, erased = f"/audit/dossiers/{audited.whole}", f"/audit/dossiers/{audited.erased}"
    with closing(audited.database.log(ROLE)) as log:
        kinds = {event.type: event.position for event in log.read_all(0)}
        kinds |= {f"erased {e.type}": e.position for e in log.read_subject(audited.erased)}
    return [
        "/audit", whole, erased, f"{whole}/state", f"{whole}/state?step=1", f"{erased}/state",
        f"{whole}/difference", "/audit/access", "/audit/checks", "/audit/seals", "/audit/help",
        *(f"/audit/events/{position}" for position in kinds.values()),
    ]  # fmt: skip


def test_nobody_personal_is_on_any_page(client: FlaskClient, audited: Audited) -> None:
    """Every page and kind of event in both languages: stubs, no person, nothing unescaped."""
    name, phone = (str(CONTACT[key]) for key in ("name", "phone"))  # type: ignore[index,call-overload]
    for path in every_path(audited):
        for language in ("vi", "en"):
            page = ask(client, path, language)
            assert page.status_code == 200, path
            assert f'<html lang="{language}">' in page.text
            assert name not in page.text
            assert phone[3:] not in page.text
            assert EVIL not in page.text
            assert "style=" not in page.text
            assert "onclick" not in page.text


def test_an_event_shows_a_stub_for_what_is_personal(client: FlaskClient, audited: Audited) -> None:
    """One that can still be opened elsewhere, and one that nobody can open any more."""
    for dossier, stub in ((audited.whole, "[…]"), (audited.erased, "[đã xóa]")):
        with closing(audited.database.log(ROLE)) as log:
            deposited = log.read_subject(dossier)[0].position
        text = text_of(ask(client, f"/audit/events/{deposited}"))
        assert f"contact\n{stub}" in text
        assert "commitment" not in text


def test_a_dossier_in_the_archive_is_said_to_be_there(
    client: FlaskClient, audited: Audited
) -> None:
    """Positions and file, in the reader's language, by address and by search; not "not found"."""
    moves = (
        """INSERT INTO eventlog.archived_range
        VALUES (93, 1, 900, '93-x.parquet', sha256('x'), 1, sha256('x'), 900, 1)""",
        f"""INSERT INTO eventlog.detached_stream
        SELECT log_id, stream, 1, true, subject, min(pos), max(pos), 'x' FROM eventlog.event
        WHERE subject = '{audited.whole}' GROUP BY 1, 2, 5""",
        """UPDATE eventlog.stream_head SET away = true
        WHERE stream IN (SELECT stream FROM eventlog.detached_stream)""",
    )
    undo = (
        "UPDATE eventlog.stream_head SET away = false", "DELETE FROM eventlog.detached_stream",
        "DELETE FROM eventlog.archived_range",
    )  # fmt: skip
    with psycopg.connect(audited.database.owner_url, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        try:
            for statement in moves:
                assert owner.execute(statement.encode()).rowcount
            for path in (f"/audit/dossiers/{audited.whole}", f"/audit?q={audited.whole}"):
                for language, where in (("vi", "vị trí 1–900"), ("en", "positions 1–900")):
                    page = ask(client, path, language)
                    assert page.status_code == 410
                    assert f"{where} (93-x.parquet)" in text_of(page)
            home = ask(client, "/audit")
            assert home.status_code == 200
            assert audited.whole not in home.text
        finally:
            for statement in undo:
                owner.execute(statement.encode())
    assert ask(client, f"/audit/dossiers/{audited.whole}").status_code == 200


def test_the_login_of_the_pages_cannot_read_what_is_personal(audited: Audited) -> None:
    """Neither ciphertexts nor read models nor functions, and it writes nothing."""
    with psycopg.connect(audited.database.url_for(ROLE), autocommit=True) as connection:
        for statement in (
            "SELECT * FROM eventlog.event_pii", "SELECT * FROM eventlog.append_key",
            "SELECT * FROM intake.dossier", "SELECT eventlog.advance_done_through(1, 'x', '{}', 1)",
            "INSERT INTO eventlog.patrol_round VALUES (1, 1, 1, 1)",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_a_dossier_is_found_by_code_and_by_id(client: FlaskClient, audited: Audited) -> None:
    """However people write it; otherwise the form says what is wrong and keeps what was typed."""
    for words in (CODE, CODE.lower().replace("-", " – "), audited.whole, audited.whole.upper()):
        found = ask(client, f"/audit?{query(q=words)}")
        assert found.status_code == 303
        assert found.headers["Location"].endswith(f"/audit/dossiers/{audited.whole}")
    for words, status, said in (
        ("H30.12-261116-0002", 404, "không có hồ sơ"), (str(uuid.uuid4()), 404, "chưa có hồ sơ"),
        ("Nguyễn Thị An", 422, "mã hồ sơ có dạng"), ("<b>", 422, "mã hồ sơ có dạng"),
        ("x" * 65, 422, "nhiều nhất 64"),
    ):  # fmt: skip
        page = ask(client, f"/audit?{query(q=words)}")
        assert page.status_code == status
        assert said in page.text
        assert "<b>" not in page.text
    assert 'value="H30.12-261116-0002"' in ask(client, "/audit?q=H30.12-261116-0002").text
    assert ask(client, f"/audit/dossiers/{uuid.uuid4()}").status_code == 404
    assert CODE in text_of(ask(client, "/audit"))


def test_the_story_tells_who_why_where_money_and_papers(
    client: FlaskClient, audited: Audited
) -> None:
    """Each event with its facts; what was personal is a stub, erased or not."""
    text = text_of(ask(client, f"/audit/dossiers/{audited.whole}")).replace("\n", " ")
    for said in (
        "Dịch vụ payment",
        "Cán bộ cb001",
        EVIL,
        "VT01",
        "Tiền Tiền mặt đã nhận: từ 0 đ → thành 10.000 đ",
        "Giấy tờ Túi hồ sơ: thùng 1, máy VT01",
        "Tiền Nộp thừa: từ 0 đ → thành 2.000 đ",
        "[…]",
        "Hồ sơ Hạn trả: từ 18/11/2026 15:00:00 → thành 20/11/2026 15:00:00",
        "Giấy tờ Kết quả: từ ngăn 7, máy VT01 → thành công dân giữ",
        "đã niêm phong",
        "không mở dữ liệu cá nhân nào",
    ):
        assert said in text, said
    assert "[đã xóa]" not in text
    erased = text_of(ask(client, f"/audit/dossiers/{audited.erased}"))
    assert "[đã xóa]" in erased
    assert "[…]" not in erased
    english = text_of(ask(client, f"/audit/dossiers/{audited.whole}", "en")).replace("\n", " ")
    for said in (
        "Money Cash taken: from 0 đ → to 10,000 đ",
        "Official cb001",
        "cell 7, machine VT01",
        "sealed",
    ):
        assert said in english, said


def test_a_state_is_that_of_its_moment(client: FlaskClient, audited: Audited) -> None:
    """By step, by time, clamped at both ends; before the first event nothing was known."""
    way = f"/audit/dossiers/{audited.whole}/state"
    first, last = text_of(ask(client, f"{way}?step=1")), text_of(ask(client, way))
    assert "Túi hồ sơ\nthùng 1, máy VT01" in first
    assert "Tiền mặt đã nhận" not in first
    assert "Nộp thừa\n2.000 đ" in last
    assert "Trạng thái\n2 · được tiếp nhận" in last
    assert text_of(ask(client, f"{way}?step=999")) == last
    assert text_of(ask(client, f"{way}?step=0")) == first
    events = story_of(audited)
    moment = events[0].recorded_at.isoformat()
    assert "Sự kiện 1 trên" in text_of(ask(client, f"{way}?{query(at=moment)}"))
    assert "chưa biết gì" in text_of(ask(client, f"{way}?at=2001-01-01T00:00"))
    for wrong in ("step=x", "step=-1", "at=hôm+qua", "at=" + "9" * 30):
        page = ask(client, f"{way}?{wrong}")
        assert page.status_code == 422
        assert "Có chỗ chưa đúng" in page.text


def story_of(audited: Audited) -> Sequence[RecordedEvent]:
    """Return the dossier's events from the log itself."""
    with closing(audited.database.log(ROLE)) as log:
        return log.read_subject(audited.whole)


def test_what_became_different(client: FlaskClient, audited: Audited) -> None:
    """From the beginning, between two events, backwards, and nothing."""
    way = f"/audit/dossiers/{audited.whole}/difference"
    events = story_of(audited)
    whole = text_of(ask(client, way))
    assert "Kết quả\n—\ncông dân giữ" in whole
    loaded, released = (one.position for one in events if one.type.startswith("kiosk.result"))
    some = text_of(ask(client, f"{way}?from={loaded}&to={released}"))
    assert "1 điểm khác" in some
    assert "Kết quả\nngăn 7, máy VT01\ncông dân giữ" in some
    back = text_of(ask(client, f"{way}?from={released}&to={loaded}"))
    assert "đọc ngược thời gian" in back
    assert "Không có gì khác" in text_of(ask(client, f"{way}?from={released}&to={released}"))
    assert ask(client, f"{way}?from=x").status_code == 422


def test_an_event_is_proven_as_it_is_shown(client: FlaskClient, audited: Audited) -> None:
    """Its hash anew, its path to a signed root, and a proof to take away; a change is seen."""
    with closing(audited.database.log(ROLE)) as log:
        (event,) = log.read_positions([audited.head - 3])
    way = f"/audit/events/{event.position}"
    assert f"gốc của {audited.head} sự kiện" in text_of(ask(client, way))
    proof = TlogProof.parse(ask(client, f"{way}/proof").text)
    assert proof.check(event.leaf_hash, TRUSTED[:1]).size == audited.head
    change = "UPDATE eventlog.event SET data = data || ' '::bytea WHERE pos = %s"
    undo = "UPDATE eventlog.event SET data = rtrim(data, ' '::bytea) WHERE pos = %s"
    with psycopg.connect(audited.database.owner_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(change.encode(), (event.position,))
        try:
            page = ask(client, way)
            assert "Không chứng minh được" in text_of(page)
            assert f"position {event.position} was changed" in text_of(page)
            assert ask(client, f"{way}/proof").status_code == 404
        finally:
            connection.execute(undo.encode(), (event.position,))
    assert "đã niêm phong" in text_of(ask(client, way))
    for nowhere in (0, audited.head + 1, 10**30):
        assert ask(client, f"/audit/events/{nowhere}").status_code == 404


def test_who_read_what(client: FlaskClient, audited: Audited) -> None:
    """Newest first, in pages; by reader, dossier and time; what cannot be asked is said."""

    def positions(page: TestResponse) -> list[int]:
        return [int(one) for one in re.findall(r'/audit/events/(\d+)"', page.text)]

    first = ask(client, "/audit/access")
    older = re.search(r'href="([^"]*below=[^"]*)"', first.text)
    assert older is not None
    second = ask(client, unescape(older[1]))
    every = positions(first) + positions(second)
    assert (len(positions(first)), len(positions(second))) == (50, 10)
    assert every == sorted(every, reverse=True)
    assert len(set(every)) == 60
    cb008 = ask(client, "/audit/access?reader=cb008")
    assert len(positions(cb008)) == 20
    assert "cb007" not in text_of(cb008)
    for dossier, count in ((audited.whole, 30), (CODE, 30), (audited.erased, 30)):
        assert len(positions(ask(client, f"/audit/access?{query(dossier=dossier)}"))) == count
    assert positions(ask(client, "/audit/access?since=2099-01-01T00:00")) == []
    assert positions(ask(client, "/audit/access?until=2001-01-01T00:00")) == []
    both = ask(client, "/audit/access?since=2001-01-01T00:00&until=2099-01-01T00:00")
    assert positions(both) == positions(first)
    assert "Không có lượt xem nào khớp" in ask(client, "/audit/access?reader=nobody").text
    for wrong in ("dossier=x", "since=7", "until=x", "below=x", "reader=" + "x" * 65):
        assert ask(client, f"/audit/access?{wrong}").status_code == 422


def test_checks_seals_and_witnesses(client: FlaskClient, audited: Audited) -> None:
    """What was read and when, how far sealing and the witness are, signatures checked by us."""
    checks = text_of(ask(client, "/audit/checks"))
    assert f"đã đọc 12 trên {audited.head} sự kiện" in checks
    assert "mọi thứ đúng như đã ghi" in checks
    seals = text_of(ask(client, "/audit/seals"))
    assert "mọi sự kiện đã niêm phong" in seals
    assert "w.example: đúng" in seals
    assert "ngang điểm mới nhất" in seals
    assert "không đúng" not in seals
    lower = text_of(ask(client, f"/audit/seals?below={audited.head}"))
    assert "w.example: đúng" not in lower


def test_an_empty_log(server_url: str, provider: Provider) -> None:
    """Every page says that there is nothing yet, and what will stand there."""
    login = login_of(SITE, provider.issuer)
    with fresh_database(server_url) as database:
        empty = Audited(database=database, whole="", erased="", head=0)
        with closing(auditing(empty, login)) as runtime:
            client = make_app(runtime, login).test_client()
            away = ask(client, "/audit/login/start").headers["Location"]
            ask(client, provider.choose(away, "kt001").removeprefix(SITE))
            for path, said in (
                ("/audit", "Chưa có hồ sơ nào"), ("/audit/access", "Chưa ai xem"),
                ("/audit/checks", "Chưa có vòng đọc"), ("/audit/seals", "Chưa có điểm niêm phong"),
            ):  # fmt: skip
                page = ask(client, path)
                assert page.status_code == 200
                assert said in text_of(page)


def test_words_are_complete() -> None:
    """Both languages say everything that the pages ask for, and nothing in vain."""
    check_words(
        "services.auditing.web", Path("services/auditing/web"), "what.", "at.", "who.", "family.",
        "group.", "payment.", "dossier.", "message.", "evidence.", "help.", "checks.what.",
    )  # fmt: skip
