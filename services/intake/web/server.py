# SPDX-License-Identifier: Apache-2.0
"""The HTTP process of intake."""

from collections.abc import Mapping
from functools import partial

from flask import Flask

from services.common.web.app import create_app
from services.common.web.auth import let_in, read_officials
from services.common.web.server import Site
from services.common.web.server import serve as serve_site
from services.intake.bootstrap import Intake, bootstrap
from services.intake.config import Config, read_config
from services.intake.web.catalogue import catalogue_routes
from services.intake.web.custody import custody_routes
from services.intake.web.dossiers import routes
from services.intake.web.status import status_routes


def make_app(intake: Intake) -> Flask:
    """Return the application."""
    app, api = create_app("services.intake.web", "Một Cửa 24/7 intake")
    app.config.update(let_in(read_officials(intake.config.officials_file)))
    api.register_blueprint(routes(intake))
    api.register_blueprint(catalogue_routes(intake))
    api.register_blueprint(custody_routes(intake))
    api.register_blueprint(status_routes(intake))
    return app


def serve(environ: Mapping[str, str]) -> int:
    """Run until SIGTERM; returns the exit code."""
    config = read_config(environ, web=True)
    return serve_site(partial(_site, config), host=config.core.http_host, port=config.http_port)


def _site(config: Config) -> Site:
    intake = bootstrap(config)
    return Site(make_app(intake), intake.runtime)
