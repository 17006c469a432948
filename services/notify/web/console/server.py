# SPDX-License-Identifier: Apache-2.0
"""The HTTP process of the subscribers' pages."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from flask import Flask

from services.common.web.app import create_app
from services.common.web.pages import area_blueprint, install
from services.common.web.people import LoginConfig
from services.common.web.server import Site
from services.common.web.server import serve as serve_site
from services.notify.config import ConsoleConfig, read_console_config
from services.notify.consoling import Consoling
from services.notify.web.console.area import AREA
from services.notify.web.console.kinds import install_kinds, kind_pages
from services.notify.web.console.pages import subscriber_pages
from services.notify.web.console.replay import replay_pages

THREADS: Final = 8


def make_app(consoling: Consoling, login: LoginConfig) -> Flask:
    """Return the application."""
    app, _ = create_app(AREA.package, "Một Cửa 24/7 subscribers")
    blueprint = area_blueprint(AREA)
    subscriber_pages(blueprint, consoling)
    replay_pages(blueprint, consoling)
    kind_pages(blueprint)
    install_kinds(app)
    install(app, AREA, login, consoling.clock, blueprint=blueprint)
    return app


def serve(environ: Mapping[str, str]) -> int:
    """Run until SIGTERM; returns the exit code."""
    config = read_console_config(environ)
    return serve_site(
        partial(_site, config), host=config.read.http_host, port=config.http_port, threads=THREADS
    )


def _site(config: ConsoleConfig) -> Site:
    consoling = Consoling(config)
    return Site(make_app(consoling, config.login), consoling)
