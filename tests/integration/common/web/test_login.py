# SPDX-License-Identifier: Apache-2.0
"""The shell of pages: login at a real provider, roles, CSRF, language, errors, headers."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Blueprint, Flask, Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.common.errors import Refused, Unavailable
from services.common.web.app import create_app
from services.common.web.pages import PUBLIC, Area, area_blueprint, install
from services.common.web.people import AUDITOR
from services.common.web.rendering import render
from tests.support.offices import HandClock
from tests.support.pages import Provider, check_words, login_of, provider_for, query

SITE = "http://127.0.0.1:5999"
AREA = Area(
    name="audit", roles=(AUDITOR,), package="tests.support.area",
    pages=(("audit.first", "area.first"),),
)  # fmt: skip
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The sandbox's identity provider, as a process."""
    with provider_for(SITE, tmp_path_factory.mktemp("identity"), "audit") as provider:
        yield provider


@pytest.fixture
def clock() -> HandClock:
    """A clock that the test moves."""
    return HandClock()


def area_app(provider: Provider, clock: HandClock, **config: str) -> Flask:
    """Return an application with one area and one call beside it."""
    app, _ = create_app("tests.support.area", "test")
    blueprint: Blueprint = area_blueprint(AREA)

    @blueprint.route("", methods=["GET", "POST"])
    def first() -> Response:
        return render("area/first.html", text=EVIL)

    @blueprint.route("/busy")
    def busy() -> Response:
        raise Unavailable("postgresql", "secret host")

    @blueprint.route("/broken")
    def broken() -> Response:
        raise RuntimeError("secret host")

    @blueprint.route("/refused")
    def refused() -> Response:
        raise Refused("no", f"no {EVIL}", f"không {EVIL}", field=EVIL)

    @app.route("/v1/open")
    def beside() -> str:
        return "open"

    install(
        app, AREA, login_of(SITE, config.get("issuer", provider.issuer),
                            roles_claim=config.get("roles_claim", "roles")),
        clock, blueprint=blueprint,
    )  # fmt: skip
    return app


@pytest.fixture
def client(provider: Provider, clock: HandClock) -> FlaskClient:
    """A browser without scripts."""
    return area_app(provider, clock).test_client()


def get(client: FlaskClient, path: str) -> TestResponse:
    """Ask as a browser does."""
    return client.get(path, base_url=SITE, headers=BROWSER)


def log_in(
    client: FlaskClient, provider: Provider, person: str = "kt001", way: str = "/audit"
) -> TestResponse:
    """Log in as somebody; returns the answer to coming back."""
    away = get(client, f"/audit/login/start?{query(next=way)}")
    assert away.status_code == 302
    back = provider.choose(away.headers["Location"], person)
    assert back.startswith(f"{SITE}/audit/login/back?")
    return get(client, back.removeprefix(SITE))


def token_in(page: TestResponse) -> str:
    """Return the form's token."""
    return page.text.partition('name="csrf" value="')[2].partition('"')[0]


def test_a_login_and_its_end(client: FlaskClient, provider: Provider) -> None:
    """Nobody's page asks to log in and comes back to where one was; logging out ends it."""
    asked = get(client, "/audit?a=1")
    assert (asked.status_code, asked.headers["Location"]) == (303, "/audit/login?next=/audit?a%3D1")
    page = get(client, asked.headers["Location"])
    assert page.status_code == 200
    assert "Đăng nhập" in page.text
    done = log_in(client, provider, way="/audit?a=1")
    assert (done.status_code, done.headers["Location"]) == (303, "/audit?a=1")
    page = get(client, "/audit")
    assert "Xin chào Lê Thị Kiểm" in page.text
    left = client.post("/audit/logout", base_url=SITE, data={"csrf": token_in(page)})
    way = urlsplit(left.headers["Location"])
    assert (f"{way.scheme}://{way.netloc}", way.path) == (provider.issuer, "/logout")
    assert parse_qs(way.query)["post_logout_redirect_uri"] == [f"{SITE}/audit/login?out=1"]
    assert get(client, "/audit").status_code == 303


def test_what_is_sent_to_the_provider(client: FlaskClient) -> None:
    """A code with PKCE, state and nonce; all new each time."""
    ways = [get(client, "/audit/login/start").headers["Location"] for _ in range(2)]
    first, second = (parse_qs(urlsplit(way).query) for way in ways)
    assert first["response_type"] == ["code"]
    assert first["code_challenge_method"] == ["S256"]
    assert first["redirect_uri"] == [f"{SITE}/audit/login/back"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 20
        assert first[name] != second[name]


@pytest.mark.parametrize(
    "fault", ["signature", "none", "nonce", "audience", "issuer", "expired", "silent"]
)
def test_a_token_that_is_not_for_us_logs_nobody_in(
    client: FlaskClient, provider: Provider, fault: str
) -> None:
    """Another key, no signature, another login, another client, another provider, old, or none."""
    provider.order(fault)
    assert log_in(client, provider).status_code == 403
    assert get(client, "/audit").status_code == 303
    assert log_in(client, provider).status_code == 303


def test_a_login_that_did_not_begin_here(client: FlaskClient, provider: Provider) -> None:
    """A link with somebody else's code, a code used twice, and a login that was broken off."""
    away = get(client, "/audit/login/start").headers["Location"]
    back = provider.choose(away, "kt001").removeprefix(SITE)
    stranger = client.application.test_client()
    assert get(stranger, back).status_code == 403
    assert get(client, back).status_code == 303
    assert get(client, back).status_code == 403
    assert log_in(client, provider, "").status_code == 403
    assert get(client, "/audit/login/back").status_code == 403


def test_only_the_role_opens_the_pages(client: FlaskClient, provider: Provider) -> None:
    """Whoever has another role or none is told so, in a page, and may log out."""
    for person in ("vh001", "cb001"):
        assert log_in(client, provider, person).status_code == 303
        page = get(client, "/audit")
        assert page.status_code == 403
        assert "Không có quyền" in page.text
        assert EVIL not in page.text
        assert "area.first" not in page.text
        left = client.post("/audit/logout", base_url=SITE, data={"csrf": token_in(page)})
        assert left.status_code == 303
    assert log_in(client, provider, "qt001").status_code == 303
    page = get(client, "/audit")
    assert page.status_code == 200
    assert 'href="/subscribers"' in page.text


def test_roles_may_stand_deeper_and_nonsense_is_no_role(
    provider: Provider, clock: HandClock
) -> None:
    """A claim that is not there, or no list of texts, gives nothing."""
    for path in ("realm.roles", "name", "sub.roles"):
        client = area_app(provider, clock, roles_claim=path).test_client()
        log_in(client, provider, "qt001")
        assert get(client, "/audit").status_code == 403


def test_every_route_but_the_public_ones_asks_who(provider: Provider, clock: HandClock) -> None:
    """The inventory of routes: a page that is added tomorrow is guarded too."""
    app = area_app(provider, clock)
    client = app.test_client()
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/audit")]
    assert len(rules) > len(PUBLIC)
    for rule in rules:
        if rule.endpoint.removeprefix("audit.") not in PUBLIC:
            for method in rule.methods or ():
                status = client.open(rule.rule, method=method, base_url=SITE).status_code
                assert status == 401 or method == "OPTIONS", (rule.rule, method, status)
    assert get(client, "/audit/nothing").status_code == 303
    assert client.get("/v1/open").text == "open"


def test_a_session_ends(client: FlaskClient, provider: Provider, clock: HandClock) -> None:
    """After its time everybody logs in again."""
    log_in(client, provider)
    clock.at += timedelta(seconds=3599)
    assert get(client, "/audit").status_code == 200
    clock.at += timedelta(seconds=1)
    assert get(client, "/audit").status_code == 303


def test_a_form_of_another_site_changes_nothing(client: FlaskClient, provider: Provider) -> None:
    """No token, a wrong one, somebody else's, or a page of another origin: refused."""
    log_in(client, provider)
    right = token_in(get(client, "/audit"))
    other = client.application.test_client()
    log_in(other, provider)
    foreign = token_in(get(other, "/audit"))
    assert right != foreign
    for data in ({}, {"csrf": "x"}, {"csrf": foreign}, {"csrf": "é"}):
        assert client.post("/audit", base_url=SITE, data=data).status_code == 403
    evil = {"Origin": "https://evil.example"}
    answer = client.post("/audit", base_url=SITE, data={"csrf": right}, headers=evil)
    assert answer.status_code == 403
    own = {"Origin": SITE}
    answer = client.post("/audit", base_url=SITE, data={"csrf": right}, headers=own)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "way",
    ["https://evil.example", "//evil.example/audit", "/auditx", "/audit\\@evil", "/audit/\r\nX: y",
     "javascript:alert(1)", "/v1/open", "\\\\evil"],
)  # fmt: skip
def test_nobody_is_sent_elsewhere(client: FlaskClient, provider: Provider, way: str) -> None:
    """Coming back leads into the area only."""
    assert log_in(client, provider, way=way).headers["Location"] == "/audit"


def test_language(client: FlaskClient, provider: Provider) -> None:
    """Vietnamese first; the other one is remembered, and the address stays."""
    assert '<html lang="vi">' in get(client, "/audit/login?next=/audit").text
    chosen = get(client, "/audit/login?next=/audit&lang=en")
    assert (chosen.status_code, chosen.headers["Location"]) == (303, "/audit/login?next=%2Faudit")
    page = get(client, "/audit/login")
    assert '<html lang="en">' in page.text
    assert "Log in" in page.text
    assert get(client, "/audit/login?lang=xx").status_code == 200
    assert (
        get(client, "/audit/login//evil.example?lang=vi").headers["Location"].startswith("/audit")
    )


def test_errors_are_pages_for_people_and_documents_for_programs(
    client: FlaskClient, provider: Provider
) -> None:
    """The same error in two forms; nothing from inside, and nothing unescaped."""
    log_in(client, provider)
    for path, status in (("busy", 503), ("broken", 500), ("nothing", 404), ("refused", 409)):
        page = get(client, f"/audit/{path}")
        assert (page.status_code, page.mimetype) == (status, "text/html")
        assert "secret host" not in page.text
        assert EVIL not in page.text
        assert page.headers["X-Request-Id"] in page.text
        document = client.get(f"/audit/{path}", base_url=SITE)
        assert (document.status_code, document.mimetype) == (status, "application/problem+json")
    assert get(client, "/audit/busy").headers["Retry-After"]


def test_what_a_page_may_do(client: FlaskClient, provider: Provider) -> None:
    """Nothing inline, nothing from elsewhere, in no frame; text is text."""
    log_in(client, provider)
    page = get(client, "/audit")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert EVIL not in page.text
    assert "&lt;script&gt;" in page.text
    assert page.headers["Cache-Control"] == "no-store"
    for address in ("/audit/shell/shell.css", "/audit/shell/mark.svg"):
        assert get(client, address).status_code == 200
        assert f"{address}?v=" in page.text
    assert get(client, "/audit/shell/../pages.py").status_code == 404


def test_cookies(provider: Provider, clock: HandClock) -> None:
    """Not for scripts, not for other sites; Secure wherever browsers come by TLS."""
    client = area_app(provider, clock).test_client()
    cookie = get(client, "/audit/login/start").headers["Set-Cookie"]
    assert cookie.startswith("motcua_audit=")
    assert {"HttpOnly", "Path=/audit", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie.split("; ")
    app, _ = create_app("tests.support.area", "test")
    install(app, AREA, login_of("https://site.example", provider.issuer), clock,
            blueprint=area_blueprint(AREA))  # fmt: skip
    answer = app.test_client().get("/audit/login/start", base_url="https://site.example")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Secure-motcua_audit=")
    assert "Secure" in cookie.split("; ")
    assert answer.headers["Strict-Transport-Security"]


def test_a_provider_that_is_down_or_another(provider: Provider, clock: HandClock) -> None:
    """A page says so; nobody gets in."""
    for issuer in ("http://127.0.0.1:9", f"{provider.issuer}/"):
        client = area_app(provider, clock, issuer=issuer).test_client()
        assert get(client, "/audit/login").status_code == 200
        assert get(client, "/audit/login/start").status_code == 503


def test_words_are_complete() -> None:
    """Both languages say everything that the shell asks for."""
    check_words("services.common.web", Path("services/common/web"), "error.", "area.", "span.")
    check_words("tests.support.area", Path("tests/support/area"))
