# SPDX-License-Identifier: Apache-2.0
"""The shell of every page: language, navigation, who may enter, CSRF, and errors for people.

An area (``/audit``, ``/subscribers``) is a part of the one site with a process, a role and words of
its own. ``install`` puts the shell around an application that ``create_app`` made; APIs that live
beside the area's pages stay as they are.
"""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from urllib.parse import urlencode, urlsplit

from flask import (
    Blueprint,
    Flask,
    Response,
    g,
    make_response,
    redirect,
    request,
    send_from_directory,
    session,
    url_for,
)
from werkzeug.exceptions import Forbidden, Unauthorized

from services.common.clock import Clock
from services.common.web import formats, people, problems
from services.common.web.login import Identity, login_routes
from services.common.web.people import LoginConfig, Person
from services.common.web.rendering import EXTENSION, SHELL_FILES, asset, csrf_token, render
from services.common.web.words import FIRST, LANGUAGES, Words

AREAS: Final = (
    ("audit", (people.AUDITOR,)),
    ("subscribers", (people.OPERATOR, people.SUBSCRIBER_ADMIN)),
)
"""Areas of the site and the roles that enter each, as the navigation shows them."""
PUBLIC: Final = ("login", "login_start", "login_back", "static", "shell")
"""What of an area everybody may fetch."""
STATIC_AGE_S: Final = 31_536_000
_LANGUAGE_AGE_S: Final = 31_536_000
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PACKAGE: Final = "services.common.web"


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A part of the site.

    Attributes:
        name: its path without the slash, its word ``area.<name>``, its cookie ``motcua_<name>``.
        roles: who may enter; one of them is enough.
        package: import name of the package with its ``templates``, ``static`` and ``words``.
        pages: endpoint and word of what its navigation offers.
    """

    name: str
    roles: tuple[str, ...]
    package: str
    pages: tuple[tuple[str, str], ...]

    @property
    def prefix(self) -> str:
        """Where it lies."""
        return f"/{self.name}"


class Shell:
    """What the pages of an area share; one for each application."""

    def __init__(self, area: Area, login: LoginConfig, clock: Clock) -> None:
        """Read the words."""
        self.area = area
        self.login = login
        self.clock = clock
        self.words = Words((_PACKAGE, area.package))

    def begin(self) -> Response | None:
        """Before each request: choose the language, then let in whoever may enter."""
        g.language = _language(self.area)
        if not _within(self.area):
            return None
        chosen = request.args.get("lang")
        if chosen in LANGUAGES and request.method == "GET":
            return self._remember_language(chosen)
        g.person = people.person(self.clock.now().timestamp())
        if request.endpoint in self._public():
            return None
        if g.person is None:
            return self._ask_to_log_in()
        leaves = request.endpoint == self._endpoint("logout")
        if not g.person.roles.intersection(self.area.roles) and not leaves:
            raise Forbidden("nobody without the role sees these pages")
        if request.method not in _SAFE:
            self._check_csrf()
        return None

    def finish(self, response: Response) -> Response:
        """After each request: errors become pages for browsers; what a page may load and do."""
        if not _within(self.area):
            return response
        if response.mimetype == problems.TYPE and _wants_page():
            response = self._error_page(response)
        ours = {
            "Content-Security-Policy": self._policy(),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        }
        if self.login.secure:
            ours["Strict-Transport-Security"] = "max-age=31536000"
        response.headers.update(ours)
        return response

    def context(self) -> dict[str, object]:
        """What every template may use."""
        language = g.get("language", FIRST)
        say = partial(self.words.say, language)
        current: Person | None = g.get("person")
        allowed = current is not None and bool(current.roles.intersection(self.area.roles))
        return {
            "t": say, "knows": self.words.knows, "language": language, "languages": LANGUAGES,
            "language_url": _language_url, "area": self.area, "person": current,
            "areas": [name for name, roles in AREAS if current and current.roles & {*roles}],
            "pages": self.area.pages if allowed else (), "csrf": csrf_token,
            "when": partial(formats.when, language), "day": partial(formats.day, language),
            "number": partial(formats.number, language), "money": partial(formats.money, language),
            "span": partial(formats.span, say), "asset": asset,
        }  # fmt: skip

    def _public(self) -> frozenset[str]:
        return frozenset(self._endpoint(name) for name in PUBLIC)

    def _endpoint(self, name: str) -> str:
        return f"{self.area.name}.{name}"

    def _ask_to_log_in(self) -> Response:
        if request.method != "GET" or not _wants_page():
            raise Unauthorized("log in first")
        way = request.full_path.rstrip("?")
        return _plain_redirect(url_for(f"{self.area.name}.login", next=way))

    def _remember_language(self, chosen: str) -> Response:
        response = _plain_redirect(_path_with(lang=None))
        response.set_cookie(
            _language_cookie(self.area), chosen, max_age=_LANGUAGE_AGE_S, path=self.area.prefix,
            secure=self.login.secure, httponly=True, samesite="Lax",
        )  # fmt: skip
        return response

    def _check_csrf(self) -> None:
        given = request.form.get("csrf") or request.headers.get("X-CSRF-Token", "")
        origin = request.headers.get("Origin", self.login.public_url)
        known = str(session.get("csrf", ""))
        right = bool(known) and hmac.compare_digest(given.encode(), known.encode())
        if not right or origin != self.login.public_url:
            raise Forbidden("the form is not one of ours, or too old; load the page again")

    def _error_page(self, document: Response) -> Response:
        body = document.get_json()
        page = render("shell/error.html", status=document.status_code, problem=body)
        page.status_code = document.status_code
        for name, value in document.headers:
            if name not in {"Content-Type", "Content-Length"}:
                page.headers.add(name, value)
        return page

    def _policy(self) -> str:
        issuer = urlsplit(self.login.issuer)
        # A form that logs out is answered by a redirect to the provider.
        return (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
            " connect-src 'self'; base-uri 'none'; frame-ancestors 'none';"
            f" form-action 'self' {issuer.scheme}://{issuer.netloc}"
        )


def install(
    app: Flask, area: Area, login: LoginConfig, clock: Clock, *, blueprint: Blueprint
) -> None:
    """Put the shell around ``app``; ``blueprint`` has the area's pages (see ``area_blueprint``)."""
    shell = Shell(area, login, clock)
    cookie = f"motcua_{area.name}"
    app.config.update(
        SECRET_KEY=login.session_key,
        SESSION_COOKIE_NAME=f"__Secure-{cookie}" if login.secure else cookie,
        SESSION_COOKIE_PATH=area.prefix,
        SESSION_COOKIE_SECURE=login.secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(seconds=people.IDLE_S),
        SEND_FILE_MAX_AGE_DEFAULT=STATIC_AGE_S,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.extensions[EXTENSION] = shell
    app.before_request(shell.begin)
    app.after_request(shell.finish)
    app.context_processor(shell.context)
    login_routes(blueprint, Identity(app, login, area.prefix), clock, area=area.name)
    app.register_blueprint(Blueprint("shell", _PACKAGE, template_folder="templates"))
    app.register_blueprint(blueprint)


def area_blueprint(area: Area) -> Blueprint:
    """Return the blueprint to which an area adds its pages; it serves the static files too."""
    blueprint = Blueprint(
        area.name, area.package, url_prefix=area.prefix, template_folder="templates",
        static_folder="static", static_url_path="/static",
    )  # fmt: skip

    def shell(name: str) -> Response:
        """Serve the shell's own files."""
        return send_from_directory(SHELL_FILES, name)

    blueprint.add_url_rule("/shell/<path:name>", "shell", shell)
    return blueprint


def current_person() -> Person:
    """Return who is logged in; only where ``begin`` let somebody in."""
    found: Person = g.person
    return found


def _within(area: Area) -> bool:
    return request.path == area.prefix or request.path.startswith(f"{area.prefix}/")


def _wants_page() -> bool:
    asked = request.accept_mimetypes
    return asked.best_match([problems.TYPE, "application/json", "text/html"]) == "text/html"


def _language_cookie(area: Area) -> str:
    return f"motcua_{area.name}_lang"


def _language(area: Area) -> str:
    chosen = request.cookies.get(_language_cookie(area), FIRST)
    return chosen if chosen in LANGUAGES else FIRST


def _language_url(language: str) -> str:
    return _path_with(lang=language)


def _path_with(*, lang: str | None) -> str:
    values = [(name, value) for name, value in request.args.items(multi=True) if name != "lang"]
    if lang is not None:
        values.append(("lang", lang))
    # One slash: a path that begins with two would lead to another host.
    path = "/" + request.path.lstrip("/")
    return f"{path}?{urlencode(values)}" if values else path


def _plain_redirect(to: str) -> Response:
    response = make_response(redirect(to, 303))
    response.headers["Cache-Control"] = "no-store"
    return response
