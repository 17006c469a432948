# SPDX-License-Identifier: Apache-2.0
"""The HTTP process of payment."""

from collections.abc import Mapping
from functools import partial

from flask import Flask

from services.common.web.app import create_app
from services.common.web.auth import let_in, read_officials
from services.common.web.server import Site
from services.common.web.server import serve as serve_site
from services.payment.bootstrap import PaymentService, bootstrap
from services.payment.config import Config, read_config
from services.payment.web.payments import routes


def make_app(service: PaymentService) -> Flask:
    """Return the application."""
    app, api = create_app("services.payment.web", "Một Cửa 24/7 payment")
    app.config.update(let_in(read_officials(service.config.officials_file)))
    api.register_blueprint(routes(service))
    return app


def serve(environ: Mapping[str, str]) -> int:
    """Run until SIGTERM; returns the exit code."""
    config = read_config(environ, web=True)
    return serve_site(partial(_site, config), host=config.core.http_host, port=config.http_port)


def _site(config: Config) -> Site:
    service = bootstrap(config)
    return Site(make_app(service), service.runtime)
