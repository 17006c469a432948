# SPDX-License-Identifier: Apache-2.0
"""The HTTP process of the auditors' pages."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from flask import Flask

from services.auditing.bootstrap import Auditing
from services.auditing.config import AuditConfig, read_config
from services.auditing.web.access import access_pages
from services.auditing.web.area import AREA
from services.auditing.web.dossiers import dossier_pages
from services.auditing.web.events import event_pages
from services.auditing.web.proofs import proof_pages
from services.auditing.web.showing import install_showing
from services.common.web.app import create_app
from services.common.web.pages import area_blueprint, install
from services.common.web.people import LoginConfig
from services.common.web.server import Site
from services.common.web.server import serve as serve_site

THREADS: Final = 8


def make_app(auditing: Auditing, login: LoginConfig) -> Flask:
    """Return the application."""
    app, _ = create_app(AREA.package, "Một Cửa 24/7 audit")
    blueprint = area_blueprint(AREA)
    dossier_pages(blueprint, auditing)
    event_pages(blueprint, auditing)
    proof_pages(blueprint, auditing)
    access_pages(blueprint, auditing)
    install_showing(app)
    install(app, AREA, login, auditing.clock, blueprint=blueprint)
    return app


def serve(environ: Mapping[str, str]) -> int:
    """Run until SIGTERM; returns the exit code."""
    config = read_config(environ)
    return serve_site(
        partial(_site, config), host=config.read.http_host, port=config.http_port, threads=THREADS
    )


def _site(config: AuditConfig) -> Site:
    auditing = Auditing(config)
    return Site(make_app(auditing, config.login), auditing)
